"""Whether the strategy decides the same whenever, wherever and in whatever order it is asked."""

from __future__ import annotations

import dataclasses
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import dates, generators
from ..cube import Windows
from ..errors import QlstmError, StrategyError
from ..multipass import walk
from . import alterations, look_ahead
from .findings import Finding
from .processes import Process, put_data
from .replay import Course, Recorder, decide, forward
from .subject import Subject

__all__ = ["asset_order", "call_order", "processes", "repetition", "state_growth"]

_FAMILY = "determinism"
_CHANGES: dict[str, tuple[dict[str, Any], str, str]] = {
    "process": ({}, "from process to process", "seed every generator; the engine seeds random, numpy and torch only"),
    "hash order": ({"hash_seed": 1}, "with PYTHONHASHSEED", "sort sets before you go through them"),
    "threads": (
        {"threads": 2},
        "with the number of threads or processors",
        "sum on one thread, or in an order of its own; take no number from os.cpu_count",
    ),
    "time zone": (
        {"time_zone": "WEST+10"},
        "with the time zone",
        "leave the times of the data as they are: without one",
    ),
    "clock": ({"clock_days": 401.3}, "with the clock", "take the day from data.time[-1]"),
}
_ORDER_TOLERANCE = 1e-9  # the same numbers summed in another order differ in the last bits
_QUARTERS = 4
_STEADY = 0.5  # of the earlier growth: what fills a buffer slows down, what never ends does not
_FEWEST = 24  # days
_LONG = 640  # days: room for a buffer of two years to be full, and to stay so
_NEVER = 365 * 100


def _difference(one: Course, other: Course) -> dict[str, object] | None:
    a, b = xr.align(one.weights, other.weights, join="outer", fill_value=0.0)
    return look_ahead.first_difference(a, b, a["time"].values[-1])


def _finding(
    check: str, stage: str, message: str, found: dict[str, object], fix: str, severity: str = "fail"
) -> list[Finding]:
    where = {"date": found["time"], "asset": found["asset"], "value": found["value"]}
    return [Finding.at(check, _FAMILY, severity, stage, message, fix=fix, **where)]


def repetition(subject: Subject) -> list[Finding]:
    """Run the sampled days a second time, from a strategy loaded anew."""
    strategy = subject.fresh()
    with generators.kept():
        windows = subject.windows(strategy)
        again = forward(strategy, windows, subject.sampled)
        found = _difference(subject.course, again)
        if found is None:
            return []
        stage = "predict"
        if strategy.train is not None:
            same = [forward(subject.course.strategy, windows, subject.sampled, subject.models) for _ in range(2)]
            stage = "predict" if _difference(*same) else "train"
    fix = "seed generators of your own: np.random.default_rng(0); count steps, not seconds; take threads in their order"
    return _finding("repetition", stage, "the same day with the same data gives other weights", found, fix)


def call_order(subject: Subject) -> list[Finding]:
    """Ask for the sampled days backwards, each with the memory it had: the answers must be the same."""
    strategy = subject.fresh()
    with generators.kept():
        windows = subject.windows(strategy)
        recorder = Recorder()
        wrapped = recorder.wrap(strategy)
        there = forward(strategy, windows, subject.sampled)
        for days, memory in reversed(there.before):
            rows, _ = decide(wrapped, recorder, memory, windows, days)
            for t, row in zip(days, rows, strict=True):
                other = row.fillna(0.0).expand_dims(time=[t])
                a, b = xr.align(there.weights.sel(time=[t]), other, join="outer", fill_value=0.0)
                found = look_ahead.first_difference(a, b, t)
                if found is not None:
                    return _of_order(
                        subject, found, "a day asked for again, with the memory it had, gets other weights"
                    )
    found = _untrained(subject)
    message = "with the same models, a process that did not train them decides otherwise"
    return [] if found is None else _of_order(subject, found, message)


def _untrained(subject: Subject) -> dict[str, object] | None:
    """Predict in a strategy that never trained, as on most days of a daily run: what train left in globals is gone."""
    models = subject.models
    if not models or not subject.are_plain:
        return None
    strategy = subject.fresh()
    with generators.kept():
        return _difference(subject.course, forward(strategy, subject.windows(strategy), subject.sampled, models))


def _of_order(subject: Subject, found: dict[str, object], message: str) -> list[Finding]:
    if repetition(subject):  # another check's business
        return []
    fix = "keep what crosses from day to day in the state; change neither globals nor models in predict"
    return _finding("call-order", "predict", message, found, fix)


def asset_order(subject: Subject) -> list[Finding]:
    """Turn the order of assets round: weights must go with their assets."""
    strategy = subject.fresh()
    turned = alterations.all_at_once(subject.data, lambda cube: cube.isel(asset=slice(None, None, -1)))
    with generators.kept():
        windows = subject.windows(strategy, turned)
        found = _beyond_rounding(subject.course, forward(strategy, windows, subject.sampled))
        if found is None or _difference(subject.course, _again(subject)):
            return []
        in_train = strategy.train is not None and not _beyond_rounding(
            subject.course, forward(subject.course.strategy, windows, subject.sampled, subject.models)
        )
    message, fix = "weights change with the order of assets", "choose by label, break ties by name"
    if in_train:
        fix += "; fine where it is noise, or a bootstrap, that train draws by place"
        return _finding("asset-order", "train", message, found, fix, "warning")
    fix += "; numbers drawn by place go to another asset when one is added"
    return _finding("asset-order", "predict", message, found, fix)


