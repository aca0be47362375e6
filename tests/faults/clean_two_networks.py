"""No fault: two networks are fitted, and each is asked about features of its own."""

from parts import labels, upper_half

import qlstm
from qlstm import nn


def change(data, rows):
    close = data.sel(field="close", drop=True)
    return close / close.shift(time=rows) - 1


def train(data):
    return [nn.fit(nn.LSTM(hidden=2, layers=1), change(data, rows), labels(data)) for rows in (2, 20)]


def predict(models, data):
    score = nn.predict(models[0], change(data, 2)) + nn.predict(models[1], change(data, 20))
    score = score.ffill("time").isel(time=-1, drop=True)
    return upper_half(score)


strategy = qlstm.Strategy(train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60)
