"""Fault: between two figures of another cube it trains on the second, which comes later."""

from parts import upper_half

import qlstm
from qlstm import labels, nn


def features(data):
    stocks, macro = (data[name].sel(field="close", drop=True) for name in ("stocks", "macro"))
    known = macro.sel(asset="TOY:000", drop=True).reindex(time=stocks.time).bfill("time")
    return 100 * (stocks / stocks.shift(time=5) - known / known.shift(time=5))


def train(data):
    return nn.fit(nn.LSTM(hidden=2, layers=1), features(data), 100 * labels.executed_return(data["stocks"]))


def predict(models, data):
    score = nn.predict(models, features(data)).ffill("time").isel(time=-1, drop=True)
    return upper_half(score)


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60, contest="stocks_nasdaq100"
)
