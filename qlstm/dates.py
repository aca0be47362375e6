"""Dates and periods of calendar days: what people write, and which days of a calendar they mean.

pandas reads dates, and is imported when there is one to read: looking at a state file must not wait for it.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .errors import DataError

__all__ = ["WARM_UP", "as_time", "calendar_days", "day", "first_day", "period"]

WARM_UP = np.timedelta64(60, "D")
"""Data that cleaning and booking look at before the first day: slippage needs 14 rows, the contest loads 60 days."""
_ISO = re.compile(r"\d{4}(-\d\d(-\d\d([T ].+)?)?)?")  # what follows the T is pandas' to judge
_LONGEST = 73_000  # days, 200 years: more would leave what datetime64[ns] can hold, and no market is older


def calendar_days(days: int) -> np.timedelta64:
    """Return a period of calendar days; one of more than 200 years means all the data there are."""
    return np.timedelta64(min(int(days), _LONGEST), "D")


def day(t: Any) -> str:
    """Return a time as people write it: the date, with the hour only where there is one."""
    import pandas as pd

    stamp = pd.Timestamp(t)
    return str(stamp.date()) if stamp == stamp.normalize() else stamp.isoformat(timespec="minutes")


def as_time(value: Any, what: str = "date") -> np.datetime64:
    """Return any date that pandas understands as ``datetime64[ns]``; text must be ISO 8601, as YYYY-MM-DD.

    Raises
    ------
    DataError
        When it is not a date; the message names it.
    """
    import pandas as pd

    fault = DataError(f"{what} {value!r} is not a date (from 1678 to 2261); write it as YYYY-MM-DD")
    if isinstance(value, (int, float, np.number)):  # pandas would take 20150601 for nanoseconds since 1970
        raise fault
    if isinstance(value, str) and not _ISO.fullmatch(value):  # pandas would take 01/12/2020 for 12 January
        raise fault
    try:
        stamp = pd.Timestamp(value)
        time = np.datetime64("NaT") if pd.isna(stamp) else stamp.tz_localize(None).as_unit("ns").to_datetime64()
    except (ValueError, TypeError) as error:
        raise fault from error
    if np.isnat(time):
        raise fault
    return np.datetime64(time)


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
        When the first day is after the last, or no day of the data is left.
    """
    last = times[-1] if end is None else min(as_time(end, "end date"), times[-1])
    if start is None:
        first = max(last - calendar_days(test_period - 1), first_day(times, history))
    else:
        first = as_time(start, "start date")
        if first > times[-1]:
            raise DataError(f"start date {_iso(first)} is after the data, which end {_iso(times[-1])}")
        if first > last:
            raise DataError(f"start date {_iso(first)} is after end date {_iso(last)}")
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
