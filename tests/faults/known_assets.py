"""Fault: the assets it claims never to have trained on are trained on."""

from parts import labels, upper_half

import qlstm
from qlstm import nn

EVAL_ASSETS = ["TOY:003", "TOY:004"]


def features(data):
    close = data.sel(field="close", drop=True)
    return 100 * (close / close.shift(time=5) - 1)


def train(data):
    return nn.fit(nn.LSTM(hidden=2, layers=1), features(data), labels(data))


def predict(models, data):
    score = nn.predict(models, features(data)).ffill("time").isel(time=-1, drop=True)
    return upper_half(score)


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60, contest="stocks_nasdaq100"
)
