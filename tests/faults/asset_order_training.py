"""Fault: train chooses the assets that come first in the data, by name from then on."""

import qlstm


def train(data):
    return {"chosen": [str(name) for name in data.asset.values[:3]]}


def predict(models, data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return close.asset.isin(models["chosen"]) / 3


strategy = qlstm.Strategy(train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60)
