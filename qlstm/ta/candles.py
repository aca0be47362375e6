"""Candles: the short-term shape of prices as shares of the newest close.

Features of the candle autoencoder: change and range over a few bars, as in Johann Lotter's short-term systems (The
Financial Hacker, 2016). Missing values are skipped and stay missing.
"""

from __future__ import annotations

from . import _rows
from ._apply import apply, check_periods
from ._containers import SeriesT
from ._layout import Rows

__all__ = ["candle_change", "candle_range"]


def candle_change(close: SeriesT, periods: int = 1) -> SeriesT:
    """Return ``(close - close n observations before) / close``.

    Unlike `roc` it divides by the newest close, so that features of several n share one scale.

    Parameters
    ----------
    close : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations back, at least 1.

    Returns
    -------
    like `close`
        A share.

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, or a series that does not hold real numbers.
    """
    lag = check_periods(periods, "candle_change: periods")

    def body(c: Rows) -> Rows:
        step = _rows.change(c, lag)
        step /= c
        return step

    return apply(body, close)


def candle_range(high: SeriesT, low: SeriesT, close: SeriesT, periods: int = 1) -> SeriesT:
    """Return ``(highest high - lowest low) / close`` over the last `periods` observations.

    An observation is a bar on which all three are present.

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Of the same bars, aligned by label.
    periods : int
        Bars in the window, at least 1.

    Returns
    -------
    like `high`
        A share.

    Raises
    ------
    DataError
        As for `candle_change`, or series whose labels or shapes do not match.
    """
    window = check_periods(periods, "candle_range: periods")

    def body(h: Rows, l: Rows, c: Rows) -> Rows:
        h, l, c = _rows.together(h, l, c)
        width = _rows.highest(h, window)
        width -= _rows.lowest(l, window)
        width /= c
        return width

    return apply(body, high, low, close)
