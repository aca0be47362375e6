"""Tests of forecasts: whether one is better than another, and whether it knows the direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats as scipy_stats

from ..errors import DataError
from .verdicts import Alternative, Verdict, pair, tail

__all__ = ["diebold_mariano", "pesaran_timmermann"]

_NO_SKILL = "one side is always called, or always happens: no skill can be shown"


def diebold_mariano(loss: Any, other_loss: Any, horizon: int = 1, alternative: Alternative = "less") -> Verdict:
    """Test whether one forecast loses less than another on the same rows (Diebold and Mariano, 1995).

    With the small-sample correction of Harvey, Leybourne and Newbold (1997): the statistic is multiplied by
    ``sqrt((n + 1 - 2h + h (h - 1) / n) / n)`` and compared with Student's t, n - 1 degrees of freedom. At a horizon of
    1 that is the paired t test.

    Parameters
    ----------
    loss, other_loss : array-like
        Shape (row,), in time's order: squared or absolute errors, or any other loss, of the two forecasts.
    horizon : int
        Rows ahead that were forecast, h; losses h rows apart and more are taken as uncorrelated.
    alternative : {"less", "two-sided", "greater"}
        "less": the first forecast loses less.

    Returns
    -------
    Verdict
        Negative where the first forecast loses less.

    Raises
    ------
    DataError
        Losses that are not finite or not of the same rows, fewer than 10, equal losses throughout, a horizon out of
        range, or one at which the variance estimate is not positive.
    """
    first, second = pair(loss, other_loss, ("loss", "other_loss"), 10)
    rows = len(first)
    if not (isinstance(horizon, (int, np.integer)) and 1 <= horizon <= rows // 2):
        raise DataError(f"horizon must be a whole number from 1 to {rows // 2}, got {horizon!r}")
    difference = first - second
    if np.ptp(difference) == 0:
        raise DataError(f"the losses differ by {difference[0]:g} in every row; there is nothing to test")
    apart = difference - difference.mean()
    spread = apart @ apart + 2.0 * sum(apart[k:] @ apart[:-k] for k in range(1, horizon))
    if spread <= 0.0:
        raise DataError(f"the variance estimate at horizon {horizon} is not positive; test a shorter horizon")
    correction = (rows + 1 - 2 * horizon + horizon * (horizon - 1) / rows) / rows
    statistic = float(difference.mean() * rows / np.sqrt(spread) * np.sqrt(correction))
    p_value = tail(float(scipy_stats.t.cdf(statistic, rows - 1)), alternative)
    return Verdict(f"Diebold–Mariano (HLN), horizon {horizon}", statistic, p_value, rows, alternative)


def pesaran_timmermann(forecast: Any, actual: Any, alternative: Alternative = "greater") -> Verdict:
    """Test whether the sign of a forecast knows the sign of the outcome (Pesaran and Timmermann, 1992).

    Hits are compared with those that independent calls of the same frequencies would have, so "always up" in a rising
    market shows no skill. Rows are taken as independent: thin out overlapping outcomes before.

    Parameters
    ----------
    forecast, actual : array-like
        Shape (row,): forecast and actual changes; above 0 is up, everything else is not.
    alternative : {"greater", "two-sided", "less"}
        "greater": better calls than independent ones.

    Returns
    -------
    Verdict
        Normal under the null. NaN and p = 1 where one side is always called or always happens.

    Raises
    ------
    DataError
        Values that are not finite or not of the same rows, or fewer than 10.
    """
    called, happened = (series > 0 for series in pair(forecast, actual, ("forecast", "actual"), 10))
    rows = len(called)
    tail(0.5, alternative)
    ups, calls = happened.mean(), called.mean()
    expected = ups * calls + (1 - ups) * (1 - calls)
    of_hits = expected * (1 - expected) / rows
    of_expected = (
        (2 * ups - 1) ** 2 * calls * (1 - calls)
        + (2 * calls - 1) ** 2 * ups * (1 - ups)
        + 4 * ups * calls * (1 - ups) * (1 - calls) / rows
    ) / rows
    if not 0.0 < ups < 1.0 or not 0.0 < calls < 1.0:
        return Verdict("Pesaran–Timmermann", float("nan"), 1.0, rows, alternative, _NO_SKILL)
    statistic = float(((called == happened).mean() - expected) / np.sqrt(of_hits - of_expected))
    p_value = tail(float(scipy_stats.norm.cdf(statistic)), alternative)
    return Verdict("Pesaran–Timmermann", statistic, p_value, rows, alternative)
