"""What a test answers, and the one way its samples are taken in: as finite numbers, or a named error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..dates import day
from ..errors import DataError

__all__ = ["Alternative", "Verdict", "pair", "sample", "tail"]

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class Verdict:
    """The outcome of one test.

    Parameters
    ----------
    test : str
        Its name.
    statistic : float
        NaN where it is undefined; the p-value is 1 then.
    p_value : float
        How often chance alone does as well.
    rows : int
        Observations it is based on.
    alternative : {"two-sided", "greater", "less"}
        What would count as evidence.
    note : str
        What a reader must know, else empty.
    """

    test: str
    statistic: float
    p_value: float
    rows: int
    alternative: Alternative = "two-sided"
    note: str = ""

    def rejects(self, level: float = 0.05) -> bool:
        """Return whether chance alone does as well in at most a share `level` of all cases."""
        return bool(self.p_value <= level)

    def __str__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        return f"{self.test}: {self.statistic:.3f}, p = {self.p_value:.3f} ({self.alternative}, n = {self.rows}){note}"


def sample(values: Any, what: str, least: int) -> np.ndarray:
    """Return one series as float64, shape (row,).

    Parameters
    ----------
    values : array-like
        Numbers, a ``pd.Series`` or an ``xr.DataArray`` with one dim.
    what : str
        What messages call it.
    least : int
        The fewest rows the test is good for.

    Raises
    ------
    DataError
        More than one dim, a value that is no finite number (with its date), or fewer than `least` rows.
    """
    try:
        series = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers, got {type(values).__name__}") from error
    if series.ndim != 1:
        raise DataError(f"{what} must have one dimension, got shape {series.shape}; test one series at a time")
    bad = ~np.isfinite(series)
    if bad.any():
        place = int(np.argmax(bad))
        fix = "drop or fill such rows first, knowingly"
        raise DataError(
            f"{what} have {int(bad.sum())} values that are not finite, first {_label(values, place)}; {fix}"
        )
    if len(series) < least:
        raise DataError(f"{what} have {len(series)} rows; this test needs at least {least}")
    return series


def pair(first: Any, second: Any, what: tuple[str, str], least: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two series of the same rows, see `sample`.

    Raises
    ------
    DataError
        As `sample`; or different lengths or labels.
    """
    one, other = sample(first, what[0], least), sample(second, what[1], least)
    if len(one) != len(other):
        raise DataError(f"{what[0]} have {len(one)} rows, {what[1]} {len(other)}; align them first")
    labels = _labels(first), _labels(second)
    if labels[0] is not None and labels[1] is not None and not labels[0].equals(labels[1]):
        place = int(np.argmax(labels[0] != labels[1]))
        raise DataError(
            f"{what[0]} and {what[1]} differ in row {place}: {_name(labels[0][place])}, {_name(labels[1][place])}; "
            "align them first"
        )
    return one, other


def tail(cumulative: float, alternative: Alternative) -> float:
    """Return the p-value of a statistic with a symmetric null distribution, from the share of it that lies below.

    Raises
    ------
    DataError
        For an unknown alternative.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise DataError(f"alternative must be 'two-sided', 'greater' or 'less', got {alternative!r}")
    if alternative == "two-sided":
        return 2.0 * min(cumulative, 1.0 - cumulative)
    return 1.0 - cumulative if alternative == "greater" else cumulative


def _labels(values: Any) -> pd.Index | None:
    """Return the labels of a series that has meaningful ones; a plain count of rows is none."""
    if isinstance(values, xr.DataArray):
        return values.get_index(values.dims[0]) if values.dims[0] in values.coords else None
    if isinstance(values, pd.Series) and not isinstance(values.index, pd.RangeIndex):
        return values.index
    return None


def _label(values: Any, place: int) -> str:
    labels = _labels(values)
    return f"row {place}" if labels is None else _name(labels[place])


def _name(label: Any) -> str:
    return day(label) if isinstance(label, pd.Timestamp) else str(label)
