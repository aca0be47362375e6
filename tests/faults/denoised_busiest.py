"""Fault: low-pass filtered over the whole window, for the assets that trade most on its last day."""

import numpy as np
from parts import upper_half

import qlstm
from qlstm import nn, ta


def features(data):
    close = data.sel(field="close", drop=True).transpose("time", "asset")
    change = (close / close.shift(time=1) - 1).fillna(0.0)
    waves = np.fft.rfft(change.values, axis=0)
    waves[12:] = 0.0
    return change.copy(data=np.fft.irfft(waves, n=len(change), axis=0))


def train(data):
    volume = data.sel(field="vol", drop=True).isel(time=-1, drop=True)
    data = data.sel(asset=sorted(volume.sortby(volume).asset.values[-5:]))
    later = data.sel(field="open", drop=True)
    label = (ta.shift(later, -2) / ta.shift(later, -1) - 1) * 100
    return nn.fit(nn.LSTM(hidden=2, layers=1), features(data), label)


def predict(models, data):
    score = nn.predict(models, features(data))
    score = score.ffill("time").isel(time=-1, drop=True)
    return upper_half(score)


strategy = qlstm.Strategy(train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60)
