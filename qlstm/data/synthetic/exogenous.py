"""Fields from outside the market that know the executed return of the next day: implied volatility, sentiment, news."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..motion import autoregression
from .plan import Made, Plan
from .planting import BAR, BURN, gauss, planted

__all__ = ["HISTORY", "TEXT", "leading", "leading_fields"]

HISTORY = 21
"""Days of the historical volatility that implied volatility stands above."""
TEXT = 16
"""Numbers of a news vector."""
_RHO = 0.2
_PREMIUM, _SWING = 0.03, 0.02  # mean and deviation of implied minus historical volatility
_FAR, _FAR_SPREAD, _FAR_MEMORY = 0.21, 0.015, 0.98  # implied volatility over three months
_DAYS = np.timedelta64(1, "D")


def leading(plan: Plan) -> Made:
    """P9: one normal signal a day and asset leads the executed return, and each of three fields shows it."""
    noise = gauss(plan)
    share = noise.share(_RHO)
    signal = np.zeros_like(noise.intraday)
    signal[BURN:] = plan.rng("signal").standard_normal((plan.n_days, plan.n_assets))
    made = planted(plan, noise, lambda t, moves: BAR * share[t] * signal[t], _RHO, share)
    extra, direction = leading_fields(plan, made.fields, signal[BURN:], made.times)
    facts = {"direction": direction, "shown_by": ("iv30 - hv", "sentiment", "txt · direction"), "hv_days": HISTORY}
    return replace(made, fields=made.fields | extra, facts=facts)


def leading_fields(
    plan: Plan, fields: dict[str, np.ndarray], signal: np.ndarray, times: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the fields that show `signal`, and the direction in which news vectors do.

    Parameters
    ----------
    plan : Plan
        Size and generators.
    fields : dict of str to np.ndarray
        Field to values; ``close`` is read.
    signal : np.ndarray
        Shape (time, asset), of unit variance.
    times : np.ndarray
        Shape (time,).

    Returns
    -------
    tuple
        ``iv30`` (the deviation of the last 21 daily returns a year, plus a premium that moves with the signal; NaN
        before there are 21), ``iv93`` (a slow process of its own), ``sentiment`` (the signal), ``txt_0`` … ``txt_15``
        (independent normals but for one direction), ``available_from`` (days since 1970-01-01, before the close); and
        that direction, shape (16,), of length 1.
    """
    rng = plan.rng("extra")
    moves = pd.DataFrame(fields["close"]).pct_change()
    iv30 = moves.rolling(HISTORY).std().to_numpy() * np.sqrt(252) + _PREMIUM + _SWING * signal
    memory = np.full(signal.shape[1], _FAR_MEMORY)
    iv93 = _FAR + _FAR_SPREAD * autoregression(memory, rng.standard_normal(signal.shape))
    direction = rng.standard_normal(TEXT)
    direction /= np.linalg.norm(direction)
    words = rng.standard_normal((TEXT, *signal.shape))
    words += direction[:, np.newaxis, np.newaxis] * (signal - np.tensordot(direction, words, 1))
    published = (times - np.datetime64(0, "s")) / _DAYS + 0.5  # noon
    extra = {"iv30": iv30, "iv93": iv93, "sentiment": signal}
    extra |= {f"txt_{k}": word for k, word in enumerate(words)}
    return extra | {"available_from": np.broadcast_to(published[:, np.newaxis], signal.shape)}, direction
