"""The contest's rules held against what the strategy decided, and against what cleaning leaves of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

from .. import engine, generators
from ..cube import Windows
from ..dates import day
from ..output import findings as rules
from ..stats.rules import calc_non_liquid, find_missed_dates
from ..strategy import Memory
from ..weights import normalize
from .findings import Finding
from .subject import Subject

__all__ = ["contest_rules", "time_budget"]

_FAMILY = "contest"
_TAKEN = 0.1  # of the gross; what cleaning may take away and still leave the strategy what it was
_SHARPE, _YEAR = "Sharpe ratio", 251  # rows: of fewer days it says nothing
_NEVER_CHECKED = ("in-sample period",)  # a matter of the data and the dates asked for, not of the strategy


def contest_rules(subject: Subject) -> list[Finding]:
    """Hold raw weights and cleaned ones against the contest's rules.

    A rule that the raw weights break and cleaning mends is a warning, unless cleaning takes more than a tenth away; one
    that cleaned weights break too fails.
    """
    raw = normalize(subject.decided.raw)  # scaled to the capital, with a row only where predict gave one
    contest = dataclasses.replace(subject.strategy.rules, start=day(raw["time"].values[0]))
    raw_findings = rules.check(raw, subject.traded, contest)
    cleaned = {one.rule: one for one in rules.check(subject.decided.weights, subject.traded, contest)}
    taken = _taken(raw, subject.decided.weights)
    found = []
    for one in raw_findings:
        if one.ok is not False or one.rule in _NEVER_CHECKED or (one.rule == _SHARPE and raw.sizes["time"] < _YEAR):
            continue
        still = cleaned.get(one.rule)
        broken = one.rule == "positions" or (still is not None and still.ok is False)
        severity = "fail" if broken or taken > _TAKEN else "warning"
        if one.rule == _SHARPE:  # no fault of the code
            severity = "warning"
        found.append(_finding(one, severity, raw, subject, 0.0 if broken else taken))
    return found


def _taken(raw: xr.DataArray, clean: xr.DataArray) -> float:
    one, other = xr.align(raw, clean, join="outer", fill_value=0.0)
    gross = float(abs(one).sum())
    return float(abs(one - other).sum()) / gross if gross > 0 else 0.0


def _finding(one: rules.Finding, severity: str, raw: xr.DataArray, subject: Subject, taken: float) -> Finding:
    message, _, fix = one.message.rpartition("; ")
    t, asset = _where(one.rule, raw, subject)
    said = f"{one.rule}: {message}" + (f"; cleaning takes {taken:.1%} of the weights away" if taken else "")
    return Finding.at("contest-rules", _FAMILY, severity, "weights", said, date=t, asset=asset, fix=fix)


_Cell = tuple[np.datetime64 | None, str | None]


def _where(rule: str, raw: xr.DataArray, subject: Subject) -> _Cell:
    """Return the first day and asset that break a rule."""
    find = _PLACES.get(rule)
    return find(raw, subject) if find else (raw["time"].values[0], None)


def _first(cells: xr.DataArray) -> _Cell:
    places = np.argwhere(cells.transpose("time", "asset").values)
    if not len(places):
        return None, None
    t, a = places[0]
    return cells["time"].values[t], str(cells["asset"].values[a])


def _missed(raw: xr.DataArray, subject: Subject) -> _Cell:
    missed = find_missed_dates(raw, subject.traded)
    return (np.datetime64(pd.Timestamp(missed[0]), "ns"), None) if len(missed) else (None, None)


def _foreign(raw: xr.DataArray, subject: Subject) -> _Cell:
    allowed = subject.strategy.rules.allowed_assets or ()
    return _first((raw != 0) & ~raw["asset"].isin(list(allowed)))


def _dominant(raw: xr.DataArray, subject: Subject) -> _Cell:
    limit = (subject.strategy.rules.exposure_bounds or (1.0,))[0]
    return _first(abs(raw) > limit)


_PLACES: dict[str, Callable[[xr.DataArray, Subject], _Cell]] = {
    "liquidity": lambda raw, subject: _first(calc_non_liquid(subject.traded, raw).notnull()),
    "long only": lambda raw, subject: _first(raw < 0),
    "missed dates": _missed,
    "allowed assets": _foreign,
    "exposure": _dominant,
}


def time_budget(subject: Subject) -> list[Finding]:
    """Time one daily run, training included, and hold it against the contest's limit; a note where there is none."""
    strategy = subject.fresh()
    t = subject.days[-1]
    with generators.kept():
        started = time.perf_counter()
        windows = subject.windows(strategy, Windows(subject.data).up_to(t).data)
        engine.step(strategy, Memory(), windows, t)
        seconds = time.perf_counter() - started
    limit = strategy.rules.time_limit_s
    if limit is None or seconds <= limit:
        return []
    return [
        Finding.at(
            "time-budget",
            _FAMILY,
            "fail",
            "train" if strategy.train else "predict",
            f"one daily run takes {seconds:.1f} s, the contest allows {limit:g} s",
            date=t,
            value=f"{seconds:.1f} s",
            fix="nn.fit(budget_s=...), a smaller network, or a longer retrain_interval_after_submit",
        )
    ]
