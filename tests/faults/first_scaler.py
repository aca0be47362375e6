"""Fault: the scaler of the first call, which is the first training, is kept in a global for all that follow."""

import qlstm
from qlstm import nn, ta

SCALER = {}


def features(data):
    close = data.sel(field="close", drop=True)
    change = close / close.shift(time=5) - 1
    if not SCALER:
        SCALER.update(mean=change.mean("time"), std=change.std("time"))
    return (change - SCALER["mean"]) / SCALER["std"]


def labels(data):
    later = data.sel(field="open", drop=True)
    return (ta.shift(later, -2) / ta.shift(later, -1) - 1) * 100


def train(data):
    return {"networks": nn.fit(nn.LSTM(hidden=2, layers=1), features(data), labels(data))}


def predict(models, data):
    score = nn.predict(models["networks"], features(data)).ffill("time").isel(time=-1, drop=True)
    chosen = (score > score.median("asset")).astype(float)
    return chosen / max(1.0, float(chosen.sum()))


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60, contest="stocks_nasdaq100"
)
