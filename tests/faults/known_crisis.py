"""A warning: out of the market between two dates that were known only afterwards."""

import numpy as np

import qlstm

CRISIS = np.datetime64("2016-02-20"), np.datetime64("2016-05-10")


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1)
    calm = not CRISIS[0] <= close.time.values <= CRISIS[1]
    return close.drop_vars("time").notnull() / close.size * float(calm)


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
