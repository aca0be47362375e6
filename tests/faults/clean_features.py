"""No fault: features that end at each row, computed once over the whole history; a batch predict; a bounded state."""

import qlstm


def features(cube):
    close = cube.sel(field="close", drop=True)
    return {"trend": close / close.rolling(time=20, min_periods=20).mean() - 1}


def predict(data, state):
    trend = data.sel(field="trend", drop=True)
    above = (trend > 0).astype(float)
    seen = [*(state or []), float(above.isel(time=-1).sum())][-5:]
    return above / above.sum("asset").clip(min=1.0), seen


strategy = qlstm.Strategy(
    features=features, predict=predict, lookback_period=60, retrain_interval=60, predict_each_day=False
)
