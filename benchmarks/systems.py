"""What the strategies of docs/systems.md earn on real data, beside baselines: the tables of that page.

python benchmarks/systems.py DATA_FOLDER [NAME ...]    (us100.nc, etf.nc, smallcap.nc and us252_1990.nc in that folder)
"""

from __future__ import annotations

import dataclasses
import itertools
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import systems_rivals
import xarray as xr

import qlstm
from qlstm import baselines, data, labels, portfolio, risk, ta

ROOT = Path(__file__).resolve().parents[1]
YEAR = 252
QUARTERLY = ("alfred_direction", "alfred_magnitude", "magnitude_choice")
INPUTS = ("range", "rsi", "macd", "atr", "roc", "move")  # all that spy_rotation knows
PARTS = {"fischer_krauss": ("2001-01-02", "2010-01-04")}  # of a result, each reported on its own


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


def small(panics: bool = True) -> qlstm.Strategy:
    """Return 1/N of the companies that smallcap_lstm chooses, on its dates, with or without its panic rule."""
    ladder = qlstm.load_strategy(ROOT / "strategies" / "smallcap_lstm.py")

    def predict(models: list[str], cube: xr.DataArray, state: dict | None) -> tuple[xr.DataArray, dict]:
        factor, state = risk.panic(state, ladder.namespace["index_returns"](cube))
        today = cube.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
        return portfolio.equal_weight(today.where(today.asset.isin(models))) * (factor if panics else 1.0), state

    name = "equal_smallest" + " with panics" * panics
    return dataclasses.replace(ladder, train=ladder.namespace["smallest"], predict=predict, name=name)


def held(assets: list[str], name: str) -> qlstm.Strategy:
    """Return equal shares of these assets, every day."""

    def predict(cube: xr.DataArray) -> xr.DataArray:
        today = cube.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
        return portfolio.equal_weight(today.where(today.asset.isin(assets)))

    return qlstm.Strategy(predict=predict, name=name, lookback_period=10)


def mixed(shares: dict[str, float], name: str) -> qlstm.Strategy:
    """Return fixed shares of capital in these assets, every day."""

    def predict(cube: xr.DataArray) -> xr.DataArray:
        return xr.DataArray(list(shares.values()), {"asset": list(shares)}, ("asset",))

    return qlstm.Strategy(predict=predict, name=name, lookback_period=10)


def trending(rotation: dict) -> qlstm.Strategy:
    """Return spy_rotation with a rule for its network: the index above its mean of 200 rows."""

    def predict(cube: xr.DataArray) -> xr.DataArray:
        liquid = cube.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
        close = cube.sel(field="close", asset=rotation["INDEX"], drop=True)
        above = float((close - ta.sma(close, 200))[-1])
        return portfolio.group_rotation(above, rotation["SECTORS"] + rotation["INVERSE"], rotation["LONG"], liquid)

    return qlstm.Strategy(predict=predict, name="SMA 200", lookback_period=400)


def followed(scores: Callable[[xr.DataArray], xr.DataArray], contest: str, name: str, side: int) -> qlstm.Strategy:
    """Return the strategy that is long the highest scores and short the lowest, so many of each."""

    def predict(cube: xr.DataArray) -> xr.DataArray:
        today = cube.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
        return portfolio.top_bottom(scores(cube), today, top=side, bottom=side)

    return qlstm.Strategy(predict=predict, contest=contest, name=name, lookback_period=20)


def losers(cube: xr.DataArray) -> xr.DataArray:
    """Return how much each stock fell over five rows."""
    close = cube.sel(field="close", drop=True).ffill("time")
    return 1.0 - close.isel(time=-1, drop=True) / close.isel(time=-6, drop=True)


def without_misprints(cube: xr.DataArray) -> xr.DataArray:
    """Return the cube without bars whose open or close is over five times that of both neighbours, or under a fifth.

    Some prices of us252_1990.nc are off by a factor of ten for one day: whoever bought at such an open made 900 %.
    """
    bad = xr.zeros_like(cube.sel(field="open", drop=True), dtype=bool)
    for field in ("open", "close"):
        price = cube.sel(field=field, drop=True)
        before, after = price / price.ffill("time").shift(time=1), price / price.bfill("time").shift(time=-1)
        bad |= ((before > 5) & (after > 5)) | ((before < 0.2) & (after < 0.2))
    return cube.where(~bad)


