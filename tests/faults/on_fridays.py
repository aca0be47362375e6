"""Fault: in batch mode the weights of Fridays follow the close two days after."""

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True)
    rising = close.shift(time=-2) > close
    is_friday = data.time.dt.dayofweek == 4
    return rising.where(is_friday, other=True) / close.sizes["asset"]


strategy = qlstm.Strategy(predict=predict, lookback_period=60, retrain_interval=60, predict_each_day=False)
