"""Measure what the engine costs beyond the strategy itself: per day, per import, per command, in memory.

    python benchmarks/engine.py            prints a table; medians of repeated runs on this machine, now

The market is simulated here, 100 assets by 1500 days, windows of 155 calendar days, weights that never change.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pandas as pd
import xarray as xr

import qlstm
from qlstm import engine
from qlstm.cube import Windows
from qlstm.strategy import Memory

ASSETS, DAYS, WINDOW, REPEATS = 100, 1500, 155, 7


def market(days: int = DAYS, assets: int = ASSETS) -> xr.DataArray:
    random = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(0.01 * random.standard_normal((days, assets)), axis=0))
    values = np.stack([close, close * 1.01, close * 0.99, close, np.full_like(close, 1e6), np.ones_like(close)])
    coords = {
        "field": ["open", "high", "low", "close", "vol", "is_liquid"],
        "time": pd.bdate_range("2010-01-01", periods=days),
        "asset": [f"A{i:03d}" for i in range(assets)],
    }
    return xr.DataArray(values, dims=("field", "time", "asset"), coords=coords, name="stocks_nasdaq100")


def median_s(work, repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def process_s(*arguments: str) -> float:
    return median_s(lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True))


def step_us(strategy: qlstm.Strategy, cube: xr.DataArray) -> float:
    windows = engine.prepare(strategy, Windows(cube))
    days = windows.times[200:1200]

    def walk() -> None:
        memory = Memory()
        for t in days:
            _, memory = engine.step(strategy, memory, windows, t)

    return median_s(walk) / len(days) * 1e6


def peak_mb(strategy: qlstm.Strategy, cube: xr.DataArray, days: int) -> float:
    tracemalloc.start()
    qlstm.backtest(strategy=strategy, data=cube, end_date=cube.time.values[200 + days], analyze=False, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    cube = market()
    constant = xr.DataArray(np.full(ASSETS, 1 / ASSETS), dims="asset", coords={"asset": cube.asset.values})
    stateless = qlstm.Strategy(predict=lambda data: constant, lookback_period=WINDOW)
    stateful = qlstm.Strategy(predict=lambda data, state: (constant, {"weights": constant}), lookback_period=WINDOW)
    windows = engine.prepare(stateless, Windows(cube))
    t = windows.times[700]
    isel_us = median_s(lambda: [cube.isel(time=slice(600, 705)) for _ in range(1000)]) * 1e3
    started = process_s("-c", "pass")
    peak_mb(stateless, cube, 50)  # what is imported at first use is not the engine's
    rows = [
        ("one isel of the cube (the floor)", f"{isel_us:.0f} µs"),
        ("one window", f"{median_s(lambda: [windows(t, WINDOW) for _ in range(1000)]) * 1e3:.0f} µs"),
        ("one step, stateless", f"{step_us(stateless, cube):.0f} µs a day"),
        ("one step, state of one weight array", f"{step_us(stateful, cube):.0f} µs a day"),
        ("a window shares memory with the cube", str(np.shares_memory(windows(t, WINDOW).values, cube.values))),
        ("peak memory, 250 days", f"{peak_mb(stateless, cube, 250):.1f} MB"),
        ("peak memory, 1250 days", f"{peak_mb(stateless, cube, 1250):.1f} MB"),
        ("import qlstm", f"{process_s('-c', 'import qlstm'):.3f} s, of which Python itself {started:.3f} s"),
        ("qlstm --help", f"{process_s('-m', 'qlstm', '--help'):.3f} s, of which Python itself {started:.3f} s"),
    ]
    print(
        f"{ASSETS} assets, windows of {WINDOW} days; medians of {REPEATS}; Python {platform.python_version()}, "
        f"xarray {xr.__version__}, {platform.machine()}"
    )
    for label, value in rows:
        print(f"{label:<40} {value}")


if __name__ == "__main__":
    main()
