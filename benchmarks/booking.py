"""Measure what booking weights costs: statistics, the equity kernel, cleaning, the volatility filter.

    python benchmarks/booking.py           prints a table; medians on this machine, now

2520 days by 100 assets, simulated; pandas does the same rolling volatility and rank in the same run where it can.
"""

from __future__ import annotations

import platform
import statistics
import time
import warnings

import numpy as np
import pandas as pd
import xarray as xr
from engine import market

from qlstm import filter, output, stats

DAYS, ASSETS, REPEATS = 2520, 100, 15


def weights_of(cube: xr.DataArray) -> xr.DataArray:
    random = np.random.default_rng(1)
    values = random.random((cube.sizes["time"], cube.sizes["asset"]))
    values /= values.sum(axis=1, keepdims=True)
    return xr.DataArray(values, dims=("time", "asset"), coords={"time": cube.time, "asset": cube.asset})


def median_ms(work) -> float:
    work()  # compiles on the first call of a fresh installation
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


def pandas_filter(cube: xr.DataArray) -> pd.DataFrame:
    close = cube.sel(field="close").to_pandas()
    return (close.diff() / close.shift(1)).rolling(60, min_periods=60).std(ddof=0).rank(axis=1) <= 12


def main() -> None:
    warnings.simplefilter("ignore")
    cube = market(DAYS, ASSETS)
    weights = weights_of(cube)
    returns_ms = median_ms(lambda: stats.calc_relative_return(cube, weights))
    rows = [
        ("calc_stat", median_ms(lambda: stats.calc_stat(cube, weights)), "goal under 5"),
        ("calc_stat, locked='hold'", median_ms(lambda: stats.calc_stat(cube, weights, locked="hold")), ""),
        ("calc_stat, per asset", median_ms(lambda: stats.calc_stat(cube, weights, per_asset=True)), ""),
        ("calc_relative_return", returns_ms, f"{returns_ms / DAYS * 1e3:.2f} µs a bar with all preparation"),
        ("output.clean", median_ms(lambda: output.clean(weights, cube)), ""),
        ("filter_volatility", median_ms(lambda: filter.filter_volatility(cube, 60, 12)), "goal under 10"),
        ("  the same in pandas", median_ms(lambda: pandas_filter(cube)), ""),
    ]
    print(f"{DAYS} days × {ASSETS} assets; medians of {REPEATS}, ms; Python {platform.python_version()}, "
          f"numpy {np.__version__}, pandas {pd.__version__}, {platform.machine()}")  # fmt: skip
    for label, ms, remark in rows:
        print(f"{label:<28} {ms:8.2f}  {remark}")


if __name__ == "__main__":
    main()
