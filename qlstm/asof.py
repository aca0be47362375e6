"""Put what is known about other things beside the prices: an index, macro data, fundamentals, news, as of each day.

Only the traded cube says which days there are. On each of them stands the newest observation that had been published by
its close; what came later is never filled back, and before the first publication there is NaN.

A row is published at its own time unless it says otherwise, in a field or coordinate ``available_from`` (a field holds
days since 1970-01-01). A time without an hour means its close: a bar of a day knows what was published at noon.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .cube import DIMS, as_cube
from .dates import day
from .errors import DataError

__all__ = ["AVAILABLE_FROM", "align", "join", "refuse_future"]

AVAILABLE_FROM = "available_from"
"""The field, or coordinate over time, with the moment from which an observation is public."""
_DAY = np.timedelta64(1, "D").astype("timedelta64[ns]")


def align(
    other: xr.DataArray,
    times: Any,
    *,
    lag_days: float = 0.0,
    max_age_days: float = np.inf,
    close_hour: float = 16.0,
    name: str = "dataset",
) -> xr.DataArray:
    """Return what was known of another dataset on each day of a calendar.

    Parameters
    ----------
    other : xr.DataArray
        A dim time, and any of field and asset, with labels. NaN is no observation: the one before stands.
    times : array-like
        The calendar, ascending: ``cube.time``.
    lag_days : float
        Days that pass between publication and use, at least 0.
    max_age_days : float
        NaN where the observation has been in use (publication and lag) for more than this many days; by default it
        stands for ever.
    close_hour : float
        When a day without an hour ends.
    name : str
        What messages call the dataset.

    Returns
    -------
    xr.DataArray
        The dims of `other`, with `times` as time and without the field ``available_from``. The newest observation
        counts, not the one published last: a late correction of an old quarter does not hide a newer one.

    Raises
    ------
    DataError
        No time dim or labels, a negative lag, a row published before its own time, or nothing published within the
        calendar.
    """
    if not lag_days >= 0:
        raise DataError(f"{name}: lag_days must be at least 0, got {lag_days!r}")
    values, published = _observations(other, close_hour, name)
    calendar = pd.DatetimeIndex(np.asarray(times))
    ends = _closes(calendar, close_hour)
    known_at = published + _days(lag_days)
    _check_overlap(known_at, calendar, ends, name)
    columns = values.reshape(len(values), -1)
    moments = np.broadcast_to(known_at, values.shape).reshape(columns.shape)
    filled = np.column_stack([_column(*pair, ends, max_age_days) for pair in zip(columns.T, moments.T, strict=True)])
    kept = _without_stamp(other)
    coords = {dim: kept[dim].values for dim in kept.dims if dim != "time"}
    result = xr.DataArray(
        filled.reshape(len(ends), *values.shape[1:]), dims=kept.dims, coords=coords | {"time": calendar.to_numpy()}
    )
    return result.transpose(*(dim for dim in other.dims if dim in result.dims))


def join(
    data: xr.DataArray,
    other: xr.DataArray,
    *,
    lag_days: float = 0.0,
    max_age_days: float = np.inf,
    close_hour: float = 16.0,
    name: str = "dataset",
) -> xr.DataArray:
    """Return the traded cube with the fields of another dataset beside its own.

    Parameters
    ----------
    data : xr.DataArray
        The traded cube ``(field, time, asset)``, which alone gives times and assets.
    other : xr.DataArray
        Dims ``(field, time, asset)``: fields of the same assets, matched by label; or ``(field, time)``: the same for
        all, such as ``index.sel(asset="SPX", drop=True)``. Name its fields first where they clash with those of `data`.
    lag_days, max_age_days, close_hour, name
        As for `align`.

    Returns
    -------
    xr.DataArray
        Dims ``(field, time, asset)``, the fields of `data` first; attributes and name kept.

    Raises
    ------
    DataError
        As `align`; no field dim, a field that both have, or no asset in common.
    """
    cube = as_cube(data, fields=())
    if "field" not in other.dims or "field" not in other.coords:
        raise DataError(f"{name} must have labelled dims (field, time[, asset]), got {other.dims}; use expand_dims")
    known = set(map(str, cube["field"].values))
    clash = [str(field) for field in other["field"].values if str(field) in known and str(field) != AVAILABLE_FROM]
    if clash:
        raise DataError(f"{name} and data both have field {clash[0]!r}; rename that of {name} with assign_coords")
    if "asset" in other.dims and not cube.get_index("asset").isin(other.get_index("asset")).any():
        first = cube["asset"].values[0]
        raise DataError(f"{name} has no asset of data ({first}, ...); select one and drop the dim to give it to all")
    options: dict[str, Any] = {"lag_days": lag_days, "max_age_days": max_age_days, "close_hour": close_hour}
    extra = align(other, cube["time"].values, name=name, **options)
    if "asset" in extra.dims:
        extra = extra.reindex(asset=cube["asset"].values)
    else:
        extra = extra.expand_dims(asset=cube["asset"].values)
    joined = xr.concat(
        [cube, extra.transpose(*DIMS)], dim="field", join="override", coords="minimal", compat="override"
    )
    return joined.rename(cube.name).assign_attrs(cube.attrs)


def refuse_future(data: xr.DataArray, *, close_hour: float = 16.0, name: str = "data") -> None:
    """Refuse a cube whose extra fields were not yet public at the close of the row they stand in.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with a field ``available_from``.
    close_hour, name
        As for `align`.

    Raises
    ------
    DataError
        Naming the first such row, its asset and when it was published; or no such field.
    """
    _, published = _stamps(data, name)
    ends = _closes(pd.DatetimeIndex(data.get_index("time")), close_hour)
    late = published > ends.reshape(-1, *[1] * (published.ndim - 1))
    if late.any():
        found = f"{name} at {_where(data, late)} was published on {_moment(published[late][0])}"
        raise DataError(f"{found}, after that day's close; use asof.join, or date it by its publication")


def _without_stamp(other: xr.DataArray) -> xr.DataArray:
    """Return the data, time first, without the publication dates."""
    kept = other.transpose("time", ...)
    if "field" in kept.coords and AVAILABLE_FROM in kept["field"].values:
        kept = kept.sel(field=kept["field"] != AVAILABLE_FROM)
    return kept


def _stamps(other: xr.DataArray, name: str) -> tuple[xr.DataArray, np.ndarray]:
    """Return the data, time first, and the publication dates as datetime64[ns], shaped to broadcast against them."""
    kept = _without_stamp(other)
    if "field" in other.coords and AVAILABLE_FROM in other["field"].values:
        days = other.sel(field=AVAILABLE_FROM, drop=True).transpose("time", ...)
        places = tuple(slice(None) if dim in days.dims else np.newaxis for dim in kept.dims)
        return kept, _dates(days.values)[places]
    if AVAILABLE_FROM in other.coords:
        stamp = other[AVAILABLE_FROM]
        if stamp.dims != ("time",):
            raise DataError(f"{name}: coordinate {AVAILABLE_FROM} must have dims (time,), got {stamp.dims}")
        stamps = pd.DatetimeIndex(stamp.values).as_unit("ns").to_numpy()
        return kept, stamps.reshape(-1, *[1] * (kept.ndim - 1))
    raise DataError(f"{name} has no field or coordinate {AVAILABLE_FROM!r}; say when each row was published")


def _observations(other: xr.DataArray, close_hour: float, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the observations, time first, and when each was published."""
    if not isinstance(other, xr.DataArray) or "time" not in other.coords or not other.sizes["time"]:
        raise DataError(f"{name} must be an xarray.DataArray with labelled times, and rows")
    rows = other.get_index("time")
    if not (isinstance(rows, pd.DatetimeIndex) and rows.is_monotonic_increasing and rows.is_unique):
        raise DataError(f"{name} must have ascending dates that occur once; use sortby('time')")
    own = rows.as_unit("ns").to_numpy()
    if AVAILABLE_FROM not in other.coords and not ("field" in other.coords and AVAILABLE_FROM in other["field"].values):
        kept = _without_stamp(other)
        return np.asarray(kept.values, dtype=np.float64), _closes(rows, close_hour).reshape(-1, *[1] * (kept.ndim - 1))
    kept, published = _stamps(other, name)
    early = published < own.reshape(-1, *[1] * (published.ndim - 1))
    if early.any():
        found = f"{name} at {_where(other, early)} says that it was public on {_moment(published[early][0])}"
        raise DataError(f"{found}, before its own time; date rows by the end of what they measure")
    return np.asarray(kept.values, dtype=np.float64), published


