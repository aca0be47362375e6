"""From labelled inputs and targets to what one model learns from: its rows, one sequence after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import xarray as xr

from ..errors import DataError
from .descent import Validation

__all__ = ["Joined", "Rows", "Sample", "Samples", "Source", "in_order", "matching"]


@dataclass(frozen=True)
class Rows:
    """Complete rows of one model: x ``(N, features)``, y ``(N,)``, both float32.

    `starts` ``(sequences + 1,)`` holds the first row of each sequence, then N; `counted` ``(N,)`` tells which rows the
    loss looks at, None for all.
    """

    x: np.ndarray
    y: np.ndarray
    starts: np.ndarray
    counted: np.ndarray | None = None


@dataclass(frozen=True)
class Sample:
    """What one model learns from, and, where some rows are held out, what tells it when to stop."""

    name: str
    train: Rows
    late: Rows | None


class Source(Protocol):
    """Samples by name, in order; `features` is the number of inputs of a row."""

    features: int

    def __iter__(self) -> Iterator[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, name: str) -> Sample: ...


def in_order(X: xr.DataArray) -> np.ndarray:
    """Return inputs as ``(asset, time, feature)``; one feature may be given without its dimension.

    Raises
    ------
    DataError
        When X is no labelled array, there are other dims, or an asset comes twice.
    """
    if not isinstance(X, xr.DataArray):
        what = f"{type(X).__name__}; xr.concat([...], 'feature') joins several arrays"
        raise DataError(f"inputs want one xarray.DataArray (time, asset, feature), got {what}")
    dims = list(X.dims)
    values = X.values
    if "feature" not in dims:
        dims, values = [*dims, "feature"], values[..., None]
    if set(dims) != {"time", "asset", "feature"}:
        raise DataError(f"inputs want dims (time, asset, feature), got {X.dims}")
    assets = X.get_index("asset")
    if not assets.is_unique:
        raise DataError(f"inputs hold asset {assets[assets.duplicated()][0]} twice; drop one of them")
    return values.transpose([dims.index(dim) for dim in ("asset", "time", "feature")])


def matching(X: xr.DataArray, Y: xr.DataArray) -> xr.DataArray:
    """Return targets as ``(asset, time)``, their labels known to be those of the inputs.

    Raises
    ------
    DataError
        When Y is no labelled array, or has other dims or labels.
    """
    if not isinstance(Y, xr.DataArray) or set(Y.dims) != {"time", "asset"}:
        got = Y.dims if isinstance(Y, xr.DataArray) else type(Y).__name__
        raise DataError(f"targets want dims (time, asset), got {got}")
    for dim in ("time", "asset"):
        if not X.get_index(dim).equals(Y.get_index(dim)):
            raise DataError(f"X and Y have different {dim} labels; reindex one like the other")
    return Y.transpose("asset", "time")


class Samples:
    """The samples of a fit, in order, each cut out of the data when it is asked for.

    Parameters
    ----------
    X, Y : xr.DataArray
        Inputs, dims ``(time, asset, feature)`` or ``(time, asset)``, and targets ``(time, asset)``.
    groups : mapping of str to str, str, or None
        Asset -> group; one group's name for all assets; None for a model per asset. An asset in no group is left out.
    validation : Validation, optional
        What is held out.

    Raises
    ------
    DataError
        When X and Y do not share their labels, or have other dims.
    """

    def __init__(
        self, X: xr.DataArray, Y: xr.DataArray, groups: Mapping[str, str] | str | None, validation: Validation | None
    ) -> None:
        inputs, targets = in_order(X), matching(X, Y)
        with np.errstate(over="ignore"):  # what float32 cannot hold is reported as infinite, by asset
            # Copies, since a fit may be put off and the caller may go on with its arrays.
            self._x = np.array(inputs, dtype=np.float32, order="C")  # (asset, time, feature)
            self._y = np.array(targets.values, dtype=np.float32, order="C")  # (asset, time)
        self._times, self._validation = X["time"].values, validation
        self.assets = [str(asset) for asset in X.get_index("asset")]
        self.members = self._grouped(groups)
        named = {self.assets[i]: name for name, places in self.members.items() for i in places}
        self.groups = {} if groups is None else named
        self.features = inputs.shape[2]

    def _grouped(self, groups: Mapping[str, str] | str | None) -> dict[str, list[int]]:
        """Return name of model -> places of its assets."""
        members: dict[str, list[int]] = {}
        for i, asset in enumerate(self.assets):
            name = asset if groups is None else groups if isinstance(groups, str) else groups.get(asset)
            if name is not None:
                members.setdefault(str(name), []).append(i)
        for places in members.values():  # sums are in this order, which must not be that of the caller's assets
            places.sort(key=lambda i: self.assets[i])
        return members

    @property
    def nbytes(self) -> int:
        """Bytes of the data held."""
        return self._x.nbytes + self._y.nbytes

    def usable(self) -> list[str]:
        """Return the names that have a sample: a complete row, and no infinite value."""
        gaps = np.logical_or.reduce(np.isnan(self._x), axis=2) | np.isnan(self._y)  # (asset, time)
        complete = ~np.logical_and.reduce(gaps, axis=1)  # (asset,)
        broken = np.logical_or.reduce(np.isinf(self._x), axis=2) | np.isinf(self._y)  # (asset, time)
        infinite = np.logical_or.reduce(broken, axis=1)
        return [name for name, places in self.members.items() if complete[places].any() and not infinite[places].any()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, name: str) -> Sample:
        """Return one model's sample.

        Raises
        ------
        DataError
            When it has no complete row, or an infinite value.
        """
        sequences = [self._sequence(i) for i in self.members[name]]
        sequences = [(x, y) for x, y in sequences if len(y)]
        if not sequences:
            raise DataError(f"{name} has no row with both inputs and target: no network fitted")
        held = [self._held_out(len(y)) for _, y in sequences]
        train = [(x[: len(y) - k], y[: len(y) - k]) for (x, y), k in zip(sequences, held, strict=True)]
        late = None
        if any(held):
            counted = np.concatenate(
                [np.arange(len(y)) >= len(y) - k for (_, y), k in zip(sequences, held, strict=True)]
            )
            late = _joined(sequences, counted)
        return Sample(name, _joined(train), late)

    def _sequence(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the complete rows of one asset."""
        x, y = self._x[i], self._y[i]
        if np.isinf(x).any() or np.isinf(y).any():
            when = str(self._times[np.argmax(np.isinf(x).any(axis=1) | np.isinf(y))])[:10]
            what = "target" if np.isinf(y).any() else "input"
            raise DataError(
                f"{self.assets[i]} has an infinite {what} on {when}: no network fitted; clip it or make it NaN"
            )
        rows = ~(np.isnan(x).any(axis=1) | np.isnan(y))
        return (x, y) if rows.all() else (x[rows], y[rows])

    def _held_out(self, rows: int) -> int:
        """Return how many of the latest rows a sequence does not learn from."""
        if self._validation is None or rows < 2:
            return 0
        return min(max(1, round(rows * self._validation.fraction)), rows - 1)


class Joined:
    """The samples of several fits, one fit after the other.

    Parameters
    ----------
    parts : sequence of Samples
        Of equally many features. The names of the i-th begin with ``"i:"``.
    """

    def __init__(self, parts: Sequence[Samples]) -> None:
        self.features = parts[0].features
        self._homes = {f"{i}:{name}": (part, name) for i, part in enumerate(parts) for name in part}

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)

    def __getitem__(self, name: str) -> Sample:
        """Return one model's sample; errors are those of `Samples`."""
        part, inner = self._homes[name]
        return replace(part[inner], name=name)


def _joined(sequences: list[tuple[np.ndarray, np.ndarray]], counted: np.ndarray | None = None) -> Rows:
    starts = np.cumsum([0] + [len(y) for _, y in sequences])
    if len(sequences) == 1:
        return Rows(*sequences[0], starts, counted)
    return Rows(np.concatenate([x for x, _ in sequences]), np.concatenate([y for _, y in sequences]), starts, counted)
