"""Moving averages: the level of a series, smoothed.

All skip missing values (a window of p holds p observations; a missing value stays missing) and look back only. Series
are numpy arrays (time last), pandas objects (rows are time) or DataArrays (dim `time` anywhere); the result is like
the input, in the input's unit. A window longer than the series gives NaN throughout.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..errors import DataError
from . import _daily, _kernels, _rows
from ._apply import apply, apply_kernel, check_periods
from ._containers import SeriesT
from ._layout import Rows

__all__ = ["dema", "ema", "lwma", "sma", "tema", "vwma", "wilder_ma", "wma"]


def sma(series: SeriesT, periods: int = 20) -> SeriesT:
    """Return the simple moving average: the mean of the last `periods` observations.

    ``sma[t] = (x[t] + ... + x[t-p+1]) / p``, from the p-th observation on.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
        Dims: `time` and any others.
    periods : int
        Observations in the window, at least 1.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        A window that is no whole number of at least 1, or a series that does not hold real numbers.
    """
    return apply_kernel(_kernels.sma, series, args=(check_periods(periods, "sma: periods"),))


def lwma(series: SeriesT, periods: int = 20) -> SeriesT:
    """Return the linearly weighted moving average: weight p for the newest observation down to 1 for the oldest.

    ``lwma[t] = (p x[t] + (p-1) x[t-1] + ... + x[t-p+1]) / (p (p+1) / 2)``, from the p-th observation on.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations in the window, at least 1.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `sma`.
    """
    return apply_kernel(_kernels.lwma, series, args=(check_periods(periods, "lwma: periods"),))


def wma(series: SeriesT, weights: Sequence[float] | np.ndarray | int | None = None) -> SeriesT:
    """Return the moving average under weights of one's own, the newest observation's first.

    ``wma[t] = (w0 x[t] + w1 x[t-1] + ...) / (w0 + w1 + ...)``, from the observation on that fills the window.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    weights : sequence of float
        One per observation of the window, without unit; their sum must not be 0. A whole number, or None for 20, is
        answered with `lwma` and a warning, as in the established toolbox.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        No weights, weights that are not finite or that add up to 0, or as for `sma`.
    """
    if weights is None or np.ndim(weights) == 0:
        warnings.warn("wma takes a list of weights; for a number of observations call lwma", UserWarning, stacklevel=2)
        return lwma(series, 20 if weights is None else weights)  # type: ignore[arg-type]  # lwma checks it
    window = np.array(weights, dtype=np.float64)
    if window.ndim != 1 or not window.size or not np.isfinite(window).all() or window.sum() == 0:
        raise DataError(f"wma: weights must be a list of finite numbers with a sum other than 0, got {weights!r}")
    return apply_kernel(_kernels.wma, series, args=(window,))


def vwma(price: SeriesT, volume: SeriesT, periods: int = 20) -> SeriesT:
    """Return the volume-weighted moving average of the last `periods` observations.

    ``vwma[t] = sum(price * volume) / sum(volume)``; an observation is a time at which both are present. NaN where the
    window's volume is 0.

    Parameters
    ----------
    price, volume : numpy array, Series, DataFrame or DataArray
        Aligned by label.
    periods : int
        Observations in the window, at least 1.

    Returns
    -------
    like `price`

    Raises
    ------
    DataError
        As for `sma`, or series whose labels or shapes do not match.
    """
    return apply_kernel(_kernels.vwma, price, volume, args=(check_periods(periods, "vwma: periods"),))


def ema(series: SeriesT, periods: int = 20, warm_periods: int | None = None) -> SeriesT:
    """Return the exponential moving average.

    Starts, at the `warm_periods`-th observation, from the plain mean of the observations so far; from then on
    ``ema[t] = ema[t-1] + (x[t] - ema[t-1]) * 2 / (periods + 1)``.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        The span, in observations, at least 1.
    warm_periods : int, optional
        Observations that the first value is the mean of; by default `periods`.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `sma`.
    """
    return apply_kernel(_kernels.ema, series, args=_spans(periods, warm_periods, "ema"))


def wilder_ma(series: SeriesT, periods: int = 14, warm_periods: int | None = None) -> SeriesT:
    """Return Wilder's smoothed average: an `ema` that steps ``1 / periods`` of the way to each new observation.

    Welles Wilder, New Concepts in Technical Trading Systems, 1978. Equals an `ema` of span ``2 * periods - 1``.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        At least 1.
    warm_periods : int, optional
        Observations that the first value is the mean of; by default `periods`.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `sma`.
    """
    span, warm = _spans(periods, warm_periods, "wilder_ma")
    return apply_kernel(_kernels.ema, series, args=(2 * span - 1, warm))


def dema(series: SeriesT, periods: int = 20, warm_periods: int | None = None, *, standard: bool = False) -> SeriesT:
    """Return the EMA of the EMA. This is NOT the indicator known as DEMA, for which say ``standard=True``.

    The established toolbox gives the name to the nested average, which lags twice as much; numbers by default agree
    with it. The standard one, ``2 * ema(x) - ema(ema(x))``, lags less than an EMA: Patrick Mulloy, Technical Analysis
    of Stocks & Commodities 12:1, 1994.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        The span of each average, at least 1.
    warm_periods : int, optional
        As for `ema`, for each average.
    standard : bool
        Return Mulloy's.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `sma`.
    """
    spans = _spans(periods, warm_periods, "dema")

    def body(x: Rows) -> Rows:
        once = _rows.ema(x, *spans)
        twice = _rows.ema(once, *spans)
        if not standard:
            return twice
        once *= 2.0
        return np.subtract(once, twice, out=once)

    return apply(body, series)


def tema(series: SeriesT, periods: int = 20, warm_periods: int | None = None, *, standard: bool = False) -> SeriesT:
    """Return the EMA applied three times. This is NOT the indicator known as TEMA, for which say ``standard=True``.

    As with `dema`, numbers by default agree with the established toolbox. The standard one is
    ``3 * e1 - 3 * e2 + e3``, where e1, e2, e3 are the EMA applied once, twice, three times (Mulloy 1994).

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        The span of each average, at least 1.
    warm_periods : int, optional
        As for `ema`, for each average.
    standard : bool
        Return Mulloy's.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        As for `sma`.
    """
    spans = _spans(periods, warm_periods, "tema")

    def body(x: Rows) -> Rows:
        once = _rows.ema(x, *spans)
        twice = _rows.ema(once, *spans)
        thrice = _rows.ema(twice, *spans)
        return _rows.each(_daily.triple, once, twice, thrice) if standard else thrice

    return apply(body, series)


def _spans(periods: int, warm_periods: int | None, name: str) -> tuple[int, int]:
    span = check_periods(periods, f"{name}: periods")
    return span, span if warm_periods is None else check_periods(warm_periods, f"{name}: warm_periods")
