"""Scores, masks and earlier weights of one day, matched by label once: what every builder starts from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from .. import weights as algebra
from ..errors import WeightsError

__all__ = ["Day", "one_day"]


def one_day(values: xr.DataArray, what: str) -> tuple[pd.Index, np.ndarray]:
    """Return labels and float64 numbers (asset,), finite or NaN.

    Raises
    ------
    WeightsError
        No array of numbers over asset alone, a label that occurs twice, or an infinite value.
    """
    if isinstance(values, xr.DataArray) and values.dtype.kind == "b":
        values = values.astype(np.float64)
    checked = algebra.check_dims(values, what)
    if checked.dims != ("asset",):
        raise WeightsError(f"{what} must have dims (asset,), got {checked.dims}; use isel(time=-1, drop=True)")
    assets, numbers = checked.get_index("asset"), checked.values.astype(np.float64)
    if np.isinf(numbers).any():
        label = assets[int(np.argmax(np.isinf(numbers)))]
        raise WeightsError(f"{what} are infinite for asset {label}; use NaN where there is none")
    return assets, numbers


class Day:
    """What is known on one day, as arrays over the assets of the scores.

    Parameters
    ----------
    scores : xr.DataArray
        Dims ``(asset,)``.
    liquid : xr.DataArray or None
        Dims ``(asset,)``, above 0 where an asset can be traded; one that it lacks cannot, all can without it.

    Attributes
    ----------
    assets : pd.Index
    liquid : np.ndarray
        bool.
    scores : np.ndarray
        NaN where unknown or not liquid.
    slot : float
        One over the number of liquid assets, 1 where there is none.
    """

    def __init__(self, scores: xr.DataArray, liquid: xr.DataArray | None) -> None:
        self.assets, numbers = one_day(scores, "scores")
        self.liquid = np.ones(len(numbers), dtype=bool)
        if liquid is not None:
            self.liquid = self._over(liquid, "liquid") > 0
        self.scores = np.where(self.liquid, numbers, np.nan)
        self.slot = 1.0 / max(1, int(self.liquid.sum()))

    def before(self, previous: xr.DataArray | None) -> np.ndarray:
        """Return the weights of the day before, 0 where there was none."""
        return np.zeros(len(self.assets)) if previous is None else self._over(previous, "previous")

    def ranked(self, sign: float = 1.0) -> np.ndarray:
        """Return the places of the known scores, highest ``sign · score`` first, ties by label."""
        by_label = np.argsort(self.assets.to_numpy(), kind="stable")
        known = by_label[~np.isnan(self.scores[by_label])]
        return known[np.argsort(-sign * self.scores[known], kind="stable")]

    def weights(self, values: np.ndarray) -> xr.DataArray:
        """Label values (asset,)."""
        return xr.DataArray(values, dims="asset", coords={"asset": self.assets.to_numpy()})

    def _over(self, values: xr.DataArray, what: str) -> np.ndarray:
        """Return values over the assets of this day, 0 for unknown ones and NaN."""
        assets, numbers = one_day(values, what)
        places = assets.get_indexer(self.assets)
        padded = np.append(np.where(np.isnan(numbers), 0.0, numbers), 0.0)
        return padded[places]  # -1, not found, is the 0 at the end
