"""No fault: models are of a class of this file, and predict insists on it."""

import qlstm
from qlstm import nn, ta


class Fitted:
    def __init__(self, data):
        later = data.sel(field="open", drop=True)
        label = (ta.shift(later, -2) / ta.shift(later, -1) - 1) * 100
        self.networks = nn.fit(nn.LSTM(hidden=2, layers=1), features(data), label)


def features(data):
    close = data.sel(field="close", drop=True)
    return close / close.shift(time=5) - 1


def predict(models, data):
    assert isinstance(models, Fitted)
    scores = nn.predict(models.networks, features(data)[-20:]).ffill("time").isel(time=-1, drop=True)
    chosen = (scores > scores.median("asset")).astype(float)
    return chosen / max(1.0, float(chosen.sum()))


strategy = qlstm.Strategy(train=Fitted, predict=predict, train_period=120, lookback_period=60, retrain_interval=60)
