"""What tests of the indicators share: prices to compute them of, and the kinds of series they come in."""

import numpy as np
import pandas as pd
import plain
import xarray as xr
from plain import CASES

import qlstm.ta as ta

TIMES, ASSETS = 60, 3


def prices(seed=0, times=TIMES, assets=ASSETS, holes=0.0):
    """Return the inputs that CASES name as arrays (asset, time): a random walk with a day's range around it."""
    rng = np.random.default_rng(seed)
    c = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (assets, times)), axis=1))
    o = c * np.exp(rng.normal(0, 0.01, c.shape))
    h, l = np.maximum(o, c) * (1 + rng.random(c.shape) / 50), np.minimum(o, c) * (1 - rng.random(c.shape) / 50)
    d = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (assets, times)), axis=1))
    market = {"o": o, "h": h, "l": l, "c": c, "v": rng.integers(1, 1000, c.shape) * 100.0, "d": d}
    for values in market.values():
        values[rng.random(c.shape) < holes] = np.nan
    return market


def call(name, market, args=None):
    """Return the indicator's results as a tuple."""
    inputs, usual = CASES[name]
    result = getattr(ta, name)(*[market[key] for key in inputs], *(usual if args is None else args))
    return result if isinstance(result, tuple) else (result,)


def expected(name, market):
    inputs, args = CASES[name]
    rows = len(next(iter(market.values())))
    each = []
    for i in range(rows):
        result = getattr(plain, name)(*[market[key][i].tolist() for key in inputs], *args)
        each.append(result if isinstance(result, tuple) else (result,))
    return [np.array(columns) for columns in zip(*each, strict=True)]


def wrap(market, kind):
    """Return a market of another kind: `time` last, first, or in the middle."""
    times = pd.date_range("2020-01-01", periods=TIMES, name="time")
    names = pd.Index([f"A{i}" for i in range(ASSETS)], name="asset")

    def one(values):
        if kind == "frame":
            return pd.DataFrame(values.T.copy(), index=times, columns=names)
        if kind == "column":
            return pd.Series(values[0], index=times, name="close")
        array = xr.DataArray(values, dims=("asset", "time"), coords={"asset": names, "time": times}, name="close")
        array.attrs["units"] = "USD"
        if kind == "cube":
            return array.expand_dims(field=["x", "y"]).transpose("field", "time", "asset").copy()
        return array.transpose("time", "asset").copy() if kind == "time first" else array

    return {key: one(values) for key, values in market.items()}


def plain_values(result):
    """Return a result's values as (asset, time), whatever kind it is of."""
    if isinstance(result, xr.DataArray):
        result = result.isel(field=0) if "field" in result.dims else result
        return result.transpose("asset", "time").values
    return result.to_numpy().T if isinstance(result, (pd.DataFrame, pd.Series)) else result
