"""What a series is: numpy (time is the last axis), pandas (rows are time) or a DataArray (with a dim `time` anywhere).

Whatever goes in comes out: the same kind, dims, order and labels, without a name. Series of one call are aligned by
label; numpy arrays, which have none, by position.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .._labels import labelled_like
from ..errors import DataError

__all__ = ["SeriesT", "aligned", "like", "numbers", "time_axis"]

SeriesT = TypeVar("SeriesT", NDArray[Any], pd.Series, pd.DataFrame, xr.DataArray)


def time_axis(series: Any) -> int:
    """Return which axis of a series is time.

    Raises
    ------
    DataError
        Not a series, or a DataArray without a dim `time`.
    """
    if isinstance(series, np.ndarray):
        if series.ndim == 0:
            raise DataError(f"an indicator needs a series whose last axis is time, got the single number {series}")
        return series.ndim - 1
    if isinstance(series, xr.DataArray):
        if "time" not in series.dims:
            raise DataError(f"a DataArray needs a dim 'time' to run an indicator along, got dims {series.dims}")
        return series.dims.index("time")
    if isinstance(series, (pd.Series, pd.DataFrame)):
        return 0
    raise DataError(f"an indicator takes a DataArray, a pandas or a numpy series, got {type(series).__name__}")


def numbers(series: Any) -> NDArray[Any]:
    """Return the values as they are, if they are real numbers.

    Raises
    ------
    DataError
        Strings, objects, dates or complex numbers.
    """
    if isinstance(series, np.ndarray):
        values = series
    else:
        values = _frame_values(series) if isinstance(series, (pd.Series, pd.DataFrame)) else series.values
    if values.dtype.kind not in "fiub":
        raise DataError(f"an indicator needs real numbers, got dtype {values.dtype}; convert the series to float")
    return values


def _frame_values(frame: pd.Series | pd.DataFrame) -> NDArray[Any]:
    dtypes = [frame.dtype] if isinstance(frame, pd.Series) else list(frame.dtypes.unique())
    if len(dtypes) == 1 and isinstance(dtypes[0], np.dtype):
        return frame.to_numpy()
    for dtype in dtypes:
        if not pd.api.types.is_numeric_dtype(dtype):
            raise DataError(f"an indicator needs real numbers, got a column of dtype {dtype}; convert it to float")
    return frame.to_numpy(dtype=np.float64, na_value=np.nan)  # mixed columns, or pandas' own dtypes with their NA


def like(series: Any, values: NDArray[np.float64]) -> Any:
    """Return values in the container of a series, without its name and attributes, which do not describe them."""
    if isinstance(series, np.ndarray):
        return values
    if isinstance(series, xr.DataArray):
        result = labelled_like(series, values)
        result.name = None
        result.attrs = {}
        return result
    if isinstance(series, pd.DataFrame):
        return pd.DataFrame(values, index=series.index, columns=series.columns, copy=False)
    return pd.Series(values, index=series.index, copy=False)


def aligned(first: Any, other: Any) -> Any:
    """Return `other` with the dims, the order and the labels of `first`.

    Raises
    ------
    DataError
        Another kind of series, other dims or shapes, or a label that one of the two lacks or has twice.
    """
    if isinstance(first, xr.DataArray) and isinstance(other, xr.DataArray):
        return _aligned_array(first, other)
    if isinstance(first, pd.DataFrame) and isinstance(other, pd.DataFrame):
        return _aligned_frame(first, other)
    if isinstance(first, pd.Series) and isinstance(other, pd.Series):
        return other if first.index.equals(other.index) else other.iloc[_positions(first.index, other.index, "row")]
    if isinstance(first, np.ndarray) and isinstance(other, np.ndarray):
        if first.shape != other.shape:
            raise DataError(f"arrays have no labels to align by, so shapes must match: {first.shape} and {other.shape}")
        return other
    raise DataError(
        f"the series of one indicator must be of one kind, got {type(first).__name__} and {type(other).__name__}"
    )


def _aligned_array(first: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    if first.dims != other.dims:
        if set(first.dims) != set(other.dims):
            raise DataError(f"the series of one indicator must share their dims, got {first.dims} and {other.dims}")
        other = other.transpose(*first.dims)
    for dim in first.dims:
        wanted, found = first.get_index(dim), other.get_index(dim)
        if not (wanted is found or wanted.equals(found)):
            other = other.isel({dim: _positions(wanted, found, str(dim))})
    return other


def _aligned_frame(first: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    if not first.index.equals(other.index):
        other = other.iloc[_positions(first.index, other.index, "row")]
    if not first.columns.equals(other.columns):
        other = other.iloc[:, _positions(first.columns, other.columns, "column")]
    return other


def _positions(wanted: pd.Index, found: pd.Index, dim: str) -> NDArray[np.intp]:
    """Return where each wanted label is among those found, which must be the same labels in any order."""
    for index in (wanted, found):
        if not index.is_unique:
            label = index[index.duplicated()][0]
            raise DataError(f"{dim} {label!s} occurs twice, so the series cannot be aligned by label; drop one")
    for place, absent in (("second", wanted.difference(found)), ("first", found.difference(wanted))):
        if len(absent):
            raise DataError(f"{dim} {absent[0]!s} is missing from the {place} of two series; reindex them to match")
    return found.get_indexer(wanted)
