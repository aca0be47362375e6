"""Stock prices before and after splits.

``split_cumprod`` is the factor that turns a price as it was quoted on a day into one comparable with the newest day: a
four-for-one split makes it 0.25 on all earlier days.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..cube import locate
from ..errors import DataError

__all__ = ["adjust_by_splits", "restore_origin_data"]

_PER_SHARE = ("open", "low", "high", "close", "divs")
_SHARES = ("vol",)


def adjust_by_splits(data: xr.DataArray) -> xr.DataArray:
    """Return the cube with prices and dividends times ``split_cumprod`` and volume divided by it.

    Parameters
    ----------
    data : xr.DataArray
        Cube of prices as quoted, with field ``split_cumprod``.

    Returns
    -------
    xr.DataArray
        A new float64 cube of the same dims, labels and name; other fields, ``split_cumprod`` included, are unchanged.

    Raises
    ------
    DataError
        When the cube has no field ``split_cumprod``, or a factor in it is not positive and finite.
    """
    return _scale(data, _factor(data))


def restore_origin_data(data: xr.DataArray) -> xr.DataArray:
    """Return the cube with prices as they were quoted: the inverse of `adjust_by_splits`.

    Parameters
    ----------
    data : xr.DataArray
        Cube of split-adjusted prices, with field ``split_cumprod``.

    Returns
    -------
    xr.DataArray
        A new float64 cube of the same dims, labels and name.

    Raises
    ------
    DataError
        As for `adjust_by_splits`.
    """
    return _scale(data, 1.0 / _factor(data))


def _factor(data: xr.DataArray) -> xr.DataArray:
    if "field" not in data.coords or "split_cumprod" not in data["field"].values:
        raise DataError("data has no field 'split_cumprod', without which prices cannot be scaled by splits")
    factor = data.sel(field="split_cumprod", drop=True).astype(np.float64)
    bad = (factor.values <= 0) | np.isinf(factor.values)
    if bad.any():
        raise DataError(
            f"data has a split_cumprod that is not positive and finite at {locate(factor, bad)}; correct it"
        )
    return factor


def _scale(data: xr.DataArray, factor: xr.DataArray) -> xr.DataArray:
    """Multiply what is counted per share by `factor`, dims ``(time, asset)``, and divide what counts shares by it."""
    result = data.astype(np.float64)  # a copy, and one that does not truncate where the cube holds whole numbers
    for fields, by in ((_PER_SHARE, factor), (_SHARES, 1.0 / factor)):
        for field in fields:
            if field in data["field"].values:
                result.loc[{"field": field}] = data.sel(field=field) * by
    return result
