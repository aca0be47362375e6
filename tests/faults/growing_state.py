"""Fault: the state keeps every day there ever was."""

import qlstm


def predict(data, state):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    seen = [*(state or []), close.values]
    return close.notnull() / close.size, seen


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
