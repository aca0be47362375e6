"""Fault: ties go to whoever comes first in the data."""

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    weight = close * 0.0
    weight[:2] = 0.5
    return weight


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
