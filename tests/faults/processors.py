"""Fault: predict looks as many days back as the machine has processors."""

import os

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).ffill("time")
    score = close.isel(time=-1, drop=True) / close.isel(time=-1 - os.cpu_count(), drop=True)
    return score / score.sum()


strategy = qlstm.Strategy(predict=predict, lookback_period=200)
