"""Fault: the result is one asset's, whose price jumped and was never paid."""

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return close.notnull() / close.size


strategy = qlstm.Strategy(predict=predict, lookback_period=10)
