"""The panel of what is left without single trades and assets: a result must not hang on a few of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .market import Performance
from .parts import Cell, Part, Table, Text, number, percent, tone
from .study import Study

__all__ = ["left_out"]

_BEST = (1, 5, 10)  # trades left out together
_TRIED = 12  # trades and assets booked again: those that brought or cost most
_SHOWN = 6
_LEFT = ("final equity", "return a year", "Sharpe ratio", "change")


def left_out(study: Study) -> list[Part]:
    """Return the figures without the best trades, and without the single trades and assets that matter most.

    The weights are booked again with those of the trade or asset set to 0, the others as they are: nothing else takes
    the free capital.
    """
    assert study.ledger is not None
    trades = study.ledger.trades.sort_values("contribution", ascending=False, kind="stable")
    if trades.empty:
        return [Text("There are no trades to leave out.")]
    best = [(_named(n, trades), _booked(study, trades[:n])) for n in _BEST if n < len(trades)]
    rows = [
        [name, *_figures(study, found)] for name, found in [(f"all {len(trades)} trades", study.performance), *best]
    ]
    parts: list[Part] = [Text(_verdict(study, best, len(trades)))]
    parts.append(Table("The best trades left out", ("", *_LEFT), rows))
    parts.append(_single_trades(study, trades))
    return [*parts, _single_assets(study, trades)]


def _named(n: int, trades: pd.DataFrame) -> str:
    return f"without the best, {trades['asset'].iloc[0]}" if n == 1 else f"without the best {n}"


def _verdict(study: Study, best: list[tuple[str, Performance]], trades: int) -> str:
    """Say how much of the result a few trades are."""
    earned = study.performance.equity - 1.0
    if earned <= 0:
        return "There is no gain that could hang on a few trades."
    gone = [n for n, (_, found) in zip(_BEST, best, strict=False) if found.equity <= 1.0]
    if gone:
        return f"Nothing of the gain is left without the best {gone[0]} of {trades} trades."
    if not best:
        return "There is only one trade: the gain hangs on it."
    n, left = _BEST[len(best) - 1], best[-1][1].equity - 1.0
    return f"{percent(left / earned, 0)} of the gain is left without the best {n} of {trades} trades."


def _single_trades(study: Study, trades: pd.DataFrame) -> Table:
    tried = trades.loc[_heaviest(trades["contribution"])]
    found = {row: _booked(study, tried.loc[[row]]) for row in tried.index}
    heads = ("asset", "side", "entry", "exit", "contribution", *_LEFT)
    rows = [[*_trade(tried.loc[row]), *_figures(study, found[row])] for row in _by_change(study, found)]
    return Table("One trade left out: those that change the Sharpe ratio most", heads, rows, frozenset({1, 2, 3}))


def _trade(one: Any) -> list[str | Cell]:
    exit_ = f"{one['exit']:%Y-%m-%d}" if one["closed"] else "open"
    return [str(one["asset"]), one["side"], f"{one['entry']:%Y-%m-%d}", exit_, _contribution(one["contribution"])]


def _single_assets(study: Study, trades: pd.DataFrame) -> Table:
    by_asset = trades.groupby("asset", sort=True)["contribution"].agg(["size", "sum"])
    assets = _heaviest(by_asset["sum"])
    found = {asset: _booked(study, trades[trades["asset"] == asset]) for asset in assets}
    rows = [
        [str(a), str(by_asset["size"][a]), _contribution(by_asset["sum"][a]), *_figures(study, found[a])]
        for a in _by_change(study, found)
    ]
    heads = ("asset", "trades", "contribution", *_LEFT)
    return Table("One asset left out: those that change the Sharpe ratio most", heads, rows)


def _heaviest(contributions: pd.Series) -> pd.Index:
    return contributions.abs().sort_values(ascending=False, kind="stable").index[:_TRIED]


def _by_change(study: Study, found: dict[Any, Performance]) -> list[Any]:
    """Return the few keys whose leaving out changes the Sharpe ratio most; where none is left, they come first."""
    changes = {key: abs(one.sharpe - study.performance.sharpe) for key, one in found.items()}
    return sorted(changes, key=lambda key: -np.nan_to_num(changes[key], nan=np.inf))[:_SHOWN]


def _booked(study: Study, trades: pd.DataFrame) -> Performance:
    """Return the figures of the weights without some trades."""
    assert study.market is not None
    return study.measure(study.market.returns(_emptied(study.result.weights, trades)))


def _emptied(weights: xr.DataArray, trades: pd.DataFrame) -> xr.DataArray:
    """Return weights (time, asset) with the rows of trades set to 0.

    A trade entered at the open of a row was decided on the weights' row before; so was its end, on a row that is no
    more its own.
    """
    left = weights.copy()
    columns = weights.get_index("asset").get_indexer(pd.Index(trades["asset"]))
    times = weights.get_index("time")
    starts = times.searchsorted(trades["entry"]) - 1
    ends = np.where(trades["closed"], times.searchsorted(trades["exit"]) - 1, len(times))
    for column, start, end in zip(columns, starts, ends, strict=True):
        left.values[max(start, 0) : end, column] = 0.0
    return left


def _figures(study: Study, found: Performance) -> list[str | Cell]:
    change = found.sharpe - study.performance.sharpe
    moved = number(change) if found is not study.performance else ""
    return [number(found.equity, 3), percent(found.mean), number(found.sharpe), Cell(moved, tone(round(change, 2)))]


def _contribution(value: float) -> Cell:
    return Cell(percent(float(value), 2), tone(value))
