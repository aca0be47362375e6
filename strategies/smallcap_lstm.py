"""Small companies, long only: a network moves each position up and down a ladder; a panic empties the book.

Idea      Of the 20 smallest companies, buy more of what should do better than usual and less of what should do worse.
State     The weights, the network's memory of each asset, the days left of a panic, and each position's best price:
          one that has lost half of it stays at 0 until the next training. A name that vanishes is sold.
Data      Optional fields: mcap (else the median of close × volume says who is small), is_st (else nobody is left out
          for special treatment), index (else the mean return of the cube, weighted by size, says what a crash is).
          Close × volume of prices adjusted for splits knows the later ones: `qlstm check` warns of it (price-level).
Source    A small-cap LSTM strategy for A-shares on RqAlpha, 68 % a year from 2013 to 2016, as its author says.
Changed   Inputs and target are returns (were levels, scaled in a window that prices leave); the target can be traded.
          One network for all (was: one cell each, from 180 rows). A score is how far its forecast is from those in
          training (was: the largest of three sums, above 0 more often than not). The stop sells (it bought), the panic
          lasts 22 days for all (21 for the last asset). No names known to be bad afterwards are left out.
Backtest  qlstm backtest strategies/smallcap_lstm.py --data smallcap.nc
"""

import numpy as np
import xarray as xr

import qlstm
from qlstm import labels, nn, portfolio, risk, scaling, schedule, universe

COUNT = 20  # companies
LEAST = 60  # rows with a close that a company must have


def optional(data: xr.DataArray, field: str) -> xr.DataArray | None:
    """Return a field, dims (time, asset), or None where the cube lacks it."""
    return data.sel(field=field, drop=True) if field in data.field.values else None


def smallest(data: xr.DataArray) -> list[str]:
    """Return the smallest companies of the last row."""
    special = optional(data, "is_st")
    members = universe.available(data) & (data.sel(field="close", drop=True).count("time") >= LEAST)
    members = members if special is None else members & ~(special > 0)
    chosen = universe.smallest(data, COUNT, members).isel(time=-1)
    if not chosen.any():
        raise ValueError(f"no company is liquid and has {LEAST} closes in the training window; start later")
    return data.asset.values[chosen.values > 0].tolist()


def index_returns(data: xr.DataArray) -> np.ndarray:
    """Return the last two returns of the market."""
    known = optional(data, "index")
    if known is not None:
        return known.max("asset").ffill("time")[-3:].to_series().pct_change().to_numpy()[1:]
    close = data.sel(field="close", drop=True)
    moves = (close / close.shift(time=1) - 1.0)[-2:]
    size = universe.size(data).shift(time=1)[-2:].where(moves.notnull(), 0.0).fillna(0.0)
    return ((moves.fillna(0.0) * size).sum("asset") / size.sum("asset")).values


def features(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset, feature): close, high and low against the last close, change of volume."""
    high, low, close, volume = (data.sel(field=field, drop=True) for field in ("high", "low", "close", "vol"))
    before, traded = close.shift(time=1), np.log1p(volume)
    columns = [close / before - 1.0, high / before - 1.0, low / before - 1.0, traded - traded.shift(time=1)]
    return xr.concat(columns, xr.Variable("feature", ["close", "high", "low", "vol"])).transpose("time", "asset", ...)


def train(data: xr.DataArray) -> dict:
    """Fit one network to the returns of the smallest, and note what its forecasts are like."""
    small = data.sel(asset=smallest(data))
    scaler = scaling.fit(features(small), {".*": "standard"}, per="asset")
    inputs, earned = scaling.transform(scaler, features(small)), labels.executed_return(small)
    network = nn.LSTM(input_dim=4, hidden=8, layers=1)
    models = nn.fit(network, inputs, earned / earned.std("time"), optimizer=nn.Adam(lr=0.01), epochs=40, groups="small")
    usual = nn.predict(models, inputs)
    facts = {"mean": float(usual.mean()), "spread": float(usual.std()), "day": str(data.time.values[-1])}
    return {"scaler": scaler, "models": models, **facts}


def score(models: dict, data: xr.DataArray, cells: dict | None) -> tuple[xr.DataArray, dict]:
    """Return how unusual each forecast is, dims (time, asset), in deviations; and what the network remembers."""
    groups = {asset: group for asset, group in models["models"].groups.items() if asset in data.asset}
    inputs = scaling.transform(models["scaler"], features(data.sel(asset=list(groups))))
    found, cells = nn.advance(models["models"], inputs, cells, groups)
    return (found - models["mean"]) / models["spread"], cells


def predict(models: dict, data: xr.DataArray, state: dict | None) -> tuple[xr.DataArray, dict]:
    """Step each position up or down, and leave what has crashed."""
    state = state or dict.fromkeys(("weights", "cells", "panic", "stop", "day"))
    stop = state["stop"] if state["day"] == models["day"] else risk.release(state["stop"])
    scores, cells = score(models, data, state["cells"])
    close, liquid = data.sel(field="close", drop=True)[-1], universe.available(data)[-1]
    calm, panic = risk.panic(state["panic"], index_returns(data))
    held, stop = risk.peak_stop(stop, state["weights"], close, loss=0.5)
    rungs = {"step": 0.5 / COUNT, "largest": 2.0 / COUNT, "threshold": 1.0, "retreat": 0.6}
    weights = portfolio.ladder(scores[-1], state["weights"], liquid, **rungs) * held.sel(asset=scores.asset) * calm
    return weights, {"weights": weights, "cells": cells, "panic": panic, "stop": stop, "day": models["day"]}


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=262, lookback_period=100, retrain_interval=schedule.every_months(3)
)