def _column(values: np.ndarray, moments: np.ndarray, ends: np.ndarray, max_age_days: float) -> np.ndarray:
    """Return the newest observation of one series that is public at each moment of `ends`."""
    known = np.flatnonzero(~np.isnan(values) & ~np.isnat(moments))
    if not len(known):
        return np.full(len(ends), np.nan)
    order = known[np.argsort(moments[known], kind="stable")]
    newest = np.maximum.accumulate(order)  # of all published so far: rows ascend in time
    place = np.searchsorted(moments[order], ends, side="right") - 1
    row = newest[np.maximum(place, 0)]
    fresh = (ends - moments[row]) / _DAY <= max_age_days
    return np.where((place >= 0) & fresh, values[row], np.nan)


def _closes(times: pd.DatetimeIndex, close_hour: float) -> np.ndarray:
    """Return when each bar ends, datetime64[ns]: at its own time, or at the close of a day without an hour."""
    moments = times.as_unit("ns")
    dated = np.asarray(moments == moments.normalize())
    return moments.to_numpy() + np.where(dated, _days(close_hour / 24.0), np.timedelta64(0, "ns"))


def _days(days: float) -> np.timedelta64:
    return np.timedelta64(round(days * 86_400), "s").astype("timedelta64[ns]")


def _dates(days: np.ndarray) -> np.ndarray:
    """Return days since 1970-01-01 as datetime64[ns]; NaN, never published, as NaT."""
    seconds = np.where(np.isnan(days), 0.0, np.rint(days * 86_400.0)).astype("timedelta64[s]")
    moments = (np.datetime64(0, "s") + seconds).astype("datetime64[ns]")
    return np.where(np.isnan(days), np.datetime64("NaT", "ns"), moments)


