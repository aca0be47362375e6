"""How the forecasts of fischer_krauss compare with those of its source's rivals, what they earn, and what they choose.

python benchmarks/systems_fischer_krauss.py DATA_FOLDER    (us252_1990.nc in it; about 20 minutes)
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import systems
import systems_rivals
import xarray as xr
from scipy import stats

import qlstm
from qlstm import data, labels
from qlstm.significance import diebold_mariano, newey_west, pesaran_timmermann

START = "1993-01-04"
SIDES = (10, 20, 50, 100)  # stocks long, and as many short
LOOKBACK = 241  # rows for the longest input
MONKEYS = 200
Forecasts = dict[str, xr.DataArray]
"""Name -> log odds (time, asset) that a stock's next return is above the median, NaN where it is no candidate."""


def forecasts(cube: xr.DataArray) -> Forecasts:
    """Return what the LSTM and each rival say on every day."""
    study = qlstm.load_strategy(systems.ROOT / "strategies" / "fischer_krauss.py").namespace
    found = {"LSTM": studied(study["train"], study["forecast"], cube, study["STUDY"])}
    for rival in systems_rivals.rivals(study):
        found[rival.name] = studied(rival.train, rival.forecast, cube, study["STUDY"])
    return found


def studied(
    train: Callable[[xr.DataArray], Any],
    forecast: Callable[[Any, xr.DataArray], xr.DataArray],
    cube: xr.DataArray,
    study: qlstm.schedule.StudyPeriods,
) -> xr.DataArray:
    """Return the forecasts of all study periods, each trained on its own first day as a backtest does."""
    first, found = int(cube.get_index("time").searchsorted(np.datetime64(START))), []
    for row in range(first, cube.sizes["time"], study.trade):
        models = train(cube[:, row + 1 - study.train : row + 1])
        scores = forecast(models, cube[:, row + 1 - LOOKBACK : row + study.trade])
        found.append(scores[LOOKBACK - 1 :].reindex(asset=cube.asset))
    scores = xr.concat(found, "time")
    return scores.where(cube.sel(field="is_liquid", time=scores.time, drop=True) > 0)


def held(scores: xr.DataArray, side: int) -> xr.DataArray:
    """Return the weights of all days (time, asset) at once, as `portfolio.top_bottom` gives them for one."""
    places = scores.values.argsort(axis=1).argsort(axis=1)  # NaN last
    above = places - scores.notnull().sum("asset").values[:, None]
    return scores.copy(data=(((-side <= above) & (above < 0)) * 1.0 - (places < side)) / (2 * side))


def called(found: Forecasts, cube: xr.DataArray) -> Iterator[str]:
    """Yield how often each is right, and whether that is surely more than luck and than the logistic regression."""
    yield "| | right, all | right, 10 and 10 | Newey-West t | Pesaran-Timmermann | DM, squares | DM, wrong calls |"
    executed = labels.executed_return(cube)
    losses = {name: daily_losses(scores, executed) for name, scores in found.items()}
    for name, scores in found.items():
        better = labels.above_median(executed.sel(time=scores.time).where(scores.notnull())) - 0.5
        chosen = held(scores, SIDES[0])
        chosen = chosen.where((chosen != 0) & better.notnull())
        right = (chosen * better > 0).where(chosen.notnull())
        known = chosen.notnull().values
        lasting = newey_west(right.mean("asset").dropna("time") - 0.5)
        cells = [f"{100 - 100 * losses[name][1].mean():.1f} %", f"{100 * float(right.mean()):.1f} %"]
        tests = [lasting, pesaran_timmermann(chosen.values[known], better.values[known])]
        cells += [f"{test.statistic:.1f}" for test in tests]
        versus = zip(losses[name], losses["LOG"], strict=True)
        cells += ["", ""] if name == "LOG" else [f"{diebold_mariano(*pair).statistic:.1f}" for pair in versus]
        yield "| " + " | ".join([name, *cells]) + " |"


