"""Fault: the state keeps a row of closes of each quarter, for ever."""

import qlstm
from qlstm import portfolio


def predict(data, state):
    close = data.sel(field="close", drop=True).isel(time=-1)
    quarter = str(close.time.values.astype("datetime64[M]").astype(int) // 3)
    kept = (state or {}) | {quarter: close.values}
    return portfolio.equal_weight(close.drop_vars("time").notnull()), kept


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
