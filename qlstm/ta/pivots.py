"""Pivots: turning points, flagged on the day they are confirmed, so without looking ahead."""

from __future__ import annotations

from . import _dispersion, _rows
from ._apply import apply, apply_kernel, check_periods
from ._containers import SeriesT

__all__ = ["bottom_pivot_points", "pivot_points", "top_pivot_points"]


def top_pivot_points(series: SeriesT, periods: int = 5) -> SeriesT:
    """Return 1 where a top is confirmed, else 0; NaN for the FIRST `2 * periods` observations.

    At each observation: was the one `periods` before it greater than all others of the last ``2 * periods + 1``? The
    established toolbox fills the first ``2 * periods`` with whatever was in memory.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations on either side of a top, at least 1.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, or a series that does not hold real numbers.
    """
    window = check_periods(periods, "top_pivot_points: periods")
    return apply_kernel(_dispersion.pivot, series, args=(window, 1.0))


def bottom_pivot_points(series: SeriesT, periods: int = 5) -> SeriesT:
    """Return 1 where a bottom is confirmed, else 0; NaN for the FIRST `2 * periods` observations.

    The mirror image of `top_pivot_points`.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations on either side of a bottom, at least 1.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `top_pivot_points`.
    """
    window = check_periods(periods, "bottom_pivot_points: periods")
    return apply_kernel(_dispersion.pivot, series, args=(window, -1.0))


def pivot_points(series: SeriesT, top_periods: int = 5, bottom_periods: int = 5) -> SeriesT:
    """Return 1 where a top is confirmed, -1 where a bottom is, else 0; NaN for the FIRST observations.

    ``top_pivot_points - bottom_pivot_points``, each with its own periods; NaN until both are known.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    top_periods, bottom_periods : int
        Observations on either side, at least 1.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `top_pivot_points`.
    """
    top = check_periods(top_periods, "pivot_points: top_periods")
    bottom = check_periods(bottom_periods, "pivot_points: bottom_periods")
    return apply(
        lambda x: (
            _rows.run(_dispersion.pivot, x, args=(top, 1.0)) - _rows.run(_dispersion.pivot, x, args=(bottom, -1.0))
        ),
        series,
    )
