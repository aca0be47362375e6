"""Trades as a table, what they add up to, and what is left without one asset or one trade."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from ..significance import Verdict, binomial

__all__ = ["COLUMNS", "Ledger", "Summary"]

COLUMNS = ("asset", "side", "entry", "exit", "rows", "size", "return", "contribution", "closed")
"""Of `Ledger.trades`. Side is long or short; rows is how long it was held; size the mean share of capital; return that
of the position and contribution that to capital, as shares after costs; closed is False where it is still open."""
_HEAVY = 0.2  # share of all gains that no single trade or asset should exceed


@dataclass(frozen=True)
class Summary:
    """A ledger in figures; returns are shares, not percent.

    Parameters
    ----------
    trades, wins, losses, flat : int
        Trades by the sign of their return.
    win_rate : float
        Wins over all trades, flat ones included.
    profit_factor : float
        Sum of gains over sum of losses; infinite without losses.
    mean, total : float
        Mean and sum of the trades' returns (not compounded).
    compounded : float
        Capital after one trade at a time with all of it, starting from 1.
    t : float
        Mean over its standard error; NaN for fewer than two trades, or equal ones.
    test : Verdict
        Binomial, wins against an even chance.
    best : float
        Share of all gains that the best trade brought.
    """

    trades: int
    wins: int
    losses: int
    flat: int
    win_rate: float
    profit_factor: float
    mean: float
    total: float
    compounded: float
    t: float
    test: Verdict
    best: float

    def __str__(self) -> str:
        p_value = "< 0.01" if self.test.p_value < 0.01 else f"= {self.test.p_value:.2f}"
        return (
            f"{self.trades} trades: {self.wins} won, {self.losses} lost, {self.flat} flat; win rate "
            f"{100 * self.win_rate:.2f} % (p {p_value}), mean {100 * self.mean:.2f} %, sum "
            f"{100 * self.total:.2f} %, t {self.t:.2f}, profit factor {self.profit_factor:.2f}; "
            f"the best trade has {100 * self.best:.0f} % of all gains"
        )


@dataclass(frozen=True, eq=False)
class Ledger:
    """Round-trip trades, one per row of `trades`, with `COLUMNS`; sorted by entry, asset."""

    trades: pd.DataFrame

    def summary(self) -> Summary:
        """Return the ledger in figures.

        Raises
        ------
        DataError
            When there is no trade.
        """
        returns = self.trades["return"].to_numpy(dtype=np.float64)
        if len(returns) == 0:
            raise DataError("the ledger has no trades; the weights are 0 throughout, or nothing could be traded")
        wins, losses = int((returns > 0).sum()), int((returns < 0).sum())
        gained, lost = returns[returns > 0].sum(), -returns[returns < 0].sum()
        moves = len(returns) > 1 and np.ptp(returns) > 0
        return Summary(
            trades=len(returns),
            wins=wins,
            losses=losses,
            flat=len(returns) - wins - losses,
            win_rate=wins / len(returns),
            profit_factor=float(gained / lost) if lost > 0 else math.inf,
            mean=float(returns.mean()),
            total=float(returns.sum()),
            compounded=float(np.prod(1.0 + returns)),
            t=float(returns.mean() / returns.std(ddof=1) * math.sqrt(len(returns))) if moves else math.nan,
            test=binomial(wins, len(returns)),
            best=float(returns.max() / gained) if gained > 0 else 0.0,
        )

    def without(self, *assets: str) -> Ledger:
        """Return the ledger without the trades in some assets.

        Raises
        ------
        DataError
            When it has none in one of them.
        """
        held = set(self.trades["asset"])
        for asset in assets:
            if asset not in held:
                raise DataError(f"the ledger has no trade in {asset!r}; it has {', '.join(sorted(held)[:5])}, ...")
        return Ledger(self.trades[~self.trades["asset"].isin(assets)].reset_index(drop=True))

    def concentration(self) -> pd.DataFrame:
        """Return one row per asset, largest contribution first: trades, wins, contribution, share, heavy.

        The share is that of all gains (contributions above 0); it is heavy above 20 %.
        """
        groups = self.trades.groupby("asset", sort=True)
        table = pd.DataFrame(
            {
                "trades": groups.size(),
                "wins": groups["return"].agg(lambda returns: int((returns > 0).sum())),
                "contribution": groups["contribution"].sum(),
            }
        )
        gains = table["contribution"].clip(lower=0.0).sum()
        table["share"] = table["contribution"] / gains if gains > 0 else 0.0
        table["heavy"] = table["share"] > _HEAVY
        return table.sort_values("contribution", ascending=False, kind="stable")

    def leave_one_asset_out(self) -> pd.DataFrame:
        """Return what remains without each asset: trades, win_rate, mean, total, contribution; the worst loss first."""
        trades = self.trades
        left = {asset: _remaining(trades[trades["asset"] != asset]) for asset in trades["asset"].unique()}
        return _table(left, "asset")

    def leave_one_trade_out(self) -> pd.DataFrame:
        """Return what remains without each trade, by its row in `trades`: as `leave_one_asset_out`."""
        return _table({row: _remaining(self.trades.drop(index=row)) for row in self.trades.index}, "trade")


def _remaining(trades: pd.DataFrame) -> dict[str, float]:
    returns = trades["return"]
    some = len(trades) > 0
    return {
        "trades": len(trades),
        "win_rate": float((returns > 0).mean()) if some else math.nan,
        "mean": float(returns.mean()) if some else math.nan,
        "total": float(returns.sum()),
        "contribution": float(trades["contribution"].sum()),
    }


def _table(left: dict[Any, dict[str, float]], index: str) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(
        left, orient="index", columns=["trades", "win_rate", "mean", "total", "contribution"]
    )
    return table.astype({"trades": int}).rename_axis(index).sort_values("contribution", kind="stable")
