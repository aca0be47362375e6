"""Whether the daily run, each day in a process of its own, gives what the backtest gave."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from .. import dates, generators, state
from ..cube import Cubes, Windows
from ..dates import calendar_days
from ..errors import QlstmError, StateError
from ..multipass import Result, walk
from ..state import codec
from ..state.store import STATE_FILE
from . import look_ahead
from .findings import Finding
from .processes import Process, put_data
from .subject import Subject

__all__ = ["single_pass"]

_FAMILY = "parity"
_DAYS = 3
_THOROUGH = 10
_INTERVAL = 2  # days from one training to the next, so that one falls between the first day and the last


def single_pass(subject: Subject) -> list[Finding]:
    """Run three days, with a training among them, once in one process and once each in its own: all must be equal."""
    days = subject.days[-_THOROUGH if subject.thorough else -_DAYS :]
    subject = _often_trained(subject)
    data = _enough(subject, days)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = put_data(folder, data)
        try:
            whole = _multi_pass(subject, data, days)
            for i, t in enumerate(days):
                answer = Process(subject, folder / f"{i}", path, days[i : i + 1], single_pass=True).answer()
                found = _difference(whole, answer["weights"], t)
                if found is not None:
                    return [found]
            return _states(subject, whole, Path(answer["folder"]), folder, days[-1])
        except QlstmError as error:
            message = f"the single pass does not get through: {error}"
            return [Finding.at("parity", _FAMILY, "fail", "state", message, date=days[0])]


def _often_trained(subject: Subject) -> Subject:
    often = dataclasses.replace(
        subject.booked_as,
        retrain_interval=_INTERVAL,
        retrain_interval_after_submit=_INTERVAL,
        predict_each_day=True,  # the single pass knows nothing else
    )
    return subject.of(often)


def _enough(subject: Subject, days: np.ndarray) -> Cubes:
    """Return the data that these days look at; features may look at all."""
    strategy, windows = subject.strategy, Windows(subject.data).up_to(days[-1])
    if strategy.features is not None:
        return windows.data
    history = max(strategy.lookback_period, strategy.train_period if strategy.train else 0)
    first = days[0] - calendar_days(history) - dates.WARM_UP
    return windows(days[-1], int((days[-1] - first) / np.timedelta64(1, "D")))


def _multi_pass(subject: Subject, data: Cubes, days: np.ndarray) -> Result:
    strategy = subject.fresh()
    with generators.kept():
        return walk(strategy, subject.windows(strategy, data), days, analyze=False, progress=False)


def _difference(whole: Result, row: xr.DataArray, t: np.datetime64) -> Finding | None:
    one, other = xr.align(whole.raw.sel(time=[t]), row, join="outer", fill_value=0.0)
    found = look_ahead.first_difference(one, other, t)
    if found is None:
        return None
    return Finding.at(
        "parity",
        _FAMILY,
        "fail",
        "predict",
        "the single pass decides other weights than the multi-pass",
        date=found["time"],
        asset=found["asset"],
        value=found["value"],
        fix="keep everything that crosses from day to day in models and state, nothing in globals, files or clocks",
    )


def _states(subject: Subject, whole: Result, saved: Path, folder: Path, t: np.datetime64) -> list[Finding]:
    """Compare the memories after the last day, as files."""
    mine = folder / "multi.pickle.gz"
    try:
        codec.write(whole.memory, mine, subject.strategy, t)
        changes = state.compare(mine, saved / STATE_FILE)
    except StateError as error:
        return [Finding.at("parity", _FAMILY, "note", "state", f"states were not compared: {error}", date=t)]
    first = next(iter([*changes.state, *changes.models]), None)
    if first is None:
        return []
    return [
        Finding.at(
            "parity",
            _FAMILY,
            "fail",
            "state",
            f"after the last day the memories differ, first at {first.place}",
            date=t,
            value=f"{first.before} -> {first.after}",
            fix="keep plain values and arrays in the state, and everything that crosses from day to day",
        )
    ]
