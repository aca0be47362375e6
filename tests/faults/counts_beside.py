"""Fault: a list in a module beside the strategy's file counts the calls."""

from counting import CALLS

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    CALLS.append(1)
    return close.notnull() * 0.01 * len(CALLS)


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
