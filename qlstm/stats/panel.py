"""A cube and weights as aligned arrays: labels are matched here, in one place, for every statistic."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import weights as algebra
from .._jit import kernel
from ..cube import locate
from ..dates import day
from ..errors import DataError, WeightsError

__all__ = [
    "Panel",
    "arrange_data",
    "by_asset",
    "placed",
    "series",
    "times_of",
    "traded_rows",
    "warn_strange",
    "whole",
]

_LOG = logging.getLogger("qlstm.stats")

_DIMS = ("field", "time", "asset")


class Panel:
    """The fields of a cube as float64 matrices ``(time, asset)``, by name.

    Parameters
    ----------
    data : xr.DataArray
        Dims ``(field, time, asset)`` in any order, times ascending; missing values are NaN.
    present_only : bool
        Leave out the times and the assets that are NaN in every field and sort the assets, as the contest's books do.

    Raises
    ------
    DataError
        Wrong type, dims or dtype, a label that occurs twice, or times that do not ascend; when a field is taken, one
        that is not there or holds an infinity.
    """

    def __init__(self, data: xr.DataArray, present_only: bool = False) -> None:
        values = _checked(data)
        self.name = None if data.name is None else str(data.name)
        self.fields = [str(field) for field in data.get_index("field")]
        self.times = pd.DatetimeIndex(data.get_index("time"))
        self.assets = data.get_index("asset")
        self._rows: np.ndarray | slice = slice(None)
        self._columns: np.ndarray | slice = slice(None)
        self._values = values
        self._finite: set[str] = set()
        if present_only:
            self._keep_present()

    def _keep_present(self) -> None:
        rows = np.zeros(len(self.times), dtype=np.bool_)
        columns = np.zeros(len(self.assets), dtype=np.bool_)
        _present(self._values, rows, columns)
        if not rows.all():
            self._rows, self.times = np.flatnonzero(rows), self.times[rows]
        if not (columns.all() and self.assets.is_monotonic_increasing):
            order = np.argsort(self.assets)
            self._columns = order[columns[order]]
            self.assets = self.assets[self._columns]

    @property
    def is_whole(self) -> bool:
        """Whether no time and no asset was left out or moved."""
        return isinstance(self._rows, slice) and isinstance(self._columns, slice)

    def __contains__(self, field: str) -> bool:
        return field in self.fields

    def __getitem__(self, field: str) -> np.ndarray:
        if field not in self.fields:
            raise DataError(f"data lack field {field!r}; they have {', '.join(self.fields)}")
        matrix = np.ascontiguousarray(self.pick(self._values[self.fields.index(field)]), dtype=np.float64)
        if field not in self._finite:  # infinity times a weight of 0 is NaN: one such cell would falsify a whole book
            if np.isinf(matrix).any():
                where = locate(self.array(matrix), np.isinf(matrix))
                raise DataError(f"data have an infinite {field} at {where}; use NaN where there is none")
            self._finite.add(field)
        return matrix

    def get(self, field: str) -> np.ndarray:
        """Return a field, or a matrix of shape (0, 0) where the cube lacks it."""
        return self[field] if field in self else np.empty((0, 0))

    def pick(self, matrix: np.ndarray) -> np.ndarray:
        """Cut a matrix over the whole cube's (time, asset) to those of this panel."""
        return matrix if self.is_whole else np.ascontiguousarray(matrix[self._rows][:, self._columns])

    def align(self, weights: xr.DataArray) -> np.ndarray:
        """Return weights (time, asset) as a matrix of this panel; 0 where they lack a label."""
        book = weights.transpose("time", "asset")
        columns = by_asset(book.values, book.get_index("asset"), self.assets)
        return placed(columns, times_of(book, "weights"), self.times)

    def array(self, values: np.ndarray, name: str | None = None) -> xr.DataArray:
        """Label a matrix (time, asset) of this panel."""
        return xr.DataArray(
            values, dims=("time", "asset"), coords={"time": self.times, "asset": self.assets}, name=name
        )


def _checked(data: object) -> np.ndarray:
    """Return the values (field, time, asset) of a cube whose labels are usable; its prices are not examined."""
    if not isinstance(data, xr.DataArray):
        raise DataError(f"data must be an xarray.DataArray, got {type(data).__name__}")
    if set(data.dims) != set(_DIMS):
        raise DataError(f"data must have dims (field, time, asset), got ({', '.join(map(str, data.dims))})")
    if data.dtype.kind not in "fiu":
        raise DataError(f"data must be numbers, got dtype {data.dtype}; use astype(float)")
    algebra.check_labels(data, "data", DataError)
    times = times_of(data, "data")
    if not times.is_monotonic_increasing:
        late = int(np.flatnonzero(times[1:] < times[:-1])[0]) + 1
        raise DataError(f"data are not sorted: {day(times[late])} follows {day(times[late - 1])}; use sortby('time')")
    # Transposing costs as much as a kernel, even where it changes nothing.
    return (data if data.dims == _DIMS else data.transpose(*_DIMS)).values


def times_of(labelled: xr.DataArray, what: str) -> pd.DatetimeIndex:
    """Return the time labels of a cube or of weights.

    Raises
    ------
    DataError
        When they are not dates.
    """
    index = labelled.get_index("time")
    if not isinstance(index, pd.DatetimeIndex) or index.hasnans:
        raise DataError(f"{what} have times of dtype {index.dtype} or missing ones; use pd.to_datetime")
    return index


