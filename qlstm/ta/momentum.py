"""Momentum: the speed of a series, seen through moving averages.

Each step skips missing values (a window of p holds p observations). Arguments called `ma` take a number of
observations, for the usual average, or a function from series to series of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _rows
from ._apply import apply, average, check_periods
from ._containers import SeriesT
from ._layout import Rows

__all__ = ["macd", "sroc", "trix"]

_MA = int | Callable[[Any], Any]
_Smooth = Callable[[Rows], Rows]


def macd(series: SeriesT, fast_ma: _MA = 12, slow_ma: _MA = 26, signal_ma: _MA = 9) -> tuple[SeriesT, SeriesT, SeriesT]:
    """Return the moving average convergence-divergence: line, signal and histogram.

    ``line = fast(x) - slow(x)``, ``signal = ma(line)``, ``histogram = line - signal``. Gerald Appel, late 1970s.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    fast_ma, slow_ma, signal_ma : int or callable
        Observations of `ema`, or averages of one's own.

    Returns
    -------
    tuple of three like `series`
        In its unit.

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, or a series that does not hold real numbers.
    """
    given = {"fast_ma": fast_ma, "slow_ma": slow_ma, "signal_ma": signal_ma}
    averages = [average(ma, _rows.ema, f"macd: {name}") for name, ma in given.items()]

    def body(x: Rows, fast: _Smooth, slow: _Smooth, smooth: _Smooth) -> tuple[Rows, Rows, Rows]:
        line = fast(x)
        line -= slow(x)
        signal = smooth(line)
        return line, signal, np.subtract(line, signal, out=_rows.blank(x))

    return apply(body, series, averages=averages, outputs=3)


def sroc(series: SeriesT, ma: _MA = 13, periods: int = 21) -> SeriesT:
    """Return the smoothed rate of change: the `roc` over `periods` of a moving average, in percent.

    Fred Schutzman's; Alexander Elder, Trading for a Living, 1993.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    ma : int or callable
        Observations of `ema`, or an average of one's own.
    periods : int
        Observations between the two values compared; negative: looks ahead.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `macd`.
    """
    lag = check_periods(periods, "sroc: periods", least=None)
    return apply(lambda x, mean: _rows.roc(mean(x), lag), series, averages=[average(ma, _rows.ema, "sroc: ma")])


def trix(series: SeriesT, periods: int = 18) -> SeriesT:
    """Return TRIX: the one-day rate of change of the EMA applied three times, in percent.

    Jack Hutson, Technical Analysis of Stocks & Commodities 1:5, 1983.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        The span of each average, at least 1.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `macd`.
    """
    span = check_periods(periods, "trix: periods")
    return apply(lambda x: _rows.roc(_rows.ema(_rows.ema(_rows.ema(x, span), span), span), 1), series)
