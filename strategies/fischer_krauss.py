"""Large stocks, market neutral: long the ten likeliest to beat the median next, short the ten least likely.

Idea      One LSTM for all stocks reads 240 daily returns of one and tells whether its next will be above the median of
          all. What it learns is mostly short-term reversal: `baselines.reversal` is the rule to run beside it.
State     None.
Source    Fischer and Krauss (2018): S&P 500 members, 1992 to 2015, study periods of 750 + 250 days.
Changed   Label and profit are the return that can be traded, from the next open to the one after (were: from the close
          that the forecast has just used). Validated on the latest days, whose targets no target learned from overlaps;
          scaled by the 750 days alone. Batches of 128 and two epochs, without dropout (were: dropout of 0.1, up to 1000
          epochs with early stopping): what 23 study periods allow in minutes, and more than a planted reversal takes.
Backtest  qlstm backtest strategies/fischer_krauss.py --data us252_1990.nc --start 1993-01-04 --jobs 2
"""

import xarray as xr

import qlstm
from qlstm import labels, nn, portfolio, scaling, schedule, ta

LENGTH = 240  # rows that the network looks back
TRAIN, TRADE = 750, 250  # rows of a study period
SIDE = 10  # stocks long, and as many short
EPOCHS = 2
STUDY = schedule.study_periods(TRAIN, TRADE)


def features(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (time, asset, feature): the last return, in percent; 0 on a day without a price."""
    close = data.sel(field="close", drop=True).ffill("time")
    return ta.roc(close, 1).expand_dims(feature=["return"]).transpose("time", "asset", "feature")


def liquid(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (asset): what is liquid on the last day."""
    return data.sel(field="is_liquid", drop=True).isel(time=-1, drop=True) > 0


def train(data: xr.DataArray) -> dict:
    """Fit one network to whether each stock's next return is above the median of all; stocks as of the last day."""
    study = STUDY.training(data)
    study = study.sel(asset=liquid(study))
    if not study.sizes["asset"]:
        raise ValueError("nothing is liquid on the last day of the study period")
    inputs = features(study)
    scaler = scaling.fit(inputs, {"return": "standard"}, per="pooled")
    better = labels.above_median(labels.executed_return(study))
    samples = nn.Sequences(scaling.transform(scaler, inputs), better, length=LENGTH, horizon=labels.horizon())
    early, late = samples.split(0.2, embargo=0)
    network, optimizer = nn.LSTM(input_dim=1, hidden=25, layers=1), nn.RMSprop(lr=0.003)
    fitted = nn.fit_pooled(network, early, late, loss=nn.BCE(), optimizer=optimizer, batch=128, epochs=EPOCHS)
    return {"scaler": scaler, "network": fitted.network, "members": study.asset.values.tolist()}


def forecast(models: dict, data: xr.DataArray, last: bool = False) -> xr.DataArray:
    """(field, time, asset) -> (time, asset): log odds that a member's next return is above the median; or the last."""
    inputs = features(data).sel(asset=data.asset.isin(models["members"]))
    inputs = inputs.isel(time=slice(-LENGTH, None)) if last else inputs  # one window a stock
    windows = nn.Sequences(scaling.transform(models["scaler"], inputs), length=LENGTH)
    return nn.predict_pooled(models["network"], windows)


def predict(models: dict, data: xr.DataArray) -> xr.DataArray:
    """Hold the highest forecasts long and the lowest short, in equal parts."""
    scores = forecast(models, data, last=True)
    return portfolio.top_bottom(scores.isel(time=-1, drop=True), liquid(data), top=SIDE, bottom=SIDE)


strategy = qlstm.Strategy(
    train=train,
    predict=predict,
    contest="stocks_s&p500",
    train_period=1110,  # holds 750 rows
    lookback_period=365,  # holds 241 rows, and a price before a gap at their start
    retrain_interval=STUDY,
)
