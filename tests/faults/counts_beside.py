"""Fault: a module beside the strategy's file counts the calls."""

import counting

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return close.notnull() * 0.01 * counting.one_more()


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
