"""Dates in, blocks out: when to retrain, and which days each model predicts. Periods are calendar days."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .cube import calendar_days
from .errors import DataError

__all__ = ["WARM_UP", "as_time", "blocks", "due", "first_day", "period"]

WARM_UP = np.timedelta64(60, "D")
"""Data that cleaning and booking look at before the first day: slippage needs 14 rows, the contest loads 60 days."""


def as_time(value: Any, what: str = "date") -> np.datetime64:
    """Return any date that pandas understands as ``datetime64[ns]``.

    Raises
    ------
    DataError
        When it is not a date; the message names it.
    """
    fault = DataError(f"{what} {value!r} is not a date (from 1678 to 2261); write it as YYYY-MM-DD")
    if isinstance(value, (int, float, np.number)):  # pandas would take 20150601 for nanoseconds since 1970
        raise fault
    try:
        stamp = pd.Timestamp(value)
        time = np.datetime64("NaT") if pd.isna(stamp) else stamp.tz_localize(None).as_unit("ns").to_datetime64()
    except (ValueError, TypeError) as error:
        raise fault from error
    if np.isnat(time):
        raise fault
    return np.datetime64(time)


def due(t: np.datetime64, trained_at: np.datetime64 | None, interval: int) -> bool:
    """Return whether a model trained at `trained_at` is to be trained anew at `t`: `interval` calendar days later."""
    return trained_at is None or bool(t >= trained_at + calendar_days(interval))


def blocks(times: np.ndarray, interval: int) -> Iterator[np.ndarray]:
    """Yield the days each model predicts: a block starts at its retrain day and spans `interval` calendar days."""
    first = 0
    while first < len(times):
        last = int(times.searchsorted(times[first] + calendar_days(interval), "left"))
        yield times[first:last]
        first = last


def period(times: np.ndarray, start: Any, end: Any, test_period: int, history: int) -> np.ndarray:
    """Return the days to predict.

    Parameters
    ----------
    times : np.ndarray
        The data's calendar, ``datetime64[ns]``, ascending.
    start, end : date-like or None
        First and last day; both ends count. Without `start` the last `test_period` calendar days are taken, but none
        before the data can fill a window of `history` calendar days.
    test_period, history : int
        Calendar days.

    Returns
    -------
    np.ndarray
        Days of `times`, at least one.

    Raises
    ------
    DataError
        When no day of the data is left.
    """
    last = times[-1] if end is None else min(as_time(end, "end date"), times[-1])
    if start is None:
        first = max(last - calendar_days(test_period - 1), first_day(times, history))
    else:
        first = as_time(start, "start date")
        if first > times[-1]:
            raise DataError(f"start date {_iso(first)} is after the data, which end {_iso(times[-1])}")
    chosen = times[(times >= first) & (times <= last)]
    if len(chosen) == 0:
        raise DataError(
            f"no day to predict from {_iso(first)} to {_iso(last)}: the data run {_iso(times[0])} to {_iso(times[-1])}"
        )
    return chosen


def first_day(times: np.ndarray, history: int) -> np.datetime64:
    """Return the first day with `history` calendar days of data behind it (the first of all when there is none)."""
    full = times >= times[0] + calendar_days(history)
    return np.datetime64(times[int(np.argmax(full))] if full.any() else times[0])


def _iso(t: np.datetime64) -> str:
    return str(t.astype("datetime64[D]"))
