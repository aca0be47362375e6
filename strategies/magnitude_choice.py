"""One stock at a time, long or short: the one that `alfred_magnitude` expects to move most until the quarter's end.

Idea      The largest forecast of all is the best bet: buy that stock if it should rise, sell it if it should fall.
State     The weights held, and the day they were decided: the name stays until a quarter ends.
Source    alfred (j03m/alfred), its "magnitude choice" backtest of such a model.
Changed   The forecast is `alfred_magnitude`'s: a return, from prices without faults, of quarters not learned from. (The
          source's 75 trades won 62.7 %; without one wrong price, and without the two stocks it was trained on, 54 are
          left, of which 53.7 % won.) Filled at the next open and at a cost (was: at the close that gave the signal,
          for nothing). A forecast of 0 is no position (was: a short one). Returns compound (were: added up).
Look      `qlstm.ledger.of_weights(result.weights, cube)`: what is left without one asset, without one trade.
Backtest  qlstm backtest strategies/magnitude_choice.py --start 2016-01-04
"""

import numpy as np
import xarray as xr
from alfred_magnitude import forecast, train

import qlstm
from qlstm import portfolio, schedule

KNOWN_FINDINGS = {  # of `qlstm check`
    "price-level": "as in its source: the close itself is an input, and adjusted prices know later splits"
}


def predict(models: dict, data: xr.DataArray, state: dict | None) -> tuple[xr.DataArray, dict]:
    """Choose on the day that a quarter ends, and hold until the next does."""
    times, today = data.time.values, data.isel(time=-1, drop=True)
    liquid = today.sel(field="is_liquid", drop=True) > 0
    if state is None or schedule.due(times[-1], np.datetime64(state["decided"]), schedule.every_months(3), times):
        expected = forecast(models, data).isel(time=-1, drop=True)
        state = {"decided": str(times[-1]), "weights": portfolio.single_name(expected, liquid)}
    return state["weights"].reindex(asset=data.asset, fill_value=0.0).where(liquid, 0.0), state


strategy = qlstm.Strategy(train=train, predict=predict, train_period=3650, lookback_period=1000, retrain_interval=365)
