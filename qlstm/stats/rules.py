"""What a contest checks in weights: exposure, liquidity, missed dates, sectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import weights as algebra
from ..errors import DataError, WeightsError
from ..weights import calc_exposure
from .panel import Panel, times_of
from .windows import rolling_sums

__all__ = ["calc_exposure", "calc_non_liquid", "calc_sector_distribution", "check_exposure", "find_missed_dates"]

_NO_SECTOR = ("", "n/a", None)


def check_exposure(
    weights: Any,
    soft_limit: float = 0.05,
    hard_limit: float = 0.1,
    days_tolerance: float = 0.02,
    excess_tolerance: float = 0.02,
    avg_period: int = 252,
    check_period: int = 1260,
) -> bool:
    """Return whether no asset dominates the book: the exposure rule of the stocks contests.

    The largest exposure never exceeds `hard_limit`, and over any `avg_period` of the last `check_period` rows either
    the share of days above `soft_limit` or the mean excess over it stays within its tolerance. Exposure is relative
    to the positions held, so a book of fewer than 20 equal positions always fails the default limits.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)``.
    soft_limit, hard_limit : float
        Share of the book in one asset.
    days_tolerance : float
        Share of days on which the soft limit may be exceeded.
    excess_tolerance : float
        Mean over days of the summed exposure above the soft limit.
    avg_period, check_period : int
        Rows, at least 1.

    Raises
    ------
    WeightsError
        For weights without time or with an infinite one, or a period below 1.
    """
    for name, rows in (("avg_period", avg_period), ("check_period", check_period)):
        if rows < 1:
            raise WeightsError(f"{name} must be at least 1 row, got {rows}")
    exposure = calc_exposure(algebra.finite(algebra.over_time(weights)))
    shares = np.nan_to_num(exposure.transpose("time", "asset").values)
    if not shares.size:
        return True
    largest = shares.max(axis=1)
    if (largest > hard_limit).any():
        return False
    recent, window = shares[-check_period:], min(avg_period, len(shares))
    days = _worst_mean((recent > soft_limit).any(axis=1).astype(float), window)
    excess = _worst_mean((recent - soft_limit).clip(min=0.0).sum(axis=1), window)
    return days <= days_tolerance or excess <= excess_tolerance


def _worst_mean(values: np.ndarray, window: int) -> float:
    """Return the largest mean of `values` over any whole window."""
    size = min(window, len(values))
    return float(np.nanmax(rolling_sums(values, size, size))) / size


def calc_non_liquid(data: xr.DataArray, weights: Any) -> xr.DataArray:
    """Return the positions held where ``is_liquid`` is 0.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with the field ``is_liquid``; without it nothing is illiquid.
    weights : xr.DataArray or Result
        Dims ``(time, asset)``.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)`` over the times and assets concerned only; the other cells are NaN.
    """
    book, panel = algebra.over_time(weights), Panel(data)
    positions = panel.align(book)
    if "is_liquid" not in panel:
        return panel.array(positions)[:0, :0]
    held = (panel["is_liquid"] == 0) & (np.abs(positions) > 0)
    rows, columns = held.any(axis=1), held.any(axis=0)
    return panel.array(np.where(held, positions, np.nan)).isel(time=rows, asset=columns)


def find_missed_dates(weights: Any, data: xr.DataArray) -> np.ndarray:
    """Return the trading days after the first weights for which there are none.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)``.
    data : xr.DataArray
        Cube ``(field, time, asset)``. A day trades when an asset is liquid or, where ``is_liquid`` is absent, has a
        close.

    Returns
    -------
    np.ndarray
        Dates, ``datetime64[ns]``, ascending.
    """
    panel, dates = Panel(data), times_of(algebra.over_time(weights), "weights")
    if not len(dates):
        return np.array([], dtype="datetime64[ns]")
    trades = (panel["is_liquid" if "is_liquid" in panel else "close"] > 0).any(axis=1)
    missed = panel.times[trades & (panel.times >= dates.min()) & ~panel.times.isin(dates)]
    return missed.values.astype("datetime64[ns]")


def calc_sector_distribution(
    weights: Any, timeseries: Any = None, sectors: Iterable[Mapping[str, Any]] = ()
) -> xr.DataArray:
    """Return how much of the capital sits in each sector, day by day.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)``.
    timeseries : array of dates, optional
        The days wanted; days without weights are all cash.
    sectors : iterable of mapping
        One per asset, with ``id`` and ``sector``. Assets without one count as ``Other``.

    Returns
    -------
    xr.DataArray
        Dims ``(time, sector)``: absolute weights over max(1, their sum), and ``Cash``, what is left.
    """
    book = algebra.over_time(weights)
    if isinstance(sectors, str):
        raise DataError(f"sectors must be a list of {{id, sector}}, got {sectors!r}: asset lists are not kept here")
    if timeseries is not None:
        days = pd.DatetimeIndex(np.asarray(timeseries))
        book = book.reindex(time=days, fill_value=0.0)
    shares = abs(algebra.normalize(book))
    of_asset = {str(entry["id"]): entry.get("sector") for entry in sectors}
    named = [of_asset.get(str(asset)) for asset in shares["asset"].values]
    label = np.array(["Other" if name in _NO_SECTOR else str(name) for name in named], dtype=object)
    order = sorted(set(label))
    values = np.column_stack([shares.values[:, label == sector].sum(axis=1) for sector in order])
    cash = 1.0 - values.sum(axis=1, keepdims=True)
    return xr.DataArray(
        np.hstack([values, cash]),
        dims=("time", "sector"),
        coords={"time": shares["time"].values, "sector": [*order, "Cash"]},
    )
