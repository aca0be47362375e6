"""Which inputs go with the label: correlations, daily rank correlations, and what is left after counting the tries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import DataError
from ..metrics import rank_ic
from ..significance import holm, newey_west
from .samples import matched

__all__ = ["LabelCorrelation", "label_correlation"]

_LEAST_DAYS = 10  # that a Newey–West t needs
_LEVEL = 0.05
_BANDS = ((0.19, "very weak"), (0.39, "weak"), (0.59, "moderate"), (0.79, "strong"), (np.inf, "very strong"))


@dataclass(frozen=True, eq=False)
class LabelCorrelation:
    """How each input goes with the label.

    Parameters
    ----------
    table : pd.DataFrame
        One row per feature, the largest absolute t first: ``correlation`` over all cells and its ``band``; the mean
        daily rank correlation ``ic``, NaN where an input never differs between assets; ``test``, what ``t`` and ``p``
        are of ("ic", or "market": the daily mean of standardised products); ``bonferroni`` and ``holm``, p-values
        corrected for the number of inputs.
    chance : float
        How many inputs are expected below p = 0.05 if none knows anything.
    """

    table: pd.DataFrame
    chance: float

    @property
    def below_level(self) -> int:
        """How many inputs have p below 0.05, before any correction."""
        return int((self.table["p"] < _LEVEL).sum())

    @property
    def found(self) -> list[str]:
        """The inputs that pass Holm's correction at 0.05."""
        return [str(name) for name in self.table.index[self.table["holm"] < _LEVEL]]

    def __str__(self) -> str:
        counted = f"{self.below_level} of {len(self.table)} inputs below p = {_LEVEL}, {self.chance:.1f} expected"
        return f"{counted} by chance; after Holm: {', '.join(self.found) or 'none'}"


def label_correlation(features: xr.DataArray, label: xr.DataArray, lags: int | None = None) -> LabelCorrelation:
    """Correlate each feature with the label, cell by cell and day by day.

    Parameters
    ----------
    features : xr.DataArray
        Dims ``(time, asset, feature)``, known at the time they stand at.
    label : xr.DataArray
        Dims ``(time, asset)``, such as `labels.executed_return`.
    lags : int, optional
        Of the Newey–West t; for a label over k rows at least k - 1.

    Raises
    ------
    DataError
        As other dims and labels; a feature that is the label itself; one with fewer than 10 days to test on.
    QlstmError
        When statsmodels is missing.
    """
    given, happened = matched(features, label)
    names = [str(name) for name in given["feature"].values]
    rows = [_row(given.isel(feature=i, drop=True), happened, name, lags) for i, name in enumerate(names)]
    table = pd.DataFrame(rows, index=pd.Index(names, name="feature"))
    table["bonferroni"] = (table["p"] * len(table)).clip(upper=1.0)
    table["holm"] = holm(list(table["p"])).to_numpy()
    order = table["t"].abs().sort_values(ascending=False, kind="stable").index
    return LabelCorrelation(table.loc[order], _LEVEL * len(table))


def _row(column: xr.DataArray, label: xr.DataArray, name: str, lags: int | None) -> dict[str, object]:
    products = _products(column.values, label.values, name)
    correlation = float(np.nanmean(products))
    daily = rank_ic(column, label).values
    known = daily[np.isfinite(daily)]
    test = "ic" if len(known) >= _LEAST_DAYS else "market"
    if test == "market":
        counts = np.isfinite(products).sum(axis=1)
        sums = np.nansum(products, axis=1)
        known = (sums * (counts > 0).sum() / counts.sum())[counts > 0]  # their mean is the correlation
    if len(known) < _LEAST_DAYS or np.ptp(known) == 0:
        raise DataError(f"feature {name!r} has {len(known)} days with a label; a test needs {_LEAST_DAYS} that differ")
    verdict = newey_west(known, lags)
    band = next(word for bound, word in _BANDS if abs(correlation) < bound)
    ic = float(known.mean()) if test == "ic" else np.nan
    numbers = {"correlation": correlation, "band": band, "ic": ic, "test": test}
    return numbers | {"t": verdict.statistic, "p": verdict.p_value}


def _products(column: np.ndarray, label: np.ndarray, name: str) -> np.ndarray:
    """Return the products of both, each standardised over the cells that have both; their mean is the correlation."""
    both = np.isfinite(column) & np.isfinite(label)
    if (column[both] == label[both]).all() and both.any():
        raise DataError(f"feature {name!r} is the label itself; leave it out")
    x, y = np.where(both, column, np.nan), np.where(both, label, np.nan)
    deviations = []
    for side, what in ((x, f"feature {name!r}"), (y, "the label")):
        if both.sum() < 2 or not np.nanstd(side) > 0:
            raise DataError(f"{what} does not vary over the {int(both.sum())} cells where both are known; leave it out")
        deviations.append((side - np.nanmean(side)) / np.nanstd(side))
    return np.asarray(deviations[0] * deviations[1])
