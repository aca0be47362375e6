"""Changes of a series against its own past, counted in observations: missing values are skipped and stay missing.

Series are numpy arrays (time last), pandas objects (rows are time) or DataArrays (dim `time` anywhere); the result is
like the input. A negative `periods` compares with the future: good for training targets, never for features.
"""

from __future__ import annotations

from . import _kernels
from ._apply import apply_kernel, check_periods
from ._containers import SeriesT

__all__ = ["change", "mtm", "roc", "shift"]


def shift(series: SeriesT, periods: int = 1) -> SeriesT:
    """Return the value `periods` observations earlier; with a negative number later, that is, from the future.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations; 0 returns the series as it is.

    Returns
    -------
    like `series`
        In its unit; NaN where there is no such observation.

    Raises
    ------
    DataError
        `periods` is no whole number, or the series does not hold real numbers.
    """
    return apply_kernel(_kernels.shift, series, args=(check_periods(periods, "shift: periods", least=None),))


def change(series: SeriesT, periods: int = 1) -> SeriesT:
    """Return the difference to the value `periods` observations earlier: ``x[t] - x[t-p]``.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations; negative: the difference to a later value.

    Returns
    -------
    like `series`
        In its unit.

    Raises
    ------
    DataError
        As for `shift`.
    """
    return apply_kernel(_kernels.change, series, args=(check_periods(periods, "change: periods", least=None),))


def mtm(series: SeriesT, periods: int = 10) -> SeriesT:
    """Return the momentum: ``x[t] - x[t-p]``, in the unit of the series.

    The same as `change` under the name and the default under which the literature uses it as an indicator: John
    Murphy, Technical Analysis of the Financial Markets, 1999, chapter 10.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations, at least 1.

    Returns
    -------
    like `series`

    Raises
    ------
    DataError
        `periods` is no whole number of at least 1, or the series does not hold real numbers.
    """
    return change(series, check_periods(periods, "mtm: periods"))


def roc(series: SeriesT, periods: int = 7) -> SeriesT:
    """Return the rate of change: ``100 * (x[t] / x[t-p] - 1)``, in percent.

    Parameters
    ----------
    series : numpy array, Series, DataFrame or DataArray
    periods : int
        Observations; negative: the change from a later value.

    Returns
    -------
    like `series`
        Percent; infinite or NaN where the earlier value is 0.

    Raises
    ------
    DataError
        As for `shift`.
    """
    return apply_kernel(_kernels.roc, series, args=(check_periods(periods, "roc: periods", least=None), 100.0))
