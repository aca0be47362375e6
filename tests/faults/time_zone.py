"""Fault: the day of the week where the machine stands, not that of the data."""

import datetime

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1)
    seconds = int(close.time.values.astype("datetime64[s]").astype(int))
    is_monday = datetime.datetime.fromtimestamp(seconds).weekday() == 0
    return close.drop_vars("time").notnull() / close.size * (0.5 if is_monday else 1.0)


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
