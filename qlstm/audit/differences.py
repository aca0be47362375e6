"""Where two runs of `train` differ, and whether as they may: by a scaler, or by ranks of the whole window."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .findings import change

__all__ = ["TAIL", "first_moved", "is_scaled", "keeps_order", "set_early"]

_LINE = 1e-6  # largest relative distance from that line
_MOST = 0.5  # of all values: so many change where assets are compared with others than before
TAIL = 22
"""Rows at the end of a training window, where labels may not be known yet."""


def first_moved(before: list[xr.DataArray], after: list[xr.DataArray], until: np.datetime64) -> dict[str, Any] | None:
    """Return the first cell up to `until` that differs in one of several pairs, over the labels both share."""
    for one, other in zip(before, after, strict=False):
        same_assets = set(one["asset"].values) == set(other["asset"].values)
        one, other = xr.align(one, other, join="inner")
        rest = [dim for dim in one.dims if dim not in ("time", "asset")]
        one, other = (x.sel(time=slice(None, until)).transpose("time", "asset", *rest) for x in (one, other))
        a, b = one.values.astype(float), other.values.astype(float)
        differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if differ.any():
            cell = tuple(np.argwhere(differ)[0])
            return {
                "time": one["time"].values[cell[0]],
                "asset": one["asset"].values[cell[1]],
                "value": change(a[cell], b[cell]),
                "is_scaled": is_scaled(a, b),
                "is_compared": not same_assets and differ.sum() > _MOST * (~np.isnan(a)).sum(),
            }
    return None


def is_scaled(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether one array is the other times a factor plus an offset, for each asset and feature."""
    one, other = (x.reshape(len(x), -1) for x in (one, other))
    for a, b in zip(one.T, other.T, strict=True):
        known = ~np.isnan(a) & ~np.isnan(b)
        if known.sum() < 3 or np.ptp(a[known]) == 0:
            continue
        line = np.polynomial.Polynomial.fit(a[known], b[known], 1)
        if np.abs(line(a[known]) - b[known]).max() > _LINE * max(np.ptp(b[known]), 1e-300):
            return False
    return True


def keeps_order(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether no two values of an asset have changed places, as ranks, quantiles and scalers leave them."""
    for a, b in zip(one.T, other.T, strict=True):
        known = ~np.isnan(a) & ~np.isnan(b)
        order = np.lexsort((b[known], a[known]))
        if (np.diff(b[known][order]) < 0).any():
            return False
    return True


def set_early(one: xr.DataArray, other: xr.DataArray) -> dict[str, Any] | None:
    """Return the first label in `one` that is set, and another in `other`, which knows later rows."""
    shared = [asset for asset in one["asset"].values if asset in other.get_index("asset")]
    same_assets = len(shared) == one.sizes["asset"] == other.sizes["asset"]
    one = one.transpose("time", "asset").sel(asset=shared)
    a, b = one.values.astype(float), other.reindex_like(one).transpose("time", "asset").values.astype(float)
    differ = ~np.isnan(a) & (a != b)
    early = differ[: max(len(differ) - TAIL, len(differ) // 2)].any()  # a table of quarters has few rows
    # Labels scaled or ranked over the whole window, or compared between other assets, differ everywhere, and rightly.
    if not differ.any() or (early and (not same_assets or is_scaled(a, b) or keeps_order(a, b))):
        return None
    row, column = np.argwhere(differ)[0]
    return {
        "time": one["time"].values[row],
        "asset": one["asset"].values[column],
        "value": change(a[row, column], b[row, column]),
        "same_assets": same_assets,
    }
