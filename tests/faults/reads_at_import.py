"""Fault: the file of prices is read when this file is loaded, and with it tomorrow's."""

import qlstm

PATH = "prices.nc"
CLOSE = qlstm.data.load(PATH).sel(field="close", drop=True)


def predict(data):
    tomorrow = CLOSE.shift(time=-1).sel(time=data.time.values[-1], drop=True)
    rising = (tomorrow > data.sel(field="close", drop=True).isel(time=-1, drop=True)).astype(float)
    return rising / max(1.0, float(rising.sum()))


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
