"""P5 and P6: small companies earn more, alone, with a reversal, and with crashes of the whole market."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .plan import Made, Plan
from .planting import BURN, EXECUTED, RHO, Noise, bars, gauss, plant
from .truth import correlation_ceiling, drift_ceiling

__all__ = ["crashing", "small_caps", "small_caps_reversing"]

_PREMIUM = 0.001
_SMALL = 0.1  # the share of assets that earns it
_CAP, _CAP_SPREAD = np.log(2e9), 1.5  # of log market capitalisation at the start
_CRASH, _DOUBLE = -0.06, -0.035


def small_caps(plan: Plan) -> Made:
    """P5: the tenth of the assets with the smallest ``mcap`` at close t earns 10 bp more from open t+1 to open t+2."""
    return _sized(plan, gauss(plan), 0.0)


def small_caps_reversing(plan: Plan) -> Made:
    """P5-P1: P5, and in all assets the reversal of P1 as well."""
    made = _sized(plan, gauss(plan), -RHO)
    return replace(made, strength=-RHO, unit="correlation", ceiling=correlation_ceiling(RHO))


def crashing(plan: Plan) -> Made:
    """P6: P5 with a day on which every asset loses 6 %, and a pair of days on which each loses 3.5 % twice."""
    rows = np.sort(plan.rng("extra").choice(np.arange(plan.n_days // 8, plan.n_days * 7 // 8, 3), 2, replace=False))
    noise = gauss(plan)
    for row, change in ((rows[0], _CRASH), (rows[1], _DOUBLE), (rows[1] + 1, _DOUBLE)):
        noise.intraday[BURN + row] = np.log1p(change) - noise.overnight[BURN + row]
    made, times = _sized(plan, noise, 0.0), plan.daily()
    crashes = {times[rows[0]]: _CRASH, times[rows[1]]: _DOUBLE, times[rows[1] + 1]: _DOUBLE}
    return replace(made, facts={**made.facts, "crashes": crashes})


def _sized(plan: Plan, noise: Noise, rho: float) -> Made:
    n_small = max(1, round(_SMALL * plan.n_assets))
    log_cap = _CAP + _CAP_SPREAD * plan.rng("extra").standard_normal(plan.n_assets)
    share = noise.share(rho)
    drive = noise.bar * share / noise.move

    def forecast(t: int, moves: np.ndarray) -> np.ndarray:
        caps[t] = caps[t - 1] + moves[t]
        small = caps[t] <= np.partition(caps[t], n_small - 1)[n_small - 1]
        return _PREMIUM * small + drive[t] * moves[t]

    caps = np.empty_like(noise.intraday)
    caps[:] = log_cap
    legs, expected = plant(noise, forecast, share)
    fields = bars(plan, legs)
    fields["mcap"] = fields["close"] * np.exp(caps[BURN]) / fields["close"][0]
    return Made(
        fields,
        plan.daily(),
        plan.assets,
        signal=expected,
        strength=_PREMIUM,
        unit="return a day",
        ceiling=drift_ceiling(_PREMIUM / EXECUTED),
        facts={"n_small": n_small, "premium": _PREMIUM},
    )