def whole(name: str, value: Any, unit: str = "") -> int:
    """Return an argument when it is a whole number of at least 1.

    Raises
    ------
    DataError
        When it is not.
    """
    if not isinstance(value, (int, np.integer)):
        raise DataError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise DataError(f"{name} must be at least 1{unit}, got {value}")
    return int(value)


def warn_strange(book: xr.DataArray, panel: Panel) -> None:
    """Log, in one line, the assets and dates of weights that the panel lacks and that are therefore left out."""
    strange = []
    for dim, known in (("asset", panel.assets), ("time", panel.times)):
        index = book.get_index(dim)
        if index.equals(known):
            continue
        unknown = index[~index.isin(known)]
        if len(unknown):
            first = day(unknown[0]) if dim == "time" else unknown[0]
            strange.append(f"{len(unknown)} {'dates' if dim == 'time' else 'assets'}, first {first}")
    if strange:
        _LOG.warning("weights of what the data lack are left out: %s", "; ".join(strange))


@kernel
def _present(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    """Mark the rows and columns that hold a value in some field; real cubes are done after the first field."""
    for f in range(values.shape[0]):
        missing = 0
        for t in range(values.shape[1]):
            for a in range(values.shape[2]):
                x = values[f, t, a]
                if x == x:
                    rows[t] = True
                    columns[a] = True
        for t in range(rows.size):
            missing += not rows[t]
        for a in range(columns.size):
            missing += not columns[a]
        if missing == 0:
            return


def by_asset(values: np.ndarray, columns: pd.Index, assets: pd.Index) -> np.ndarray:
    """Return a matrix with assets `columns` over `assets`, float64; 0 where it has no such asset.

    Raises
    ------
    WeightsError
        When it has assets, but none of `assets`.
    """
    values = np.asarray(values, dtype=np.float64)
    if not columns.equals(assets):
        take = columns.get_indexer(assets)
        if len(columns) and not (take >= 0).any():
            known = assets[0] if len(assets) else "none"
            raise WeightsError(f"weights and data share no asset: weights have {columns[0]}, ..., data {known}, ...")
        values, found = np.zeros((len(values), len(assets))), values
        values[:, take >= 0] = found[:, take[take >= 0]]
    return np.ascontiguousarray(values)


def placed(values: np.ndarray, rows: pd.DatetimeIndex, times: pd.DatetimeIndex) -> np.ndarray:
    """Return a matrix with dates `rows` over the dates `times`; 0 where it has no such date."""
    if rows.equals(times):
        return values
    place = times.get_indexer(rows)
    out = np.zeros((len(times), values.shape[1]))
    out[place[place >= 0]] = values[place >= 0]
    return out


def traded_rows(rows: pd.DatetimeIndex, times: pd.DatetimeIndex) -> np.ndarray:
    """Return, for each of `times`, which of `rows` is traded at its open: the one before its own; negative for none.

    Weights decided at t are traded at the next open, and "next" is counted in the rows of the weights.

    Raises
    ------
    WeightsError
        When no date of `rows` is in `times`.
    """
    known = rows.get_indexer(times)
    if not (known >= 0).any():
        spans = [f"{day(dates.min())} to {day(dates.max())}" if len(dates) else "none" for dates in (rows, times)]
        raise WeightsError(f"weights and data share no date: weights have {spans[0]}, data {spans[1]}")
    return known - 1


def series(values: np.ndarray, times: pd.DatetimeIndex, assets: pd.Index | None = None) -> xr.DataArray:
    """Label a statistic: shape (time,) or, with `assets`, (time, asset)."""
    if assets is None:
        return xr.DataArray(values, dims=("time",), coords={"time": times})
    return xr.DataArray(values, dims=("time", "asset"), coords={"time": times, "asset": assets})


def arrange_data(
    data: xr.DataArray, weights: Any, per_asset: bool = False, *others: xr.DataArray
) -> tuple[xr.DataArray, ...]:
    """Bring a cube, weights and other arrays to the cube's labels.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``. Times and assets that are NaN in every field are dropped,
        assets are sorted.
    weights : xr.DataArray or Result
        Dims ``(time, asset)``. Rows and assets the cube lacks are left out, those it has and the weights lack are 0.
    per_asset : bool
        Clip each weight to [-1, 1] instead of normalising each row.
    *others : xr.DataArray
        Arrays with dims time, asset or both; missing cells become NaN.

    Returns
    -------
    tuple of xr.DataArray
        The cube, the weights, then the others.

    Raises
    ------
    DataError, WeightsError
        Wrong types, dims or labels.
    """
    panel = Panel(data, present_only=True)
    cube = data.transpose(*_DIMS)
    if not panel.is_whole:
        cube = cube.sel(time=panel.times, asset=panel.assets)
    book = algebra.over_time(weights)
    arranged = panel.array(algebra.normalized(panel.align(book), per_asset))
    labels = {"time": panel.times, "asset": panel.assets}
    matched = (other.reindex({dim: labels[dim] for dim in labels if dim in other.dims}) for other in others)
    return (cube, arranged.rename(book.name), *matched)
