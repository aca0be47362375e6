"""Index funds, long or flat, or long or short: a network's probability that the next return is a gain.

Idea      A network with a memory may see in past returns what the sign of the next depends on, where ARMA-GARCH
          (`baselines.arma_garch`, the benchmark to run beside it) sees nothing.
State     None.
Source    Hansson (2017): LSTM against ARMA(1,1)-GJR-GARCH(1,1) on the S&P 500, OMX 30 and Bovespa 50.
Changed   Walks forward, trained anew every 180 days (was: one split). The target is the return that can be traded.
          One network of 16 units learns from all indices with early stopping (was: 50 and 100 units for each).
          The probability is compared with its mean in training, so "always up" cannot pass for skill.
Backtest  qlstm backtest strategies/index_direction.py --data etf.nc
"""

import xarray as xr

import qlstm
from qlstm import labels, nn, portfolio, scaling, ta, universe

ASSETS = ("AMEX:SPY", "NAS:QQQ", "AMEX:IWM")
LENGTH = 10  # rows that the network looks back
SHORT_BELOW = -100.0  # log odds, never reached: long or flat; 0.0 is long or short


def features(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset, feature): the last return, in percent."""
    close = universe.only(data.sel(field="close", drop=True), ASSETS)
    return ta.roc(close, 1).expand_dims(feature=["move"]).transpose("time", "asset", "feature")


def train(data: xr.DataArray) -> dict:
    """Fit one network to the direction of all assets' returns."""
    inputs = features(data)
    scaler = scaling.fit(inputs, {"move": "standard"}, per="asset")
    rises = labels.direction(labels.executed_return(universe.only(data, ASSETS)))
    samples = nn.Sequences(scaling.transform(scaler, inputs), rises, length=LENGTH, horizon=labels.horizon())
    early, late = samples.split(0.2)
    network = nn.LSTM(hidden=16, layers=1)
    fitted = nn.fit_pooled(
        network, early, late, loss=nn.BCE(), optimizer=nn.Adam(lr=0.005), batch=256, epochs=60, patience=8
    )
    mean = float(nn.predict_pooled(fitted.network, early).mean())
    return {"scaler": scaler, "network": fitted.network, "mean": mean}


def forecast(models: dict, data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset): log odds of a rise, above their mean in training."""
    inputs = scaling.transform(models["scaler"], features(data))
    return nn.predict_pooled(models["network"], nn.Sequences(inputs, length=LENGTH)) - models["mean"]


def predict(models: dict, data: xr.DataArray) -> xr.DataArray:
    """Hold what is likelier to rise than usual, in equal parts of the capital, and sell short what is far less so."""
    liquid = data.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
    scores = forecast(models, data).isel(time=-1, drop=True)
    return portfolio.long_flat_short(scores, liquid, short_below=SHORT_BELOW)


strategy = qlstm.Strategy(train=train, predict=predict, train_period=1460, lookback_period=30, retrain_interval=180)
