"""Fault: the label is the move to the next open, which is over when it can be traded."""

from parts import upper_half

import qlstm
from qlstm import nn, ta


def features(data):
    close = data.sel(field="close", drop=True)
    return 100 * (close / close.shift(time=5) - 1)


def labels(data):
    later = data.sel(field="open", drop=True)
    today = data.sel(field="close", drop=True)
    return (ta.shift(later, -1) / today - 1) * 100


def train(data):
    return nn.fit(nn.LSTM(hidden=2, layers=1), features(data), labels(data))


def predict(models, data):
    score = nn.predict(models, features(data)).ffill("time").isel(time=-1, drop=True)
    return upper_half(score)


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60, contest="stocks_nasdaq100"
)
