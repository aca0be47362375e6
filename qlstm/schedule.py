"""Dates in, blocks out: when to retrain, and which days each model predicts. Periods are calendar days.

Where calendar days will not do, a `Schedule` stands in their place. It is asked the same in a multi-pass and in a
single pass, knows no later day than the one it is asked about, and needs no memory but the day of the last training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .dates import calendar_days, day
from .errors import DataError, StrategyError

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Interval",
    "Months",
    "Schedule",
    "StudyPeriods",
    "blocks",
    "due",
    "every_months",
    "month_end",
    "reach",
    "study_periods",
    "worded",
]


class Schedule(ABC):
    """When something is due again, where that is not every so many calendar days.

    A subclass is a frozen dataclass, so that its values are part of what a result depends on; its text completes
    "trainings, …" in a report.
    """

    @property
    def rows_needed(self) -> int:
        """Rows that the data must reach back, so that `following` can tell; 0 where the calendar alone does."""
        return 0

    @abstractmethod
    def following(self, done_at: np.datetime64, times: np.ndarray) -> np.datetime64:
        """Return the time, after `done_at`, from which it is due again.

        Parameters
        ----------
        done_at : np.datetime64
            When it was last done.
        times : np.ndarray
            The data's calendar, up to the day asked about or beyond. Whether a day is due must not depend on the rows
            after it: where they are needed to tell, answer with a time after the last of them.
        """


@dataclass(frozen=True)
class Months(Schedule):
    """Due from the last weekday of each `months`-th month on; see `every_months`."""

    months: int

    def __post_init__(self) -> None:
        _check_count("months", self.months, most=1200)

    def __str__(self) -> str:
        return "at each month end" if self.months == 1 else f"at each month end that closes {self.months} months"

    def following(self, done_at: np.datetime64, times: np.ndarray) -> np.datetime64:
        """Return the first of these last weekdays after `done_at`."""
        month = int(done_at.astype("datetime64[M]").astype(int))  # 0 is January 1970
        closing = month + -(month + 1) % self.months
        end = _last_weekday(closing)
        return end if end > done_at.astype("datetime64[D]") else _last_weekday(closing + self.months)


@dataclass(frozen=True)
class StudyPeriods(Schedule):
    """Due after `trade` rows; see `study_periods`."""

    train: int
    trade: int

    def __post_init__(self) -> None:
        _check_count("train", self.train)
        _check_count("trade", self.trade)

    def __str__(self) -> str:
        return f"every {self.trade} rows"

    @property
    def rows_needed(self) -> int:
        """Rows from one training to the next."""
        return self.trade

    def following(self, done_at: np.datetime64, times: np.ndarray) -> np.datetime64:
        """Return the time of the `trade`-th row after `done_at`, or one after all rows."""
        if done_at < times[0]:
            raise DataError(
                f"the data begin {day(times[0])}, after the last training on {day(done_at)}, so the rows since cannot "
                f"be counted; give data from then on, at least {self.trade} rows"
            )
        place = int(times.searchsorted(done_at, "right")) + self.trade - 1
        return np.datetime64(times[place] if place < len(times) else times[-1] + np.timedelta64(1, "ns"))

    def training(self, data: xr.DataArray) -> xr.DataArray:
        """Return the last `train` rows of a cube.

        Raises
        ------
        DataError
            When it has fewer.
        """
        if data.sizes["time"] < self.train:
            raise DataError(
                f"a study period trains on {self.train} rows, the window that ends {day(data['time'].values[-1])} has "
                f"{data.sizes['time']}; raise train_period (calendar days), or start later"
            )
        return data.isel(time=slice(-self.train, None))


Interval = int | Schedule
"""Calendar days, or a schedule."""


def month_end() -> Months:
    """Return the schedule of month ends: `every_months` with 1."""
    return Months(1)


def every_months(count: int) -> Months:
    """Return the schedule of every `count`-th month end.

    Due from a month's last weekday on. Where that is no trading day (a holiday, a gap) it is the next one: nobody can
    tell on a Thursday whether the Friday will have data. Months are counted by the calendar (3 is March, June,
    September and December), so the days are the same whenever a run begins; the first training is its first day.

    Parameters
    ----------
    count : int
        Months from one to the next.

    Raises
    ------
    StrategyError
        When `count` is not a whole number from 1 to 1200.
    """
    return Months(count)


def study_periods(train: int, trade: int) -> StudyPeriods:
    """Return the schedule of study periods: train on some rows, trade those that follow, and move on by these.

    Rows are those of the traded cube. A period's first day is the last row trained on, decided at its close and traded
    at the next open. ``study.training(window)`` cuts a window to the rows to train on; `train_period` must hold them.
    The data of a single pass must reach back to the last training.

    Parameters
    ----------
    train, trade : int
        Rows.

    Raises
    ------
    StrategyError
        When one is not a positive whole number.
    """
    return StudyPeriods(train, trade)


def due(t: np.datetime64, done_at: np.datetime64 | str | None, interval: Interval, times: np.ndarray) -> bool:
    """Return whether what was last done at `done_at` is to be done anew at `t`.

    The engine asks so for trainings; a strategy that trades at month ends only asks so for its own trades, with the
    date of the last in its state.

    Parameters
    ----------
    t : np.datetime64
        The day asked about.
    done_at : np.datetime64, its text, or None
        None is never: due.
    interval : int or Schedule
        Calendar days, or a schedule.
    times : np.ndarray or xr.DataArray
        The data's calendar; what is after `t` changes nothing.

    Raises
    ------
    StrategyError
        When `interval` is none, or a schedule answers with no time after `done_at`.
    """
    if done_at is None:
        return True
    return bool(np.asarray(t) >= _following(np.datetime64(done_at), interval, np.asarray(times)))


def blocks(days: np.ndarray, interval: Interval, times: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield the days each model predicts: a block starts at its retrain day and ends before the next.

    Parameters
    ----------
    days : np.ndarray
        The days to predict, ascending.
    interval : int or Schedule
        Calendar days, or a schedule.
    times : np.ndarray, optional
        The data's calendar, where `days` are only some of it.
    """
    times = days if times is None else times
    first = 0
    while first < len(days):
        last = int(days.searchsorted(_following(days[first], interval, times), "left"))
        yield days[first:last]
        first = last


