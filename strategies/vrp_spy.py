"""SPY or cash: a network reads the premium of implied over past volatility, and the slope of implied volatility.

Idea      Who is paid well for bearing risk should bear it: implied volatility above what was realised, and falling with
          the horizon or not, says something about the next return.
State     None.
Data      Fields iv30 and iv93, implied volatility a year over one and three months (VIX and VXV for SPY, as shares; put
          beside the prices by `asof.join`). A cube without either gets proxies made of its own closes, the deviation of
          63 and 126 returns: these are not implied volatility, and a result with them says nothing about the premium.
Source    A comment in a QuantConnect forum thread, whose author warns of a period picked by hand.
Changed   Trained anew every 30 days (was: once), on the return that can be traded. Not one period but every start is
          reported: docs/systems.md.
Backtest  qlstm backtest strategies/vrp_spy.py --data etf.nc
"""

import numpy as np
import xarray as xr

import qlstm
from qlstm import labels, nn, portfolio, scaling, universe

ASSETS = ("AMEX:SPY",)
PAST = 21  # returns in historical volatility
PROXIES = {"iv30": 63, "iv93": 126}  # returns


def deviation(data: xr.DataArray, rows: int) -> xr.DataArray:
    """(field, time, asset) -> (time, asset): deviation of the last daily returns, a year."""
    close = data.sel(field="close", drop=True)
    return (close / close.shift(time=1) - 1.0).rolling(time=rows).std(ddof=1) * np.sqrt(252)


def features(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset, feature): premium and slope."""
    data = universe.only(data, ASSETS)
    known = [field for field in PROXIES if field in data.field.values]
    if len(known) == 1:
        raise ValueError(f"the data hold {known[0]} alone; give both iv30 and iv93, or neither")
    for field in known:
        if data.sel(field=field).isnull().all():
            raise ValueError(f"the field {field} is empty up to that day; start later, or give neither iv30 nor iv93")
    near, far = (data.sel(field=f, drop=True) if known else deviation(data, n) for f, n in PROXIES.items())
    both = xr.concat([near - deviation(data, PAST), near / far], xr.Variable("feature", ["premium", "slope"]))
    return both.transpose("time", "asset", "feature")


def train(data: xr.DataArray) -> dict:
    """Fit one network per asset to its returns."""
    inputs = features(data)
    scaler = scaling.fit(inputs, {".*": "standard"}, per="asset")
    earned = labels.executed_return(universe.only(data, ASSETS))
    network = nn.LSTM(input_dim=2, hidden=8, layers=1)
    inputs = scaling.transform(scaler, inputs)
    models = nn.fit(network, inputs, earned / earned.std("time"), optimizer=nn.Adam(lr=0.01), epochs=40)
    return {"scaler": scaler, "models": models}


def forecast(models: dict, data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset): the return expected, in units of its deviation."""
    return nn.predict(models["models"], scaling.transform(models["scaler"], features(data)))


def predict(models: dict, data: xr.DataArray) -> xr.DataArray:
    """Hold what is expected to rise, in equal parts of the capital; the rest is cash."""
    liquid = data.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
    return portfolio.long_flat_short(forecast(models, data).isel(time=-1, drop=True), liquid)


strategy = qlstm.Strategy(train=train, predict=predict, train_period=1460, lookback_period=260, retrain_interval=30)