def lines(result: qlstm.Result, cube: xr.DataArray, name: str, seconds: float, cuts: Sequence[str]) -> Iterator[str]:
    """Yield the row of the table for all days, and one for each part that the cuts make."""
    yield line(result.weights, cube, name, seconds)
    edges = [None, *cuts, None]
    for start, end in itertools.pairwise(edges) if cuts else ():
        part = result.weights.sel(time=slice(start, end and np.datetime64(end) - np.timedelta64(1, "D")))
        yield line(part, cube, f"{name}, {str(part.time.values[0])[:10]} to {str(part.time.values[-1])[:10]}", seconds)


def line(weights: xr.DataArray, cube: xr.DataArray, name: str, seconds: float) -> str:
    """Return one row of the table: Sharpe ratios at 0, 5 and 10 bp a side, a year's gain at 5, turnover a day."""
    nets = [earned(weights, cube, bp) for bp in (0, 5, 10)]
    sharpes = " | ".join(f"{net.mean() / (net.std() or np.inf) * np.sqrt(YEAR):.2f}" for net in nets)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"| {name} | {sharpes} | {100 * YEAR * nets[1].mean():.1f} % | {100 * YEAR**0.5 * nets[1].std():.1f} % "
        f"| {100 * float(turnover(weights).mean()):.1f} % | {seconds:.0f} s, {memory:.1f} GiB |"
    )


def earned(weights: xr.DataArray, cube: xr.DataArray, bp: float = 0.0) -> np.ndarray:
    """Return what weights (time, asset) earn from open to open, a day, after so many basis points a side."""
    executed = labels.executed_return(cube).sel(time=weights.time).reindex(asset=weights.asset)
    return ((weights * executed).sum("asset") - bp * 1e-4 * turnover(weights)).values[:-2]


def turnover(weights: xr.DataArray) -> xr.DataArray:
    """Return the change of weights from day to day, 0 on the first."""
    return abs(weights.diff("time", label="upper")).sum("asset").reindex(time=weights.time, fill_value=0.0)


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
    indicators = qlstm.load_strategy(ROOT / "strategies" / "spy_rotation.py", INPUTS=("rsi", "macd", "atr", "roc"))
    every = qlstm.load_strategy(ROOT / "strategies" / "spy_rotation.py", INPUTS=tuple(INPUTS))
    both_ways = qlstm.load_strategy(ROOT / "strategies" / "index_direction.py", SHORT_BELOW=0.0)
    old, study = "stocks_s&p500", files["fischer_krauss"]
    return {
        "lstm_careful": (stocks, "2006-01-03", careful),
        "spy_rotation": (
            funds,
            "2010-06-01",
            [
                files["spy_rotation"],
                dataclasses.replace(indicators, name="rsi macd atr roc"),
                dataclasses.replace(every, name=" ".join(INPUTS)),
                trending(rotation),
                mixed({"AMEX:SPY": 0.6, "AMEX:IEF": 0.4}, "60 and 40"),
                rising,
                spy,
            ],
        ),
        "index_direction": (
            funds.sel(asset=indices),
            "2009-06-01",
            [
                files["index_direction"],
                dataclasses.replace(both_ways, name="long_short"),
                rivals,
                held(indices, "always_up"),
            ],
        ),
        "alfred_direction": (
            stocks,
            "2011-01-03",
            [*(files[name] for name in QUARTERLY), baselines.equal_weight()],
        ),
        "vrp_spy": (funds, "2009-06-01", [files["vrp_spy"], spy]),
        "smallcap_lstm": (
            data.load(folder / "smallcap.nc"),
            "2013-01-02",
            [files["smallcap_lstm"], small(), small(panics=False), baselines.equal_weight()],
        ),
        "fischer_krauss": (
            without_misprints(data.load(folder / "us252_1990.nc")),
            "1993-01-04",
            [
                study,
                *(rival.strategy(study) for rival in systems_rivals.rivals(study.namespace)),
                followed(losers, old, "losers_10", study.namespace["SIDE"]),
                baselines.reversal(contest=old),
                baselines.equal_weight(old),
            ],
        ),
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
            seconds = time.perf_counter() - began
            print(*lines(result, cube, str(strategy.name), seconds, PARTS.get(name, ())), sep="\n", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:  # `make bench` has no real data to give
        sys.exit("left out: it needs real data; python benchmarks/systems.py DATA_FOLDER")
    main(Path(sys.argv[1]), sys.argv[2:])
