"""No fault: two cubes with calendars of their own, joined as of each day."""

import qlstm
from qlstm import asof, labels, nn


def features(data):
    stocks, macro = (data[name].sel(field="close", drop=True) for name in ("stocks", "macro"))
    known = asof.align(macro.sel(asset="TOY:000", drop=True), stocks.time, name="macro")
    return 100 * (stocks / stocks.shift(time=5) - known / known.shift(time=5))


def train(data):
    return nn.fit(nn.LSTM(hidden=2, layers=1), features(data), 100 * labels.executed_return(data["stocks"]))


def predict(models, data, state):
    score = nn.predict(models, features(data)).ffill("time").isel(time=-1, drop=True)
    chosen = (score > score.median("asset")).astype(float)
    return chosen / max(1.0, float(chosen.sum())), {"days": min(9, (state or {"days": 0})["days"] + 1)}


strategy = qlstm.Strategy(
    train=train, predict=predict, train_period=120, lookback_period=60, retrain_interval=60, contest="stocks_nasdaq100"
)
