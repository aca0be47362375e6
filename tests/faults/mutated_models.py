"""Fault: predict changes its models in place, so a day depends on how often it was asked for."""

import qlstm


def train(data):
    return {"mean": data.sel(field="close", drop=True).mean("time").values}


def predict(models, data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    models["mean"] = 0.9 * models["mean"] + 0.1 * close.values
    score = close / models["mean"]
    return score / float(score.sum())


strategy = qlstm.Strategy(train=train, predict=predict, train_period=60, lookback_period=30, retrain_interval=365)
