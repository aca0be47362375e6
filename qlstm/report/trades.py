"""Panels of who earned what: contribution by asset, and the best and the worst trades with their faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..data.quality import Suspect, examine
from ..dates import day
from ..ledger import COLUMNS
from . import figures
from .parts import Cell, Chart, Part, Table, Text, percent, tone
from .study import Study

__all__ = ["contribution", "extremes"]

_BARS = 15  # assets at either end
_TRADES = 8
_FAULTS = 2  # named beside a trade
_RETURN = 1 + COLUMNS.index("return")  # a keyword, so itertuples() cannot name it
_NONE = "There are no trades: the weights are 0 throughout, or nothing could be traded."


def contribution(study: Study) -> list[Part]:
    """Return what each asset added to capital, and what is left without it."""
    assert study.ledger is not None
    table = study.ledger.concentration()
    if table.empty:
        return [Text(_NONE)]
    shown = table if len(table) <= 2 * _BARS else pd.concat([table[:_BARS], table[-_BARS:]])
    values = 100 * shown["contribution"].to_numpy()
    trace = figures.bars("contribution", [str(a) for a in shown.index], values)
    axis = {"autorange": "reversed", "automargin": True, "type": "category", "tickfont": {"size": 10}}
    layout: dict[str, Any] = {"yaxis": axis, "hovermode": "closest", "showlegend": False}
    layout["xaxis"] = {"title": {"text": "% of capital"}, "zeroline": True}
    most, least = (f"{table.index[i]} with {values[i]:.1f} %" for i in (0, -1))
    alt = f"Contribution by asset: most {most}, least {least}"
    chart = Chart("contribution", figures.figure([trace], **layout), alt, 110 + 16 * len(shown))
    return [chart, Text(_without(table)), _assets(study, table)]


def _without(table: pd.DataFrame) -> str:
    """Say what is left without the best asset, and which ones have too much of the gains."""
    total, most = float(table["contribution"].sum()), float(table["contribution"].iloc[0])
    heavy = [str(a) for a in table.index[table["heavy"]]]
    warn = f" More than 20 % of all gains come from {', '.join(heavy)} alone." if heavy else ""
    left = f"{percent(total - most)} without {table.index[0]}"
    return f"All contributions together {percent(total)} of capital; {left}.{warn}"


def _assets(study: Study, table: pd.DataFrame) -> Table:
    assert study.ledger is not None
    rest = study.ledger.leave_one_asset_out()["contribution"].reindex(table.index)
    rows = [_asset(one, float(left)) for one, left in zip(table.itertuples(), rest.to_numpy(), strict=True)]
    heads = ("asset", "trades", "won", "contribution", "share of all gains", "rest without it")
    folded = f"All {len(rows)} assets" if len(rows) > 1 else "As a table"
    return Table("Contribution of every asset", heads, rows, folded=folded)


def _asset(one: Any, rest: float) -> list[str | Cell]:
    return [
        Cell(str(one.Index), "warn" if one.heavy else ""),
        str(one.trades),
        str(one.wins),
        percent(one.contribution, 2),
        percent(one.share),
        percent(rest, 2),
    ]


def extremes(study: Study) -> list[Part]:
    """Return the best and the worst trades by contribution, each with what is strange in its prices."""
    assert study.ledger is not None
    assert study.market is not None
    trades = study.ledger.trades
    if trades.empty:
        return [Text(_NONE)]
    ordered = trades.sort_values("contribution", ascending=False, kind="stable")
    suspects = examine(study.market.data).suspects
    best, worst = ordered[:_TRADES], ordered[::-1][:_TRADES]
    parts: list[Part] = [Text(f"{study.ledger.summary()}.")]
    for caption, rows in (("Best trades", best), ("Worst trades", worst)):
        parts.append(_trades(caption, rows, suspects))
    return parts


def _trades(caption: str, trades: pd.DataFrame, suspects: tuple[Suspect, ...]) -> Table:
    heads = ("asset", "side", "entry", "exit", "rows", "mean size", "return", "contribution", "price quality")
    rows = [_trade(one, suspects) for one in trades.itertuples()]
    return Table(caption, heads, rows, frozenset({1, 2, 3, 8}))


def _trade(one: Any, suspects: tuple[Suspect, ...]) -> list[str | Cell]:
    found = _faults(suspects, one.asset, one.entry.to_datetime64(), one.exit.to_datetime64())
    exit_ = f"{one.exit:%Y-%m-%d}" if one.closed else "open"
    return [
        one.asset,
        one.side,
        f"{one.entry:%Y-%m-%d}",
        exit_,
        str(one.rows),
        percent(one.size),
        percent(one[_RETURN]),
        Cell(percent(one.contribution, 2), tone(one.contribution)),
        Cell("; ".join(found), "warn") if found else Cell("no fault seen"),
    ]


def _faults(suspects: tuple[Suspect, ...], asset: str, entry: np.datetime64, exit_: np.datetime64) -> list[str]:
    """Return what is strange in an asset's prices between two days, both included, a phrase each."""
    here = [one for one in suspects if one.asset == asset and one.start <= exit_ and one.end >= entry]
    said = [_phrase(one) for one in here[:_FAULTS]]
    return [*said, f"{len(here) - _FAULTS} more"] if len(here) > _FAULTS else said


def _phrase(one: Suspect) -> str:
    first, last = day(one.start), day(one.end)
    return {
        "jump": f"jump of {100 * one.value:+.0f} % on {first}",
        "split": f"split of {one.value:g}:1 not adjusted, {first}",
        "frozen": f"frozen price {first} to {last}",
        "gap": f"no price {first} to {last}",
        "delisting": f"no price from {first} on",
    }[one.kind]
