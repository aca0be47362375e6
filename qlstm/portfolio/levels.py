"""Positions that open, grow and close as scores cross levels."""

from __future__ import annotations

import numpy as np
import xarray as xr

from .. import weights as algebra
from ..errors import WeightsError
from .rows import Day

__all__ = ["ladder", "long_flat_short", "long_short", "nuanced"]


def ladder(
    scores: xr.DataArray,
    previous: xr.DataArray | None,
    liquid: xr.DataArray | None = None,
    *,
    step: float,
    largest: float,
    threshold: float = 0.0,
    retreat: float = 1.0,
) -> xr.DataArray:
    """Return yesterday's weights, each a step up where the score is high, a step down where it is low.

    Parameters
    ----------
    scores, liquid : xr.DataArray
        As for `long_only`. A NaN score leaves a weight as it was; an asset that is not liquid gets 0.
    previous : xr.DataArray or None
        Dims ``(asset,)``: the weights of the day before, after every risk rule, so that a book that one has emptied
        starts from 0 again. None on the first day. Assets that the scores lack are sold.
    step, largest : float
        Shares of capital: what one step adds or takes, and the highest rung.
    threshold : float
        Up when the score is above it, down when below its negative, else unchanged. So scores of 0 change nothing.
    retreat : float
        All that do not go up go down when more than this share of the scores is at or below 0. At 1 that never happens.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``, from 0 to `largest`; divided by their sum where that exceeds 1.

    Raises
    ------
    WeightsError
        As `long_only`; a step, rung, threshold or retreat out of range.
    """
    for name, share in (("step", step), ("largest", largest), ("retreat", retreat)):
        if not 0.0 <= share <= 1.0:
            raise WeightsError(f"{name} must be a share from 0 to 1, got {share!r}")
    if not threshold >= 0.0:
        raise WeightsError(f"threshold must be at least 0, got {threshold!r}")
    day = Day(scores, liquid)
    retreats = (day.scores <= 0).sum() > retreat * (~np.isnan(day.scores)).sum() + 1e-9  # 0.6 * 5 is a little above 3
    up = day.scores > threshold
    down = (day.scores < -threshold) | (retreats & ~up & ~np.isnan(day.scores))
    moved = (day.before(previous) + step * (up.astype(float) - down)).clip(0.0, largest)
    return day.weights(algebra.normalized(np.where(day.liquid, moved, 0.0)))


def long_short(scores: xr.DataArray, liquid: xr.DataArray | None = None, level: float = 0.5) -> xr.DataArray:
    """Return a position in every liquid asset: long at or above `level`, short below.

    Parameters
    ----------
    scores, liquid : xr.DataArray
        As for `long_only`, usually probabilities of a rise. A score of 0 is a score: it is compared like any other.
    level : float
        The border.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: 1/N or -1/N, N the liquid assets of the scores.

    Raises
    ------
    WeightsError
        As `long_only`.
    """
    day = Day(scores, liquid)
    side = np.where(day.scores >= level, 1.0, -1.0)
    return day.weights(np.where(np.isnan(day.scores), 0.0, side) * day.slot)


def long_flat_short(
    scores: xr.DataArray,
    liquid: xr.DataArray | None = None,
    *,
    long_above: float = 0.0,
    short_below: float = -np.inf,
) -> xr.DataArray:
    """Return long positions above one level, short ones below another, none between.

    Parameters
    ----------
    scores, liquid : xr.DataArray
        As for `long_only`. A score of 0 is compared like any other; by default it holds nothing.
    long_above, short_below : float
        The levels; by default long above 0, else flat.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: 1/N, 0 or -1/N, N the liquid assets of the scores.

    Raises
    ------
    WeightsError
        As `long_only`; levels that cross.
    """
    if short_below > long_above:
        raise WeightsError(f"short_below {short_below:g} is above long_above {long_above:g}; swap them")
    day = Day(scores, liquid)
    side = (day.scores > long_above).astype(float) - (day.scores < short_below)
    return day.weights(side * day.slot)


def nuanced(
    scores: xr.DataArray,
    previous: xr.DataArray | None,
    liquid: xr.DataArray | None = None,
    *,
    long_above: float = 0.7,
    short_below: float = 0.3,
    exit_at: float = 0.5,
) -> xr.DataArray:
    """Return positions that open beyond the outer levels and close at the inner one.

    Parameters
    ----------
    scores, liquid : xr.DataArray
        As for `long_only`, usually probabilities of a rise. A NaN score keeps a position; a score of 0 is a low one.
    previous : xr.DataArray or None
        Dims ``(asset,)``: the weights of the day before, of which the sign counts. None on the first day.
    long_above, short_below : float
        A score above the first opens a long position, one below the second a short one, turning what was held.
    exit_at : float
        A score at or above it closes a short position, one below it a long one.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: 1/N, 0 or -1/N, N the liquid assets of the scores.

    Raises
    ------
    WeightsError
        As `long_only`; levels out of order.
    """
    if not short_below <= exit_at <= long_above:
        raise WeightsError(f"levels must ascend, got short {short_below:g}, exit {exit_at:g}, long {long_above:g}")
    day = Day(scores, liquid)
    p, held = day.scores, np.sign(day.before(previous))
    closes = ((held < 0) & (p >= exit_at)) | ((held > 0) & (p < exit_at))
    side = np.select([p > long_above, p < short_below, closes], [1.0, -1.0, 0.0], held)
    return day.weights(np.where(day.liquid, side, 0.0) * day.slot)
