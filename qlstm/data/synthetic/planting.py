"""Noise, what is planted into it, and the bars that come of both.

A row has two legs: overnight, from the last close to its open, and intraday, from open to close. What is decided at
close t is executed at open t+1 and earns the intraday leg of row t+1 and the overnight leg of row t+2. A relation is
planted into that intraday leg; the overnight leg stays noise. So a share of the executed return's deviation is out of
reach, and the intraday leg carries more than the correlation wanted: in daily markets that over 0.894.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..motion import candles
from .plan import Made, Plan
from .truth import correlation_ceiling

__all__ = ["BAR", "BURN", "EXECUTED", "NIGHT", "RHO", "Forecast", "Legs", "Noise", "bars", "gauss", "plant", "planted"]

NIGHT, BAR = 0.005, 0.01
"""Deviations of the overnight and of the intraday leg of a daily row, in log return."""
EXECUTED = float(np.hypot(NIGHT, BAR))
"""Deviation of a daily executed return."""
BURN = 21
"""Rows made and dropped before the first, so that the first is like any other; three hourly days."""
RHO = 0.3
"""Correlation planted where no other is said."""
Forecast = Callable[[int, np.ndarray], np.ndarray]
"""``forecast(t, moves)`` -> expected intraday log return of row t+1, shape (asset,); it may read ``moves[: t + 1]``."""
_MEMORY = 10  # rows that a forecast may look back
_LEVEL, _LEVEL_SPREAD = np.log(50.0), 0.5  # of the first log price
_DOLLARS, _DOLLARS_SPREAD = 17.0, 0.5  # of log dollar volume


@dataclass(frozen=True)
class Legs:
    """Log returns of both legs, and the deviation of the intraday one, shape (time, asset) or broadcast to it."""

    overnight: np.ndarray
    intraday: np.ndarray
    deviation: np.ndarray | float


@dataclass(frozen=True)
class Noise:
    """Legs in which nothing is planted, of mean 0, with `BURN` rows before the first.

    Attributes
    ----------
    overnight, intraday : np.ndarray
        Log returns, shape (BURN + time, asset).
    night : np.ndarray
        Deviation of the overnight leg, shape (BURN + time, 1).
    bar : float
        Deviation of the intraday leg.
    """

    overnight: np.ndarray
    intraday: np.ndarray
    night: np.ndarray
    bar: float

    @property
    def move(self) -> np.ndarray:
        """Deviation of a row's return from close to close, shape (BURN + time, 1)."""
        return np.hypot(self.night, self.bar)

    def share(self, rho: float) -> np.ndarray:
        """Return the correlation of signal and next intraday leg that gives `rho` with the executed return.

        Returns
        -------
        np.ndarray
            Shape (BURN + time, 1), by the row of the decision.
        """
        following = np.concatenate([self.night[2:], self.night[-2:]])  # of the last two nobody sees the outcome
        return rho * np.hypot(following, self.bar) / self.bar


def gauss(
    plan: Plan, *, night: np.ndarray | float = NIGHT, bar: float = BAR, factors: np.ndarray | None = None
) -> Noise:
    """Draw normal noise, independent over time.

    Parameters
    ----------
    plan : Plan
        Size and generators; the number of rows is that of its days, or of `night` where that is an array.
    night : np.ndarray or float
        Deviation of the overnight leg, one for all rows or shape (time,) with a period that divides `BURN`.
    bar : float
        Deviation of the intraday leg.
    factors : np.ndarray, optional
        Shape (factor, asset): loadings on common factors of unit variance; an asset's squares add up to at most 1, the
        rest of its variance is its own.

    Returns
    -------
    Noise
    """
    nights = np.full(plan.n_days, night) if np.ndim(night) == 0 else np.asarray(night)
    nights = np.concatenate([nights[:BURN], nights])[:, np.newaxis]
    legs = []
    for part in ("night", "bar"):
        rng = plan.rng(part)
        draws = rng.standard_normal((len(nights), plan.n_assets))
        if factors is not None:
            common = rng.standard_normal((len(nights), len(factors))) @ factors
            draws = common + np.sqrt(1.0 - (factors**2).sum(axis=0)) * draws
        legs.append(draws)
    return Noise(legs[0] * nights, legs[1] * bar, nights, bar)


def plant(noise: Noise, forecast: Forecast | None = None, share: np.ndarray | float = 0.0) -> tuple[Legs, np.ndarray]:
    """Plant what `forecast` says into the intraday legs, row by row, each seeing what was planted before.

    Parameters
    ----------
    noise : Noise
        What to plant into; left as it is.
    forecast : callable, optional
        What to expect; None for nothing.
    share : np.ndarray or float
        Correlation of forecast and intraday leg, shape (BURN + time, 1) or (BURN + time, asset), by the row of the
        decision: the noise is made smaller by as much as keeps the leg's variance. 0 where the forecast adds a drift.

    Returns
    -------
    tuple
        Legs, of expected simple return 0 but for what is planted, and the forecasts, shape (time, asset), both without
        the rows before the first.
    """
    rows = len(noise.intraday)
    left = np.sqrt(1.0 - np.broadcast_to(share, noise.intraday.shape) ** 2)
    left = np.concatenate([np.ones_like(left[:1]), left[:-1]])  # by the row of the outcome
    intraday = noise.intraday * left
    expected = np.zeros_like(intraday)
    if forecast is not None:
        moves = noise.overnight + intraday
        for t in range(_MEMORY, rows):
            expected[t] = forecast(t, moves)
            if t + 1 < rows:
                moves[t + 1] += expected[t]
        intraday[1:] += expected[:-1]
    # A log return of variance s² has a mean simple return of s²/2 more: taken off, so that noise earns nothing.
    legs = Legs(noise.overnight - noise.night**2 / 2.0, intraday - (noise.bar * left) ** 2 / 2.0, noise.bar)
    return replace(legs, overnight=legs.overnight[BURN:], intraday=legs.intraday[BURN:]), expected[BURN:]


def bars(plan: Plan, legs: Legs) -> dict[str, np.ndarray]:
    """Return the fields of every market: open, low, high, close, vol (log dollars independent noise), is_liquid (1).

    Returns
    -------
    dict of str to np.ndarray
        Field to values, shape (time, asset).
    """
    shape = legs.intraday.shape
    level = _LEVEL + _LEVEL_SPREAD * plan.rng("level").standard_normal(shape[1])
    log_close = level + np.cumsum(legs.overnight + legs.intraday, axis=0)
    fields = candles(log_close, legs.intraday, legs.deviation, plan.rng("wick"))
    dollars = np.exp(_DOLLARS + _DOLLARS_SPREAD * plan.rng("volume").standard_normal(shape))
    return {**fields, "vol": dollars / fields["close"], "is_liquid": np.ones(shape)}


def planted(plan: Plan, noise: Noise, forecast: Forecast, rho: float, share: np.ndarray) -> Made:
    """Return the daily market in which `forecast` has correlation `rho` with the executed return; see `plant`.

    Its ceiling is that of a normal signal.
    """
    legs, expected = plant(noise, forecast, share)
    ceiling = correlation_ceiling(rho)
    return Made(bars(plan, legs), plan.daily(), plan.assets, signal=expected, strength=rho, ceiling=ceiling)
