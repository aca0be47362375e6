"""ETFs, long only: a network's forecast for SPY chooses between sectors and treasuries.

Idea      Hold sectors and inverse treasuries while the market should do better than usual, long treasuries otherwise.
State     None.
Source    An LSTM strategy of a QuantConnect forum thread and, with INPUTS, the comment there that feeds it indicators.
Changed   The forecast is the return that can be traded, not the level of the next close, which looks right however
          little is known; its sequence ends today (the source's, as shown, forecast the close already known). The close
          is scaled within its own last 60 rows, so no later price lies beyond the scale. The forecast is compared with
          its mean in training, so that a bias of the network decides nothing. One small LSTM replaces four of 50 units
          with dropout: five years hold too little to learn more.
Backtest  qlstm backtest strategies/spy_rotation.py --data etf.nc
"""

import xarray as xr

import qlstm
from qlstm import labels, nn, portfolio, scaling, schedule, ta, universe

INDEX = "AMEX:SPY"
SECTORS = ("AMEX:XLB", "AMEX:XLE", "AMEX:XLF", "AMEX:XLI", "AMEX:XLK", "AMEX:XLP", "AMEX:XLU", "AMEX:XLV", "AMEX:XLY")
INVERSE = ("AMEX:TBF", "AMEX:TBT", "AMEX:PST")
LONG = ("AMEX:TLT", "AMEX:IEF", "AMEX:SHY")
INPUTS = ("range",)  # or ("rsi", "macd", "atr", "roc"), the comment's, or any others of `features`


def features(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset, feature): the inputs chosen, of the index alone."""
    index = universe.only(data, [INDEX])
    high, low, close = (index.sel(field=field, drop=True) for field in ("high", "low", "close"))
    line, _, _ = ta.macd(close, 12, 26, 9)
    known = {
        "range": ta.stochastic_k(close, close, close, 60),  # where the close stands between its extremes
        "rsi": ta.rsi(close, 14),
        "macd": line / close,
        "atr": ta.atr(high, low, close, 14) / close,
        "roc": ta.roc(close, 10),
        "move": ta.roc(close, 1),
    }
    return xr.concat([known[name] for name in INPUTS], xr.Variable("feature", list(INPUTS))).transpose(
        "time", "asset", "feature"
    )


def train(data: xr.DataArray) -> dict:
    """Fit one network to the index's returns, and note its mean forecast."""
    inputs = features(data)
    scaler = scaling.fit(inputs, {".*": "standard"}, per="asset")
    earned = labels.executed_return(universe.only(data, [INDEX]))
    target = earned / float(earned.std())
    network = nn.LSTM(input_dim=len(INPUTS), hidden=8, layers=1)
    inputs = scaling.transform(scaler, inputs)
    models = nn.fit(network, inputs, target, optimizer=nn.Adam(lr=0.01), epochs=40)
    return {"scaler": scaler, "models": models, "mean": float(nn.predict(models, inputs).mean())}


def forecast(models: dict, data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time): how much better than usual the index is expected to do."""
    inputs = scaling.transform(models["scaler"], features(data))
    expected = nn.predict(models["models"], inputs).reindex(asset=[INDEX])  # NaN where nothing could be fitted
    return expected[:, 0].drop_vars("asset") - models["mean"]


def predict(models: dict, data: xr.DataArray) -> xr.DataArray:
    """Hold equal shares of what is liquid in the group that the forecast chooses."""
    liquid = data.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
    liquid = universe.only(liquid, SECTORS + INVERSE + LONG)
    return portfolio.group_rotation(float(forecast(models, data)[-1]), SECTORS + INVERSE, LONG, liquid)


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=1856, lookback_period=240, retrain_interval=schedule.month_end()
)
