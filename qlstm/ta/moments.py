"""Moments over a moving window: variance, covariance, and what follows from them.

All are population moments (divided by the number of observations p, not p - 1). Windows hold p observations; those of
`covariance` hold times at which both series are present. A constant window has a variance of exactly 0.

By default the first result comes one observation late, at the (p+1)-th, because numbers agree with the established
toolbox; ``late=False`` gives it at the p-th, where the window is full. Every later result is the same.
"""

from __future__ import annotations

import numpy as np

from . import _dispersion, _rows
from ._apply import apply, apply_kernel, check_periods
from ._containers import SeriesT
from ._layout import Rows

__all__ = ["beta", "correlation", "covariance", "realized_volatility", "std", "variance"]


def variance(series: SeriesT, periods: int = 1, *, late: bool = True) -> SeriesT:
    """Return the variance of the last `periods` observations; the first comes ONE OBSERVATION LATE unless told.

    ``mean((x - mean(x))**2)`` over the window.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations in the window, at least 1 (the default, of the established toolbox, gives 0 throughout).
    late : bool
        Whether to leave out the first full window.

    Returns
    -------
    like `series`
        In its unit squared.

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, or a series that does not hold real numbers.
    """
    window = check_periods(periods, "variance: periods")
    return apply_kernel(_dispersion.variance, series, args=(window, int(late), 1.0))


def std(series: SeriesT, periods: int = 1, *, late: bool = True) -> SeriesT:
    """Return the standard deviation of the last `periods` observations; the first comes ONE LATE unless told.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods, late
        As for `variance`.

    Returns
    -------
    like `series`
        In its unit.

    Raises
    ------
    DataError
        As for `variance`.
    """
    window = check_periods(periods, "std: periods")
    return apply_kernel(_dispersion.variance, series, args=(window, int(late), 0.5))


def covariance(x: SeriesT, y: SeriesT, periods: int = 1, *, late: bool = True) -> SeriesT:
    """Return the covariance over the last `periods` observations of both; the first comes ONE LATE unless told.

    ``mean((x - mean(x)) * (y - mean(y)))`` over the window.

    Parameters
    ----------
    x, y : numpy array, Series, DataFrame or DataArray
        Aligned by label.
    periods, late
        As for `variance`.

    Returns
    -------
    like `x`
        In the product of the two units.

    Raises
    ------
    DataError
        As for `variance`, or series whose labels or shapes do not match.
    """
    window = check_periods(periods, "covariance: periods")
    return apply_kernel(_dispersion.covariance, x, y, args=(window, int(late)))


def beta(price_x: SeriesT, price_y: SeriesT, periods: int = 252, *, late: bool = True) -> SeriesT:
    """Return the beta of x's one-day returns to y's: ``covariance(rx, ry) / variance(ry)``.

    Parameters
    ----------
    price_x, price_y : numpy array, Series, DataFrame or DataArray
        Prices, aligned by label; ``r[t] = price[t] / price[t-1] - 1``.
    periods, late
        As for `variance`.

    Returns
    -------
    like `price_x`
        Without unit; NaN where y does not move.

    Raises
    ------
    DataError
        As for `covariance`.
    """
    window = check_periods(periods, "beta: periods")

    def body(x: Rows, y: Rows) -> Rows:
        rx, ry = _rows.roc(x, 1, 1.0), _rows.roc(y, 1, 1.0)
        both = _rows.run(_dispersion.covariance, rx, ry, args=(window, int(late)))
        both /= _rows.run(_dispersion.variance, ry, args=(window, int(late), 1.0))
        return both

    return apply(body, price_x, price_y)


def correlation(price_x: SeriesT, price_y: SeriesT, periods: int = 252, *, late: bool = True) -> SeriesT:
    """Return the correlation of one-day returns: ``covariance(rx, ry) / (std(rx) * std(ry))``.

    Each standard deviation is taken over the observations of its own series, as in the established toolbox; where the
    two are missing on different days, the result may lie a little outside of [-1, 1].

    Parameters
    ----------
    price_x, price_y : numpy array, Series, DataFrame or DataArray
        Prices, aligned by label.
    periods, late
        As for `variance`.

    Returns
    -------
    like `price_x`
        Without unit; NaN where either does not move.

    Raises
    ------
    DataError
        As for `covariance`.
    """
    window = check_periods(periods, "correlation: periods")

    def body(x: Rows, y: Rows) -> Rows:
        rx, ry = _rows.roc(x, 1, 1.0), _rows.roc(y, 1, 1.0)
        both = _rows.run(_dispersion.covariance, rx, ry, args=(window, int(late)))
        both /= _rows.std(rx, window, late)
        both /= _rows.std(ry, window, late)
        return both

    return apply(body, price_x, price_y)


def realized_volatility(series: SeriesT, periods: int = 20, points_per_year: float | None = 252) -> SeriesT:
    """Return the realised volatility: the root of the mean squared logarithmic return, per year.

    ``sqrt(points_per_year * mean(r**2))`` with ``r[t] = log(x[t] / x[t-1])`` over the last `periods` returns; the mean
    return is taken as 0, so that a steady trend counts as movement. Torben Andersen and Tim Bollerslev, International
    Economic Review 39, 1998.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
        Prices, greater than 0.
    periods : int
        Returns in the window, at least 1.
    points_per_year : float, optional
        Observations per year; None for the volatility of one observation.

    Returns
    -------
    like `series`
        A share, not percent; the first value at observation ``periods + 1``.

    Raises
    ------
    DataError
        As for `variance`.
    """
    window = check_periods(periods, "realized_volatility: periods")
    scale = 1.0 if points_per_year is None else float(points_per_year)

    def body(x: Rows) -> Rows:
        returns = _rows.shift(x, 1)
        np.divide(x, returns, out=returns)
        np.log(returns, out=returns)
        np.square(returns, out=returns)
        volatility = _rows.sma(returns, window)
        volatility *= scale
        return np.sqrt(volatility, out=volatility)

    return apply(body, series)
