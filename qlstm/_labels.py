"""Values under the labels of another array: what indicators and weights do all the time, and xarray does slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    import numpy as np

__all__ = ["labelled_like"]


def labelled_like(array: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    """Return values under the labels, name and attributes of an array.

    The same as ``array.copy(deep=False, data=values)``, which copies every index and costs six times as much
    (34 against 6 µs for a window of 155 rows and 100 assets): a fifth of the seed strategy's predict.

    Parameters
    ----------
    array : xr.DataArray
        Any dims.
    values : np.ndarray
        The same shape.

    Returns
    -------
    xr.DataArray
        Holds `values` itself.

    Raises
    ------
    ValueError
        Another shape.
    """
    if values.shape != array.shape:
        raise ValueError(f"values of shape {values.shape} for labels of shape {array.shape}")
    variable = xr.Variable(array.dims, values, dict(array.attrs), fastpath=True)
    # Copies that share the values: what is written to the result's coordinates must not reach those of a window.
    coords = {name: coord.copy(deep=False) for name, coord in array._coords.items()}
    return array._replace(variable, coords, indexes=dict(array._indexes))
