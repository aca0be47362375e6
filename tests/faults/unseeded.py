"""Fault: predict draws from a generator of its own, without a seed."""

import numpy as np

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    draw = close.copy(data=np.random.default_rng().random(close.size))
    return draw / float(draw.sum())


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
