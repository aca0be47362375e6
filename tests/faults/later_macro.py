"""Fault: the newest macro figure that it was ever shown, kept in a global, decides every day."""

import qlstm

NEWEST = {}


def predict(data):
    macro = data["macro"].sel(field="close", drop=True).sel(asset="TOY:000").isel(time=-1)
    if macro.time.values >= NEWEST.get("time", macro.time.values):
        NEWEST.update(time=macro.time.values, level=float(macro))
    close = data["stocks"].sel(field="close", drop=True).isel(time=-1, drop=True)
    return close.notnull() / close.size * (NEWEST["level"] % 1)


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
