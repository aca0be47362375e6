"""Volumes: what was traded, signed by where prices went.

Prices and volumes are series of one kind, aligned by label. Results are in the unit of the volume; running totals
depend on where the data begin, so use their changes, not their level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _daily, _rows
from ._apply import apply, average, check_periods
from ._containers import SeriesT
from ._layout import Rows

__all__ = ["chaikin_adl", "chaikin_osc", "obv", "wvad"]


def obv(close: SeriesT, volume: SeriesT) -> SeriesT:
    """Return the on-balance volume: the running total of volume, added on up days and subtracted on down days.

    Joseph Granville, New Key to Stock Market Profits, 1963.

    Parameters
    ----------
    close, volume : numpy array, Series, DataFrame or DataArray
        Aligned by label.

    Returns
    -------
    like `close`
        NaN on the first day and where either is missing; the total goes on behind such a day.

    Raises
    ------
    DataError
        Series that do not hold real numbers, or whose labels or shapes do not match.
    """

    def body(c: Rows, v: Rows) -> Rows:
        step = _rows.change(c)
        return _rows.each(_daily.cumulate, _rows.each(_daily.sided, v, step))

    return apply(body, close, volume)


def chaikin_adl(high: SeriesT, low: SeriesT, close: SeriesT, volume: SeriesT) -> SeriesT:
    """Return Chaikin's accumulation-distribution line: the running total of volume times the close's place in the day.

    Each day adds ``volume * ((close - low) - (high - close)) / (high - low)``, from all of the volume for a close at
    the high to minus all of it for a close at the low. Marc Chaikin, 1970s.

    Parameters
    ----------
    high, low, close, volume : numpy array, Series, DataFrame or DataArray
        Of the same days, aligned by label.

    Returns
    -------
    like `high`
        NaN on days without a range or with anything missing; the total goes on behind such a day.

    Raises
    ------
    DataError
        As for `obv`.
    """

    def body(h: Rows, l: Rows, c: Rows, v: Rows) -> Rows:
        return _rows.each(_daily.cumulate, _rows.each(_daily.placed, h, l, c, v))

    return apply(body, high, low, close, volume)


def chaikin_osc(
    adl: SeriesT, fast_ma: int | Callable[[Any], Any] = 3, slow_ma: int | Callable[[Any], Any] = 10
) -> SeriesT:
    """Return Chaikin's oscillator: a fast minus a slow moving average of his line (`chaikin_adl`).

    Parameters
    ----------
    adl : numpy array, Series, DataFrame or DataArray
        The accumulation-distribution line, or any other series.
    fast_ma, slow_ma : int or callable
        Observations of `ema`, or averages of one's own: functions from series to series.

    Returns
    -------
    like `adl`

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, or a series that does not hold real numbers.
    """
    averages = [
        average(fast_ma, _rows.ema, "chaikin_osc: fast_ma"),
        average(slow_ma, _rows.ema, "chaikin_osc: slow_ma"),
    ]

    def body(x: Rows, fast: Callable[[Rows], Rows], slow: Callable[[Rows], Rows]) -> Rows:
        line = fast(x)
        line -= slow(x)
        return line

    return apply(body, adl, averages=averages)


def wvad(open: SeriesT, high: SeriesT, low: SeriesT, close: SeriesT, volume: SeriesT, periods: int = 24) -> SeriesT:
    """Return Williams's variable accumulation-distribution: volume times the body's share of the day, over a window.

    ``sum(volume * (close - open) / (high - low))`` over the last `periods` observations; days without a range, or with
    anything missing, are none. Larry Williams, The Secret of Selecting Stocks, 1972.

    Parameters
    ----------
    open, high, low, close, volume : numpy array, Series, DataFrame or DataArray
        Of the same days, aligned by label.
    periods : int
        Observations in the window, at least 1.

    Returns
    -------
    like `open`

    Raises
    ------
    DataError
        As for `obv`, or a window that is no whole number of at least 1.
    """
    window = check_periods(periods, "wvad: periods")

    def body(o: Rows, h: Rows, l: Rows, c: Rows, v: Rows) -> Rows:
        daily = _rows.each(_daily.flow, np.subtract(c, o, out=_rows.blank(c)), v, h, l)
        total = _rows.sma(daily, window)
        total *= float(window)
        return total

    return apply(body, open, high, low, close, volume)
