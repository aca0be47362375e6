"""What the strategies of docs/systems.md find in markets with known truth: the first figures of that page.

python benchmarks/systems_synthetic.py SEEDS    (the page has 5, which take ten minutes)

Medians over seeds, in brackets the least and the most. The markets are walked as the acceptance tests walk them, by the
same functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import xarray as xr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import test_system_alfred as alfred
import test_system_fischer_krauss as fischer
import test_system_fx_g10 as currencies
import test_system_smallcap_lstm as small
import test_systems as systems
from systems import functions, hits, out_of_sample

from qlstm import labels, nn
from qlstm.data import synthetic

Measure = Callable[[int], tuple[float, ...]]


def careful(market: str, seed: int) -> tuple[float, ...]:
    """Return lstm_careful's share of right signs, and what its mix of signs gets by luck."""
    cube, _ = synthetic.market(market, seed=seed, n_assets=24, n_days=400)
    share, _, luck = hits(systems.careful_forecasts(cube, 4), labels.executed_return(cube))
    return share, luck


def published(market: str, seed: int) -> tuple[float, ...]:
    """Return the same of lstm_state, trained and asked on the same days, one row at a time as it does."""
    cube, _ = synthetic.market(market, seed=seed, n_assets=24, n_days=400)
    state, found = functions("lstm_state"), []
    for start in 120 + 60 * np.arange(4):
        models = state["train"](cube.isel(time=slice(start - systems.ROWS, start)))
        for t in range(start, start + 60):
            window = cube.isel(time=slice(t - 105, t + 1))
            found.append(nn.predict(models, state["features"](window)[-1:]) - 0.5)
    share, _, luck = hits(xr.concat(found, "time", join="outer"), labels.executed_return(cube))
    return share, luck


def once(name: str, market: str, seed: int) -> tuple[float, ...]:
    """Return the same of a strategy that is trained once, on 1000 rows."""
    forecast, earned, *_ = out_of_sample(name, market, seed)
    share, _, luck = hits(forecast, earned)
    return share, luck


def quarterly(name: str, shuffled: bool, seed: int) -> tuple[float, ...]:
    """Return the same of a quarterly strategy on P7, or with the changes of its margins shuffled."""
    cube, _ = synthetic.market("P7", seed=seed)
    share, _, luck = hits(*alfred.out_of_sample(name, alfred.permuted(cube) if shuffled else cube))
    return share, luck


def ten_and_ten(market: str, seed: int) -> tuple[float, ...]:
    """Return fischer_krauss's share of right calls at both ends, and its long and short in standard errors."""
    forecasts, earned, _ = fischer.studied(market, seed, fischer.LONG)
    share, _ = fischer.tail_accuracy(forecasts, earned)
    return share, fischer.standard_errors(fischer.long_short(forecasts, earned)) / 100


def traded(market: str, seed: int) -> tuple[float, ...]:
    """Return the same as `once` of fx_g10."""
    forecast, earned, _ = currencies.forecasts(market, seed)
    share, _, luck = hits(forecast, earned)
    return share, luck


def ladder(shuffled: bool, seed: int) -> tuple[float, ...]:
    """Return expected Sharpe ratios of smallcap_lstm and of 1/N of the same companies with the same panics."""
    raw, cube, truth = small.books("P5-P1", seed, 500, shuffled)
    mine, equal = (small.sharpe(weights, cube, truth) for weights in raw)
    return mine / 100, equal / 100


def rotation(seed: int) -> tuple[float, ...]:
    """Return expected Sharpe ratios of spy_rotation, of the best filter, and of the rising groups alone."""
    return tuple(ratio / 100 for ratio in systems.rotation_against_the_filter(seed, 21))


def rows() -> Iterator[tuple[str, Measure]]:
    """Yield what is measured, by name."""
    for name, measure in (("lstm_careful", careful), ("lstm_state", published)):
        for market in ("P1f", "N0", "N1"):
            yield f"{name}, {market}", lambda seed, measure=measure, market=market: measure(market, seed)
    for name, market in (("index_direction", "P3"), ("index_direction", "N1"), ("vrp_spy", "P9"), ("vrp_spy", "N1-IV")):
        yield f"{name}, {market}", lambda seed, name=name, market=market: once(name, market, seed)
    for name in alfred.BOTH:
        yield f"{name}, P7", lambda seed, name=name: quarterly(name, False, seed)
        yield f"{name}, P7 shuffled", lambda seed, name=name: quarterly(name, True, seed)
    for market in ("P1-FX", "N0-FX"):
        yield f"fx_g10, {market}", lambda seed, market=market: traded(market, seed)
    for market in ("P2", "N0"):
        yield f"fischer_krauss, {market} (t)", lambda seed, market=market: ten_and_ten(market, seed)
    yield "smallcap_lstm (Sharpe), P5-P1", lambda seed: ladder(False, seed)
    yield "smallcap_lstm (Sharpe), P5-P1 shuffled", lambda seed: ladder(True, seed)
    yield "spy_rotation (Sharpe), P4; filter; always up", rotation


def main(seeds: int) -> None:
    """Print a row for each strategy and market: its figure, then what it stands beside."""
    print("| strategy and market | its own | beside it |\n|---|---|---|")
    for name, measure in rows():
        columns = 100 * np.array([measure(seed) for seed in range(seeds)]).T
        digits = 1 if columns.max() > 20 else 2
        told = (f"{np.median(one):.{digits}f} ({one.min():.{digits}f} to {one.max():.{digits}f})" for one in columns)
        print(f"| {name} |", " | ".join(told), "|", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:  # too long for `make bench`
        sys.exit("left out: it takes two minutes a seed; python benchmarks/systems_synthetic.py SEEDS")
    main(int(sys.argv[1]))
