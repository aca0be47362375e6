"""All markets by name, and `market`, which makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import numpy as np
import xarray as xr

from ...cube import DIMS
from ...errors import DataError, near
from . import book, damaged, exogenous, factors, nulls, quarters, regimes, series, signals, sizes
from .plan import Made, Plan
from .truth import Truth

__all__ = ["from_name", "market", "names"]

_OPTIONS = ("seed", "n_assets", "n_days")
_MOST_DAYS = 40_000  # datetime64[ns] ends in 2262


@dataclass(frozen=True)
class _Entry:
    """One market: who builds it, what it plants, its usual size, and the sizes it can have."""

    build: Callable[[Plan], Made]
    plants: str
    n_assets: int = 24
    n_days: int = 1500
    fewest_assets: int = 1
    most_assets: int = 100_000
    fewest_days: int = 30


_PAIRS = len(factors.PAIRS)
_MARKETS = {
    "N0": _Entry(nulls.driftless, "nothing: independent normal returns, no drift"),
    "N0-FX": _Entry(factors.currencies, "nothing, in currencies that share the dollar", _PAIRS, most_assets=_PAIRS),
    "N1": _Entry(
        nulls.drifting, "a drift of 4 bp a day for all, GARCH(1,1), t4 shocks, one market factor; no forecast"
    ),
    "N1-IV": _Entry(nulls.drifting_with_idle_fields, "nothing but N1: the fields of P9 are there, and know nothing"),
    "P1": _Entry(signals.reversing, "reversal: correlation -0.3 with the last return"),
    "P1+": _Entry(signals.trending, "trend: correlation +0.3 with the last return"),
    "P1f": _Entry(signals.feature_led, "correlation +0.3 with the percent change of the 10-day LWMA of the close"),
    "P1-FX": _Entry(factors.currencies_reversing, "P1 in currencies that share the dollar", _PAIRS, most_assets=_PAIRS),
    "P2": _Entry(signals.cross_sectional, "cross-sectional five-day reversal, IC 0.1", 100, fewest_assets=3),
    "P3": _Entry(signals.remembering, "memory: the sign of r[t-1] · r[t-4], correlation 0.3, no autocorrelation"),
    "P4": _Entry(regimes.regimes, "two hidden states of drift, ±15 bp a day, stay 0.98", fewest_assets=4),
    "P5": _Entry(sizes.small_caps, "the smallest tenth by mcap earns 10 bp a day more"),
    "P5-P1": _Entry(sizes.small_caps_reversing, "P5 and the reversal of P1"),
    "P6": _Entry(sizes.crashing, "P5 with a day of -6 % and two days of -3.5 %", fewest_days=60),
    "P7": _Entry(
        quarters.fundamentals, "quarterly: correlation 0.3 with the change of margin_net, public after 45 days", 60, 80
    ),
    "P7-decoy": _Entry(
        quarters.fundamentals_decoy, "nothing: quarters have a market factor, and macro tells them apart", 60, 80
    ),
    "P8": _Entry(
        damaged.damaged,
        "nothing: N0 with a frozen price, a split, a gap, a delisting",
        fewest_assets=4,
        fewest_days=120,
    ),
    "P9": _Entry(exogenous.leading, "iv30 - hv, sentiment and news vectors lead, correlation 0.2"),
    "P10": _Entry(
        signals.cross_sectional_until_half, "P2 in the first half of the days, N0 after it", 100, fewest_assets=3
    ),
    "P11": _Entry(series.volume, "log volume is an AR(1) of 0.6 with a weekday effect; prices are those of N0"),
    "P12": _Entry(book.order_book, "order book: size imbalance leads the next tick, correlation 0.3"),
    "P13": _Entry(
        factors.blocks, "three blocks, half of the variance common in each; no forecast", 30, fewest_assets=6
    ),
    "P13-P1": _Entry(factors.blocks_one_reversing, "P13 with P1 in the first block only", 30, fewest_assets=6),
    "P14": _Entry(series.waves, "sines, cosines, polynomials and sums of sines, without noise"),
    "P15": _Entry(nulls.jumping, "one fall of 15 % that nothing tells before, in N1"),
    "P16": _Entry(signals.hourly, "P1 in hourly bars", n_days=250),
    "P16-N0": _Entry(signals.hourly_driftless, "nothing: N0 in hourly bars", n_days=250),
}


def names() -> tuple[str, ...]:
    """Return the names of all markets."""
    return tuple(_MARKETS)


def market(
    name: str, *, seed: int = 0, n_assets: int | None = None, n_days: int | None = None
) -> tuple[xr.DataArray, Truth]:
    """Make a synthetic market, and say what is planted in it.

    Parameters
    ----------
    name : str
        One of `names`: ``"N0"``, ``"P1"``, …
    seed : int
        Not negative. Markets of one seed and size share their noise: ``P10`` is ``P2``, then ``N0``.
    n_assets, n_days : int, optional
        Size; by default 24 assets and 1500 days, or what suits the market. A day is a quarter in ``P7``, an event in
        ``P12``, seven bars in ``P16``.

    Returns
    -------
    tuple
        The cube, float64, dims (field, time, asset), and its `Truth`.

    Raises
    ------
    DataError
        For an unknown name, and for a seed or size that the market cannot have.
    """
    if name not in _MARKETS:
        raise DataError(f"no synthetic market {name!r}{near(name, list(_MARKETS))}")
    entry = _MARKETS[name]
    plan = Plan(
        name,
        _whole(name, "seed", seed, 0, 2**63),
        _whole(
            name, "n_assets", entry.n_assets if n_assets is None else n_assets, entry.fewest_assets, entry.most_assets
        ),
        _whole(name, "n_days", entry.n_days if n_days is None else n_days, entry.fewest_days, _MOST_DAYS),
    )
    made = entry.build(plan)
    cube = _cube(plan, made, entry.plants)
    signal = np.zeros(cube.shape[1:]) if made.signal is None else made.signal
    coords = {dim: cube[dim] for dim in DIMS[1:]}
    truth = Truth(
        name,
        plan.seed,
        entry.plants,
        made.strength,
        made.unit,
        made.ceiling,
        xr.DataArray(signal, coords, DIMS[1:], name="signal"),
        made.facts,
    )
    return cube, truth


def from_name(text: str) -> xr.DataArray:
    """Return the cube of a market named as ``P1`` or ``P1?seed=3&n_assets=50&n_days=1000``.

    Raises
    ------
    DataError
        As for `market`, and for options that do not exist or are no whole numbers.
    """
    name, _, query = text.partition("?")
    options = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _OPTIONS:
            raise DataError(f"synthetic market {text}: unknown option {key!r}{near(key, list(_OPTIONS))}")
        if not value.isdecimal():
            raise DataError(f"synthetic market {text}: {key} must be a whole number, got {value!r}")
        options[key] = int(value)
    return market(name, **options)[0]


def _whole(name: str, what: str, value: object, fewest: int, most: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not fewest <= value <= most:
        raise DataError(
            f"synthetic market {name}: {what} must be a whole number from {fewest} to {most}, got {value!r}"
        )
    return int(value)


def _cube(plan: Plan, made: Made, plants: str) -> xr.DataArray:
    source = f"synthetic:{plan.market}?seed={plan.seed}&n_assets={plan.n_assets}&n_days={plan.n_days}"
    attrs = {
        "note": f"Synthetic market {plan.market}, not real prices; planted: {plants}.",
        "simulated": 1,
        "source": source,
    }
    if made.groups:
        attrs["sectors"] = json.dumps(dict(made.groups))
    coords = {"field": np.array(list(made.fields)), "time": made.times, "asset": made.assets}
    return xr.DataArray(np.stack(list(made.fields.values())), coords, DIMS, name=made.name, attrs=attrs)
