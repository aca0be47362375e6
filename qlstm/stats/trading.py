"""How a book trades: bias, instruments held, turnover, holding time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from .. import weights as algebra
from .._jit import kernel
from ..dates import day
from ..errors import DataError
from .defaults import calc_points_per_day, points_in_year
from .panel import Panel, by_asset, placed, series, times_of
from .ratios import window
from .returns import with_time
from .windows import rolling_moments, rolling_sums

__all__ = [
    "calc_avg_holding_time",
    "calc_avg_turnover",
    "calc_bias",
    "calc_instruments",
    "composition",
    "holding_times",
    "turnovers",
]

_SAME = 1e-7  # a smaller change of a weight is no trade


@kernel
def _composition(weights: np.ndarray, bias: np.ndarray, instruments: np.ndarray) -> None:
    """Write per row net over gross exposure, and how many assets had a weight in any row so far."""
    rows, assets = weights.shape
    seen = np.zeros(assets, dtype=np.bool_)
    count = 0
    for t in range(rows):
        net, gross = 0.0, 0.0
        for a in range(assets):
            net += weights[t, a]
            gross += abs(weights[t, a])
        if count < assets and gross > 0.0:
            for a in range(assets):
                if weights[t, a] != 0.0 and not seen[a]:
                    seen[a] = True
                    count += 1
        bias[t] = net / gross if gross > 0.0 else 0.0
        instruments[t] = count


def composition(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bias and number of instruments so far, both (time,), from weights (time, asset) without NaN."""
    bias, instruments = np.empty(len(weights)), np.empty(len(weights))
    _composition(np.ascontiguousarray(weights, dtype=np.float64), bias, instruments)
    return bias, instruments


def calc_bias(portfolio_history: Any, per_asset: bool = False) -> xr.DataArray:
    """Return how far a book leans: sum of weights over sum of absolute weights, 1 long only, -1 short only.

    Parameters
    ----------
    portfolio_history : xr.DataArray or Result
        Weights ``(time, asset)``.
    per_asset : bool
        Return the weights themselves.

    Returns
    -------
    xr.DataArray
        Dims ``(time,)`` or ``(time, asset)``; 0 for a row without positions.

    Raises
    ------
    WeightsError
        Weights without time or rows, or with an infinite one.
    """
    book = algebra.finite(with_time(portfolio_history)).fillna(0.0)
    return book if per_asset else series(composition(book.values)[0], times_of(book, "weights"))


def calc_instruments(portfolio_history: Any, per_asset: bool = False) -> xr.DataArray:
    """Return how many assets have been held so far; with `per_asset`, 1 everywhere.

    Parameters
    ----------
    portfolio_history : xr.DataArray or Result
        Weights ``(time, asset)``.
    per_asset : bool
        Return dims ``(time, asset)``.
    """
    book = algebra.finite(with_time(portfolio_history)).fillna(0.0)
    if per_asset:
        return xr.ones_like(book, dtype=np.float64)
    return series(composition(book.values)[1], times_of(book, "weights"))


@kernel
def _trades(
    weights: np.ndarray, open_: np.ndarray, at: np.ndarray, growth: np.ndarray, per_asset: bool, out: np.ndarray
) -> None:
    """Write what is traded at each open, as a share of capital, into `out`: (time, asset), or (time, 1) for the sum.

    The weights of a row are traded at the next open; until then those before have moved with their prices, and
    capital with `growth` (time, asset or 1), today's equity over yesterday's. `at` are the rows of `open_` to use.
    """
    rows, assets = weights.shape
    idle = np.zeros(assets)
    trade = np.empty(assets)
    for t in range(rows):
        want = weights[t - 1] if t > 0 else idle
        have = weights[t - 2] if t > 1 else idle
        now, before = open_[at[t]], open_[at[t] - 1]
        for a in range(assets):
            trade[a] = abs(want[a] - have[a] * now[a] / (before[a] * growth[t, a if growth.shape[1] > 1 else 0]))
            if at[t] == 0:  # no open before it
                trade[a] = np.nan
        if per_asset:
            out[t] = trade
        else:
            out[t, 0] = np.nansum(trade)


def turnovers(
    weights: np.ndarray, open_: np.ndarray, at: np.ndarray, equity: np.ndarray, per_asset: bool
) -> np.ndarray:
    """Return the share of capital traded per row, in all or per asset.

    Parameters
    ----------
    weights : np.ndarray
        Shape (time, asset), not lagged.
    open_ : np.ndarray
        Shape (more time, asset).
    at : np.ndarray
        The row of `open_` that belongs to each row of weights.
    equity : np.ndarray
        Shape (time,), or (time, asset) for one book per asset.

    Returns
    -------
    np.ndarray
        Shape (time,) or (time, asset).
    """
    columns = equity.reshape(len(equity), -1)
    growth = np.ones_like(columns)
    growth[1:] = columns[1:] / columns[:-1]
    out = np.empty((len(weights), weights.shape[1] if per_asset else 1))
    _trades(weights, open_, at, growth, per_asset, out)
    return out if per_asset else out[:, 0]


