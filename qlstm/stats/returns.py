"""From weights to returns: slippage, the relative return of a book, equity."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
import xarray as xr

from .. import weights as algebra
from .._jit import kernel
from ..dates import day
from ..errors import DataError, WeightsError
from .books import asset_books, global_book
from .defaults import calc_points_per_day, get_default_slippage, points_in_year
from .panel import Panel, by_asset, series, times_of, traded_rows, warn_strange, whole

__all__ = [
    "Booking",
    "calc_equity",
    "calc_relative_return",
    "calc_slippage",
    "night_returns",
    "slippage_matrix",
    "slippages",
    "with_time",
]

Booking = Literal["compat", "hold"]
_DAYS = 14
_LOG = logging.getLogger("qlstm.stats")


@kernel
def _mean_range(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, lag: int, size: int, factor: float, out: np.ndarray
) -> None:
    """Write `factor` times the mean true range of the last `size` rows, each gap filled with the value before it.

    The true range is the span of a row's high, low and the close `lag` rows before. NaN anywhere in the window leaves a
    gap. Sums are those of `windows`: tails of a block of rows, heads of the next.
    """
    rows, assets = high.shape
    ranges = np.full((size, assets), np.nan)  # the rows of the current block
    tails = np.zeros((size + 1, assets))
    head, last, unknown = np.zeros(assets), np.full(assets, np.nan), np.full(assets, np.nan)
    for t in range(rows):
        place = t % size
        if place == 0:
            if t > 0:
                for k in range(size - 1, -1, -1):
                    for a in range(assets):
                        tails[k, a] = tails[k + 1, a] + ranges[k, a]
            head[:] = 0.0
        h, l = high[t], low[t]
        c = close[t - lag] if t >= lag else unknown
        tail, now, mean = tails[place + 1], ranges[place], out[t]
        for a in range(assets):
            span = max(h[a], c[a]) - min(l[a], c[a])
            now[a] = span + 0.0 * (h[a] + l[a] + c[a])  # NaN where one is missing, whatever max makes of it
            head[a] += now[a]
            whole = (tail[a] + head[a]) * factor / size
            last[a] = whole if t >= size - 1 and whole == whole else last[a]
            mean[a] = last[a]


def _extreme(values: np.ndarray, size: int, largest: bool) -> np.ndarray:
    """Return the rolling maximum or minimum over `size` rows; NaN where the window is short or has a gap."""
    if size == 1:
        return values
    out = np.full_like(values, np.nan)
    if len(values) >= size:
        windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=0)
        out[size - 1 :] = windows.max(axis=-1) if largest else windows.min(axis=-1)
    return out


def slippage_matrix(panel: Panel, days: int, fract: float, points_per_year: float) -> np.ndarray:
    """Return `calc_slippage` of a panel as a matrix (time, asset)."""
    days = whole("period_days", days)
    if not 0 <= fract < np.inf:
        raise DataError(f"slippage must not be negative, nor infinite, got {fract}")
    lag = calc_points_per_day(points_per_year)
    high, low, close = panel["high"], panel["low"], panel["close"]
    size = min(days * lag, max(1, len(close)))
    cost = np.empty(close.shape)
    _mean_range(_extreme(high, lag, True), _extreme(low, lag, False), close, lag, size, fract, cost)
    return cost


def calc_slippage(
    data: xr.DataArray, period_days: int = _DAYS, fract: float | None = None, points_per_year: float | None = None
) -> xr.DataArray:
    """Return the cost of trading one share.

    A share of the plain mean of the true range, forward-filled. The first `period_days` days have none, so nothing can
    be traded in them: load 60 calendar days more than you analyse.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with high, low and close.
    period_days : int
        Days in the mean; at most the days there are.
    fract : float, optional
        The share; by default that of the contest the cube is named after, else 0.05.
    points_per_year : float, optional
        Rows in a year; 400 and more mean hourly rows. By default `calc_avg_points_per_year`.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``, in the currency of the prices.

    Raises
    ------
    DataError
        A cube without usable labels or fields, or a period or share out of range.
    """
    panel = Panel(data)
    fract = get_default_slippage(data) if fract is None else fract
    points = points_in_year(points_per_year, data)
    return panel.array(slippage_matrix(panel, period_days, fract, points))


def slippages(
    data: xr.DataArray, panel: Panel, trading: float | None, rolling: float | None, points_per_year: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cost per share of trading and of rolling, both (time, asset) of `panel`, taken from `data`."""
    # The range looks at plain rows, so it is taken before the panel leaves out empty ones.
    whole = panel if panel.is_whole else Panel(data)
    trading = get_default_slippage(data) if trading is None else trading
    cost = panel.pick(slippage_matrix(whole, _DAYS, trading, points_per_year))
    if rolling is None or "roll" not in panel:
        return cost, cost
    return cost, panel.pick(slippage_matrix(whole, _DAYS, rolling, points_per_year))


