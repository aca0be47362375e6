"""Stocks, long and short, by the quarter: how much a network expects each to earn until the next quarter's end.

Idea      One perceptron for all stocks reads what is public at the end of a quarter, as in `alfred_direction`, and
          forecasts the return; its loss counts a wrong sign besides a wrong size. What should earn more than it costs
          is bought, what should lose more is sold.
State     The weights held, and the day they were decided: they stay until a quarter ends.
Source    alfred (j03m/alfred), its regressions on the quarter's return with sign-aware losses.
Changed   What an asset's prices were before its last fault is neither learned from nor forecast from (one stock at 2.95
          and then at 146.76 made up the source's whole range). The label is the return that can be traded, in units
          of 10 %, never centred, so its sign is that of the return and a forecast of 0 is no position (was:
          standardised, and read as a return: a forecast of nothing was a short position). The sign term is the smooth
          one, which trains (two of the source's three do not). The later quarters test and stop it (were: stocks in
          both lists). Two layers of 32 units (were: up to 24000), linear output (was: tanh after batch norm). Columns
          that are missing or mostly empty are left out, so prices alone will do; fundamentals count from their
          publication.
Backtest  qlstm backtest strategies/alfred_magnitude.py --start 2016-01-04
"""

import numpy as np
import xarray as xr

import qlstm
from qlstm import bars, labels, nn, portfolio, scaling, schedule

KNOWN_FINDINGS = {  # of `qlstm check`
    "price-level": "as in its source: the close itself is an input, and adjusted prices know later splits"
}

SCALES = {"(delta_)?(close|vol)": "signed-log1p", "(?!(delta_)?(close|vol)$).*": "standard"}
LOSS = nn.HuberWithSignPenalty(weight=2.0, smooth=True, temperature=0.5)
EPOCHS = 100
UNIT = 0.1  # a return of the size that the network's output is 1 for
LEAST = 0.01  # expected return below which nothing is held


def train(data: xr.DataArray) -> dict:
    """Learn the returns of all quarters of the window but those that tell when to stop."""
    data = bars.sound(data)
    inputs, earned = bars.features(data), bars.earned(labels.executed_return(data))
    columns = bars.complete(inputs)
    inputs = inputs.sel(feature=columns)
    known = inputs[: 3 * len(inputs) // 4]  # without the rows that tell when to stop
    scaler = scaling.fit(known, SCALES, per="pooled")
    samples = nn.Sequences(scaling.transform(scaler, inputs), earned / UNIT, length=1, horizon=labels.horizon())
    network, optimizer = nn.MLP(len(columns), (32, 32), dropout=0.3), nn.Adam(lr=0.001)
    options = {"batch": 128, "epochs": EPOCHS, "patience": 20, "plateau": nn.Plateau(factor=0.3, patience=10)}
    fitted = nn.fit_pooled(network, *samples.split(0.2), loss=LOSS, optimizer=optimizer, **options)
    return {"columns": columns, "scaler": scaler, "network": fitted.network}


def forecast(models: dict, data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (quarter's end, asset): expected return until the next, as a share."""
    inputs = bars.features(bars.sound(data), only=models["columns"])
    samples = nn.Sequences(scaling.transform(models["scaler"], inputs), length=1)
    return nn.predict_pooled(models["network"], samples) * UNIT


def predict(models: dict, data: xr.DataArray, state: dict | None) -> tuple[xr.DataArray, dict]:
    """Decide on the day that a quarter ends, and hold until the next does."""
    times, today = data.time.values, data.isel(time=-1, drop=True)
    liquid = today.sel(field="is_liquid", drop=True) > 0
    if state is None or schedule.due(times[-1], np.datetime64(state["decided"]), schedule.every_months(3), times):
        expected = forecast(models, data).isel(time=-1, drop=True)
        held = portfolio.long_flat_short(expected, liquid, long_above=LEAST, short_below=-LEAST)
        state = {"decided": str(times[-1]), "weights": held}
    return state["weights"].reindex(asset=data.asset, fill_value=0.0).where(liquid, 0.0), state


strategy = qlstm.Strategy(train=train, predict=predict, train_period=3650, lookback_period=1000, retrain_interval=365)
