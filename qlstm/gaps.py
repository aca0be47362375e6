"""Missing values of a series filled along time."""

from __future__ import annotations

import numpy as np
import xarray as xr

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
    values = np.moveaxis(np.asarray(series.values, dtype=np.float64), series.dims.index("time"), 0)  # (time, ...)
    gaps = np.isnan(values)
    if gaps.any():
        rows = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
        source = np.maximum.accumulate(np.where(gaps, 0, rows))  # the last row with a value; 0 before the first
        source = np.where(source == 0, np.argmin(gaps, axis=0), source)
        values = np.take_along_axis(values, source, axis=0)
        values = np.where(np.isnan(values), rest, values)
    return series.copy(deep=False, data=np.moveaxis(values, 0, series.dims.index("time")))
