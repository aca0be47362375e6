"""Markets whose past moves forecast the executed return: reversal, trend, a feature, a cross-section, a memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.signal import lfilter

from .plan import HOURS, Made, Plan
from .planting import BAR, BURN, EXECUTED, NIGHT, RHO, Noise, gauss, planted
from .truth import sign_ceiling

__all__ = [
    "cross_sectional",
    "cross_sectional_until_half",
    "feature_led",
    "hourly",
    "hourly_driftless",
    "last_move",
    "remembering",
    "reversing",
    "trending",
]

_IC, _IC_DAYS = 0.1, 5
_FEATURE = np.arange(10, 0, -1.0) / 55.0  # the percent change of a 10-day LWMA, in terms of the last 10 returns
_SETTLED, _ITERATIONS = 1000, 100  # rows after which an impulse is over; the iteration gains a digit in five
_LAGS = (1, 4)
_HOUR_GAP = 0.0005  # deviation of the gap from hour to hour


def reversing(plan: Plan) -> Made:
    """P1: the executed return turns against the last return from close to close."""
    return last_move(plan, gauss(plan), -RHO)


def trending(plan: Plan) -> Made:
    """P1+: the executed return goes on as the last return from close to close."""
    return last_move(plan, gauss(plan), RHO)


def last_move(plan: Plan, noise: Noise, rho: float = -RHO, active: np.ndarray | float = 1.0) -> Made:
    """Plant a correlation of the executed return with the last return from close to close.

    Parameters
    ----------
    plan, noise
        What to plant into.
    rho : float
        The correlation.
    active : np.ndarray or float
        1 for the assets it is planted in and 0 for the others, shape (asset,) or one for all.

    Returns
    -------
    Made
        With daily times.
    """
    share = noise.share(rho) * active
    drive = noise.bar * share / noise.move
    return planted(plan, noise, lambda t, moves: drive[t] * moves[t], rho, share)


def hourly(plan: Plan) -> Made:
    """P16, P16-P1: P1 in bars of an hour; the gap from day to day is ten times that from hour to hour."""
    return _hourly(plan, -RHO)


def hourly_driftless(plan: Plan) -> Made:
    """P16-N0: N0 in bars of an hour."""
    return _hourly(plan, 0.0)


def _hourly(plan: Plan, rho: float) -> Made:
    night = np.where(np.arange(HOURS * plan.n_days) % HOURS == 0, NIGHT, _HOUR_GAP)
    made = last_move(plan, gauss(plan, night=night, bar=BAR / np.sqrt(HOURS)), rho)
    return replace(made, times=plan.hourly(), name=None, facts={"night": NIGHT, "gap": _HOUR_GAP})


def feature_led(plan: Plan) -> Made:
    """P1f: the executed return follows the percent change of the 10-day linearly weighted average of the close."""
    noise = gauss(plan)
    share, length, newest_last = noise.share(RHO), len(_FEATURE), _FEATURE[::-1]
    drive = BAR * share[0] / _feature_deviation(float(share[0, 0]))

    def forecast(t: int, moves: np.ndarray) -> np.ndarray:
        return drive * (newest_last @ moves[t - length + 1 : t + 1])

    return replace(planted(plan, noise, forecast, RHO, share), facts={"feature": "ta.roc(ta.lwma(close, 10), 1)"})


def _feature_deviation(share: float) -> float:
    """Return the deviation of the feature in a market that it drives, where it is larger than under noise.

    Returns are then an AR(10) whose coefficients contain that deviation: solved by iteration from the one under noise.
    """
    deviation = EXECUTED * float(np.linalg.norm(_FEATURE))
    news = np.zeros(_SETTLED)
    news[0] = np.sqrt(NIGHT**2 + BAR**2 * (1.0 - share**2))
    for _ in range(_ITERATIONS):
        response = lfilter([1.0], np.concatenate([[1.0], -BAR * share / deviation * _FEATURE]), news)
        deviation = float(np.linalg.norm(np.convolve(response, _FEATURE)))
    return deviation


def cross_sectional(plan: Plan) -> Made:
    """P2: what fell most over five days against the others rises most, with an IC of 0.1 a day."""
    return _cross_sectional(plan, plan.n_days)


def cross_sectional_until_half(plan: Plan) -> Made:
    """P10: P2 in the first half of the days, N0 after it."""
    return _cross_sectional(plan, plan.n_days // 2)


def _cross_sectional(plan: Plan, n_active: int) -> Made:
    noise = gauss(plan)
    share = noise.share(_IC)
    share[BURN + n_active :] = 0.0

    def forecast(t: int, moves: np.ndarray) -> np.ndarray:
        total = moves[t - _IC_DAYS + 1 : t + 1].sum(axis=0)
        return -BAR * share[t] * (total - total.mean()) / total.std()

    made = planted(plan, noise, forecast, _IC, share)
    return replace(made, facts={"until": made.times[n_active - 1]})


def remembering(plan: Plan) -> Made:
    """P3: the executed return tends to the sign of r[t-1] · r[t-4], r from close to close.

    No autocorrelation shows it. With r[t-3] one would: signs that follow those two and four rows earlier repeat after
    six, because 1 + x² + x⁴ divides 1 + x⁶ over GF(2) with a quotient of two terms, so the autocorrelation at six is
    the square of what is planted. 1 + x² + x⁵ is primitive: signs repeat after 31 rows, with a quotient of 16 terms.
    """
    noise = gauss(plan)
    share = noise.share(RHO)

    def forecast(t: int, moves: np.ndarray) -> np.ndarray:
        return BAR * share[t] * np.prod(np.sign(moves[[t - lag for lag in _LAGS]]), axis=0)

    return replace(planted(plan, noise, forecast, RHO, share), ceiling=sign_ceiling(RHO), facts={"lags": _LAGS})
