"""Fault: features are scaled by statistics of the whole sample."""

import qlstm


def features(cube):
    close = cube.sel(field="close", drop=True)
    change = close / close.shift(time=20) - 1
    return {"trend": (change - change.mean("time")) / change.std("time")}


def predict(data, state):
    trend = data.sel(field="trend", drop=True)
    above = (trend > 0).astype(float)
    seen = [*(state or []), float(above.isel(time=-1).sum())][-5:]
    return above / above.sum("asset").clip(min=1.0), seen


strategy = qlstm.Strategy(
    features=features, predict=predict, lookback_period=60, retrain_interval=60, predict_each_day=False
)
