"""Measures of synthetic markets that tests share.

Statistics are turned into z-scores by their sampling error and looked at over several fixed seeds: one may be 4 off, the
mean of all 3.5 of its own standard errors.
"""

import numpy as np

from qlstm import ta

SEEDS = range(6)
NIGHT, BAR = 0.005, 0.01


def field(cube, name):
    return cube.sel(field=name).values


def executed(cube):
    """Log return from open[t+1] to open[t+2] in row t, NaN in the last two rows."""
    log_open = np.log(field(cube, "open"))
    result = np.full(log_open.shape, np.nan)
    result[:-2] = log_open[2:] - log_open[1:-1]
    return result


def moves(cube):
    """Log return from the last close to that of row t, NaN in the first row."""
    return np.vstack([np.full((1, cube.sizes["asset"]), np.nan), np.diff(np.log(field(cube, "close")), axis=0)])


def correlation(x, y):
    """Correlation of all pairs that are known, and its standard error, by rows: the assets of one may move together."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = (np.where(known, (v - v[known].mean()) / v[known].std(), 0.0) for v in (x, y))
    rho = (x * y).sum() / known.sum()
    scores = x * (y - rho * x)
    return rho, np.sqrt((scores.reshape(len(x), -1).sum(axis=1) ** 2).sum()) / known.sum()


def assert_near(pairs):
    """Hold (measured - wanted, standard error) of several seeds to what sampling allows."""
    scores = np.array([difference / error for difference, error in pairs])
    assert np.abs(scores).max() < 4.0, scores
    assert abs(scores.mean()) * np.sqrt(len(scores)) < 3.5, scores


def shown(name, cube):
    """What a strategy can work out of the cube alone that should be the signal, up to a factor."""
    last, close = moves(cube), cube.sel(field="close", drop=True)
    if name in ("P1", "P1-FX"):
        return -last
    if name == "P1+":
        return last
    if name == "P1f":
        return ta.roc(ta.lwma(close, 10), 1).values
    if name == "P2":
        week = np.log(close / close.shift(time=5)).values
        return -(week - week.mean(axis=1, keepdims=True)) / week.std(axis=1, keepdims=True)
    if name == "P3":
        product = np.full(last.shape, np.nan)
        product[4:] = np.sign(last[3:-1] * last[:-4])
        return product
    if name == "P7":
        return np.diff(field(cube, "margin_net"), axis=0, prepend=np.nan)
    if name == "P12":
        return np.log(field(cube, "bid_size_1") / field(cube, "ask_size_1"))
    assert name == "P9"
    return field(cube, "sentiment")
