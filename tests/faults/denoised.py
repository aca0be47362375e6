"""Fault: the training features come from a transform of the whole series (what a wavelet filter does)."""

import numpy as np

import qlstm
from qlstm import nn, ta


def features(data):
    close = data.sel(field="close", drop=True)
    waves = np.fft.rfft(close.values, axis=0)
    waves[len(waves) // 4 :] = 0
    smooth = close.copy(data=np.fft.irfft(waves, n=close.sizes["time"], axis=0))
    return 100 * (smooth / smooth.shift(time=5) - 1)


def labels(data):
    later = data.sel(field="open", drop=True)
    return (ta.shift(later, -2) / ta.shift(later, -1) - 1) * 100


def train(data):
    return nn.fit(nn.LSTM(hidden=2, layers=1), features(data), labels(data))


def predict(models, data):
    score = nn.predict(models, features(data)).ffill("time").isel(time=-1, drop=True)
    chosen = (score > score.median("asset")).astype(float)
    return chosen / max(1.0, float(chosen.sum()))


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60, contest="stocks_nasdaq100"
)
