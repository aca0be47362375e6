"""Forecasts that come in batches, kept until they are scored together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import DataError
from .cells import LABELLED, Scores, as_array

__all__ = ["Batches"]


class Batches:
    """Collects forecasts and outcomes batch by batch, and scores them as one: any split gives the same numbers.

    The cells themselves are kept, 16 bytes each: ranks, a permutation test and the persistence forecast of a batch's
    first row cannot be had from sums.

    Parameters
    ----------
    score : callable
        ``score(forecast, actual, **settings)``, one of this package: `regression`, say.

    Examples
    --------
    >>> batches = Batches(regression)
    >>> for inputs, outcomes in loader:
    ...     batches.add(network(inputs), outcomes)
    >>> print(batches.scores(known_after=2))
    """

    def __init__(self, score: Callable[..., Scores]) -> None:
        self._score = score
        self._given: list[tuple[Any, Any]] = []

    def add(self, forecast: Any, actual: Any) -> None:
        """Keep one batch: a copy, since loops use their buffers again.

        Parameters
        ----------
        forecast, actual : array-like
            Shape (row,) or (row, asset). With labels any rows and assets, in any order; without, the next rows of the
            same assets.
        """
        self._given.append((_copied(forecast), _copied(actual)))

    def scores(self, **settings: Any) -> Scores:
        """Return the scores of all batches so far.

        Parameters
        ----------
        **settings
            Of the scoring function.

        Raises
        ------
        DataError
            No batch, some with labels and others without, one cell in two batches, different assets without labels;
            and as the scoring function.
        """
        if not self._given:
            raise DataError("there is nothing to score; add(forecast, actual) first")
        forecasts, outcomes = zip(*self._given, strict=True)
        return self._score(_joined(forecasts, "forecast"), _joined(outcomes, "actual"), **settings)

    def reset(self) -> None:
        """Forget all batches."""
        self._given.clear()


def _copied(side: Any) -> Any:
    if isinstance(side, LABELLED):
        return as_array(side).copy()
    plain = side.detach() if hasattr(side, "detach") else side  # what a network in training returns
    return np.array(plain, dtype=np.float64)


def _joined(parts: Sequence[Any], name: str) -> Any:
    labelled = {isinstance(part, xr.DataArray) for part in parts}
    if len(labelled) > 1:
        raise DataError(f"some batches of {name} have labels, others none; label all, or none")
    try:
        return _by_label(parts, name) if labelled.pop() else np.concatenate(parts)
    except ValueError as error:  # numpy's and xarray's, of shapes and dims
        raise DataError(f"batches of {name} do not fit each other: {error}") from error


def _by_label(parts: Sequence[xr.DataArray], name: str) -> xr.DataArray:
    dims = parts[0].dims
    cells = pd.concat([part.transpose(*dims).to_series() for part in parts])
    twice = cells.index[cells.index.duplicated()]
    if len(twice):
        raise DataError(f"{name} of {twice[0]} is in two batches; add each cell once")
    return cells.to_xarray().sortby([dim for dim in dims if dim != "asset"])
