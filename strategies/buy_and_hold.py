"""The yardstick: buy equal amounts of every liquid stock on the first day, then leave the shares alone.

State     The number of shares of each asset per unit of capital.
Backtest  qlstm backtest strategies/buy_and_hold.py
"""

import xarray as xr

import qlstm


def predict(data: xr.DataArray, state: dict | None) -> tuple[xr.DataArray, dict]:
    """(field, time, asset) -> (asset): each asset's share of the value of all shares held."""
    today = data.isel(time=-1, drop=True)
    close = today.sel(field="close", drop=True)
    if state is None:
        state = {"shares": ((today.sel(field="is_liquid", drop=True) > 0) / close).fillna(0.0)}
    value = (state["shares"].reindex(asset=close.asset, fill_value=0.0) * close).fillna(0.0)
    return value / float(value.sum() or 1.0), state


strategy = qlstm.Strategy(predict=predict, contest="stocks_nasdaq100", lookback_period=10)
