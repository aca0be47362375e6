"""The algebra of one weight cube: labels to numbers and back, always by label, never by position.

Weights are `xr.DataArray`s with dims ``(time, asset)`` or ``(asset,)``: the share of capital held in each asset,
negative for a short position. A row is *normalised* when the sum of its absolute values is at most 1; the rest is cash.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ._labels import labelled_like
from .cube import locate
from .errors import QlstmError, WeightsError

__all__ = [
    "Rows",
    "blend",
    "calc_exposure",
    "check_dims",
    "check_labels",
    "finite",
    "gross",
    "infinite",
    "log_infinite",
    "normalize",
    "normalized",
    "of",
    "over_time",
]

_NO_POSITION = 1e-7  # a smaller gross exposure counts as none
_FULL = 1.0 + 1e-12  # a scaled row may add up to a little more than 1; it is not scaled again


def of(weights: Any) -> Any:
    """Return the weights of a `Result` (anything with ``.weights``), or what was given when it is none."""
    return weights if isinstance(weights, xr.DataArray) else getattr(weights, "weights", weights)


def check_dims(weights: object, what: str = "weights") -> xr.DataArray:
    """Return `weights` (or those of a Result) when they are numbers over asset, or time and asset, with unique labels.

    Raises
    ------
    WeightsError
        With the type, dims or first duplicate label found.
    """
    weights = of(weights)
    if not isinstance(weights, xr.DataArray):
        raise WeightsError(f"{what} must be an xarray.DataArray, got {type(weights).__name__}")
    if set(weights.dims) not in ({"asset"}, {"time", "asset"}):
        raise WeightsError(f"{what} must have dims (asset) or (time, asset), got {weights.dims}")
    if weights.dtype.kind not in "fiub":
        raise WeightsError(f"{what} must be numbers, got dtype {weights.dtype}")
    check_labels(weights, what, WeightsError)
    return weights


def check_labels(labelled: xr.DataArray, what: str, kind: type[QlstmError]) -> None:
    """Refuse, with an error of that kind, a dim without labels and a label that occurs twice."""
    for dim in labelled.dims:
        if dim not in labelled.coords:
            raise kind(f"{what} have no labels along {dim!r}; assign coords to it")
        index = labelled.get_index(dim)
        if not index.is_unique:
            raise kind(f"{what} name {dim} {index[index.duplicated()][0]!s} more than once")


def over_time(weights: Any) -> xr.DataArray:
    """Return the weights given (or those of a Result) when they are weights with a time dim; rows there may be none.

    Raises
    ------
    WeightsError
        As `check_dims`, or when they have no time.
    """
    book = check_dims(weights)
    if "time" not in book.dims:
        raise WeightsError("weights must have dims (time, asset) here, got (asset,); use expand_dims(time=[...])")
    return book


def infinite(weights: xr.DataArray) -> str:
    """Return how many weights are infinite, and the first: ``2 infinite weights, first ...``; empty where none is."""
    cells = np.isinf(weights.values)
    return f"{int(cells.sum())} infinite weights, first {locate(weights, cells)}" if cells.any() else ""


def finite(weights: xr.DataArray) -> xr.DataArray:
    """Return the weights given when none is infinite (NaN may be).

    Raises
    ------
    WeightsError
        With the first asset, and date, whose weight is infinite.
    """
    found = infinite(weights)
    if found:
        raise WeightsError(f"{found}; use output.normalize, which takes them as 0")
    return weights


def log_infinite(weights: xr.DataArray, log: logging.Logger) -> xr.DataArray:
    """Return the weights given; infinite ones are named in one warning."""
    found = infinite(weights)
    if found:
        log.warning("%s; use output.normalize, which takes them as 0", found)
    return weights


def gross(weights: xr.DataArray) -> xr.DataArray:
    """Return the sum of absolute weights over assets, NaN counted as 0."""
    return abs(weights).sum("asset")


def calc_exposure(weights: Any) -> xr.DataArray:
    """Return the share of each position in the book: absolute weight over the row's sum of them.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)`` or ``(asset,)``.

    Returns
    -------
    xr.DataArray
        The same dims, between 0 and 1. A row without positions is all 0.

    Raises
    ------
    WeightsError
        Wrong type or dims, or a label that occurs twice.
    """
    book = abs(check_dims(weights))
    total = book.sum("asset")
    return book / total.where(total > _NO_POSITION, 1.0)


def blend(new: xr.DataArray, previous: xr.DataArray | None, data: xr.DataArray, share: float = 0.5) -> xr.DataArray:
    """Return weights of one day averaged with earlier ones, by label, which lowers the turnover.

    Parameters
    ----------
    new : xr.DataArray
        Dims ``(asset,)``. An asset it lacks has 0.
    previous : xr.DataArray or None
        Dims ``(asset,)``. Where it has nothing, or 0, the new weight stands as it is. None on the first day.
    data : xr.DataArray
        What the strategy sees today: assets that it lacks are left out.
    share : float
        Of the new weight in the average.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: the assets of `new`, then those that only `previous` holds.

    Raises
    ------
    WeightsError
        Wrong type or dims, or a label that occurs twice.
    """
    if previous is None:
        return new
    labels, earlier = new.get_index("asset"), previous.get_index("asset")
    if labels.equals(earlier):
        return labelled_like(new, _averaged(new.values, previous.values, share))
    places = check_dims(new).get_index("asset").get_indexer(check_dims(previous).get_index("asset"))
    only = (places < 0) & (previous.values != 0) & (data.get_index("asset").get_indexer(earlier) >= 0)
    before = np.zeros(len(labels) + np.count_nonzero(only))
    before[places[places >= 0]] = previous.values[places >= 0]
    before[len(labels) :] = previous.values[only]
    values = _averaged(np.append(new.values, np.zeros(np.count_nonzero(only))), before, share)
    return xr.DataArray(values, dims="asset", coords={"asset": labels.append(earlier[only])})


def _averaged(new: np.ndarray, before: np.ndarray, share: float) -> np.ndarray:
    return np.where(before == 0, new, share * new + (1 - share) * before)


def normalize(weights: xr.DataArray, per_asset: bool = False) -> xr.DataArray:
    """Return weights whose rows use at most the whole capital, sorted by time and asset.

    Parameters
    ----------
    weights : xr.DataArray
        Dims ``(asset,)`` or ``(time, asset)`` in any order. Non-finite values count as 0.
    per_asset : bool
        Clip each weight to [-1, 1] instead of dividing each row by its gross exposure where that exceeds 1.

    Returns
    -------
    xr.DataArray
        Float64, the same dims in the order ``(time, asset)``, labels sorted; the name is kept.

    Raises
    ------
    WeightsError
        Wrong type or dims, or a label that occurs twice.
    """
    weights = check_dims(weights)
    name = weights.name
    order = [dim for dim in ("time", "asset") if dim in weights.dims]
    if list(weights.dims) != order:
        weights = weights.transpose(*order)
    for dim in order:
        if not weights.get_index(dim).is_monotonic_increasing:
            weights = weights.sortby(dim)
    given = weights.values
    values = normalized(given, per_asset)
    result = labelled_like(weights, values.copy() if values is given else values)
    result.name = name
    return result


def normalized(values: np.ndarray, per_asset: bool = False) -> np.ndarray:
    """Return `normalize` of plain numbers whose last axis is the asset: float64, the array itself where it is fine."""
    values = np.asarray(values, dtype=np.float64)
    total = np.asarray(np.abs(values).sum(axis=-1))
    if not np.isfinite(total).all():  # one look at the row sums finds every bad cell
        values = np.where(np.isfinite(values), values, 0.0)
        total = np.asarray(np.abs(values).sum(axis=-1))
    if per_asset:
        return values.clip(-1.0, 1.0) if (total > 1.0).any() else values
    full = total > 1.0
    if full.any():
        # Added one by one, a zero more or less changes no bit: a day alone is scaled as it is among other days, whose
        # union of assets is larger. (numpy's own sum groups its terms by position.)
        total[full] = np.cumsum(np.abs(values[full]), axis=-1)[..., -1]
        full = total > _FULL
    return values / np.where(full, total, 1.0)[..., np.newaxis] if full.any() else values


class Rows:
    """Collects one row of weights a day, by label; memory grows with the weights alone.

    Parameters
    ----------
    assets : pd.Index
        The assets of the data.
    days : int
        The most rows to come.
    """

    def __init__(self, assets: pd.Index, days: int) -> None:
        self._assets = assets
        self._values = np.zeros((days, len(assets)))
        self._seen = np.zeros(len(assets), dtype=bool)
        self._last: pd.Index | None = None
        self._places: Any = slice(None)
        self.times: list[np.datetime64] = []
        self._nans = 0
        self._first_nan = ""

    def add(self, t: np.datetime64, weights: xr.DataArray) -> None:
        """Book the weights (asset,) of day t; NaN counts as 0 and is counted."""
        labels = weights.get_index("asset")
        if labels is not self._last:  # the same index object day after day is the common case
            self._last = labels
            self._places = self._assets.get_indexer(labels)
        values = np.asarray(weights.values, dtype=np.float64)
        places = self._places
        if (places < 0).any():  # weight 0 for an asset the data lack: `engine.step` has refused any other
            values, places = values[places >= 0], places[places >= 0]
        gaps = np.isnan(values)
        if gaps.any():
            self._nans += int(gaps.sum())
            self._first_nan = self._first_nan or f"{self._assets[places[int(np.argmax(gaps))]]} {str(t)[:10]}"
            values = np.where(gaps, 0.0, values)
        self._values[len(self.times), places] = values
        self._seen[places] = True
        self.times.append(t)

    def weights(self) -> xr.DataArray:
        """Return all rows, dims (time, asset), over the assets that ever occurred."""
        assets = self._assets[self._seen].to_numpy(dtype=object)
        return xr.DataArray(
            self._values[: len(self.times), self._seen],
            dims=("time", "asset"),
            coords={"time": np.array(self.times, dtype="datetime64[ns]"), "asset": assets},
        )

    def notes(self) -> list[str]:
        """Return what a reader of the weights should know: how many were NaN."""
        if not self._nans:
            return []
        return [f"predict returned {self._nans} NaN weights, first {self._first_nan}; they count as 0"]

    def parts(self) -> dict[str, Any]:
        """Return all that was booked as plain values and arrays, for `restore`."""
        times = np.array(self.times, dtype="datetime64[ns]")
        values, gaps = self._values[: len(times)], (self._nans, self._first_nan)
        return {"times": times, "values": values, "seen": self._seen, "gaps": gaps}

    def restore(self, parts: dict[str, Any]) -> None:
        """Book what other rows over the same assets had booked."""
        self.times = list(parts["times"])
        self._values[: len(self.times)] = parts["values"]
        self._seen[:] = parts["seen"]
        self._nans, self._first_nan = parts["gaps"]
