"""Oscillators: indicators that swing around a middle or between two ends.

Each step skips missing values (a window of p holds p observations). Arguments called `ma` take a number of
observations, for the usual average, or a function from series to series of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _daily, _dispersion, _rows
from ._apply import apply, average, check_periods
from ._containers import SeriesT
from ._layout import Rows

__all__ = ["cci", "rsi", "slow_stochastic", "smi", "stochastic", "stochastic_k"]

_MA = int | Callable[[Any], Any]
_Smooth = Callable[[Rows], Rows]


def stochastic_k(high: SeriesT, low: SeriesT, close: SeriesT, periods: int = 14) -> SeriesT:
    """Return the raw stochastic %K: where the close lies in the range of the last `periods` observations.

    ``100 * (close - lowest low) / (highest high - lowest low)``; an observation is a day on which all three are
    present. George Lane, 1950s; Technical Analysis of Stocks & Commodities 2:3, 1984.

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Prices of the same days, aligned by label.
    periods : int
        Observations in the window, at least 1.

    Returns
    -------
    like `high`
        Percent, 0 to 100 unless the close lies outside of the day; NaN where the range is not above 0.

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, series that do not hold real numbers, or labels or shapes that
        do not match.
    """
    window = check_periods(periods, "stochastic_k: periods")
    return apply(lambda h, l, c: _raw_k(h, l, c, window), high, low, close)


def stochastic(high: SeriesT, low: SeriesT, close: SeriesT, periods: int = 5, d_ma: _MA = 3) -> tuple[SeriesT, SeriesT]:
    """Return the fast stochastic: %K (see `stochastic_k`) and %D, its moving average, both in percent.

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Prices of the same days, aligned by label.
    periods : int
        Observations of %K, at least 1.
    d_ma : int or callable
        Observations of the `sma` that makes %D, or an average of one's own.

    Returns
    -------
    tuple of two like `high`

    Raises
    ------
    DataError
        As for `stochastic_k`.
    """
    window = check_periods(periods, "stochastic: periods")

    def body(h: Rows, l: Rows, c: Rows, d_mean: _Smooth) -> tuple[Rows, Rows]:
        k = _raw_k(h, l, c, window)
        return k, d_mean(k)

    return apply(body, high, low, close, averages=[average(d_ma, _rows.sma, "stochastic: d_ma")], outputs=2)


def slow_stochastic(
    high: SeriesT, low: SeriesT, close: SeriesT, periods: int = 5, k_ma: _MA = 3, d_ma: _MA = 3
) -> tuple[SeriesT, SeriesT]:
    """Return the slow stochastic: the moving average of %K (see `stochastic_k`), and the moving average of that.

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Prices of the same days, aligned by label.
    periods : int
        Observations of the raw %K, at least 1.
    k_ma, d_ma : int or callable
        Observations of the `sma`, or averages of one's own.

    Returns
    -------
    tuple of two like `high`
        Percent.

    Raises
    ------
    DataError
        As for `stochastic_k`.
    """
    window = check_periods(periods, "slow_stochastic: periods")
    averages = [average(k_ma, _rows.sma, "slow_stochastic: k_ma"), average(d_ma, _rows.sma, "slow_stochastic: d_ma")]

    def body(h: Rows, l: Rows, c: Rows, k_mean: _Smooth, d_mean: _Smooth) -> tuple[Rows, Rows]:
        slow = k_mean(_raw_k(h, l, c, window))
        return slow, d_mean(slow)

    return apply(body, high, low, close, averages=averages, outputs=2)


def rsi(series: SeriesT, ma: _MA = 14) -> SeriesT:
    """Return the relative strength index: ``100 * ma(gains) / (ma(gains) + ma(losses))``.

    Gains and losses are the positive and negative parts of the one-day change. The same as the usual
    ``100 - 100 / (1 + ma(gains) / ma(losses))``, with less rounding. Wilder, New Concepts in Technical Trading
    Systems, 1978.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    ma : int or callable
        Observations of `wilder_ma`, or an average of one's own.

    Returns
    -------
    like `series`
        0 to 100; 100 where nothing was lost, NaN where nothing moved.

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, or a series that does not hold real numbers.
    """

    def body(x: Rows, mean: _Smooth) -> Rows:
        step = _rows.change(x)
        gains, losses = mean(_rows.each(_daily.gain, step)), mean(_rows.each(_daily.loss, step))
        return _rows.each(_daily.strength, gains, losses)

    return apply(body, series, averages=[average(ma, _rows.wilder_ma, "rsi: ma")])


def cci(high: SeriesT, low: SeriesT, close: SeriesT, periods: int = 20) -> SeriesT:
    """Return the commodity channel index: ``(p - mean(p)) / (0.015 * mean |p - mean(p)|)``, p = (high+low+close)/3.

    Both means are over the last `periods` observations. Donald Lambert, Commodities magazine, October 1980.

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Prices of the same days, aligned by label.
    periods : int
        Observations in the window, at least 1.

    Returns
    -------
    like `high`
        Without unit; NaN where the window is constant.

    Raises
    ------
    DataError
        As for `stochastic_k`.
    """
    window = check_periods(periods, "cci: periods")

    def body(h: Rows, l: Rows, c: Rows) -> Rows:
        typical = np.add(h, l, out=_rows.blank(h))
        typical += c
        typical /= 3.0
        spread = _rows.run(_dispersion.mean_deviation, typical, args=(window,))
        spread *= 0.015
        typical -= _rows.sma(typical, window)
        typical /= spread
        return typical

    return apply(body, high, low, close)


def smi(high: SeriesT, low: SeriesT, close: SeriesT, periods: int = 10, ma: _MA = 3, second_ma: _MA = 3) -> SeriesT:
    """Return the stochastic momentum index: the close's distance from the middle of its range, smoothed twice.

    ``100 * m2(m1(close - middle)) / m2(m1(range / 2))``, middle and range being those of the highest high and the
    lowest low of the last `periods` observations. William Blau, Technical Analysis of Stocks & Commodities 11:1, 1993.

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Prices of the same days, aligned by label.
    periods : int
        Observations of the range, at least 1.
    ma, second_ma : int or callable
        Observations of `ema` for the first and the second smoothing, or averages of one's own.

    Returns
    -------
    like `high`
        -100 to 100; NaN where the smoothed range is 0.

    Raises
    ------
    DataError
        As for `stochastic_k`.
    """
    window = check_periods(periods, "smi: periods")
    averages = [average(ma, _rows.ema, "smi: ma"), average(second_ma, _rows.ema, "smi: second_ma")]

    def body(h: Rows, l: Rows, c: Rows, m1: _Smooth, m2: _Smooth) -> Rows:
        h, l, c = _rows.together(h, l, c)
        top, bottom = _rows.highest(h, window), _rows.lowest(l, window)
        middle = np.add(top, bottom, out=_rows.blank(h))
        middle /= 2.0
        half = np.subtract(top, bottom, out=top)
        half /= 2.0
        index = m2(m1(np.subtract(c, middle, out=middle)))
        index *= 100.0
        index /= m2(m1(half))
        return index

    return apply(body, high, low, close, averages=averages)


def _raw_k(h: Rows, l: Rows, c: Rows, window: int) -> Rows:
    h, l, c = _rows.together(h, l, c)
    return _rows.each(_daily.place, c, _rows.lowest(l, window), _rows.highest(h, window))
