"""The weights of the baselines for all days at once: those of `qlstm.baselines`, without a walk per portfolio."""

from __future__ import annotations

import numpy as np

__all__ = ["buy_and_hold", "equal_weight", "random_portfolio"]


def equal_weight(liquid: np.ndarray) -> np.ndarray:
    """Return the weights of `baselines.equal_weight`, (time, asset), from which assets are liquid."""
    return _shares(liquid)


def buy_and_hold(liquid: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Return the weights of `baselines.buy_and_hold`, (time, asset)."""
    shares = np.zeros(close.shape[1])
    np.divide(1.0, close[0], out=shares, where=liquid[0])
    value = np.nan_to_num(shares * close)
    total = value.sum(axis=1, keepdims=True)
    return value / np.where(total == 0, 1.0, total)


def random_portfolio(
    liquid: np.ndarray, days: np.ndarray, places: np.ndarray, known: int, seed: int, share: float = 0.5, hold: int = 21
) -> np.ndarray:
    """Return the weights of ``baselines.random_portfolio(seed, share, hold)``, (time, asset).

    Parameters
    ----------
    liquid : np.ndarray
        Shape (time, asset).
    days : np.ndarray
        Shape (time,), ``datetime64``; the day of a draw is part of its seed.
    places : np.ndarray
        Shape (asset,): the place of each asset among all `known` ones in the order of their labels.
    known : int
        Assets of the cube: each gets a lot, also those without a price in these days.
    seed, share, hold
        As there.
    """
    numbers = days.astype("datetime64[D]").astype(np.int64)
    drawn = np.zeros(liquid.shape, dtype=np.bool_)
    for first in range(0, len(days), hold):
        lots = np.random.default_rng([seed, abs(int(numbers[first]))]).random(known)[places]
        today = liquid[first]
        held = max(1, round(share * int(today.sum())))
        chosen = (np.where(today, lots, np.inf).argsort().argsort() < held) & today
        drawn[first : first + hold] = chosen
    return _shares(drawn & liquid)


def _shares(held: np.ndarray) -> np.ndarray:
    return held / np.maximum(1.0, held.sum(axis=1, keepdims=True))
