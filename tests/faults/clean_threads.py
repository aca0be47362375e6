"""No fault: many threads, whose results are put together by asset and not as they come."""

import os
from concurrent.futures import ThreadPoolExecutor

import xarray as xr

import qlstm


def predict(data):
    close = data.sel(field="close", drop=True).ffill("time")
    with ThreadPoolExecutor(int(os.environ.get("OMP_NUM_THREADS", 1))) as pool:
        means = list(pool.map(lambda asset: close.sel(asset=asset).mean("time"), close.asset.values))
    score = close.isel(time=-1, drop=True) / xr.concat(means, "asset")
    return score / score.sum()


strategy = qlstm.Strategy(predict=predict, lookback_period=60)
