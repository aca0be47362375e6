"""Choose assets day by day: the calmest, the best, the n with the largest or smallest of anything."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from . import ta
from .errors import DataError
from .stats.panel import Panel, whole
from .stats.table import calc_stat
from .stats.windows import rolling_moments

__all__ = [
    "calc_rolling_metric",
    "filter_by_normalized_atr",
    "filter_sharpe_ratio",
    "filter_volatility",
    "filter_volatility_rolling",
    "rank_assets_by",
]

Metric = Literal["std", "mean"]


def rank_assets_by(data: xr.DataArray, criterion: xr.DataArray, top_assets: int, ascending: bool) -> xr.DataArray:
    """Mark the first `top_assets` of each day by `criterion`.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``, whose times and assets the result has.
    criterion : xr.DataArray
        Dims ``(time, asset)``; NaN is never marked, nor is a day or an asset that it lacks. Ties share their average
        rank, so a tie across the border may mark fewer, or more, than asked.
    top_assets : int
        How many, at least 1.
    ascending : bool
        True marks the smallest, False the largest.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``: 1 marked, 0 not.

    Raises
    ------
    DataError
        A cube without usable labels, a criterion without those dims, with other dtypes than numbers or that shares no
        time or no asset with data, or a count that is no whole number of at least 1.
    """
    panel = Panel(data)
    if set(criterion.dims) != {"time", "asset"}:
        raise DataError(f"the criterion must have dims (time, asset), got ({', '.join(map(str, criterion.dims))})")
    if criterion.dtype.kind not in "fiub":
        raise DataError(f"the criterion must be numbers, got dtype {criterion.dtype}")
    top_assets = whole("top_assets", top_assets)
    for dim, known in (("time", panel.times), ("asset", panel.assets)):
        if not known.isin(criterion.get_index(dim)).any():
            raise DataError(f"the criterion and data share no {dim}; data have {known[0]}, ...: nothing can be ranked")
    aligned = criterion.transpose("time", "asset").reindex(time=panel.times, asset=panel.assets)
    values = np.asarray(aligned.values, dtype=np.float64)
    return panel.array(_first(values if ascending else -values, top_assets))


def _first(values: np.ndarray, count: int) -> np.ndarray:
    """Return 1.0 where the average rank of a cell in its row is at most `count`, else 0.0; NaN has no rank.

    Only cells equal to the count-th smallest can straddle the border, so one partition a row replaces sorting it.
    """
    if count >= values.shape[1]:
        return (~np.isnan(values)).astype(np.float64)
    border = np.partition(values, count - 1, axis=1)[:, count - 1 : count]  # NaN sorts last: NaN when fewer are known
    below, level = values < border, values == border
    ranks = below.sum(axis=1, keepdims=True) + (level.sum(axis=1, keepdims=True) + 1) / 2
    marked = below | (level & (ranks <= count)) | (np.isnan(border) & ~np.isnan(values))
    return marked.astype(np.float64)


def calc_rolling_metric(condition: xr.DataArray, rolling_window: int, metric: Metric = "std") -> xr.DataArray:
    """Return the rolling population deviation or mean over `rolling_window` rows.

    Parameters
    ----------
    condition : xr.DataArray
        A dim time, and others.
    rolling_window : int
        Rows, at least 1; fewer, or a NaN among them, give NaN.
    metric : {"std", "mean"}
        Which.

    Returns
    -------
    xr.DataArray
        Time first.

    Raises
    ------
    DataError
        No time dim, a window below 1 row, or another metric.
    """
    if "time" not in condition.dims:
        raise DataError(f"a dim time is needed, got ({', '.join(map(str, condition.dims))})")
    if metric not in ("std", "mean"):
        raise DataError(f"no such metric {metric!r}; use 'std' or 'mean'")
    rolling_window = whole("the rolling window", rolling_window, " row")
    series = condition.transpose("time", ...)
    if rolling_window > len(series):
        return xr.full_like(series, np.nan, dtype=np.float64)
    mean, std = rolling_moments(series.values, rolling_window, rolling_window)
    return series.copy(data=std if metric == "std" else mean)


def filter_volatility(
    data: xr.DataArray, rolling_window: int, top_assets: int, metric: Metric = "std", ascending: bool = True
) -> xr.DataArray:
    """Mark the assets whose daily change of the close deviates least (or, by metric and order, is largest, ...).

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with the field close.
    rolling_window : int
        Rows of changes, all of which must be known.
    top_assets : int
        How many to mark each day.
    metric : {"std", "mean"}
        What is taken over the window.
    ascending : bool
        True marks the smallest.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``: 1 marked, 0 not.

    Raises
    ------
    DataError
        As for `rank_assets_by` and `calc_rolling_metric`.
    """
    panel = Panel(data)
    close = panel["close"]
    change = np.full_like(close, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        change[1:] = (close[1:] - close[:-1]) / close[:-1]
    return rank_assets_by(data, calc_rolling_metric(panel.array(change), rolling_window, metric), top_assets, ascending)


def filter_by_normalized_atr(
    data: xr.DataArray, top_assets: int, ma_period: int = 90, ascending: bool = True
) -> xr.DataArray:
    """Mark the assets whose average true range is the smallest (or largest) part of their close.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with high, low and close.
    top_assets : int
        How many to mark each day.
    ma_period : int
        Rows in the average.
    ascending : bool
        True marks the smallest.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``: 1 marked, 0 not.
    """
    panel = Panel(data)
    high, low, close = (panel.array(panel[field]) for field in ("high", "low", "close"))
    return rank_assets_by(data, 100.0 * ta.atr(high, low, close, ma_period) / close, top_assets, ascending)


def filter_sharpe_ratio(data: xr.DataArray, weights: Any, top_assets: int) -> xr.DataArray:
    """Mark the assets whose weights, each as a book of its own, have had the best Sharpe ratio so far.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``.
    weights : xr.DataArray or Result
        Dims ``(time, asset)``.
    top_assets : int
        How many to mark each day.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``: 1 marked, 0 not.
    """
    ratios = calc_stat(data, weights, per_asset=True).sel(field="sharpe_ratio", drop=True)
    return rank_assets_by(data, ratios, top_assets, ascending=False)


def filter_volatility_rolling(
    data: xr.DataArray,
    weights: Any,
    top_assets: int,
    rolling_window: int,
    metric: Metric = "std",
    ascending: bool = True,
) -> xr.DataArray:
    """Mark the assets by a rolling metric of the volatility that their weights, each as a book of its own, have had.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``.
    weights : xr.DataArray or Result
        Dims ``(time, asset)``.
    top_assets, rolling_window, metric, ascending
        As for `filter_volatility`.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``: 1 marked, 0 not.
    """
    volatility = calc_stat(data, weights, per_asset=True).sel(field="volatility", drop=True)
    return rank_assets_by(data, calc_rolling_metric(volatility, rolling_window, metric), top_assets, ascending)
