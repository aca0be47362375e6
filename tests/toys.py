"""Small markets and strategies that tests share: seeded, plain, no files."""

import numpy as np
import pandas as pd
import xarray as xr

FIELDS = ["open", "high", "low", "close", "vol", "is_liquid"]


def market(days=300, assets=5, seed=0, start="2015-01-01", gaps=0.0):
    """Return a random-walk cube, dims (field, time, asset); a share `gaps` of the days of each asset has no prices."""
    random = np.random.default_rng(seed)
    times = pd.bdate_range(start, periods=days).astype("datetime64[ns]")
    close = 50 * np.exp(np.cumsum(0.01 * random.standard_normal((days, assets)), axis=0))
    open_ = close * np.exp(0.003 * random.standard_normal((days, assets)))
    spread = 0.004 * close * random.random((days, assets))
    high, low = np.maximum(open_, close) + spread, np.minimum(open_, close) - spread
    volume = 1e6 * np.exp(0.3 * random.standard_normal((days, assets)))
    liquid = np.ones((days, assets))
    values = np.stack([open_, high, low, close, volume, liquid])
    values[:, random.random((days, assets)) < gaps] = np.nan
    names = [f"TOY:{i:03d}" for i in range(assets)]
    coords = {"field": FIELDS, "time": times, "asset": names}
    return xr.DataArray(values, dims=("field", "time", "asset"), coords=coords, name="stocks_nasdaq100")


def equal_weights(data):
    """Return equal weights of everything with a price on the last row."""
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return close.notnull() / max(1, int(close.notnull().sum()))


def momentum(data):
    """Return weights of all rows of the window, proportional to the change over five rows: causal."""
    close = data.sel(field="close", drop=True)
    change = (close / close.shift(time=5) - 1).fillna(0.0)
    return change / abs(change).sum("asset").clip(min=1e-12)


def blend(data, state):
    """Return equal weights averaged with the state, and a state that counts calls; writes into the state it is given."""
    weights = equal_weights(data)
    state = state or {"n": 0, "weights": weights * 0}
    state["n"] += 1
    state["weights"] = (weights + state["weights"].reindex(asset=weights.asset, fill_value=0.0)) / 2
    return state["weights"], state


def train_mean(data):
    """Return the mean close of each asset, and the number of rows seen."""
    return {"mean": data.sel(field="close", drop=True).mean("time"), "rows": data.sizes["time"]}


def predict_below_mean(models, data, state):
    """Hold what closed below its training mean; the state counts days and remembers the models' rows."""
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    low = (close < models["mean"]).astype(float)
    state = state or {"days": 0, "rows": []}
    state = {"days": state["days"] + 1, "rows": [*state["rows"], models["rows"]]}
    return low / max(1.0, float(low.sum())), state
