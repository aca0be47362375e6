"""`calc_stat`: everything about one portfolio in one table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import weights as algebra
from .defaults import calc_points_per_day, points_in_year
from .panel import Panel, by_asset, placed, times_of, traded_rows, warn_strange
from .ratios import mean_returns, window
from .returns import Booking, night_returns, slippages, with_time
from .trading import composition, holding_times, turnovers
from .windows import rolling_moments

__all__ = ["STATISTICS", "calc_stat"]

STATISTICS = (
    "equity",
    "relative_return",
    "volatility",
    "underwater",
    "max_drawdown",
    "sharpe_ratio",
    "mean_return",
    "bias",
    "instruments",
    "avg_turnover",
    "avg_holding_time",
)
"""The fields of `calc_stat`, in order."""


def calc_stat(
    data: xr.DataArray,
    portfolio_history: Any,
    slippage_factor: float | None = None,
    roll_slippage_factor: float | None = None,
    min_periods: int = 1,
    max_periods: int | None = None,
    per_asset: bool = False,
    points_per_year: float | None = None,
    locked: Booking = "compat",
) -> xr.DataArray:
    """Return every statistic of a portfolio, by default in the contest's own booking, with its known flaw.

    ``locked="compat"`` forgets the shares of an asset that has no price and carries their value at the last open, so a
    loss on its last day comes back as a gain two days later; contests rank by these numbers. ``locked="hold"`` values
    locked positions at the last close, and keeps them until a price returns or the asset is gone.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with open, high, low and close; divs and roll are used where present. Its name, if
        a contest's, decides slippage and, below 251 rows, points per year.
    portfolio_history : xr.DataArray or Result
        Weights ``(time, asset)``; they are normalised first. Those of assets or dates the cube lacks are left out.
    slippage_factor, roll_slippage_factor : float, optional
        Cost of trading (of rolling a future) as a share of the average true range, see `calc_slippage`.
    min_periods, max_periods : int
        Least and most rows in the window of a rolling statistic; by default all rows from the start.
    per_asset : bool
        One portfolio per asset, each with the whole capital.
    points_per_year : float, optional
        Rows in a year, by default `calc_avg_points_per_year`. That is counted over the whole cube, so past rows of
        volatility, mean_return and sharpe_ratio move when later rows come; pass a number to hold them still.
    locked : {"compat", "hold"}
        See above.

    Returns
    -------
    xr.DataArray
        Dims ``(time, field)``, or ``(time, field, asset)``, over the cube's times; the fields are `STATISTICS`. Returns
        and what follows from them, and turnover, start at the first weights (NaN before); returns, volatility, mean
        return and drawdowns are shares of capital, turnover a share per day, holding time days.

    Raises
    ------
    DataError, WeightsError
        A cube or weights without usable labels, or an argument out of range.
    """
    panel = Panel(data, present_only=True)
    points = points_in_year(points_per_year, data)
    book = with_time(portfolio_history)
    decided = times_of(book, "weights")
    if not decided.is_monotonic_increasing:
        book, decided = book.sortby("time"), decided.sort_values()
    weights = by_asset(algebra.normalized(book.values, per_asset), book.get_index("asset"), panel.assets)
    warn_strange(book, panel)
    costs = slippages(data, panel, slippage_factor, roll_slippage_factor, points)
    change = night_returns(panel, weights, traded_rows(decided, panel.times), *costs, locked, per_asset)

    start = int(panel.times.searchsorted(decided[0]))
    size, least = window(len(panel.times), max_periods, min_periods)
    held = placed(weights, decided, panel.times)
    found = _of_returns(change[start:], size, least, points)
    per_day = calc_points_per_day(points)
    rows = np.arange(start, len(held))
    traded = turnovers(held[start:], panel["open"], rows, found["equity"], per_asset)
    found["avg_turnover"] = rolling_moments(traded, size, least)[0] * per_day
    found["bias"], found["instruments"] = (held, np.ones_like(held)) if per_asset else composition(held)
    found["avg_holding_time"] = holding_times(held, size, least, per_asset) / per_day
    return _table(found, panel.times, panel.assets if per_asset else None)


def _of_returns(change: np.ndarray, size: int, least: int, points: float) -> dict[str, np.ndarray]:
    """Return the statistics that follow from returns (time,) or (time, asset)."""
    equity = np.cumprod(1.0 + change, axis=0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        underwater = equity / np.maximum.accumulate(equity, axis=0) - 1.0
        volatility = rolling_moments(change, size, least)[1] * np.sqrt(points)
        mean = (mean_returns(change, size, least) + 1.0) ** points - 1.0
        sharpe = mean / volatility
    return {
        "equity": equity,
        "relative_return": change,
        "volatility": volatility,
        "underwater": underwater,
        "max_drawdown": np.minimum.accumulate(underwater, axis=0),
        "sharpe_ratio": sharpe,
        "mean_return": mean,
    }


def _table(found: dict[str, np.ndarray], times: pd.DatetimeIndex, assets: pd.Index | None) -> xr.DataArray:
    """Stack statistics into one array; those that start late are NaN before."""
    shape = (len(times), len(STATISTICS)) if assets is None else (len(times), len(STATISTICS), len(assets))
    values = np.full(shape, np.nan)
    for i, name in enumerate(STATISTICS):
        if len(found[name]):
            values[-len(found[name]) :, i] = found[name]
    coords = {"time": times, "field": list(STATISTICS)}
    if assets is None:
        return xr.DataArray(values, dims=("time", "field"), coords=coords)
    return xr.DataArray(values, dims=("time", "field", "asset"), coords={**coords, "asset": assets})
