"""Fault: features fill the rows before their first value backwards."""

import qlstm


def features(cube):
    close = cube.sel(field="close", drop=True)
    return {"trend": (close / close.rolling(time=20).mean() - 1).bfill("time")}


def predict(data):
    trend = data.sel(field="trend", drop=True).isel(time=-1, drop=True)
    return (trend > 0) / trend.size


strategy = qlstm.Strategy(features=features, predict=predict, lookback_period=60)
