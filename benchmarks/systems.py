"""What the strategies of docs/systems.md earn on real data, beside baselines: the tables of that page.

python benchmarks/systems.py DATA_FOLDER [NAME ...]    (us100.nc and etf.nc in that folder)
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

import qlstm
from qlstm import baselines, data, labels, portfolio

ROOT = Path(__file__).resolve().parents[1]
YEAR = 252


def calm(contest: str = "stocks_nasdaq100") -> qlstm.Strategy:
    """Return 1/N of the stocks that lstm_careful chooses, on its dates."""
    careful = qlstm.load_strategy(ROOT / "strategies" / "lstm_careful.py")

    def predict(models: list[str], cube: xr.DataArray) -> xr.DataArray:
        today = cube.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
        return portfolio.equal_weight(today.where(today.asset.isin(models)))

    return qlstm.Strategy(
        train=careful.namespace["calmest"],
        predict=predict,
        contest=contest,
        name="equal_calmest",
        train_period=careful.train_period,
        lookback_period=10,
        retrain_interval=careful.retrain_interval,
    )


def held(assets: list[str], name: str) -> qlstm.Strategy:
    """Return equal shares of these assets, every day."""

    def predict(cube: xr.DataArray) -> xr.DataArray:
        today = cube.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
        return portfolio.equal_weight(today.where(today.asset.isin(assets)))

    return qlstm.Strategy(predict=predict, name=name, lookback_period=10)


def line(result: qlstm.Result, cube: xr.DataArray, name: str, seconds: float) -> str:
    """Return one row of the table: Sharpe ratios at 0, 5 and 10 bp a side, a year's gain at 5, turnover a day."""
    weights = result.weights
    executed = labels.executed_return(cube).sel(time=weights.time).reindex(asset=weights.asset)
    gross = (weights * executed).sum("asset").values[:-2]
    turnover = abs(weights.diff("time", label="upper")).sum("asset").reindex(time=weights.time, fill_value=0.0)
    nets = [gross - bp * 1e-4 * turnover.values[:-2] for bp in (0, 5, 10)]
    sharpes = " | ".join(f"{net.mean() / (net.std() or np.inf) * np.sqrt(YEAR):.2f}" for net in nets)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"| {name} | {sharpes} | {100 * YEAR * nets[1].mean():.1f} % | {100 * YEAR**0.5 * nets[1].std():.1f} % "
        f"| {100 * float(turnover.mean()):.1f} % | {seconds:.0f} s, {memory:.1f} GiB |"
    )


def cases(folder: Path) -> dict[str, tuple[xr.DataArray, str, list[qlstm.Strategy]]]:
    """Return strategy -> its cube, first day and baselines."""
    stocks, funds = data.load(folder / "us100.nc"), data.load(folder / "etf.nc")
    files = {file.stem: qlstm.load_strategy(file) for file in (ROOT / "strategies").glob("*.py")}
    rotation = files["spy_rotation"].namespace
    spy, indices = held([rotation["INDEX"]], "SPY"), list(files["index_direction"].namespace["ASSETS"])
    rising = held([*rotation["SECTORS"], *rotation["INVERSE"]], "always_up")
    careful = [files["lstm_careful"], files["lstm_state"], calm(), baselines.equal_weight()]
    # A model of ARMA-GARCH for each fund; only the indices are wanted.
    rivals = baselines.arma_garch(train_period=1460, retrain_interval=180)
    return {
        "lstm_careful": (stocks, "2006-01-03", careful),
        "spy_rotation": (funds, "2010-06-01", [files["spy_rotation"], rising, spy]),
        "index_direction": (
            funds.sel(asset=indices),
            "2009-06-01",
            [files["index_direction"], rivals, held(indices, "always_up")],
        ),
        "vrp_spy": (funds, "2009-06-01", [files["vrp_spy"], spy]),
    }


def main(folder: Path, names: list[str]) -> None:
    """Print a table for each strategy named, or for all."""
    for name, (cube, start, strategies) in cases(folder).items():
        if names and name not in names:
            continue
        print(f"\n{name}, from {start}\n")
        print("| | Sharpe at 0 bp | 5 bp | 10 bp | a year, 5 bp | deviation | turnover a day | ran |")
        print("|---|---|---|---|---|---|---|---|")
        for strategy in strategies:
            began = time.perf_counter()
            result = qlstm.backtest(
                strategy=strategy, data=cube, start_date=start, build_plots=False, analyze=False, progress=False
            )
            print(line(result, cube, str(strategy.name), time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:  # `make bench` has no real data to give
        sys.exit("left out: it needs real data; python benchmarks/systems.py DATA_FOLDER")
    main(Path(sys.argv[1]), sys.argv[2:])
