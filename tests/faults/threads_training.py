"""Fault: train fits as many models as the environment allows threads, and averages them."""

import os

import numpy as np

import qlstm


def train(data):
    close = data.sel(field="close", drop=True).ffill("time")
    days = np.random.default_rng(0).permutation(data.sizes["time"] - 1) + 1
    samples = np.array_split(days, int(os.environ.get("OMP_NUM_THREADS", 1)))
    change = close / close.shift(time=1) - 1
    return {"mean": sum(change.isel(time=rows).median("time") for rows in samples)}


def predict(models, data):
    score = models["mean"] - models["mean"].min()
    return score / score.sum()


strategy = qlstm.Strategy(train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60)
