"""No fault: the scaler is fitted without the rows that tell the fit when to stop."""

from parts import labels, upper_half

import qlstm
from qlstm import nn, scaling


def features(data):
    close = data.sel(field="close", drop=True)
    return (100 * (close / close.shift(time=5) - 1)).expand_dims(feature=["change"])


def train(data):
    inputs = features(data).transpose("time", "asset", "feature")
    known = inputs[: 4 * len(inputs) // 5]
    scaler = scaling.fit(known, {"change": "standard"}, per="asset")
    network = nn.LSTM(hidden=2, layers=1)
    scaled = scaling.transform(scaler, inputs)
    return {"scaler": scaler, "networks": nn.fit(network, scaled, labels(data), epochs=3, validation=0.2)}


def predict(models, data):
    inputs = scaling.transform(models["scaler"], features(data).transpose("time", "asset", "feature"))
    return upper_half(nn.predict(models["networks"], inputs).ffill("time").isel(time=-1, drop=True))


strategy = qlstm.Strategy(train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60)
