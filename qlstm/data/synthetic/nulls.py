"""Markets in which nothing can be forecast: N0, N1, N1 with idle extra fields, and the unforeseen jump of P15."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..motion import GARCH
from .exogenous import leading_fields
from .plan import Made, Plan
from .planting import BAR, EXECUTED, NIGHT, Legs, bars, gauss, plant

__all__ = ["drifting", "drifting_with_idle_fields", "driftless", "jumping"]

_DRIFT = 0.0004  # of N1, a day
_COMMON = 0.3  # the market's share of the variance of N1
_SHOCKS = GARCH(omega=0.02, alpha=0.08, gamma=0.0, beta=0.90, df=4.0)  # of variance 1
_JUMP = -0.15


def driftless(plan: Plan) -> Made:
    """N0: normal, independent over time and between assets, expected simple return 0."""
    legs, _ = plant(gauss(plan))
    return Made(bars(plan, legs), plan.daily(), plan.assets)


def drifting(plan: Plan) -> Made:
    """N1: a drift, clustered volatility, heavy tails and one common factor, as stocks have, and no forecast."""
    return _drifting(plan, _drifting_legs(plan))


def drifting_with_idle_fields(plan: Plan) -> Made:
    """N1 with the fields of P9, which know nothing here."""
    made = drifting(plan)
    idle = plan.rng("signal").standard_normal((plan.n_days, plan.n_assets))
    extra, _ = leading_fields(plan, made.fields, idle, made.times)
    return replace(made, fields=made.fields | extra)


def jumping(plan: Plan) -> Made:
    """P15: N1 in which every asset falls on one day, in the middle half, of which nothing tells before."""
    legs = _drifting_legs(plan)
    row = int(plan.rng("signal").integers(plan.n_days // 4, 3 * plan.n_days // 4))
    legs.intraday[row] += np.log1p(_JUMP)
    made = _drifting(plan, legs)
    return replace(made, facts={**made.facts, "jump": _JUMP, "date": made.times[row]})


def _drifting(plan: Plan, legs: Legs) -> Made:
    facts = {"drift": _DRIFT, "common_share": _COMMON}
    return Made(bars(plan, legs), plan.daily(), plan.assets, facts=facts)


def _drifting_legs(plan: Plan) -> Legs:
    """Split daily GARCH returns into legs; given the day's volatility both are normal, so the drift is exact."""
    common = _SHOCKS.paths(plan.n_days, 1, plan.rng("market"))
    own = _SHOCKS.paths(plan.n_days, plan.n_assets, plan.rng("bar"))
    motion = (common * np.sqrt(_COMMON) + own * np.sqrt(1.0 - _COMMON)) * EXECUTED
    overnight, intraday = motion.legs((NIGHT / EXECUTED) ** 2, plan.rng("night"))
    night, bar = motion.vol * NIGHT / EXECUTED, motion.vol * BAR / EXECUTED
    return Legs(overnight - night**2 / 2.0, intraday - bar**2 / 2.0 + np.log1p(_DRIFT), bar)
