"""Which assets to hold, by the size or the order of their scores."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import xarray as xr

from ..errors import WeightsError, near
from ..exposure import cut_big_positions
from ..stats.panel import whole
from .rows import Day, one_day

__all__ = ["equal_weight", "group_rotation", "long_only", "single_name", "top_bottom"]


def equal_weight(members: xr.DataArray) -> xr.DataArray:
    """Return 1/N for each of the N members, 0 for the others; all 0 where there is none.

    Parameters
    ----------
    members : xr.DataArray
        Dims ``(asset,)``: above 0 where an asset is held. A mask, ``is_liquid``, or scores of which the sign counts.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``.
    """
    assets, numbers = one_day(members, "members")
    held = numbers > 0
    return xr.DataArray(held / max(1, int(held.sum())), dims="asset", coords={"asset": assets.to_numpy()})


def long_only(scores: xr.DataArray, liquid: xr.DataArray | None = None, max_weight: float = 1.0) -> xr.DataArray:
    """Return long positions in proportion to the scores above 0, each cut to `max_weight`.

    Parameters
    ----------
    scores : xr.DataArray
        Dims ``(asset,)``. At or below 0: no position.
    liquid : xr.DataArray, optional
        Dims ``(asset,)``, above 0 where an asset can be traded. An asset that it lacks cannot; all can without it.
    max_weight : float
        Largest share of capital in one asset. The cap comes last: what is cut off stays in cash.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``, from 0 to `max_weight`.

    Raises
    ------
    WeightsError
        Scores with other dims, doubled labels or infinities; a cap that is not above 0.
    """
    day = Day(scores, liquid)
    wanted = np.fmax(day.scores, 0.0)  # 0 where unknown
    # Scaled first: the sum of very large or very small scores would leave the range of floats.
    scaled = wanted / (wanted.max(initial=0.0) or 1.0)
    return cut_big_positions(day.weights(scaled / (scaled.sum() or 1.0)), max_weight)


def top_bottom(scores: xr.DataArray, liquid: xr.DataArray | None = None, *, top: int, bottom: int = 0) -> xr.DataArray:
    """Return equal long positions in the `top` highest scores and equal short ones in the `bottom` lowest.

    Parameters
    ----------
    scores, liquid : xr.DataArray
        As for `long_only`. Scores that are all equal rank nothing: no position.
    top : int
        Long positions, at least 1.
    bottom : int
        Short positions, 0 for a long-only book.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: 1 / (top + bottom) each, negative for the lowest. With fewer assets than that, both sides
        shrink in proportion and the money of the missing ones stays in cash.

    Raises
    ------
    WeightsError, DataError
        As `long_only`; counts that are not whole numbers, or too small.
    """
    places = whole("top", top) + (whole("bottom", bottom) if bottom else 0)
    day = Day(scores, liquid)
    ranked, weights = day.ranked(), np.zeros(len(day.assets))
    if len(ranked) and day.scores[ranked[0]] > day.scores[ranked[-1]]:
        n = min(places, len(ranked))
        weights[ranked[: n * top // places]] = 1.0 / places
        weights[ranked[len(ranked) - n * bottom // places :]] = -1.0 / places
    return day.weights(weights)


def group_rotation(
    score: float, rising: Collection[str], falling: Collection[str], liquid: xr.DataArray, threshold: float = 0.0
) -> xr.DataArray:
    """Return equal long positions in one of two groups, chosen by a single forecast.

    Parameters
    ----------
    score : float
        The forecast. NaN holds neither group.
    rising, falling : collection of str
        What to hold when it is above `threshold`, and when it is at or below it.
    liquid : xr.DataArray
        Dims ``(asset,)``: every asset there is, above 0 where it can be traded.
    threshold : float
        0, or the forecast's own bias.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: 1/N for the N liquid assets of the chosen group.

    Raises
    ------
    WeightsError
        A group that names an asset which `liquid` lacks.
    """
    assets, tradable = one_day(liquid, "liquid")
    known = [str(label) for label in assets]
    for name in (*rising, *falling):
        if name not in known:
            raise WeightsError(f"a group names asset {name!r}, which the data lack{near(name, known)}")
    chosen = [] if np.isnan(score) else list(rising if score > threshold else falling)
    return equal_weight(liquid.copy(data=np.where(assets.isin(chosen), tradable, 0.0)))


def single_name(scores: xr.DataArray, liquid: xr.DataArray | None = None) -> xr.DataArray:
    """Return the whole capital in the asset with the largest absolute score: long above 0, short below.

    Parameters
    ----------
    scores, liquid : xr.DataArray
        As for `long_only`. Of a high and a low score of equal size the high one wins. The weights do not change from
        one day to the next as long as the name does not.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: one weight of 1 or -1, or none where every score is 0 or NaN.

    Raises
    ------
    WeightsError
        As `long_only`.
    """
    day = Day(scores, liquid)
    weights = np.zeros(len(day.assets))
    highest, lowest = day.ranked()[:1], day.ranked(-1.0)[:1]
    if len(highest):
        best = highest if day.scores[highest] >= -day.scores[lowest] else lowest
        weights[best] = np.sign(day.scores[best])
    return day.weights(weights)
