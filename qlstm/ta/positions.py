"""Positions: where the newest value stands relative to its own recent past, without unit.

Windows hold a number of observations; missing values are skipped and stay missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _daily, _dispersion, _rows
from ._apply import apply, apply_kernel, average, check_periods
from ._containers import SeriesT
from ._layout import Rows

__all__ = ["bollinger", "ma_distance", "rolling_rank", "rolling_zscore"]


def bollinger(series: SeriesT, periods: int = 20, width: float = 2.0) -> tuple[SeriesT, SeriesT, SeriesT]:
    """Return the Bollinger bands: upper, middle and lower.

    ``middle = sma(x, p)``; the others are `width` population standard deviations of the same window above and below.
    John Bollinger, Bollinger on Bollinger Bands, 2001.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations in the window, at least 1.
    width : float
        Standard deviations from the middle to a band.

    Returns
    -------
    tuple of three like `series`
        In its unit; the first values at the `periods`-th observation.

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, or a series that does not hold real numbers.
    """
    window = check_periods(periods, "bollinger: periods")

    def body(x: Rows) -> tuple[Rows, Rows, Rows]:
        middle, spread = _rows.sma(x, window), _rows.std(x, window)
        spread *= width
        upper = np.add(middle, spread, out=_rows.blank(x))
        return upper, middle, np.subtract(middle, spread, out=spread)

    return apply(body, series, outputs=3)


def ma_distance(series: SeriesT, ma: int | Callable[[Any], Any] = 20) -> SeriesT:
    """Return the relative distance to a moving average: ``x / ma(x) - 1``.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    ma : int or callable
        Observations of `sma`, or an average of one's own: a function from series to series.

    Returns
    -------
    like `series`
        A share, not percent.

    Raises
    ------
    DataError
        As for `bollinger`.
    """

    def body(x: Rows, mean: Callable[[Rows], Rows]) -> Rows:
        return _rows.each(_daily.distance, x, mean(x))

    return apply(body, series, averages=[average(ma, _rows.sma, "ma_distance: ma")])


def rolling_rank(series: SeriesT, periods: int = 20) -> SeriesT:
    """Return the share of the window's other observations that are below the newest, ties counting half.

    ``(#below + #equal / 2) / (periods - 1)`` over the `periods` - 1 observations before: the percentile rank of
    statistics (mean rank of ties) scaled to [0, 1].

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations in the window, the newest included, at least 2.

    Returns
    -------
    like `series`
        0 (the lowest) to 1 (the highest); 0.5 in a constant window.

    Raises
    ------
    DataError
        A window that is no whole number of at least 2, or a series that does not hold real numbers.
    """
    window = check_periods(periods, "rolling_rank: periods", least=2)
    return apply_kernel(_dispersion.rank, series, args=(window,))


def rolling_zscore(series: SeriesT, periods: int = 20) -> SeriesT:
    """Return the distance from the window's mean in the window's standard deviations: ``(x - mean) / std``.

    Both are over the last `periods` observations, the newest included; std is the population's (Fisher's z).

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations in the window, at least 2.

    Returns
    -------
    like `series`
        NaN in a constant window.

    Raises
    ------
    DataError
        As for `rolling_rank`.
    """
    window = check_periods(periods, "rolling_zscore: periods", least=2)

    def body(x: Rows) -> Rows:
        return _rows.each(_daily.standardize, x, _rows.sma(x, window), _rows.std(x, window))

    return apply(body, series)
