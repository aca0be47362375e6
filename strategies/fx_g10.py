"""Currencies against the dollar, long and short: a network reads each one's last return and that of all the others.

Idea      What a currency did, and what the dollar did to all of them, may say where it goes next. It did not for the
          author: kept as an example of a negative result, and of a report that says so.
State     None.
Data      A cube of currencies in dollars (EURUSD, JPYUSD, …), any of ASSETS that there are. Without the field is_liquid
          a currency can be held on days with a close; one that is missing is left out of the mean of the others.
Source    A comment in a QuantConnect forum thread on an LSTM for SPY: the same on EURUSD, other G10 currencies as
          inputs, "result not satisfactory".
Changed   All nine are traded (was: EURUSD), by one network, so nine times the data. The others enter as their mean,
          which is the dollar (was: an input each). The forecast is the return that can be traded (was: the next level).
          Trained at each month end, as the strategy it comments on.
Backtest  qlstm backtest strategies/fx_g10.py --data "synthetic:P1-FX?n_days=2000"
"""

import xarray as xr

import qlstm
from qlstm import labels, nn, portfolio, scaling, schedule, ta, universe
from qlstm.errors import DataError

ASSETS = ("AUDUSD", "CADUSD", "CHFUSD", "EURUSD", "GBPUSD", "JPYUSD", "NOKUSD", "NZDUSD", "SEKUSD")


def traded(data: xr.DataArray) -> xr.DataArray:
    """Return the currencies of the cube, in an order of their own: the fit adds up its rows in the order given."""
    known = [asset for asset in ASSETS if asset in data.asset]
    if not known:
        raise DataError(f"the data hold none of {', '.join(ASSETS)}")
    return data.sel(asset=known)


def features(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset, feature): the last return, and the mean of the others', in percent."""
    move = ta.roc(traded(data).sel(field="close", drop=True), 1)
    known = move.notnull().sum("asset")
    others = (move.sum("asset") - move.fillna(0.0)) / (known - move.notnull()).clip(1)
    return xr.concat([move, others], xr.Variable("feature", ["move", "others"])).transpose("time", "asset", "feature")


def train(data: xr.DataArray) -> dict:
    """Fit one network to the returns of all currencies, each in units of its own deviation."""
    inputs = features(data)
    scaler = scaling.fit(inputs, {".*": "standard"}, per="asset")
    earned = labels.executed_return(traded(data))
    network = nn.LSTM(input_dim=2, hidden=8, layers=1)
    inputs = scaling.transform(scaler, inputs)
    models = nn.fit(network, inputs, earned / earned.std("time"), optimizer=nn.Adam(lr=0.01), epochs=40, groups="g10")
    return {"scaler": scaler, "models": models}


def forecast(models: dict, data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset): the return expected, in units of its deviation."""
    inputs = scaling.transform(models["scaler"], features(data))
    return nn.predict(models["models"], inputs, dict.fromkeys(inputs.asset.values, "g10"))


def predict(models: dict, data: xr.DataArray) -> xr.DataArray:
    """Go long what is expected to rise and short what is expected to fall, in equal parts of the capital."""
    liquid = universe.available(traded(data)).isel(time=-1, drop=True)
    scores = forecast(models, data).isel(time=-1, drop=True)
    return portfolio.long_flat_short(scores, liquid, short_below=0.0)


strategy = qlstm.Strategy(
    train=train,
    predict=predict,
    contest="futures",
    train_period=1460,
    lookback_period=60,
    retrain_interval=schedule.month_end(),
)
