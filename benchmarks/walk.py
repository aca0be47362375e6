"""Measure whole walk-forwards: the strategy of this project end to end, thousands of models, the engine, a second run.

    python benchmarks/walk.py                      prints two tables; each case runs in a process of its own
    python benchmarks/walk.py --data us100.nc      the strategy on a real cube instead of the simulated one
    python benchmarks/walk.py --share 0.1          a tenth of the models and days, for a first look

Times are medians of repeated runs on this machine, now; memory is the most that the process ever held. The reference
for the strategy is the loop it was written as, measured on 2 cores: 0.53 s per fit and 29 ms per predicted day.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import qlstm
from qlstm import nn, schedule

REFERENCE_FIT_S, REFERENCE_DAY_S, CALM_ASSETS = 0.53, 0.029, 12
STRATEGY = Path(__file__).resolve().parents[1] / "strategies" / "lstm_state.py"
YEAR = 252


def market(days: int, assets: int) -> xr.DataArray:
    random = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(0.01 * random.standard_normal((days, assets)), axis=0))
    open_ = close * np.exp(0.003 * random.standard_normal((days, assets)))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    values = np.stack([open_, high, low, close, np.full_like(close, 1e6), np.ones_like(close)])
    coords = {
        "field": ["open", "high", "low", "close", "vol", "is_liquid"],
        "time": pd.bdate_range("2000-01-03", periods=days),
        "asset": [f"A{i:03d}" for i in range(assets)],
    }
    return xr.DataArray(values, dims=("field", "time", "asset"), coords=coords, name="stocks_nasdaq100")


def change(data: xr.DataArray) -> xr.DataArray:
    close = data.sel(field="close", drop=True)
    return (100 * (close / close.shift(time=1) - 1)).isel(time=slice(1, None))


def train(data: xr.DataArray) -> nn.Models:
    X = change(data)
    return nn.fit(nn.LSTM(hidden=34), X, (X.shift(time=-1) > 0).astype(float), optimizer=nn.LBFGS(lr=0.08))


def hold(models: nn.Models, data: xr.DataArray) -> xr.DataArray:
    """Return weights that cost nothing to find: what is left is training and engine."""
    return xr.DataArray(np.full(data.sizes["asset"], 1e-3), dims="asset", coords={"asset": data.get_index("asset")})


def monthly() -> qlstm.Strategy:
    return qlstm.Strategy(train=train, predict=hold, train_period=100, lookback_period=30, retrain_interval=30)


def daily(cube: xr.DataArray) -> qlstm.Strategy:
    same = hold({}, cube)
    return qlstm.Strategy(predict=lambda data: same, lookback_period=155)


def timed(strategy: qlstm.Strategy, cube: xr.DataArray, start: object, **settings: object) -> tuple[float, int]:
    """Return seconds and days of one backtest without its statistics."""
    started = time.perf_counter()
    result = qlstm.backtest(
        strategy=strategy, data=cube, start_date=start, analyze=False, progress=False, build_plots=False, **settings
    )
    return time.perf_counter() - started, result.raw.sizes["time"]


def median(repeats: int, *arguments: object, **settings: object) -> tuple[float, int]:
    runs = [timed(*arguments, **settings) for _ in range(repeats)]
    return statistics.median(seconds for seconds, _ in runs), runs[0][1]


def retrain_dates(days: np.ndarray, interval: int) -> int:
    return sum(1 for _ in schedule.blocks(days, interval))


def case_strategy(data: str, share: float) -> dict[str, float]:
    """The strategy of this project, 5 years, daily prediction, retrained every 180 days; and once more from a store."""
    cube = qlstm.data.load(data) if data else market(6 * YEAR, 100)
    start = cube["time"].values[-1] - np.timedelta64(int(5 * 365.25 * share), "D")
    strategy = qlstm.load_strategy(STRATEGY)
    timed(strategy, cube, cube["time"].values[-5])  # imports and compiled kernels are not the walk's
    seconds, days = median(3, strategy, cube, start)
    fits = CALM_ASSETS * retrain_dates(cube["time"].values[-days:], strategy.retrain_interval)
    reference = fits * REFERENCE_FIT_S + days * REFERENCE_DAY_S
    return {"seconds": seconds, "days": days, "fits": fits, "reference": reference, "times": reference / seconds}


def case_models(assets: int, years: float) -> dict[str, float]:
    """A network per asset and month, trained, then found in the store by a second run."""
    cube = market(int((years + 0.5) * YEAR), assets)
    start = cube["time"].values[int(0.5 * YEAR)]
    timed(monthly(), cube, cube["time"].values[-5])
    with tempfile.TemporaryDirectory() as folder:
        seconds, days = timed(monthly(), cube, start, models_dir=folder)
        again, _ = timed(monthly(), cube, start, models_dir=folder)
    models = assets * retrain_dates(cube["time"].values[-days:], 30)
    return {"seconds": seconds, "again": again, "models": models, "days": days, "ms": 1000 * seconds / models}


def case_engine(assets: int, days: int) -> dict[str, float]:
    """Weights that cost nothing: what a predicted day costs beside the strategy, and how memory grows with days."""
    cube = market(2 * days + 200, assets)
    seconds, done = median(5, daily(cube), cube, cube["time"].values[200 + days])
    more, twice = median(5, daily(cube), cube, cube["time"].values[200])
    return {"seconds": seconds, "days": done, "us": 1e6 * (more - seconds) / (twice - done)}


CASES = {"strategy": case_strategy, "models": case_models, "engine": case_engine}


def measured(case: str, *arguments: object) -> dict[str, float]:
    """Return what a case gives in a fresh process, with the most memory that it held, in MB."""
    command = [sys.executable, "-W", "ignore", __file__, "--case", json.dumps([case, *arguments])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_case(text: str) -> None:
    name, *arguments = json.loads(text)
    found = CASES[name](*arguments)
    found["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def print_goals(data: str, share: float) -> None:
    one = measured("strategy", data, share)
    many, tenth = measured("models", 100, 10 * share), measured("models", 500, 2 * share)
    engine = measured("engine", 100, max(100, int(1000 * share)))
    rows = [
        (
            f"lstm_state, {one['days']} days, {one['fits']} fits",
            f"{one['seconds']:.2f} s, {one['times']:.0f} times the reference ({one['reference']:.0f} s)",
        ),
        (f"100 assets, {many['models']} models", f"{many['ms']:.2f} ms a model, {many['mb']:.0f} MB"),
        (
            f"500 assets, {tenth['models']} models",
            f"{tenth['ms']:.2f} ms a model, {tenth['mb']:.0f} MB; 120000 would take {2 * tenth['ms']:.0f} min",
        ),
        ("the same from the store", f"{100 * many['again'] / many['seconds']:.0f} % of the first run's time"),
        ("engine, 100 assets", f"{engine['us']:.0f} µs a predicted day"),
    ]
    for label, value in rows:
        print(f"{label:<44} {value}")


def print_scaling(share: float) -> None:
    years, days = 2 * share, max(200, int(1000 * share))
    print(f"\n{'doubled':<44} {'time':>7}  memory")
    for label, before, after in (
        ("retrain dates and days", ("models", 40, years), ("models", 40, 2 * years)),
        ("assets, and so models", ("models", 40, years), ("models", 80, years)),
        ("days without training", ("engine", 100, days), ("engine", 100, 2 * days)),
        ("assets without training", ("engine", 100, days), ("engine", 200, days)),
    ):
        one, two = measured(*before), measured(*after)
        times, more = two["seconds"] / one["seconds"], two["mb"] - one["mb"]
        print(f"{label:<44} {times:>6.2f}x  {one['mb']:.0f} MB {more:+.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="", help="a cube for the strategy")
    parser.add_argument("--share", type=float, default=1.0, help="of the models and days")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        run_case(options.case)
        return
    print(f"Python {platform.python_version()}, xarray {xr.__version__}, {platform.machine()}")
    print_goals(options.data, options.share)
    print_scaling(options.share)


if __name__ == "__main__":
    main()
