"""P12: an order book whose imbalance leads the next price change."""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

from .plan import Made, Plan
from .planting import RHO

__all__ = ["LEVELS", "order_book"]

LEVELS = 4
"""Prices and sizes on each side."""
_TICK, _FIRST = 0.01, 10_000  # currency, and the first price in ticks
_MOVING = 2.0 / 3.0  # share of events at which the price moves, one tick
_LATENT = float(-ndtri(_MOVING / 2.0))  # what a latent normal value must exceed for that
_SHARES, _SHARES_SPREAD = 6.0, 0.5  # of log sizes


def order_book(plan: Plan) -> Made:
    """P12: the log ratio of the best bid's size to the best ask's leads the price change of the next event.

    A row is an event: it opens at the last price and closes at its own. The book after it is in the fields ``bid_1``,
    ``bid_size_1``, ``ask_1``, ``ask_size_1`` and so on, best level first.
    """
    shape = (plan.n_days, plan.n_assets)
    signal = plan.rng("signal").standard_normal(shape)
    share = _latent_correlation(RHO)
    latent = np.sqrt(1.0 - share**2) * plan.rng("bar").standard_normal(shape)
    latent[1:] += share * signal[:-1]
    ticks = np.where(np.abs(latent) > _LATENT, np.sign(latent), 0.0)
    before = (_FIRST + np.cumsum(ticks, axis=0) - ticks) * _TICK
    last = before + ticks * _TICK
    fields = {"open": before, "low": np.minimum(before, last), "high": np.maximum(before, last), "close": last}
    fields |= {"vol": np.exp(plan.rng("volume").standard_normal(shape)), "is_liquid": np.ones(shape)}
    up, down = _chances(share, signal)
    return Made(
        fields | _book(last, signal, plan.rng("extra")),
        plan.events(),
        plan.assets,
        signal=(up - down) * _TICK / last,
        strength=RHO,
        ceiling=_ceiling(share),
        facts={"levels": LEVELS, "tick": _TICK, "moving": _MOVING, "shown_by": "log(bid_size_1 / ask_size_1)"},
        name=None,
    )


def _latent_correlation(rho: float) -> float:
    """Return the correlation of signal and latent value that gives `rho` with the ticks, which are -1, 0 or 1."""
    density = np.exp(-(_LATENT**2) / 2.0) / np.sqrt(2.0 * np.pi)
    return float(rho * np.sqrt(_MOVING) / (2.0 * density))


def _chances(share: float, signal: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities that the next price is higher and lower."""
    spread = np.sqrt(1.0 - share**2)
    return ndtr((share * signal - _LATENT) / spread), ndtr((-share * signal - _LATENT) / spread)


def _ceiling(share: float) -> float:
    """Return the share of right signs among the events at which the price moves."""
    right, _ = quad(lambda z: np.exp(-(z**2) / 2.0) / np.sqrt(2.0 * np.pi) * _chances(share, z)[0], 0.0, np.inf)
    return float(2.0 * right / _MOVING)


def _book(last: np.ndarray, signal: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return prices and sizes of all levels; the best two sizes share a level and differ by the signal."""
    fields = {}
    for level in range(1, LEVELS + 1):
        best = signal if level == 1 else rng.standard_normal(last.shape)
        around = _SHARES + _SHARES_SPREAD * rng.standard_normal(last.shape)
        for side, sign in (("bid", 1.0), ("ask", -1.0)):
            fields[f"{side}_{level}"] = last - sign * level * _TICK
            fields[f"{side}_size_{level}"] = np.exp(around + sign * best / 2.0)
    return fields
