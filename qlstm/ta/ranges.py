"""Ranges: how far prices move within a day and from day to day, and in which direction.

High, low and close are series of one kind, aligned by label; each step skips missing values. Arguments called `ma`
take a number of observations, for the usual average, or a function from series to series of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _daily, _rows
from ._apply import apply, average, check_periods
from ._containers import SeriesT
from ._layout import Rows

__all__ = ["atr", "dms", "tr"]

_Smooth = Callable[[Rows], Rows]


def tr(high: SeriesT, low: SeriesT, close: SeriesT) -> SeriesT:
    """Return the true range: ``max(high, close before) - min(low, close before)``.

    Welles Wilder, New Concepts in Technical Trading Systems, 1978.

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Prices of the same days.

    Returns
    -------
    like `high`
        In the unit of the prices; NaN on the first day.

    Raises
    ------
    DataError
        Series that do not hold real numbers, or whose labels or shapes do not match.
    """
    return apply(_rows.true_range, high, low, close)


def atr(high: SeriesT, low: SeriesT, close: SeriesT, ma: int | Callable[[Any], Any] = 14) -> SeriesT:
    """Return the average true range: the true range (`tr`) under a moving average, by default Wilder's (1978).

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Prices of the same days.
    ma : int or callable
        Observations of `wilder_ma`, or an average of one's own.

    Returns
    -------
    like `high`
        In the unit of the prices.

    Raises
    ------
    DataError
        As for `tr`, or a window that is no whole number of at least 1.
    """
    smooth = average(ma, _rows.wilder_ma, "atr: ma")
    return apply(lambda h, l, c, mean: mean(_rows.true_range(h, l, c)), high, low, close, averages=[smooth])


def dms(
    high: SeriesT,
    low: SeriesT,
    close: SeriesT,
    di_ma: int | Callable[[Any], Any] = 14,
    adx_ma: int | Callable[[Any], Any] = 20,
    adxr_periods: int = 7,
) -> tuple[SeriesT, SeriesT, SeriesT, SeriesT]:
    """Return the directional movement system: +DI, -DI, ADX and ADXR, each between 0 and 100.

    Up moves ``u = high - high before``, down moves ``d = low before - low``; +DM is u where ``u > d`` and ``u > 0``,
    else 0, -DM the mirror image. ``DI = 100 * ma(DM) / atr``, ``DX = 100 * |+DI - -DI| / (+DI + -DI)``,
    ``ADX = ma(DX)``, ``ADXR = (ADX + ADX n observations before) / 2``. Wilder 1978.

    Parameters
    ----------
    high, low, close : numpy array, Series, DataFrame or DataArray
        Prices of the same days.
    di_ma, adx_ma : int or callable
        Observations of `wilder_ma`, or averages of one's own; `di_ma` also smooths the true range.
    adxr_periods : int
        Observations between the two values of ADX, at least 1.

    Returns
    -------
    tuple of four like `high`

    Raises
    ------
    DataError
        As for `atr`.
    """
    lag = check_periods(adxr_periods, "dms: adxr_periods")
    averages = [average(di_ma, _rows.wilder_ma, "dms: di_ma"), average(adx_ma, _rows.wilder_ma, "dms: adx_ma")]

    def body(h: Rows, l: Rows, c: Rows, di_mean: _Smooth, adx_mean: _Smooth) -> tuple[Rows, ...]:
        up, down = _rows.change(h), _rows.change(l)
        np.negative(down, out=down)
        mean_range = di_mean(_rows.true_range(h, l, c))
        plus, minus = [di_mean(_rows.each(_daily.dominant, *moves)) for moves in ((up, down), (down, up))]
        for index in (plus, minus):
            index /= mean_range
            index *= 100.0
        split = np.subtract(plus, minus, out=_rows.blank(plus))
        np.abs(split, out=split)
        split /= np.add(plus, minus, out=up)
        split *= 100.0
        adx = adx_mean(split)
        adxr = _rows.shift(adx, lag)
        adxr += adx
        adxr /= 2.0
        return plus, minus, adx, adxr

    return apply(body, high, low, close, averages=averages, outputs=4)
