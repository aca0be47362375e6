"""Cubes and books that tests of weights share: small ones by hand, random ones with gaps."""

import numpy as np
import pandas as pd
import toys
import xarray as xr

from qlstm.stats.books import GONE_AFTER

NAN = np.nan


def row(values, assets=None):
    """Return weights or scores of one day."""
    assets = assets or [f"A{i}" for i in range(len(values))]
    return xr.DataArray(np.array(values, dtype=float), dims="asset", coords={"asset": list(assets)})


def cube(prices, name="stocks_nasdaq100", **fields):
    """Return a cube from rows of (open, close), one asset A, high and low beside them."""
    table = np.array(prices, dtype=float)
    open_, close = table[:, 0], table[:, 1]
    values = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    values |= {"vol": np.ones(len(table))} | {name: np.array(field, dtype=float) for name, field in fields.items()}
    times = pd.bdate_range("2020-01-01", periods=len(table))
    return xr.DataArray(
        np.stack(list(values.values()))[:, :, None],
        dims=("field", "time", "asset"),
        coords={"field": list(values), "time": times, "asset": ["A"]},
        name=name,
    )


def random_book(data, seed, gross=0.9):
    """Return long-short weights over the cube, changing every day, some rows empty."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(data.sizes["time"], data.sizes["asset"]))
    values[random.random(values.shape) < 0.3] = 0.0
    values *= gross / np.maximum(np.abs(values).sum(axis=1, keepdims=True), 1e-9)
    return xr.DataArray(values, dims=("time", "asset"), coords={"time": data.time, "asset": data.asset})


def holes(data, seed):
    """Return the cube with days without price, an asset that is listed late and one that stops trading."""
    random = np.random.default_rng(seed)
    values = data.values.copy()
    rows, assets = data.sizes["time"], data.sizes["asset"]
    for _ in range(3):
        a, start = random.integers(assets), random.integers(15, rows)
        values[:, start : start + random.integers(1, GONE_AFTER + 5), a] = NAN
    values[:, : random.integers(rows), 0] = NAN
    values[:, random.integers(15, rows) :, -1] = NAN
    return data.copy(data=values)


def all_in(data, asset="A"):
    """Return the whole capital in one asset, every day."""
    weights = xr.zeros_like(data.isel(field=0, drop=True))
    return weights.where(weights.asset != asset, 1.0).fillna(1.0)


def book(rows, assets="ABCDEFGH"):
    """Return weights from rows of numbers."""
    values = np.array(rows, dtype=float)
    coords = {"time": pd.bdate_range("2020-01-01", periods=len(values)), "asset": list(assets[: values.shape[1]])}
    return xr.DataArray(values, dims=("time", "asset"), coords=coords)


def book_over(data, seed=0, scale=1.0):
    """Return long-short weights for every cell of the cube, some NaN."""
    random = np.random.default_rng(seed)
    values = scale * random.normal(size=(data.sizes["time"], data.sizes["asset"]))
    values[random.random(values.shape) < 0.1] = np.nan
    return xr.DataArray(values, dims=("time", "asset"), coords={"time": data.time, "asset": data.asset})


def gappy(seed, days=40, assets=6):
    """Return a market with days without price and days on which an asset is not liquid."""
    random = np.random.default_rng(seed)
    data = toys.market(days=days, assets=assets, seed=seed, gaps=0.1)
    liquid = data.sel(field="is_liquid").values
    data.loc[{"field": "is_liquid"}] = np.where(random.random(liquid.shape) < 0.2, 0.0, liquid)
    return data
