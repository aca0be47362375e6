"""Stocks, long and short, by the quarter: how likely a network thinks a rise until the next quarter's end.

Idea      One perceptron for all stocks reads what is public at the end of a quarter (prices and volumes against their
          averages; margins, earnings, insiders, sentiment, markets where the data have such fields; how each changed)
          and tells how likely the next quarter is a gain. Likely gains are bought, likely losses sold.
State     The weights held, and the day they were decided: they stay until a quarter ends.
Source    alfred (j03m/alfred), its "vanilla" classifier.
Changed   Tested on later quarters (was: other stocks in the quarters learned from, two of them in both lists). The
          label is the return that can be traded, unknown in the last row (was: close to close, the last row a fall).
          Columns that are missing or mostly empty are left out, so prices alone will do; fundamentals count from their
          publication, see `asof.join` (were: known at the quarter's end, filled backwards). The latest quarters tell
          when to stop (was: the loss in training). Two layers of 32 units (were: 10 of 256 to 100 of 1024), no batch
          norm on the output. Levels of 0.55 and 0.45 (were 0.7 and 0.3, which an honest probability seldom reaches).
Backtest  qlstm backtest strategies/alfred_direction.py --start 2016-01-04
"""

import numpy as np
import torch
import xarray as xr

import qlstm
from qlstm import bars, labels, nn, portfolio, scaling, schedule

KNOWN_FINDINGS = {  # of `qlstm check`
    "price-level": "as in its source: the close itself is an input, and adjusted prices know later splits"
}

SCALES = {"(delta_)?(close|vol)": "signed-log1p", "(?!(delta_)?(close|vol)$).*": "standard"}
HIDDEN = (32, 32)
DROPOUT = 0.3
RATE, EPOCHS = 0.001, 100
LONG, SHORT = 0.55, 0.45  # probabilities beyond which a position is opened; at 0.5 it is closed


def samples(data: xr.DataArray, columns: list[str], scaler: dict) -> nn.Sequences:
    """Return each stock's inputs at each quarter's end, with whether it rose until the next."""
    inputs = scaling.transform(scaler, bars.features(data, only=columns))
    rises = labels.direction(bars.earned(labels.executed_return(data)))
    return nn.Sequences(inputs, rises, length=1, horizon=labels.horizon())


def fit(early: nn.Sequences, late: nn.Sequences | None) -> torch.nn.Module:
    """Fit one network for all stocks, stopped by the later quarters."""
    network, optimizer = nn.MLP(early.features, HIDDEN, dropout=DROPOUT), nn.Adam(lr=RATE)
    options = {"batch": 128, "epochs": EPOCHS, "patience": 20, "plateau": nn.Plateau(factor=0.3, patience=10)}
    return nn.fit_pooled(network, early, late, loss=nn.BCE(), optimizer=optimizer, **options).network


def train(data: xr.DataArray) -> dict:
    """Learn from all quarters of the window but those that tell when to stop."""
    inputs = bars.features(data)
    columns = bars.complete(inputs)
    known = inputs[: 3 * len(inputs) // 4].sel(feature=columns)  # without the rows that tell when to stop
    scaler = scaling.fit(known, SCALES, per="pooled")
    early, late = samples(data, columns, scaler).split(0.2)
    return {"columns": columns, "scaler": scaler, "network": fit(early, late)}


def forecast(models: dict, data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (quarter's end, asset): log odds of a rise until the next."""
    inputs = scaling.transform(models["scaler"], bars.features(data, only=models["columns"]))
    return nn.predict_pooled(models["network"], nn.Sequences(inputs, length=1))


def predict(models: dict, data: xr.DataArray, state: dict | None) -> tuple[xr.DataArray, dict]:
    """Decide on the day that a quarter ends, and hold until the next does."""
    times, today = data.time.values, data.isel(time=-1, drop=True)
    liquid = today.sel(field="is_liquid", drop=True) > 0
    held = None if state is None else state["weights"].reindex(asset=data.asset, fill_value=0.0)
    if state is None or schedule.due(times[-1], np.datetime64(state["decided"]), schedule.every_months(3), times):
        odds = forecast(models, data).isel(time=-1, drop=True)
        held = portfolio.nuanced(1 / (1 + np.exp(-odds)), held, liquid, long_above=LONG, short_below=SHORT)
        state = {"decided": str(times[-1])}
    held = held.reindex(asset=data.asset, fill_value=0.0)
    return held.where(liquid, 0.0), state | {"weights": held}


strategy = qlstm.Strategy(train=train, predict=predict, train_period=3650, lookback_period=1000, retrain_interval=365)
