"""Forecasts beside outcomes, matched by label: the cells that count, and the table of scores made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import DataError
from ..significance import Verdict

__all__ = ["LABELLED", "LEAST", "Cells", "Scores", "aligned", "as_array", "cells_of"]

LABELLED = (xr.DataArray, pd.Series, pd.DataFrame)
"""What is matched by label; everything else by position."""
LEAST = 10
"""Cells, or days of a cross-section, below which nothing is scored."""


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one forecast and of its base rates.

    Parameters
    ----------
    kind : str
        Which function made it.
    table : pd.DataFrame
        One row per metric; the first column is the forecast, the others need no skill.
    tests : tuple of Verdict
        How often chance does as well.
    cells : int
        Cells scored.
    left_out : int
        Cells without a forecast, an outcome or an earlier outcome.
    """

    kind: str
    table: pd.DataFrame
    tests: tuple[Verdict, ...]
    cells: int
    left_out: int

    def __getitem__(self, metric: str) -> float:
        return float(self.table["forecast"][metric])

    def __str__(self) -> str:
        head = f"{self.kind}: {self.cells} cells scored, {self.left_out} left out"
        text = self.table.to_string(float_format=lambda value: f"{value:.4f}", na_rep="–")
        return "\n".join([head, text, *map(str, self.tests)])


@dataclass(frozen=True, eq=False)
class Cells:
    """Forecast and outcome as matrices (row, asset), NaN where a cell does not count, and the outcome known before."""

    forecast: np.ndarray
    actual: np.ndarray
    before: np.ndarray
    left_out: int

    def flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the counting cells of the three, shape (cell,)."""
        kept = np.isfinite(self.actual)
        return self.forecast[kept], self.actual[kept], self.before[kept]

    def scores(self, kind: str, columns: dict[str, dict[str, float]], *tests: Verdict) -> Scores:
        """Return the result, one column per entry."""
        return Scores(kind, pd.DataFrame(columns), tests, int(np.isfinite(self.actual).sum()), self.left_out)


def aligned(forecast: Any, actual: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays as float64 matrices (row, asset) over the labels both have; arrays without any, by position.

    Raises
    ------
    DataError
        Different shapes or dims, labels on one side only, no common label, or infinite values.
    """
    labelled = [isinstance(side, LABELLED) for side in (forecast, actual)]
    if all(labelled):
        given, happened = xr.align(*(as_array(side) for side in (forecast, actual)), join="inner")
        if set(given.dims) != set(happened.dims):
            raise DataError(f"forecast has dims {given.dims}, actual {happened.dims}; give both the same")
        order = [*(dim for dim in given.dims if dim != "asset"), *(dim for dim in given.dims if dim == "asset")]
        forecast, actual = given.transpose(*order).values, happened.transpose(*order).values
    elif any(labelled):
        raise DataError("one of forecast and actual has labels, the other none; label both, or neither")
    sides = np.asarray(forecast, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if sides[0].shape != sides[1].shape or sides[0].ndim not in (1, 2):
        raise DataError(f"forecast has shape {sides[0].shape}, actual {sides[1].shape}; want (row[, asset]) twice")
    for name, side in zip(("forecast", "actual"), sides, strict=True):
        if np.isinf(side).any():
            raise DataError(
                f"{name} is infinite in row {np.argwhere(np.isinf(side))[0][0]}; use NaN where there is none"
            )
    return tuple(side.reshape(len(side), -1) for side in sides)  # type: ignore[return-value]


def as_array(side: Any) -> xr.DataArray:
    """Return one of `LABELLED` as an array, pandas' with dims ``(time[, asset])``."""
    if isinstance(side, xr.DataArray):
        return side
    return xr.DataArray(side.to_numpy(), dims=("time", "asset")[: side.ndim], coords=list(side.axes))


def cells_of(forecast: Any, actual: Any, known_after: int) -> Cells:
    """Return the cells that have a forecast, an outcome and an outcome known before.

    Raises
    ------
    DataError
        As `aligned`; fewer than 10 such cells, or a `known_after` below 1.
    """
    given, happened = aligned(forecast, actual)
    if not (isinstance(known_after, (int, np.integer)) and known_after >= 1):
        raise DataError(f"known_after must be a whole number of rows of at least 1, got {known_after!r}")
    before = np.full_like(happened, np.nan)
    before[known_after:] = happened[:-known_after]
    counts = np.isfinite(given) & np.isfinite(happened) & np.isfinite(before)
    if counts.sum() < LEAST:
        raise DataError(f"{int(counts.sum())} cells have forecast, outcome and earlier outcome; it needs {LEAST}")
    given, happened, before = (np.where(counts, side, np.nan) for side in (given, happened, before))
    return Cells(given, happened, before, int((~counts).sum()))