def daily_losses(scores: xr.DataArray, executed: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Return each day's mean squared error of the probabilities, and its share of wrong calls."""
    better = labels.above_median(executed.sel(time=scores.time).where(scores.notnull()))
    squares = (1.0 / (1.0 + np.exp(-scores)) - better) ** 2
    wrong = ((scores > 0) != (better > 0)).where(better.notnull())
    return squares.mean("asset").values[:-2], wrong.mean("asset").values[:-2]


def swept(found: Forecasts, cube: xr.DataArray) -> Iterator[str]:
    """Yield basis points a day (Newey-West t) before costs, and after 5 a side, by the number of stocks a side."""
    yield "| | " + " | ".join(found) + " |"
    for side in SIDES:
        books = [held(scores, side) for scores in found.values()]
        yield f"| {side} | " + " | ".join(mean(weights, cube) for weights in books) + " |"


def divided(found: Forecasts, cube: xr.DataArray) -> Iterator[str]:
    """Yield the same for ten a side, by sub-period."""
    yield "| | " + " | ".join(found) + " |"
    edges = [None, *(np.datetime64(cut) for cut in systems.PARTS["fischer_krauss"]), None]
    for start, end in itertools.pairwise(edges):
        part = slice(start, None if end is None else end - np.timedelta64(1, "D"))
        books = [held(scores.sel(time=part), SIDES[0]) for scores in found.values()]
        days = books[0].get_index("time")
        yield f"| {days[0].year} to {days[-1].year} | " + " | ".join(mean(weights, cube) for weights in books) + " |"


def mean(weights: xr.DataArray, cube: xr.DataArray) -> str:
    daily = (1e4 * systems.earned(weights, cube, bp) for bp in (0, 5))
    return ", ".join(f"{one.mean():.1f} ({newey_west(one).statistic:.1f})" for one in daily)


def spread(found: Forecasts, cube: xr.DataArray) -> Iterator[str]:
    """Yield how the days of each are distributed, before costs, in percent."""
    heads = (
        "quartiles",
        "above 0",
        "skewness",
        "kurtosis",
        "VaR 1 %",
        "CVaR 1 %",
        "VaR 5 %",
        "CVaR 5 %",
        "largest fall",
    )
    yield "| | " + " | ".join(heads) + " |"
    for name, scores in found.items():
        daily = 100 * systems.earned(held(scores, SIDES[0]), cube)
        low, middle, high = np.quantile(daily, (0.25, 0.5, 0.75))
        bad = [f"{loss:.2f}" for share in (0.01, 0.05) for loss in tail(daily, share)]
        equity = np.cumprod(1 + daily / 100)
        fall = 100 * (1 - equity / np.maximum.accumulate(equity)).max()
        yield (
            f"| {name} | {low:.2f}, {middle:.2f}, {high:.2f} | {100 * (daily > 0).mean():.1f} % "
            f"| {stats.skew(daily):.2f} | {stats.kurtosis(daily):.1f} "
            f"| {' | '.join(bad)} | {fall:.1f} % |"
        )


def tail(daily: np.ndarray, share: float) -> tuple[float, float]:
    """Return the loss that so few days exceed, and the mean loss of these."""
    edge = np.quantile(daily, share)
    return float(edge), float(daily[daily <= edge].mean())


def profile(found: Forecasts, cube: xr.DataArray) -> Iterator[str]:
    """Yield what the chosen stocks had done before, means over days and stocks in percent."""
    close = cube.sel(field="close", drop=True).ffill("time")
    daily = close / close.shift(time=1) - 1
    past = {f"last {rows} days": close / close.shift(time=rows) - 1 for rows in (1, 5, 20, 240)}
    past["deviation a year, 60 days"] = daily.rolling(time=60).std() * np.sqrt(systems.YEAR)
    yield "| | " + " | ".join(past) + " |"
    for name, scores in found.items():
        weights = held(scores, SIDES[0])
        parts = {"long": weights > 0, "short": weights < 0} | ({} if name != "LOG" else {"all": scores.notnull()})
        for side, which in parts.items():
            cells = [f"{100 * float(one.sel(time=scores.time).where(which).mean()):.2f}" for one in past.values()]
            yield f"| {name}, {side} | " + " | ".join(cells) + " |"


def monkeys(found: Forecasts, cube: xr.DataArray) -> str:
    """Say what the same number of stocks drawn by lot earns a day, before costs."""
    rng, scores = np.random.default_rng(0), found["LOG"]
    lots = (scores.copy(data=rng.random(scores.shape)).where(scores.notnull()) for _ in range(MONKEYS))
    means = [1e4 * systems.earned(held(lot, SIDES[0]), cube).mean() for lot in lots]
    return f"{MONKEYS} portfolios by lot: from {min(means):.1f} to {max(means):.1f} basis points a day"


def main(folder: Path) -> None:
    """Print the tables."""
    cube = systems.without_misprints(data.load(folder / "us252_1990.nc"))
    found = forecasts(cube)
    for table in (called, swept, divided, spread, profile):
        head, *rows = table(found, cube)
        print(f"\n{table.__doc__}\n", head, "|---" * (head.count("|") - 1) + "|", *rows, sep="\n", flush=True)
    print(f"\n{monkeys(found, cube)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:  # `make bench` has no real data to give
        sys.exit("left out: it needs real data; python benchmarks/systems_fischer_krauss.py DATA_FOLDER")
    main(Path(sys.argv[1]))
