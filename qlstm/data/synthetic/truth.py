"""What is known about a market because it was planted: how much can be forecast, where, and how well at best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

__all__ = ["Truth", "correlation_ceiling", "drift_ceiling", "sign_ceiling"]

_SHARE_TO_FIND = 0.6  # of what the ceiling has above one half
_MAY_BE_LUCK = 3.0  # standard errors of a Sharpe ratio measured over one year


@dataclass(frozen=True, eq=False)
class Truth:
    """What a synthetic market holds.

    Attributes
    ----------
    market : str
        Its name, as given to `market`.
    seed : int
        The seed it was made from.
    plants : str
        What is planted, in words.
    strength : float
        How strong that is, in `unit`; 0 where nothing is.
    unit : str
        What `strength` counts: ``"correlation"`` of the signal with the executed return, ``"return a day"``, …
    ceiling : float
        Share of executed returns whose sign one gets right who knows the signal, where there is one; 0.5 in a market
        whose returns cannot be forecast.
    signal : xr.DataArray
        Dims (time, asset). The expected log return from open[t+1] to open[t+2], given what is known at close t; 0 where
        nothing is planted. A drift that all assets share all the time is left out: holding everything earns it.
    facts : mapping of str to Any
        What this market knows beyond that: dates, groups, hidden states. Read-only.
    """

    market: str
    seed: int
    plants: str
    strength: float
    unit: str
    ceiling: float
    signal: xr.DataArray
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
        self.signal.values.flags.writeable = False

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets that have a signal on some day."""
        found = (self.signal != 0).any("time").values
        return tuple(str(asset) for asset in self.signal["asset"].values[found])

    @property
    def dates(self) -> tuple[np.datetime64, np.datetime64] | None:
        """First and last time with a signal, None where there is none."""
        times = self.signal["time"].values[(self.signal != 0).any("asset").values]
        return (times[0], times[-1]) if len(times) else None

    @property
    def must_find(self) -> float:
        """Share of right signs that a good model reaches: 60 % of the way from one half to the ceiling."""
        return 0.5 + _SHARE_TO_FIND * (self.ceiling - 0.5)

    @staticmethod
    def luckiest_sharpe(years: float) -> float:
        """Return the yearly Sharpe ratio that chance alone stays below over so many years, three standard errors."""
        return _MAY_BE_LUCK / math.sqrt(years)


def correlation_ceiling(rho: float) -> float:
    """Return the share of right signs under a normal signal of correlation `rho`: ``1/2 + asin(|rho|) / π``."""
    return 0.5 + math.asin(abs(rho)) / math.pi


def drift_ceiling(ratio: float) -> float:
    """Return the share of right signs of normal returns whose mean, of known sign, is `ratio` of their deviation."""
    return 0.5 * (1.0 + math.erf(abs(ratio) / math.sqrt(2.0)))


def sign_ceiling(rho: float) -> float:
    """Return the share of right signs under a signal that is +1 or -1 and has correlation `rho`, noise normal."""
    return drift_ceiling(rho / math.sqrt(1.0 - rho**2))
