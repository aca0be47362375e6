"""What the strategies of docs/systems.md find in markets with known truth: the first figures of that page.

python benchmarks/systems_synthetic.py SEEDS [NAME ...]    (the page has 5, which take ten minutes)

Medians over seeds, in brackets the least and the most. The markets are walked as the acceptance tests walk them, by the
same functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import test_system_alfred as alfred
import test_system_fischer_krauss as fischer
import test_system_fx_g10 as currencies
import test_system_lstm as lstm
import test_system_smallcap_lstm as small
import test_system_spy_rotation as rotation
from systems import functions, hits, out_of_sample

from qlstm import labels, nn
from qlstm.data import synthetic

Figures = tuple[float, ...]


def signs(forecast: xr.DataArray, earned: xr.DataArray) -> Figures:
    """Return the share of right signs, and what as many calls of either sign get by luck, in percent."""
    share, _, luck = hits(forecast, earned)
    return 100 * share, 100 * luck


def careful(market: str, seed: int) -> Figures:
    """Return the right signs of lstm_careful."""
    cube, _ = synthetic.market(market, seed=seed, n_assets=24, n_days=400)
    return signs(lstm.careful_forecasts(cube, 4), labels.executed_return(cube))


def published(market: str, seed: int) -> Figures:
    """Return those of lstm_state, trained and asked on the same days, one row at a time as it does."""
    cube, _ = synthetic.market(market, seed=seed, n_assets=24, n_days=400)
    state, found = functions("lstm_state"), []
    for start in 120 + 60 * np.arange(4):
        models = state["train"](cube.isel(time=slice(start - lstm.ROWS, start)))
        for t in range(start, start + 60):
            window = cube.isel(time=slice(t - 105, t + 1))
            found.append(nn.predict(models, state["features"](window)[-1:]) - 0.5)
    return signs(xr.concat(found, "time", join="outer"), labels.executed_return(cube))


def once(name: str, market: str, seed: int) -> Figures:
    """Return those of a strategy that is trained once, on 1000 rows."""
    return signs(*out_of_sample(name, market, seed)[:2])


def currency(market: str, seed: int) -> Figures:
    """Return those of fx_g10."""
    return signs(*currencies.forecasts(market, seed)[:2])


def quarterly(name: str, shuffled: bool, seed: int) -> Figures:
    """Return those of a quarterly strategy on P7, or with the changes of its margins shuffled."""
    cube, _ = synthetic.market("P7", seed=seed)
    return signs(*alfred.out_of_sample(name, alfred.permuted(cube) if shuffled else cube))


def ten_and_ten(market: str, seed: int) -> Figures:
    """Return fischer_krauss's share of right calls at both ends, what it earns and what the rule of five days does, in
    standard errors, and the share of its variance that is the rule's, in percent.
    """
    forecasts, earned, cube = fischer.studied(market, seed, fischer.LONG)
    share, _ = fischer.tail_accuracy(forecasts, earned)
    mine, rule = (fischer.long_short(one, earned) for one in (forecasts, fischer.fall(cube, forecasts.time)))
    errors = fischer.standard_errors(mine), fischer.standard_errors(rule)
    return 100 * share, *errors, 100 * fischer.explained(mine, rule)


def ladder(shuffled: bool, seed: int) -> Figures:
    """Return expected Sharpe ratios of smallcap_lstm and of 1/N of the same companies with the same panics."""
    raw, cube, truth = small.books("P5-P1", seed, 500, shuffled)
    return tuple(small.sharpe(weights, cube, truth) for weights in raw)


def regimes(seed: int) -> Figures:
    """Return expected Sharpe ratios of spy_rotation, of the best filter, and of the rising groups alone."""
    return tuple(rotation.rotation_against_the_filter(seed, 21))


def rows() -> dict[str, Callable[[int], Figures]]:
    """Return what is measured of a seed, by name."""
    found: dict[str, Callable[[int], Figures]] = {}
    for market in ("P1f", "N0", "N1"):
        found |= {
            f"lstm_careful, {market}": partial(careful, market),
            f"lstm_state, {market}": partial(published, market),
        }
    for name, market in (("index_direction", "P3"), ("index_direction", "N1"), ("vrp_spy", "P9"), ("vrp_spy", "N1-IV")):
        found[f"{name}, {market}"] = partial(once, name, market)
    for name in alfred.BOTH:
        found |= {
            f"{name}, P7": partial(quarterly, name, False),
            f"{name}, P7 shuffled": partial(quarterly, name, True),
        }
    found |= {f"fx_g10, {market}": partial(currency, market) for market in ("P1-FX", "N0-FX")}
    for market in ("P2", "N0"):
        found[f"fischer_krauss, {market} (t, that of the rule, explained)"] = partial(ten_and_ten, market)
    found["smallcap_lstm (Sharpe), P5-P1"] = partial(ladder, False)
    found["smallcap_lstm (Sharpe), P5-P1 shuffled"] = partial(ladder, True)
    found["spy_rotation (Sharpe), P4; filter; always up"] = regimes
    return found


def told(figures: np.ndarray, digits: int) -> str:
    """Return the median, the least and the most."""
    return f"{np.median(figures):.{digits}f} ({figures.min():.{digits}f} to {figures.max():.{digits}f})"


def main(seeds: int, names: list[str]) -> None:
    """Print a row for each strategy and market, or for those named: its figure, then what it stands beside."""
    print("| strategy and market | its own | beside it |\n|---|---|---|")
    for name, measure in rows().items():
        if not names or any(name.startswith(one) for one in names):
            columns = np.array([measure(seed) for seed in range(seeds)]).T
            digits = 1 if columns.max() > 20 else 2
            told = (
                f"{np.median(one):.{digits}f} ({one.min():.{digits}f} to {one.max():.{digits}f})" for one in columns
            )
            print(f"| {name} |", " | ".join(told), "|", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:  # too long for `make bench`
        sys.exit("left out: it takes two minutes a seed; python benchmarks/systems_synthetic.py SEEDS")
    main(int(sys.argv[1]), sys.argv[2:])