def calc_avg_turnover(
    portfolio_history: Any,
    equity: xr.DataArray,
    data: xr.DataArray,
    max_periods: int | None = None,
    min_periods: int = 1,
    per_asset: bool = False,
    points_per_year: float | None = None,
) -> xr.DataArray:
    """Return the capital traded per day, buying and selling both counted: its mean over the last year by default.

    Parameters
    ----------
    portfolio_history : xr.DataArray or Result
        Weights ``(time, asset)``, not lagged.
    equity : xr.DataArray
        Dims ``(time,)``, or ``(time, asset)`` for one book per asset; the result has its times.
    data : xr.DataArray
        Cube ``(field, time, asset)`` with the field open.
    max_periods : int, optional
        Rows in the window; by default `points_per_year`.
    min_periods : int
        Fewer valid rows than this give NaN.
    per_asset : bool
        One figure per asset.
    points_per_year : float, optional
        Rows in a year; 400 and more mean hourly rows. By default `calc_avg_points_per_year`, which later rows move.

    Returns
    -------
    xr.DataArray
        Dims ``(time,)`` or ``(time, asset)``, share of capital per day.

    Raises
    ------
    DataError, WeightsError
        Arrays without usable labels, equity on a date that data lack, or an argument out of range.
    """
    panel, times = Panel(data), times_of(equity, "equity")
    book = algebra.finite(with_time(portfolio_history))
    points = points_in_year(points_per_year, data)
    worth = equity.transpose("time", ...)
    if "asset" in worth.dims:
        worth = worth.reindex(asset=panel.assets)
    rows = panel.times.get_indexer(times)
    if (rows < 0).any():
        raise DataError(f"equity has {day(times[rows < 0][0])}, which data lack; cut both to the same dates")
    columns = by_asset(book.values, book.get_index("asset"), panel.assets)
    held = placed(columns, times_of(book, "weights"), times)
    traded = turnovers(held, panel["open"], rows, worth.values, per_asset)
    size, least = window(len(times), max(1, round(points)) if max_periods is None else max_periods, min_periods)
    mean = rolling_moments(traded, size, least)[0] * calc_points_per_day(points)
    return series(mean, times, panel.assets if per_asset else None)


@kernel
def _closings(weights: np.ndarray, cost: np.ndarray, spent: np.ndarray) -> None:
    """Write what each row closes: `cost`, the weight given up, and `spent`, that times the rows it was held.

    Both have shape (time, asset), or (time, 1) for the sum over assets. Weights are lagged one row here, and the last
    lagged row counts as 0, so that open positions are closed by it.
    """
    rows, assets = weights.shape
    total = cost.shape[1] == 1
    held = np.zeros(assets)  # rows held, averaged over what a position was built from
    last = np.zeros(assets)
    closed, aged = np.zeros(assets), np.zeros(assets)
    cost[:] = 0.0
    spent[:] = 0.0
    for t in range(1, rows):
        for a in range(assets):  # selections instead of branches: three times as fast on weights that move daily
            old = last[a]
            new = weights[t - 1, a] if t < rows - 1 else 0.0
            age = held[a] + 1.0
            was, now = abs(old), abs(new)
            trades = abs(new - old) >= _SAME
            flips = new * old < 0.0
            given_up = was if flips else max(was - now, 0.0)
            closed[a] = given_up if trades else 0.0
            aged[a] = closed[a] * age
            younger = 0.0 if flips else age * was / max(now, was, _SAME)
            held[a] = younger if trades else age
            last[a] = new if trades else old
        if total:
            cost[t, 0] = closed.sum()
            spent[t, 0] = aged.sum()
        else:
            cost[t] = closed
            spent[t] = aged


def holding_times(weights: np.ndarray, size: int, min_count: int, per_asset: bool) -> np.ndarray:
    """Return the rolling mean of rows a position was held, weighted by size, from weights (time, asset) not lagged."""
    shape = weights.shape if per_asset else (len(weights), 1)
    cost, spent = np.empty(shape), np.empty(shape)
    _closings(weights, cost, spent)
    closed = cost > 0  # only rows that close something count for `min_count`
    cost, spent = np.where(closed, cost, np.nan), np.where(closed, spent, np.nan)
    total = rolling_sums(cost, size, min_count)
    mean = np.divide(rolling_sums(spent, size, min_count), total, out=np.full(shape, np.nan), where=total > 0)
    return mean if per_asset else mean[:, 0]


def calc_avg_holding_time(
    portfolio_history: Any,
    max_periods: int | None = None,
    min_periods: int = 1,
    per_asset: bool = False,
    points_per_year: float | None = None,
) -> xr.DataArray:
    """Return for how many days a position is held on average, weighted by what was closed.

    A reduction closes part of a position, a change of side all of it, an increase makes it younger in proportion; what
    is open in the end is closed on the last row.

    Parameters
    ----------
    portfolio_history : xr.DataArray or Result
        Weights ``(time, asset)``.
    max_periods, min_periods : int
        As for `calc_volatility`.
    per_asset : bool
        One figure per asset.
    points_per_year : float, optional
        Rows in a year; 400 and more mean hourly rows. By default `calc_avg_points_per_year`, which later rows move.

    Returns
    -------
    xr.DataArray
        Dims ``(time,)`` or ``(time, asset)``, days; NaN until something was closed.

    Raises
    ------
    DataError, WeightsError
        Weights without time or rows, or with an infinite one, or an argument out of range.
    """
    book = algebra.finite(with_time(portfolio_history)).fillna(0.0)
    points = points_in_year(points_per_year, book)
    size, least = window(len(book), max_periods, min_periods)
    mean = holding_times(np.ascontiguousarray(book.values, dtype=np.float64), size, least, per_asset)
    return series(
        mean / calc_points_per_day(points), times_of(book, "weights"), book.get_index("asset") if per_asset else None
    )
