"""What a statistic assumes where it is not told: points per year, slippage and the in-sample period of a contest."""

from __future__ import annotations

from numbers import Real

import numpy as np
import xarray as xr

from .. import contests
from ..contests import Contest
from ..dates import day
from ..errors import DataError
from .panel import times_of

__all__ = [
    "calc_avg_points_per_year",
    "calc_points_per_day",
    "get_default_is_period",
    "get_default_is_period_for_type",
    "get_default_is_start_date_for_type",
    "get_default_slippage",
    "points_in_year",
]

_HOURS_PER_YEAR = 365.25 * 24
_FEW_ROWS = 251  # below a year of daily rows, holidays would bias the count
_INTRADAY = 400  # points per year from which rows are taken to be hours
_SLIPPAGE = 0.05


def _contest_of(data: xr.DataArray) -> Contest | None:
    """Return the contest that a cube's or an array's name stands for."""
    return contests.find(None if data.name is None else str(data.name))


def points_in_year(points_per_year: float | None, data: xr.DataArray) -> float:
    """Return the points per year given, or where it is None those of `data` (see `calc_avg_points_per_year`).

    Raises
    ------
    DataError
        When it is not a finite number above 0, or as `calc_avg_points_per_year` does.
    """
    return _positive(calc_avg_points_per_year(data) if points_per_year is None else points_per_year)


def _positive(points_per_year: float) -> float:
    if not isinstance(points_per_year, Real) or not 0 < points_per_year < np.inf:
        raise DataError(
            f"points_per_year must be a finite number above 0, got {points_per_year!r}; pass 252 for trading days"
        )
    return points_per_year


def calc_points_per_day(points_per_year: float) -> int:
    """Return rows per day: 1, or 24 when a year has 400 points or more.

    Raises
    ------
    DataError
        When `points_per_year` is not a finite number above 0.
    """
    return 1 if _positive(points_per_year) < _INTRADAY else 24


def calc_avg_points_per_year(data: xr.DataArray, kind: str | Contest | None = None) -> int:
    """Return how many rows a year has.

    Parameters
    ----------
    data : xr.DataArray
        Anything with a time dim. With fewer than 251 rows and a contest, the contest's figure is taken; otherwise it
        is counted: 365.25 days over the mean distance of rows. It is one figure for all rows, so later rows can move
        it, and with it every annualised statistic of earlier ones; pass ``points_per_year=`` to hold them still.
    kind : str or Contest, optional
        The contest; by default the one the data are named after, if any.

    Raises
    ------
    ContestError
        For an unknown contest.
    DataError
        One row alone, or one time repeated, and no contest; or times that are not dates.
    """
    times = times_of(data, "data")
    contest = _contest_of(data) if kind is None else contests.get(kind)
    if contest is not None and len(times) < _FEW_ROWS:
        return contest.points_per_year
    if len(times) < 2:
        raise DataError(f"{len(times)} rows are too few to count points per year; pass points_per_year=")
    hours = (times.max() - times.min()) / np.timedelta64(1, "h") / (len(times) - 1)
    if not hours > 0:
        raise DataError(f"data name the one time {day(times[0])} only, {len(times)} times; pass points_per_year=")
    return round(_HOURS_PER_YEAR / hours)


def get_default_slippage(data: xr.DataArray) -> float:
    """Return the slippage of the contest the cube is named after, as a share of the average true range; else 0.05."""
    contest = _contest_of(data)
    return _SLIPPAGE if contest is None else contest.slippage


def get_default_is_period_for_type(kind: str | Contest) -> int:
    """Return the rows of a contest's in-sample period.

    Raises
    ------
    ContestError
        For an unknown contest.
    """
    return contests.get(kind).in_sample_points


def get_default_is_period(data: xr.DataArray) -> int:
    """Return the rows of the in-sample period of the contest a cube is named after.

    Raises
    ------
    ContestError
        When its name is no contest's.
    """
    return contests.get(str(data.name)).in_sample_points


def get_default_is_start_date_for_type(kind: str | Contest) -> str:
    """Return the first day of a contest's in-sample period, an ISO date.

    Raises
    ------
    ContestError
        For an unknown contest.
    """
    return contests.get(kind).start
