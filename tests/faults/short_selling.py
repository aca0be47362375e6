"""Fault: short positions where the contest allows none, and most of the capital in one asset."""

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    first = close.asset == min(close.asset.values)
    return close * 0.0 - 0.1 + 0.7 * first


strategy = qlstm.Strategy(predict=predict, contest="stocks_long", lookback_period=10)
