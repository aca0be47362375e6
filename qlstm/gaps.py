"""Missing values of a series filled along time."""

from __future__ import annotations

import bottleneck
import numpy as np
import xarray as xr

from ._labels import labelled_like
from .errors import DataError

__all__ = ["fill"]


def fill(series: xr.DataArray, rest: float = np.nan) -> xr.DataArray:
    """Return a series with the last value before in each gap, and before the first value that one.

    What stands before the first value is taken from the future of that day: fine for the shape of an input, not for a
    price to trade at.

    Parameters
    ----------
    series : xr.DataArray
        Dims ``time`` and any others, in any order.
    rest : float
        What stands where there is no value at all.

    Returns
    -------
    xr.DataArray
        Float64, the same dims and labels.

    Raises
    ------
    DataError
        When it has no dim ``time``.
    """
    if not isinstance(series, xr.DataArray) or "time" not in series.dims:
        raise DataError(
            f"fill wants an xarray.DataArray with a dim 'time', got {getattr(series, 'dims', type(series))}"
        )
    axis = series.dims.index("time")
    values = bottleneck.push(np.asarray(series.values, dtype=np.float64), axis=axis)
    if bottleneck.anynan(values):  # before the first value
        values = np.flip(bottleneck.push(np.flip(values, axis), axis=axis), axis)
        values = np.where(np.isnan(values), rest, values)
    return labelled_like(series, values)
