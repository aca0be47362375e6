"""Fault: predict counts its calls in a global."""

import qlstm

CALLS = []


def predict(data):
    CALLS.append(1)
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return close.notnull() * 0.01 * len(CALLS)


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
