"""Breadth: how many assets of a market go up and how many go down.

Prices of many assets give one series over `time`: a DataArray with the dim `time` alone, a pandas Series, or a numpy
array of one axis. Each asset's change is the one to its own last observation; a missing value counts as neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ._containers import numbers, time_axis
from .changes import change

__all__ = ["ad_line", "ad_ratio"]


def ad_line(prices: Any) -> Any:
    """Return the advance-decline line: the running total of assets going up minus assets going down.

    James Hughes and Leonard Ayres, 1920s.

    Parameters
    ----------
    prices : numpy array, Series, DataFrame or DataArray
        Dims: `time` and any others.

    Returns
    -------
    numpy array, Series or DataArray
        Dims ``(time,)``, a count of assets; 0 at the first time.

    Raises
    ------
    DataError
        Something that is no series of real numbers.
    """
    up, down = _counts(prices)
    return _over_time(prices, np.cumsum(up - down))


def ad_ratio(prices: Any) -> Any:
    """Return the advance-decline ratio: assets going up divided by assets going down.

    Parameters
    ----------
    prices : numpy array, Series, DataFrame or DataArray
        Dims: `time` and any others.

    Returns
    -------
    numpy array, Series or DataArray
        Dims ``(time,)``, without unit; infinite where none goes down, NaN where none moves.

    Raises
    ------
    DataError
        As for `ad_line`.
    """
    up, down = _counts(prices)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _over_time(prices, up / down)


def _counts(prices: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many assets went up and down, per time."""
    steps = numbers(change(prices, 1))
    axes = tuple(axis for axis in range(steps.ndim) if axis != time_axis(prices))
    return (steps > 0).sum(axis=axes, dtype=np.float64), (steps < 0).sum(axis=axes, dtype=np.float64)


def _over_time(prices: Any, values: NDArray[np.float64]) -> Any:
    if isinstance(prices, xr.DataArray):
        coords = {"time": prices.coords["time"]} if "time" in prices.coords else None
        return xr.DataArray(values, dims=["time"], coords=coords)
    if isinstance(prices, (pd.Series, pd.DataFrame)):
        return pd.Series(values, index=prices.index)
    return values
