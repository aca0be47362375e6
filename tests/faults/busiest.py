"""A warning: the assets to train on are those that trade most on the last day, and are compared with each other."""

from parts import labels, upper_half

import qlstm
from qlstm import nn


def features(data):
    close = data.sel(field="close", drop=True)
    change = 100 * (close / close.shift(time=5) - 1)
    return change - change.mean("asset")


def train(data):
    volume = data.sel(field="vol", drop=True).isel(time=-1)
    busy = data.isel(asset=(volume > volume.median()).values)
    return nn.fit(nn.LSTM(hidden=2, layers=1), features(busy), labels(busy))


def predict(models, data):
    known = data.isel(asset=[str(asset) in models for asset in data.asset.values])
    score = nn.predict(models, features(known)).ffill("time").isel(time=-1, drop=True)
    return upper_half(score)


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60, contest="stocks_nasdaq100"
)
