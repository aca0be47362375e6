"""Fault: predict looks at the clock."""

import datetime

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    weight = close.notnull() / close.size
    return weight * (datetime.datetime.now().year % 10 + 1) / 10


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
