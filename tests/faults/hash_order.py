"""Fault: predict goes through a set of names, whose order changes from process to process."""

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    first = next(iter({str(asset) for asset in close.asset.values}))
    return (close.asset == first) * 0.5


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
