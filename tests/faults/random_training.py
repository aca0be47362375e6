"""Fault: train draws from a generator of its own, without a seed."""

import numpy as np
from parts import labels

import qlstm
from qlstm import nn


def features(data):
    close = data.sel(field="close", drop=True)
    return 100 * (close / close.shift(time=5) - 1)


def train(data):
    noise = np.random.default_rng().normal(size=(data.sizes["time"], data.sizes["asset"]))
    return nn.fit(nn.LSTM(hidden=2, layers=1), features(data) + 5 * noise, labels(data))


def predict(models, data):
    score = nn.predict(models, features(data)).ffill("time").isel(time=-1, drop=True)
    weights = np.exp(score)  # no ranks: two trainings may well choose the same half
    return weights / float(weights.sum())


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60, contest="stocks_nasdaq100"
)
