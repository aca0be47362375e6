"""All checks by name, and `check`, which runs them and reports."""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import xarray as xr

from .. import generators
from ..cube import Cubes
from ..dates import day
from ..errors import StrategyError, near
from ..multipass import Result
from ..progress import Progress
from ..strategy import Strategy, as_strategy
from . import book, contest, determinism, invariance, look_ahead, parity, training_data
from .findings import FAMILIES, Finding, Report, acknowledged
from .subject import Subject, modules_kept

__all__ = ["CHECKS", "KNOWN_FINDINGS", "Check", "check"]

KNOWN_FINDINGS = "KNOWN_FINDINGS"
"""The name in a strategy's file under which it declares checks that find something: ``{check: why}``."""


class Check(NamedTuple):
    """A check: its family, and a function from a `Subject` to findings, which may be called alone."""

    family: str
    run: Callable[[Subject], list[Finding]]


CHECKS: dict[str, Check] = {
    "features": Check("look-ahead", look_ahead.features),
    "future": Check("look-ahead", look_ahead.future),
    "files": Check("look-ahead", look_ahead.files),
    "training-features": Check("look-ahead", training_data.training_features),
    "labels": Check("look-ahead", training_data.labels),
    "label-timing": Check("look-ahead", training_data.label_timing),
    "eval-assets": Check("look-ahead", training_data.eval_assets),
    "window-length": Check("look-ahead", look_ahead.window_length),
    "one-bar": Check("look-ahead", look_ahead.one_bar),
    "same-features": Check("look-ahead", training_data.same_features),
    "hindsight": Check("look-ahead", invariance.hindsight),
    "price-level": Check("look-ahead", invariance.price_level),
    "parity": Check("parity", parity.single_pass),
    "repetition": Check("determinism", determinism.repetition),
    "call-order": Check("determinism", determinism.call_order),
    "asset-order": Check("determinism", determinism.asset_order),
    "draws": Check("determinism", invariance.draws),
    "processes": Check("determinism", determinism.processes),
    "state-growth": Check("determinism", determinism.state_growth),
    "contest-rules": Check("contest", contest.contest_rules),
    "time-budget": Check("contest", contest.time_budget),
    "prices": Check("data", book.prices),
    "profit-from-faults": Check("data", book.profit_from_faults),
    "concentration": Check("data", book.concentration),
    "label-outliers": Check("data", training_data.label_outliers),
    "near-equal-weights": Check("data", book.near_equal_weights),
    "restated": Check("data", book.restated),
}
"""Name -> check, in the order in which they are run."""


def check(
    strategy: Strategy,
    cube: Cubes,
    only: str | Sequence[str] | None = None,
    *,
    start: Any = None,
    end: Any = None,
    thorough: bool = False,
    earlier: xr.DataArray | None = None,
    backtest: Result | None = None,
    progress: bool = True,
) -> Report:
    """Audit a strategy: does it see the future, is it the same every time, would the contest take it, is it luck.

    The strategy's own functions are run, on a few days unless `thorough`. Findings of checks that the strategy's file
    declares in ``KNOWN_FINDINGS = {check: why}`` do not fail.

    Parameters
    ----------
    strategy : Strategy
        What to check.
    cube : xr.DataArray or mapping of str to xr.DataArray
        Data, dims ``(field, time, asset)``; or several by name, of which the first is traded, for a strategy that
        takes them. Then the future of each is made another one in turn, and the finding names the cube.
    only : str or sequence of str, optional
        Families (``"look-ahead"``, ``"parity"``, ``"determinism"``, ``"contest"``, ``"data"``) or names of checks.
    start, end : date-like, optional
        Days to look at; the last 120 trading days unless given.
    thorough : bool
        Every day instead of a few.
    earlier : xr.DataArray, optional
        The traded cube as downloaded earlier, to find what was changed since.
    backtest : Result, optional
        Of the strategy with these data, from `qlstm.backtest`: contest rules, trades and gains are those of all its
        days. Without it they are those of the days looked at.
    progress : bool
        Show progress when it takes over two seconds.

    Returns
    -------
    Report
        ``report.ok`` is False when a check failed.

    Raises
    ------
    StrategyError
        When a check or family is unknown, ``KNOWN_FINDINGS`` is not of that form, or the strategy fails on unaltered
        data.
    DataError
        When the data are no cubes, or leave no day to look at.
    """
    chosen, known = _chosen(only), _declared(as_strategy(strategy))
    subject = Subject(strategy, cube, start, end, thorough, earlier, backtest)
    findings: list[Finding] = []
    seconds: dict[str, float] = {}
    with (
        generators.kept(),
        modules_kept(),
        _silence(),
        Progress(f"check {strategy.name}", len(chosen), "checks", progress) as bar,
    ):
        for name in chosen:
            bar.note = name
            started = time.perf_counter()
            findings += _run(name, subject, findings)
            seconds[name] = time.perf_counter() - started
            bar.advance()
    findings = acknowledged(findings, known) + _stale(known, findings, chosen)
    return Report(str(strategy.name), (day(subject.days[0]), day(subject.days[-1])), tuple(findings), seconds)


def _run(name: str, subject: Subject, before: list[Finding]) -> list[Finding]:
    """Run one check; a strategy that works on some days, and fails here, leans on something other than its window."""
    one = CHECKS[name]
    try:
        return one.run(subject)
    except StrategyError as error:
        t = subject.course.weights["time"].values[0]  # raises where the strategy fails on its own data
        said = _ON.search(str(error))
        date, message = said[1] if said else t, f"it works on some days and fails here: {error}"
        if any(message == other.message for other in before):
            return [Finding.at(name, one.family, "note", "predict", "not checked: it fails, as said above", date=date)]
        fix = "let it depend on nothing but what it is given"
        return [Finding.at(name, one.family, "fail", "predict", message, date=date, fix=fix)]


_ON = re.compile(r" failed on (\d{4}-\d\d-\d\d)")  # what the engine says


@contextmanager
def _silence() -> Iterator[None]:
    """Keep quiet what other futures make libraries warn of and log: it is not of the user's data."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _chosen(only: str | Sequence[str] | None) -> list[str]:
    if only is None:
        return list(CHECKS)
    wanted = [only] if isinstance(only, str) else only
    for name in wanted:
        if name not in FAMILIES and name not in CHECKS:
            raise StrategyError(f"no check {name!r}{near(name, [*FAMILIES, *CHECKS])}")
    return [name for name, one in CHECKS.items() if name in wanted or one.family in wanted]


def _declared(strategy: Strategy) -> dict[str, str]:
    """Return the findings that a strategy's file declares, check -> why."""
    known = strategy.namespace.get(KNOWN_FINDINGS, {})
    if not (isinstance(known, Mapping) and all(isinstance(text, str) for pair in known.items() for text in pair)):
        raise StrategyError(f"{strategy.where}: {KNOWN_FINDINGS} must be a dict {{check: why}} of texts, got {known!r}")
    for name in known:
        if name not in CHECKS:
            raise StrategyError(f"{strategy.where}: {KNOWN_FINDINGS}: no check {name!r}{near(name, list(CHECKS))}")
    return dict(known)


def _stale(known: dict[str, str], findings: list[Finding], chosen: list[str]) -> list[Finding]:
    """Say so where a declared finding was looked for and is not there."""
    found = {one.check for one in findings}
    message, fix = "declared as known, but not found", f"take it out of {KNOWN_FINDINGS}"
    return [
        Finding(name, CHECKS[name].family, "warning", "weights", message, fix=fix)
        for name in known
        if name in chosen and name not in found
    ]
