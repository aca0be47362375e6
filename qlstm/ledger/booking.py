"""Round trips from weights: where each position begins and ends, and what the books of the statistics give it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..stats import calc_avg_points_per_year, calc_relative_return
from ..stats.panel import Panel, by_asset, times_of, traded_rows
from ..stats.returns import slippages, with_time
from ..weights import normalized
from .trades import COLUMNS, Ledger

__all__ = ["of_weights"]

_NO_PRICE = 1e-7  # an open below it is none, as in the books
_LEAST = 1e-6  # of capital: a dollar of a million; what smoothing leaves of a position halves for years


def of_weights(
    weights: Any,
    data: xr.DataArray,
    slippage_factor: float | None = None,
    roll_slippage_factor: float | None = None,
    points_per_year: int | None = None,
) -> Ledger:
    """Return the round trips that weights make in a cube.

    A trade's return is that of a position of the whole capital in the asset, its contribution that of the weights held;
    both are books of the one asset, so contributions leave out what assets of one portfolio do to each other's size. In
    days without a price a position stays as it is. Changes of size within a trade are not trades. Less than a millionth
    of capital is no position.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)``, traded at the open of their next row.
    data : xr.DataArray
        Cube ``(field, time, asset)``.
    slippage_factor, roll_slippage_factor, points_per_year : optional
        As for `stats.calc_relative_return`.

    Returns
    -------
    Ledger
        What is open on the last date of the data counts to its last close, ``closed`` False.

    Raises
    ------
    DataError, WeightsError
        As `stats.calc_relative_return`.
    """
    book = with_time(weights).sortby("time")
    panel = Panel(data, present_only=True)
    points = calc_avg_points_per_year(data) if points_per_year is None else points_per_year
    cost, _ = slippages(data, panel, slippage_factor, roll_slippage_factor, points)
    target = _sized(by_asset(book.values, book.get_index("asset"), panel.assets))
    held = _held(target, traded_rows(times_of(book, "weights"), panel.times), panel, cost)
    decided = book.copy(data=_sized(book.values))
    costs = slippage_factor, roll_slippage_factor
    trades = []
    for name, sign in (("long", 1.0), ("short", -1.0)):
        # A book for each side: on the day a position turns round, one book's return would mix two trades.
        one_side = sign * (sign * decided).clip(min=0.0)
        whole, share = (
            calc_relative_return(data, position, *costs, per_asset=True, points_per_year=points)
            .reindex(time=panel.times, asset=panel.assets, fill_value=0.0)
            .values
            for position in (np.sign(one_side), one_side)
        )
        trades += _round_trips(name, np.maximum(sign * held, 0.0), whole, share, panel)
    table = pd.DataFrame(trades, columns=list(COLUMNS))
    return Ledger(table.sort_values(["entry", "asset"], kind="stable").reset_index(drop=True))


def _sized(weights: np.ndarray) -> np.ndarray:
    """Return weights as the books take them, without those that are next to nothing."""
    sized = normalized(weights)
    return np.where(np.abs(sized) < _LEAST, 0.0, sized)


def _held(target: np.ndarray, at: np.ndarray, panel: Panel, cost: np.ndarray) -> np.ndarray:
    """Return the weight in force after each open, (time, asset): what could not be traded stays as it was."""
    wanted = np.where((at >= 0)[:, np.newaxis], target[np.maximum(at, 0)], 0.0)
    open_, close = panel["open"], panel["close"]
    unlocked = np.isfinite(open_) & np.isfinite(close) & np.isfinite(cost) & (open_ > _NO_PRICE)
    return pd.DataFrame(np.where(unlocked, wanted, np.nan)).ffill().fillna(0.0).to_numpy()


def _round_trips(
    side: str, held: np.ndarray, returns: np.ndarray, shares: np.ndarray, panel: Panel
) -> list[tuple[Any, ...]]:
    """Return the trades of one side as rows of `COLUMNS`, from weights held (time, asset), not negative."""
    last = len(held) - 1
    inside = np.pad(held > 0, ((1, 1), (0, 0)))
    columns, starts = np.nonzero((inside[1:] & ~inside[:-1]).T)
    _, ends = np.nonzero((~inside[1:] & inside[:-1]).T)  # the row of the closing open; one past the last if still open
    assets, times = panel.assets.to_numpy(), panel.times.to_numpy()
    trades = []
    for a, start, end in zip(columns.tolist(), starts.tolist(), ends.tolist(), strict=True):
        exit_ = min(end, last)
        whole = slice(start, exit_ + 1)  # the closing row earns the night before its open, and pays for closing
        trades.append(
            (
                str(assets[a]),
                side,
                pd.Timestamp(times[start]),
                pd.Timestamp(times[exit_]),
                int(end - start),
                float(held[start:end, a].mean()),
                float(np.prod(1.0 + returns[whole, a]) - 1.0),
                float(shares[whole, a].sum()),
                bool(end <= last),
            )
        )
    return trades
