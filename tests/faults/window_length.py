"""A warning: an exponential average that has not forgotten the start of its short window."""

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True)
    slow = close.bfill("time").to_pandas().ewm(span=60, adjust=False).mean().iloc[-1]
    score = close.isel(time=-1, drop=True) / slow.to_numpy()
    return score / float(score.sum())


strategy = qlstm.Strategy(predict=predict, lookback_period=30)