def reach(block: np.ndarray, interval: Interval) -> int:
    """Return how many calendar days a block spans: all of an interval of days, else those up to its last day."""
    if isinstance(interval, Schedule):
        return int((block[-1] - block[0]) / np.timedelta64(1, "D")) + 1
    return interval


def worded(interval: Interval) -> str:
    """Return an interval as a report says it."""
    return str(interval) if isinstance(interval, Schedule) else f"every {interval} calendar days"


def _following(done_at: np.datetime64, interval: Interval, times: np.ndarray) -> np.datetime64:
    """Return the time from which it is due again, which a schedule must not put before the last."""
    if not isinstance(interval, Schedule):
        _check_count("an interval of days", interval, most=10**12)
        return done_at + calendar_days(interval)
    then = interval.following(done_at, times)
    if not isinstance(then, np.datetime64):
        raise StrategyError(f"schedule {interval!r}: following() must return a numpy.datetime64, got {then!r}")
    if then <= done_at:
        raise StrategyError(f"schedule {interval!r}: due again {day(then)}, not after {day(done_at)}")
    return then


def _last_weekday(month: int) -> np.datetime64:
    """Return the last weekday of a month counted from January 1970."""
    after = np.datetime64(month + 1, "M").astype("datetime64[D]")
    return np.datetime64(np.busday_offset(after, -1, roll="forward"))


def _check_count(name: str, count: object, most: int = 1_000_000) -> None:
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 1 <= count <= most:
        raise StrategyError(f"schedule: {name} must be a whole number from 1 to {most}, got {count!r}")
