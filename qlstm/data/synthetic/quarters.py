"""P7: quarterly bars and fundamentals that become public 45 days after the quarter they are about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from .plan import Made, Plan
from .planting import BAR, BURN, RHO, Noise, gauss, planted

__all__ = ["LAG", "fundamentals", "fundamentals_decoy"]

LAG = 45
"""Days from the end of a quarter to the day its margins are public."""
_QUARTER = 63  # trading days
_STEP = 0.01  # deviation of a quarter's change of margin
_MARKET_SHARE = 0.5  # of the decoy's variance
_PLANTED = "margin_net"
_IDLE = ("margin_gross", "margin_operating")


def fundamentals(plan: Plan) -> Made:
    """P7: the newest change of ``margin_net`` that is public at a quarter's end leads the executed return."""
    return _quarterly(plan, gauss(plan, bar=BAR * np.sqrt(_QUARTER)), RHO)


def fundamentals_decoy(plan: Plan) -> Made:
    """P7-decoy: half of the variance is a market factor, and ``macro`` tells quarters apart, but nothing leads.

    A model that is tested on other assets of the quarters it was fitted to can remember which quarters were good.
    """
    market = np.full((1, plan.n_assets), np.sqrt(_MARKET_SHARE))
    return _quarterly(plan, gauss(plan, bar=BAR * np.sqrt(_QUARTER), factors=market), 0.0)


def _quarterly(plan: Plan, noise: Noise, rho: float) -> Made:
    change = plan.rng("signal").standard_normal(noise.intraday.shape)
    share = noise.share(rho)
    made = planted(plan, noise, lambda t, moves: noise.bar * share[t] * change[t], rho, share)
    shape, rng, times = made.fields["close"].shape, plan.rng("extra"), plan.quarterly()
    fields = made.fields | {_PLANTED: 0.1 + _STEP * np.cumsum(change, axis=0)[BURN:]}
    fields |= {name: 0.3 + _STEP * np.cumsum(rng.standard_normal(shape), axis=0) for name in _IDLE}
    fields |= {name: rng.standard_normal(shape) for name in ("eps_surprise", "sentiment")}
    fields["macro"] = np.broadcast_to(rng.standard_normal((shape[0], 1)), shape)
    ends = (pd.DatetimeIndex(times) - pd.offsets.QuarterEnd(1)).to_numpy()
    days = (ends - np.datetime64(0, "s")) / np.timedelta64(1, "D")
    fields["period_end"] = np.broadcast_to(days[:, np.newaxis], shape)
    fields["available_from"] = fields["period_end"] + LAG
    facts = {"lag_days": LAG, "planted": f"change of {_PLANTED}" if rho else None}
    return replace(made, fields=fields, times=times, facts=facts, name=None)