def _beyond_rounding(one: Course, other: Course) -> dict[str, object] | None:
    a, b = xr.align(one.weights, other.weights, join="outer", fill_value=0.0)
    close = np.isclose(a.values, b.values, rtol=_ORDER_TOLERANCE, atol=_ORDER_TOLERANCE)
    return look_ahead.first_difference(a.where(~close, 0.0), b.where(~close, 0.0), a["time"].values[-1])


def _again(subject: Subject) -> Course:
    strategy = subject.fresh()
    with generators.kept():
        return forward(strategy, subject.windows(strategy), subject.sampled)


def processes(subject: Subject) -> list[Finding]:
    """Run in two processes that differ in hash seed, threads, time zone and clock; if they disagree, find out why."""
    days = subject.sampled if subject.thorough else subject.sampled[:: max(1, len(subject.sampled) // 3)]
    everything: dict[str, Any] = {}
    for change, _, _ in _CHANGES.values():
        everything |= change
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = put_data(folder, subject.data)

        def started(label: str, change: dict[str, Any]) -> Process:
            return Process(subject, folder / label, data, days, **({"time_zone": "UTC"} | change))

        try:
            first, second = (one.answer() for one in [started("plain", {}), started("changed", everything)])
            if _disagree(first, second) is None:
                return []
            return _blamed(first, second, started)
        except QlstmError as error:
            return [Finding.at("processes", _FAMILY, "fail", "predict", str(error), date=days[0])]


def _disagree(one: dict[str, Any], other: dict[str, Any]) -> dict[str, object] | None:
    a, b = xr.align(one["weights"], other["weights"], join="outer", fill_value=0.0)
    return look_ahead.first_difference(a, b, a["time"].values[-1])


def _blamed(
    first: dict[str, Any], everything: dict[str, Any], started: Callable[[str, dict[str, Any]], Process]
) -> list[Finding]:
    """Name the one change that makes the difference."""
    for label, (change, how, fix) in _CHANGES.items():
        answer = started(label, change).answer()
        found = _disagree(first, answer)
        if found is not None:
            stage = "predict"
            if first["models"]:  # the same models again: does what is left of the difference stay?
                same = started(f"{label}, same models", change | {"models": first["models"]}).answer()
                stage = "predict" if _disagree(first, same) else "train"
            return _finding("processes", stage, f"weights change {how} ({label})", found, fix)
    found = _disagree(first, everything)
    assert found is not None
    message = f"weights change with {', '.join(list(_CHANGES)[1:])} together"
    return _finding("processes", "predict", message, found, "look for sets, threads, local times and clocks")


def state_growth(subject: Subject) -> list[Finding]:
    """Weigh the state after each day: it may fill, it may not grow for ever."""
    if not subject.strategy.is_stateful:
        return []
    states = subject.book.states
    if len(states) < _FEWEST:
        return [Finding.at("state-growth", _FAMILY, "note", "state", f"not checked: {len(states)} days are too few")]
    sizes = _sizes(states)
    try:
        if _slows_down(sizes) or _slows_down(_sizes(_later_states(subject))):
            return []
    except StrategyError:  # of days before those that were asked for
        why = f"not known: the state grows for {len(sizes)} days, and on the days before the strategy fails"
        return [Finding.at("state-growth", _FAMILY, "note", "state", why)]
    slope = float(np.polyfit(np.arange(len(sizes)), sizes, 1)[0])
    return [
        Finding.at(
            "state-growth",
            _FAMILY,
            "fail",
            "state",
            f"the state grows by {slope:,.0f} bytes a day, and did not slow down in {len(sizes)} days",
            date=subject.days[int(np.argmax(sizes > sizes[0]))],
            value=f"{sizes[0]:,.0f} -> {sizes[-1]:,.0f} bytes",
            fix="keep a fixed number of rows",
        )
    ]


def _sizes(states: list[Any]) -> np.ndarray:
    return np.array([_size(state) for state in states], dtype=float)


def _slows_down(sizes: np.ndarray) -> bool:
    quarters = np.diff(sizes[np.linspace(0, len(sizes) - 1, _QUARTERS + 1).astype(int)])
    if (quarters < 0).any():
        return True
    if (quarters > 0).all():
        return bool(quarters[-1] < _STEADY * quarters[:-1].mean())
    grew = quarters > 0
    return bool((grew[:-1] >= grew[1:]).all())  # at rest once, at rest for good: a row a quarter grows again


def _later_states(subject: Subject) -> list[Any]:
    """Return the states of as many days as it takes to fill a buffer of two years, trained but once."""
    strategy = dataclasses.replace(subject.fresh(), retrain_interval=_NEVER, predict_each_day=True)
    history = max(strategy.lookback_period, strategy.train_period if strategy.train else 0)
    days = dates.period(subject.cube["time"].values, None, subject.days[-1], _NEVER, history)[-_LONG:]
    if len(days) <= len(subject.days):
        return list(subject.book.states)
    with generators.kept():
        windows = subject.windows(strategy, Windows(subject.data).up_to(days[-1]).data)
        return list(walk(strategy, windows, days, collect_all_states=True, progress=False).states)


def _size(state: Any) -> int:
    try:
        return len(pickle.dumps(state))
    except (TypeError, AttributeError, pickle.PicklingError):  # of another library: no file could hold it either
        return 0
