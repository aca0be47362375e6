"""No fault: months and days of the week come round every year."""

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).isel(time=-1)
    is_quiet = close.time.dt.month.item() in (6, 7) or close.time.dt.dayofweek.item() == 4
    return close.drop_vars("time").notnull() / close.size * (0.5 if is_quiet else 1.0)


strategy = qlstm.Strategy(predict=predict, lookback_period=10)
