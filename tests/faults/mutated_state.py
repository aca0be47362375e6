"""Fault: the state it gives back is a global that each call writes into, whatever state it was given."""

import qlstm

STATE = {"days": 0}


def predict(data, state):
    STATE["days"] = (STATE["days"] + 1) % 5
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return close.notnull() / close.size * (STATE["days"] + 1) / 5, STATE


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
