"""No fault: two networks are fitted, and each is asked about features of its own."""

import qlstm
from qlstm import nn, ta


def change(data, rows):
    close = data.sel(field="close", drop=True)
    return close / close.shift(time=rows) - 1


def labels(data):
    later = data.sel(field="open", drop=True)
    return (ta.shift(later, -2) / ta.shift(later, -1) - 1) * 100


def train(data):
    return [nn.fit(nn.LSTM(hidden=2, layers=1), change(data, rows), labels(data)) for rows in (2, 20)]


def predict(models, data):
    score = nn.predict(models[0], change(data, 2)) + nn.predict(models[1], change(data, 20))
    score = score.ffill("time").isel(time=-1, drop=True)
    chosen = (score > score.median("asset")).astype(float)
    return chosen / max(1.0, float(chosen.sum()))


strategy = qlstm.Strategy(train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60)
