"""No fault: models are of a class of this file, and predict insists on it."""

import qlstm


class Means:
    def __init__(self, data):
        self.close = data.sel(field="close", drop=True).mean("time")


def train(data):
    return Means(data)


def predict(models, data):
    assert isinstance(models, Means)
    dear = (data.sel(field="close", drop=True).isel(time=-1, drop=True) > models.close).astype(float)
    return dear / max(1.0, float(dear.sum()))


strategy = qlstm.Strategy(train=train, predict=predict, train_period=60, lookback_period=30, retrain_interval=60)