def night_returns(
    panel: Panel,
    weights: np.ndarray,
    at: np.ndarray,
    slippage: np.ndarray,
    roll_slippage: np.ndarray,
    locked: Booking = "compat",
    per_asset: bool = False,
) -> np.ndarray:
    """Return the change of equity from night to night.

    Parameters
    ----------
    panel : Panel
        The fields open and close; divs and roll where there are any.
    weights : np.ndarray
        Shape (decision, asset), normalised.
    at : np.ndarray
        Shape (time,): the row of `weights` traded at each open, negative for none.
    slippage, roll_slippage : np.ndarray
        Shape (time, asset), cost per share traded or rolled.
    locked : {"compat", "hold"}
        How assets without a price are booked, see `books`.
    per_asset : bool
        One book per asset.

    Returns
    -------
    np.ndarray
        Shape (time,) or (time, asset); where equity is 0 or unknown, 0.
    """
    if locked not in ("compat", "hold"):
        raise WeightsError(f"locked must be 'compat' or 'hold', got {locked!r}")
    prices = panel["open"], panel["close"], panel.get("divs"), panel.get("roll")
    night = np.empty(slippage.shape if per_asset else slippage.shape[:1])
    if per_asset:
        asset_books(*prices, weights, at, slippage, roll_slippage, night)
    else:
        global_book(*prices, weights, at, slippage, roll_slippage, locked == "hold", night)
    before = np.concatenate([np.ones_like(night[:1]), night[:-1]])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        change = night / before - 1.0
    return np.where(np.isfinite(change), change, 0.0)


def calc_relative_return(
    data: xr.DataArray,
    portfolio_history: Any,
    slippage_factor: float | None = None,
    roll_slippage_factor: float | None = None,
    per_asset: bool = False,
    points_per_year: float | None = None,
    locked: Booking = "compat",
) -> xr.DataArray:
    """Return the portfolio's relative change per row, weights traded in the order given, in the contest's booking.

    Weights are traded as given: those of one row at the open of the next row *of the weights*, sorted by time or not (a
    warning is logged where they are not; `calc_stat` sorts them), and a date they lack is a day without positions.
    `output.clean` sorts them and adds such dates.

    The default booking is the contest's own, with its known flaw: ``locked="compat"`` forgets the shares of an asset
    that has no price and carries their value at the last open, so a loss on its last day comes back as a gain two days
    later; contests rank by these numbers. ``locked="hold"`` values locked positions at the last close, and keeps them
    until a price returns or the asset is gone.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``, prices in currency per share; divs and roll are used where present.
    portfolio_history : xr.DataArray or Result
        Weights ``(time, asset)``. Those of assets or dates the cube lacks are left out, with a warning in the log.
    slippage_factor, roll_slippage_factor : float, optional
        Cost of trading (of rolling a future) as a share of the average true range, see `calc_slippage`.
    per_asset : bool
        One book per asset, each with the whole capital, weights clipped to [-1, 1]; these books hold in both modes.
    points_per_year : float, optional
        Rows in a year, by default `calc_avg_points_per_year`.
    locked : {"compat", "hold"}
        See above.

    Returns
    -------
    xr.DataArray
        Dims ``(time,)`` or ``(time, asset)``, the cube's dates from the first date of the weights.

    Raises
    ------
    DataError, WeightsError
        A cube or weights without usable labels, or an argument out of range.
    """
    book = with_time(portfolio_history)
    panel = Panel(data, present_only=True)
    points = points_in_year(points_per_year, data)
    costs = slippages(data, panel, slippage_factor, roll_slippage_factor, points)
    columns = by_asset(book.values, book.get_index("asset"), panel.assets)
    target = algebra.normalized(columns, per_asset)
    rows = times_of(book, "weights")
    warn_strange(book, panel)
    if not rows.is_monotonic_increasing:
        late = int(np.flatnonzero(rows[1:] < rows[:-1])[0])
        _LOG.warning(
            "weights are not sorted, and traded in the order given: %s follows %s; use sortby('time')",
            day(rows[late + 1]),
            day(rows[late]),
        )
    change = night_returns(panel, target, traded_rows(rows, panel.times), *costs, locked, per_asset)
    start = panel.times.searchsorted(rows.min())
    return series(change[start:], panel.times[start:], panel.assets if per_asset else None)


def with_time(weights: Any) -> xr.DataArray:
    """Return weights with dims (time, asset), rows in the order given.

    Raises
    ------
    WeightsError
        When they have no time, or not one row.
    """
    book = algebra.over_time(weights)
    if not book.sizes["time"]:
        raise WeightsError("weights have no rows; nothing can be booked")
    return book if book.dims == ("time", "asset") else book.transpose("time", "asset")


def calc_equity(relative_return: xr.DataArray) -> xr.DataArray:
    """Return the capital over time, starting from 1: the running product of 1 + return along time."""
    return (1.0 + relative_return).cumprod("time")
