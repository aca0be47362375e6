"""Markets of common factors: the blocks of P13, and currencies, which share the dollar."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .plan import Made, Plan
from .planting import BAR, NIGHT, Noise, bars, gauss, plant
from .signals import last_move

__all__ = ["PAIRS", "blocks", "blocks_one_reversing", "currencies", "currencies_reversing"]

PAIRS = np.array([f"{currency}USD" for currency in ("AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "NOK", "NZD", "SEK")])
"""Currencies of the G10 in dollars."""
_BLOCKS, _BLOCK_SHARE = 3, 0.5
_DOLLAR_SHARE = 0.4
_CALM = 0.5  # volatility of currencies as a share of that of stocks


def blocks(plan: Plan) -> Made:
    """P13: three blocks of assets, in each half of the variance is common; nothing can be forecast."""
    noise, block = _block_noise(plan)
    legs, _ = plant(noise)
    made = Made(bars(plan, legs), plan.daily(), plan.assets, strength=_BLOCK_SHARE, unit="share of variance")
    return replace(made, groups=_groups(plan, block), facts={"block": block})


def blocks_one_reversing(plan: Plan) -> Made:
    """P13-P1: P13 with the reversal of P1 in the first block only."""
    noise, block = _block_noise(plan)
    made = last_move(plan, noise, active=(block == 0).astype(float))
    return replace(made, groups=_groups(plan, block), facts={"block": block})


def currencies(plan: Plan) -> Made:
    """N0-FX: currencies against the dollar, of which nothing can be forecast."""
    legs, _ = plant(_dollar_noise(plan))
    return Made(bars(plan, legs), plan.daily(), PAIRS[: plan.n_assets], name=None)


def currencies_reversing(plan: Plan) -> Made:
    """P1-FX: the same with the reversal of P1 in each pair."""
    return replace(last_move(plan, _dollar_noise(plan)), assets=PAIRS[: plan.n_assets], name=None)


def _block_noise(plan: Plan) -> tuple[Noise, np.ndarray]:
    block = np.arange(plan.n_assets) * _BLOCKS // plan.n_assets
    return gauss(plan, factors=np.sqrt(_BLOCK_SHARE) * np.eye(_BLOCKS)[:, block]), block


def _groups(plan: Plan, block: np.ndarray) -> dict[str, str]:
    return {str(asset): f"block {k + 1}" for asset, k in zip(plan.assets, block, strict=True)}


def _dollar_noise(plan: Plan) -> Noise:
    factors = np.full((1, plan.n_assets), np.sqrt(_DOLLAR_SHARE))
    return gauss(plan, night=_CALM * NIGHT, bar=_CALM * BAR, factors=factors)
