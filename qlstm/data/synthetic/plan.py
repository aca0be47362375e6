"""What a builder of a market gets and gives: a plan with its random generators, and what was made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..motion import stream
from ..simulate import trading_days

__all__ = ["HOURS", "Made", "Plan", "labels"]

HOURS = 7
"""Bars of one hour in a trading day."""
_START = "2006-01-03"  # the first year of the index contest
_FIRST_HOUR = 10
# Each part of a market draws from a generator of its own, so N0 and what is planted into it share their noise.
_PARTS = ("night", "bar", "wick", "volume", "level", "market", "signal", "extra")
_STOCKS = "stocks_nasdaq100"


@dataclass(frozen=True)
class Plan:
    """What to make: name, seed and size of a market.

    Attributes
    ----------
    market : str
        Its name.
    seed : int
        Not negative.
    n_assets, n_days : int
        Size. A day is a quarter in quarterly markets, an event in order books, and seven bars in hourly markets.
    """

    market: str
    seed: int
    n_assets: int
    n_days: int

    def rng(self, part: str) -> np.random.Generator:
        """Return the generator of one part of the market, at its start."""
        return stream(self.seed, _PARTS.index(part))

    @property
    def assets(self) -> np.ndarray:
        """Plain names, ascending."""
        return labels("SYN", self.n_assets)

    def daily(self) -> np.ndarray:
        """Return trading days of US exchanges, shape (n_days,)."""
        end = np.datetime64(_START) + np.timedelta64(int(self.n_days * 1.47) + 15, "D")  # 252 of 365 and some
        return trading_days(_START, str(end))[: self.n_days]

    def hourly(self) -> np.ndarray:
        """Return the ends of seven one-hour bars of each trading day, shape (7 · n_days,)."""
        hours = np.arange(_FIRST_HOUR, _FIRST_HOUR + HOURS).astype("timedelta64[h]")
        return (self.daily()[:, np.newaxis] + hours).ravel()

    def quarterly(self) -> np.ndarray:
        """Return ends of quarters, shape (n_days,)."""
        return pd.date_range("2000-03-31", periods=self.n_days, freq="QE").to_numpy(dtype="datetime64[ns]")

    def events(self) -> np.ndarray:
        """Return one time a second from the open of one day on, shape (n_days,)."""
        start = np.datetime64(f"{_START}T09:30", "ns")
        return start + np.arange(self.n_days).astype("timedelta64[s]")


@dataclass(frozen=True)
class Made:
    """What a builder made.

    Attributes
    ----------
    fields : dict of str to np.ndarray
        Field to values, shape (time, asset), the seven of every market among them.
    times, assets : np.ndarray
        Labels.
    signal : np.ndarray, optional
        As in `Truth`; None where there is none.
    strength, unit, ceiling, facts
        As in `Truth`.
    groups : mapping of str to str
        Asset to group, for ``attrs["sectors"]``.
    name : str, optional
        Of the cube: the contest its days suit.
    """

    fields: dict[str, np.ndarray]
    times: np.ndarray
    assets: np.ndarray
    signal: np.ndarray | None = None
    strength: float = 0.0
    unit: str = "correlation"
    ceiling: float = 0.5
    facts: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    name: str | None = _STOCKS


def labels(prefix: str, n: int) -> np.ndarray:
    """Return n names that sort in their order, as ``SYN:001``."""
    width = max(3, len(str(n)))
    return np.array([f"{prefix}:{i:0{width}d}" for i in range(1, n + 1)])
