"""Which assets to look at: the calmest, the smallest, the least alike, as of each day.

Masks have dims ``(time, asset)`` and a row depends on nothing after it; `uncorrelated` looks at the whole window it is
given, so give it a training window. An asset that is delisted later is a candidate until then. The rankings are those
of `qlstm.filter`, but for ties: they are broken by label, so that exactly the number asked for is marked.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import filter
from .errors import DataError, listed, near
from .stats.panel import Panel, whole

__all__ = ["available", "liquid", "lowest_volatility", "only", "size", "smallest", "uncorrelated"]

_LOG = logging.getLogger("qlstm.universe")
_TRADED_ROWS = 60  # rows in the median of close × volume, as where liquidity is derived


def available(data: xr.DataArray) -> xr.DataArray:
    """Return where an asset can be chosen: liquid where the cube says so, else where it has a close.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``, bool.
    """
    panel = Panel(data)
    priced = np.isfinite(panel["close"])
    return panel.array(priced & (panel["is_liquid"] > 0) if "is_liquid" in panel else priced)


def liquid(data: xr.DataArray) -> list[str]:
    """Return the assets that are liquid on the last day of the data.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with the field is_liquid.

    Returns
    -------
    list of str
        Their labels, in the order of the data.

    Raises
    ------
    DataError
        When the cube lacks the field.
    """
    fields = data.get_index("field")
    if "is_liquid" not in fields:
        raise DataError(f"data lack field 'is_liquid'; they have {', '.join(map(str, fields))}")
    last: dict[Any, Any] = {"field": fields.get_loc("is_liquid"), "time": -1}
    # Past xarray's own selection, which would cost half as much again as a strategy's indicators.
    values = data.values[tuple(last.get(dim, slice(None)) for dim in data.dims)]
    return data.get_index("asset").to_numpy()[values > 0].tolist()


def only(data: xr.DataArray, assets: Collection[str]) -> xr.DataArray:
    """Return the part of the data that a strategy's own list of assets names.

    Parameters
    ----------
    data : xr.DataArray
        Anything with the dim ``asset``.
    assets : collection of str
        Labels.

    Returns
    -------
    xr.DataArray
        In the order of `assets`.

    Raises
    ------
    DataError
        When the data lack one of them; names it.
    """
    known = data.get_index("asset")
    missing = [name for name in assets if name not in known]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"data lack asset {missing[0]!r}{more}; they have {listed(known, 5)}; give data "
            "that have it (--data), or name other assets in the strategy's file"
        )
    return data.sel(asset=list(assets))


def lowest_volatility(data: xr.DataArray, count: int, rows: int, members: xr.DataArray | None = None) -> xr.DataArray:
    """Mark the `count` members whose daily returns deviate least.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with the field close.
    count : int
        How many to mark each day; fewer where there are not so many.
    rows : int
        Returns in the deviation, all of which must be known.
    members : xr.DataArray, optional
        Dims ``(time, asset)``, true where an asset is a candidate; by default `available`.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``: 1 marked, 0 not.

    Raises
    ------
    DataError
        A cube without usable labels or the field, counts that are not whole numbers of at least 1.
    """
    close = data.sel(field="close", drop=True).transpose("time", "asset")
    moves = close / close.shift(time=1) - 1.0
    return _first(data, filter.calc_rolling_metric(moves, rows), count, members)


def size(data: xr.DataArray) -> xr.DataArray:
    """Return how big each asset is: the field mcap, or how much of it is traded where the cube lacks that.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with mcap, in currency, or with close and vol.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``, in currency. Its name says which it is: ``mcap``, or the substitution, the median of
        close × volume over 60 rows (fewer at the start).
    """
    panel = Panel(data)
    if "mcap" in panel:
        return panel.array(panel["mcap"], "mcap")
    dollars = pd.DataFrame(panel["close"] * panel["vol"]).rolling(_TRADED_ROWS, min_periods=1).median()
    return panel.array(dollars.to_numpy(), f"median of close × vol over {_TRADED_ROWS} rows, for want of a field mcap")


def smallest(data: xr.DataArray, count: int, members: xr.DataArray | None = None) -> xr.DataArray:
    """Mark the `count` smallest members by `size`.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``, see `size`.
    count, members
        As for `lowest_volatility`.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``: 1 marked, 0 not. ``attrs["size"]`` says what was taken for the size; a substitute is
        also named in the logger ``qlstm.universe``, at level info.

    Raises
    ------
    DataError
        As `lowest_volatility`; a cube with neither mcap nor vol.
    """
    measure = size(data)
    if measure.name != "mcap":
        _LOG.info("the smallest assets are those with the smallest %s", measure.name)
    return _first(data, measure.where(measure > 0), count, members).assign_attrs(size=str(measure.name))


def uncorrelated(
    data: xr.DataArray,
    count: int,
    start: str | None = None,
    excluded: Collection[str] = (),
    coverage: float = 0.9,
) -> list[str]:
    """Choose assets one by one, each the least alike to those chosen before: lowest mean absolute correlation.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with the field close: the training window, since every row of it is used.
    count : int
        How many to choose.
    start : str, optional
        The first; by default the candidate least alike to all others.
    excluded : collection of str
        Never chosen: what a list made before has taken.
    coverage : float
        A candidate is available on the last day and has at least this share of the window's returns.

    Returns
    -------
    list of str
        In the order chosen; fewer than `count` where there are not so many candidates.

    Raises
    ------
    DataError
        A start that is no candidate, no candidate at all, or a coverage that is not above 0 and at most 1.
    """
    count = whole("count", count)
    if not 0.0 < coverage <= 1.0:
        raise DataError(f"coverage must be above 0 and at most 1, got {coverage!r}")
    alike = _correlations(data, set(excluded), coverage)
    candidates = [str(asset) for asset in alike.columns]
    if not candidates:
        raise DataError(
            f"no asset is available on the last day with {coverage:.0%} of the returns; use a shorter window"
        )
    if start is not None and start not in candidates:
        raise DataError(f"start {start!r} is no candidate{near(start, candidates)}")
    chosen = [start or str(alike.mean().idxmin())]  # the first of equals: the columns are sorted by label
    while len(chosen) < min(count, len(candidates)):
        chosen.append(str(alike.loc[chosen].mean().drop(chosen).idxmin()))
    return chosen


def _correlations(data: xr.DataArray, excluded: Collection[str], coverage: float) -> pd.DataFrame:
    """Return absolute correlations of daily returns between candidates, sorted by label, 1 where they are unknown."""
    panel, last = Panel(data), available(data).values[-1]
    # On levels, any two assets that trend would look alike.
    moves = pd.DataFrame(panel["close"], columns=panel.assets).pct_change(fill_method=None)
    enough = moves.notna().sum() >= coverage * max(1, len(moves) - 1)
    keep = [asset for asset, now in zip(moves.columns, last, strict=True) if now and enough[asset]]
    moves = moves[sorted(asset for asset in keep if asset not in excluded)]
    return moves.corr().abs().fillna(1.0)


def _first(data: xr.DataArray, measure: xr.DataArray, count: int, members: xr.DataArray | None) -> xr.DataArray:
    """Mark the members with the smallest measure, as many as asked for: ties go to the label that sorts first."""
    among = available(data) if members is None else members.astype(bool)
    known = measure.where(among.reindex_like(measure, fill_value=False)).transpose("time", "asset").sortby("asset")
    order = known.values.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    places = known.copy(data=np.where(np.isnan(known.values), np.nan, order))
    return filter.rank_assets_by(data, places, count, ascending=True)