def _check_overlap(known_at: np.ndarray, calendar: pd.DatetimeIndex, ends: np.ndarray, name: str) -> None:
    known = known_at[~np.isnat(known_at)]
    if not len(known):
        raise DataError(f"{name} was never published: {AVAILABLE_FROM} is missing throughout")
    # By day: an observation of the first day's noon overlaps with that day.
    if not len(ends) or known.min() > ends[-1] or known.max() < calendar[0].normalize().to_datetime64():
        span = f"{day(calendar[0])} to {day(calendar[-1])}" if len(ends) else "no day"
        raise DataError(
            f"{name}, published {_moment(known.min())} to {_moment(known.max())}, does not overlap with data, {span};"
            " load the period that is traded"
        )


def _where(cube: xr.DataArray, bad: np.ndarray) -> str:
    """Name the first bad cell: ``2020-01-02, asset A``."""
    ordered = _without_stamp(cube)
    found = zip(ordered.dims, np.argwhere(bad)[0], bad.shape, strict=True)
    cell = {dim: place for dim, place, size in found if size == ordered.sizes[dim]}  # a size of 1 stands for all
    shown = [day(cube["time"].values[cell["time"]])]
    if "asset" in cell:
        shown.append(f"asset {cube['asset'].values[cell['asset']]}")
    return ", ".join(shown)


def _moment(moment: np.datetime64) -> str:
    return day(moment)
