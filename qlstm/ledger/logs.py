"""Trade logs of other programs as a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..dates import day
from ..errors import DataError
from .trades import COLUMNS, Ledger

__all__ = ["read"]

_NAMES = {"ticker": "asset", "symbol": "asset", "type": "side"}
_SIDES = {"long": "long", "buy": "long", "short": "short", "sell": "short"}


def read(log: pd.DataFrame | str | Path) -> Ledger:
    """Return the ledger of a trade log.

    Parameters
    ----------
    log : pd.DataFrame, str or Path
        A table, or a CSV file with a header. Columns, in any case: asset (or ticker, symbol), side (long, short; also
        buy, sell), entry, exit (dates), and return (a share), return_pct (percent), or entry_price and exit_price.
        Optional: size (share of capital; 1 if absent).

    Raises
    ------
    DataError
        A missing column, and in which row a side, date or return is none, or the exit before the entry.
    """
    table = _normal_names(_opened(log))
    ledger = pd.DataFrame({"asset": table["asset"].astype(str), "side": _sides(table["side"])})
    for name in ("entry", "exit"):
        dates = pd.to_datetime(table[name], errors="coerce")
        _refuse(dates.isna(), f"{name} date", table[name])
        ledger[name] = dates
    _refuse(ledger["exit"] < ledger["entry"], "exit before its entry:", table["exit"])
    ledger["rows"] = (ledger["exit"] - ledger["entry"]).dt.days  # calendar days: a log has no calendar of its own
    ledger["size"] = pd.to_numeric(table["size"]) if "size" in table else 1.0
    returns = _returns(table, ledger["side"])
    _refuse(~np.isfinite(returns), "return", returns)
    ledger["return"], ledger["contribution"], ledger["closed"] = returns, returns * ledger["size"], True
    return Ledger(ledger[list(COLUMNS)].sort_values(["entry", "asset"], kind="stable").reset_index(drop=True))


def _opened(log: pd.DataFrame | str | Path) -> pd.DataFrame:
    if isinstance(log, pd.DataFrame):
        return log
    try:
        return pd.read_csv(log)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the trade log {log}: {error}") from error


def _normal_names(log: pd.DataFrame) -> pd.DataFrame:
    table = log.reset_index(drop=True)
    table.columns = [_NAMES.get(name, name) for name in (str(c).strip().lower().replace(" ", "_") for c in log.columns)]
    has = set(table.columns)
    missing = [name for name in ("asset", "side", "entry", "exit") if name not in has]
    if not (has & {"return", "return_pct"} or {"entry_price", "exit_price"} <= has):
        missing.append("return (or return_pct, or entry_price and exit_price)")
    if missing:
        raise DataError(f"the trade log lacks {', '.join(missing)}; it has {', '.join(map(str, log.columns))}")
    return table


def _sides(column: pd.Series) -> pd.Series:
    sides = column.astype(str).str.strip().str.lower().map(_SIDES)
    _refuse(sides.isna(), "side", column)
    return sides


def _returns(table: pd.DataFrame, sides: pd.Series) -> pd.Series:
    if "return" in table:
        return pd.to_numeric(table["return"], errors="coerce")
    if "return_pct" in table:
        return pd.to_numeric(table["return_pct"], errors="coerce") / 100.0
    prices = (pd.to_numeric(table[name], errors="coerce") for name in ("exit_price", "entry_price"))
    last, first = prices
    return (last / first - 1.0) * np.where(sides == "long", 1.0, -1.0)


def _refuse(bad: Any, what: str, values: pd.Series) -> None:
    """Raise a DataError that names the first bad row of a log."""
    rows = np.flatnonzero(np.asarray(bad))
    if len(rows):
        value = values.iloc[rows[0]]
        shown = day(value) if isinstance(value, pd.Timestamp) else repr(value) if isinstance(value, str) else value
        raise DataError(f"trade log, row {rows[0]}: {what} {shown} cannot be; {len(rows)} such rows")
