"""Windows of many assets as samples for one network: an index over the data, from which batches are cut."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..cube import locate
from ..dates import as_time, day
from ..errors import DataError
from .samples import in_order, matching

__all__ = ["Sequences"]


class Sequences:
    """Every complete window of `length` rows of one asset, with the target of its last row.

    A sample is known by its last row and its asset; it is a window of consecutive rows of the data up to and including
    that row, without a NaN in it, and never crosses from one asset to the next. Samples are ordered by time, then by
    the assets' names, so the order of assets in the data does not matter. Nothing is copied but the data, once, as
    float32: a million windows of 240 rows cost 16 MB of index.

    Parameters
    ----------
    X : xr.DataArray
        Inputs, dims ``(time, asset, feature)`` or ``(time, asset)`` for one feature.
    Y : xr.DataArray, optional
        Targets, dims ``(time, asset)`` with the labels of X; samples without one are left out. Without Y every
        complete window is a sample, to be scored.
    length : int
        Rows of a window.
    horizon : int
        Rows after its own that a target looks at, as `labels.horizon` returns it; what `split` purges.
    stride : int
        Every how many rows a window ends, counted from the first row that can.

    Attributes
    ----------
    X, Y : xr.DataArray
        As given, for whoever looks on.
    length, horizon, features : int
        As given, and the number of inputs of a row.
    rows, columns : np.ndarray
        ``(samples,)``: where each sample's last row and its asset are in `times` and `assets`.
    times : np.ndarray
        The data's calendar.
    assets : list of str
        By name.

    Raises
    ------
    DataError
        Labels of X and Y that differ, an infinite value, or a number out of range.
    """

    def __init__(
        self, X: xr.DataArray, Y: xr.DataArray | None = None, *, length: int, horizon: int = 2, stride: int = 1
    ) -> None:
        if min(length, stride) < 1 or horizon < 0:
            raise DataError(f"length and stride must be at least 1, horizon not below 0: {length}, {stride}, {horizon}")
        self.length, self.horizon = length, horizon
        self.X, self.Y = X, Y
        inputs = in_order(X)
        index = X.get_index("asset")
        order = np.argsort(np.array([str(asset) for asset in index]), kind="stable")
        self.assets, self._original = [str(index[i]) for i in order], order
        self.times = X["time"].values
        self._x = _float32(inputs[order], X, "inputs")  # (asset, time, feature)
        self.features = self._x.shape[2]
        wanted = self._complete()
        self._y = None if Y is None else _float32(matching(X, Y).values[order], Y, "targets")  # (asset, time)
        if self._y is not None:
            wanted &= ~np.isnan(self._y)
        wanted[:, np.arange(len(self.times)) % stride != (length - 1) % stride] = False
        rows, columns = np.nonzero(wanted.T)  # by time, then by asset
        self.rows, self.columns = rows.astype(np.int64), columns.astype(np.int64)

    def _complete(self) -> np.ndarray:
        """Return where a window without a NaN ends, (asset, time)."""
        gaps = np.isnan(self._x).any(axis=2)
        total = np.pad(np.cumsum(gaps, axis=1), ((0, 0), (1, 0)))
        complete = np.zeros(gaps.shape, dtype=bool)
        complete[:, self.length - 1 :] = total[:, self.length :] == total[:, : -self.length]
        return complete

    def __len__(self) -> int:
        return len(self.rows)

    def inputs(self, which: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the windows of some samples, ``(samples, length, feature)`` float32, a copy."""
        if not len(self.rows[which]):
            return np.empty((0, self.length, self.features), np.float32)
        # A view (asset, end, feature, length), of which only what is asked for is copied.
        windows = np.lib.stride_tricks.sliding_window_view(self._x, self.length, axis=1)
        cut = windows[self.columns[which], self.rows[which] - (self.length - 1)]
        return np.ascontiguousarray(cut.transpose(0, 2, 1))

    def targets(self, which: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the targets of some samples, ``(samples,)`` float32.

        Raises
        ------
        DataError
            When there are none.
        """
        if self._y is None:
            raise DataError("these sequences have no targets; give Y to learn from them")
        return self._y[self.columns[which], self.rows[which]]

    def take(self, which: np.ndarray) -> Sequences:
        """Return some of the samples, by place or by mask, over the same data."""
        some = copy.copy(self)
        some.rows, some.columns = self.rows[which], self.columns[which]
        return some

    def between(self, start: Any = None, end: Any = None) -> Sequences:
        """Return the samples whose last row is from `start` to `end`, both included; None is no bound."""
        low = 0 if start is None else self.times.searchsorted(as_time(start, "start"), "left")
        high = len(self.times) if end is None else self.times.searchsorted(as_time(end, "end"), "right")
        return self.take((self.rows >= low) & (self.rows < high))

    def split(self, share: float = 0.2, embargo: int | None = None) -> tuple[Sequences, Sequences]:
        """Return earlier samples to learn from, and the latest to validate on.

        Parameters
        ----------
        share : float
            Of the rows that end a sample, between 0 and 1: the latest so many are for validation.
        embargo : int, optional
            Rows between the last row that a target to learn from looks at and the first row to validate; `length`
            unless given, so that no row of data serves on both sides. With 0 windows may share rows, targets not.

        Returns
        -------
        tuple of Sequences
            Samples in between are left out.

        Raises
        ------
        DataError
            A share or an embargo out of range, or no sample left on one side.
        """
        embargo = self.length if embargo is None else embargo
        if not 0 < share < 1 or embargo < 0:
            raise DataError(f"a split wants a share between 0 and 1 and an embargo of 0 or more: {share}, {embargo}")
        ends = np.unique(self.rows)
        if len(ends) < 2:
            raise DataError(f"sequences of {self.length} rows end on {len(ends)} days; two are needed for a split")
        cut = ends[-min(max(1, round(share * len(ends))), len(ends) - 1)]
        earlier = self.take(self.rows <= cut - self.horizon - embargo)
        if not len(earlier):
            raise DataError(
                f"no sequence is left to learn from before {day(self.times[cut])}, less {self.horizon} rows of horizon "
                f"and {embargo} of embargo; give more data, a smaller share or a smaller embargo"
            )
        return earlier, self.take(self.rows >= cut)

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """Return as many places of samples as there are, in random order, the same number for every day.

        Days count alike, however many assets they have: samples of a day with few assets come several times, of one
        with many perhaps not at all. When all days have the same number, every sample comes once.
        """
        n = len(self)
        order = np.lexsort((rng.random(n), self.rows))  # within each day by lot
        share = 1.0 / np.bincount(self.rows)[self.rows]  # the same within a day, so in any order of it
        upto = np.cumsum(share / share.sum())
        # Systematic sampling: one lot for all, then steps of equal length.
        places = upto.searchsorted((np.arange(n) + rng.random()) / max(n, 1))
        return rng.permutation(order[np.minimum(places, n - 1)])

    def table(self, values: np.ndarray) -> xr.DataArray:
        """Return one value per sample as ``(time, asset)``, in the order of the data, NaN where there is no sample."""
        table = np.full((len(self.times), len(self.assets)), np.nan)
        table[self.rows, self._original[self.columns]] = values
        labels = {"time": pd.DatetimeIndex(self.times), "asset": self.X["asset"].values}
        return xr.DataArray(table, dims=("time", "asset"), coords=labels)


def _float32(values: np.ndarray, source: xr.DataArray, what: str) -> np.ndarray:
    """Return a copy as float32; refuse what float32 cannot hold."""
    with np.errstate(over="ignore"):
        converted = np.array(values, dtype=np.float32, order="C")
    if np.isinf(converted).any():
        big = np.abs(source.values) > np.finfo(np.float32).max
        raise DataError(f"{what} hold a value that is infinite in float32, {locate(source, big)}; use NaN")
    return converted
