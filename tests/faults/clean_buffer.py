"""No fault: the state fills for a year, and then stays as long."""

import qlstm


def predict(data, state):
    close = data.sel(field="close", drop=True)
    past = [*(state or []), float((close.isel(time=-1) / close.isel(time=-2)).mean())][-251:]
    today = close.isel(time=-1, drop=True)
    return today.notnull() / today.size * (1.0 if sum(past) > len(past) else 0.5), past


strategy = qlstm.Strategy(predict=predict, lookback_period=10)
