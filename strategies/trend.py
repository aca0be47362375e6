"""NASDAQ-100, long only: equal shares of the liquid stocks that stand above their 120-day average.

Idea      What has risen for months tends to go on; what has fallen is left alone.
State     None.
Backtest  qlstm backtest strategies/trend.py
"""

import xarray as xr

import qlstm
from qlstm import ta


def predict(data: xr.DataArray) -> xr.DataArray:
    """(field, time, asset) -> (asset): equal shares of what is liquid and above its average."""
    close = data.sel(field="close", drop=True)
    rising = (close > ta.sma(close, 120)) & (data.sel(field="is_liquid", drop=True) > 0)
    today = rising.isel(time=-1, drop=True).astype(float)
    return today / max(1.0, float(today.sum()))


strategy = qlstm.Strategy(predict=predict, contest="stocks_nasdaq100", lookback_period=200)
