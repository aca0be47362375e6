"""Markets that are not about returns: volume (P11), and waves without any noise (P14)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..motion import autoregression
from .nulls import driftless
from .plan import Made, Plan

__all__ = ["volume", "waves"]

_MEMORY, _NEWS = 0.6, 0.3  # of log volume
_WEEKDAYS = np.array([-0.15, -0.05, 0.0, 0.05, 0.15])  # added to log volume, Monday to Friday
_SHARES = np.log(1e6)
_PERIODS = (20.0, 50.0)  # rows, shortest and longest
_KINDS = ("sine", "cosine", "polynomial", "sines")
_LEVEL, _SWING = np.log(100.0), 0.1  # of the log price


def volume(plan: Plan) -> Made:
    """P11: log volume is an AR(1) around a level for each day of the week; prices are those of N0."""
    made = driftless(plan)
    news = plan.rng("volume").standard_normal(made.fields["vol"].shape)
    around = _NEWS / np.sqrt(1.0 - _MEMORY**2) * autoregression(np.full(plan.n_assets, _MEMORY), news)
    weekday = _WEEKDAYS[pd.DatetimeIndex(made.times).day_of_week]
    fields = made.fields | {"vol": np.exp(_SHARES + weekday[:, np.newaxis] + around)}
    facts = {"memory": _MEMORY, "news_deviation": _NEWS, "weekdays": tuple(_WEEKDAYS.tolist())}
    return replace(made, fields=fields, strength=_MEMORY, unit="autocorrelation of log volume", facts=facts)


def waves(plan: Plan) -> Made:
    """P14: sines, cosines, periodic polynomials and sums of two sines, in field ``wave`` from -1 to 1.

    Each bar opens where the last one closed, so that the next executed return follows from the wave exactly.
    """
    rng = plan.rng("signal")
    period = rng.uniform(*_PERIODS, plan.n_assets)
    turns = (np.arange(-1.0, plan.n_days + 1)[:, np.newaxis] / period) + rng.random(plan.n_assets)
    kind = np.arange(plan.n_assets) % len(_KINDS)
    ramp = 2.0 * (turns % 1.0) - 1.0
    # The cubic is 0 at both ends of a period and has extremes of ±1; the second sine is no multiple of the first.
    shapes = (
        np.sin(2.0 * np.pi * turns),
        np.cos(2.0 * np.pi * turns),
        1.5 * np.sqrt(3.0) * (ramp - ramp**3),
        (np.sin(2.0 * np.pi * turns) + np.sin(2.0 * np.pi * turns * np.sqrt(2.0))) / 2.0,
    )
    wave = np.choose(kind, shapes)
    price = np.exp(_LEVEL + _SWING * wave)
    before, close = price[:-2], price[1:-1]
    fields = {"open": before, "low": np.minimum(before, close), "high": np.maximum(before, close), "close": close}
    fields |= {"vol": np.full(close.shape, 1e6), "is_liquid": np.ones(close.shape), "wave": wave[1:-1]}
    return Made(
        fields,
        plan.daily(),
        plan.assets,
        signal=np.diff(np.log(price), axis=0)[1:],
        strength=1.0,
        ceiling=1.0,
        facts={"kind": tuple(_KINDS[k] for k in kind), "period": period},
        groups={str(asset): _KINDS[k] for asset, k in zip(plan.assets, kind, strict=True)},
        name=None,
    )
