"""What a cube is: labelled prices with dims (field, time, asset), checked once at the border and never written to.

`check` names every fault it finds; `as_cube` turns what a user hands over into the one form the engine works on
(float64, that order of dims, read-only); `Windows` cuts the last N calendar days up to a day t, as views.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .dates import calendar_days, day
from .errors import DataError

__all__ = ["DIMS", "FIELDS", "Cubes", "DataWarning", "Windows", "as_cube", "check", "locate"]

DIMS = ("field", "time", "asset")
FIELDS = ("open", "high", "low", "close", "vol")
"""The fields every traded cube must have."""
Cubes = xr.DataArray | Mapping[str, xr.DataArray]
"""One cube, or several by name of which the first is traded."""
_WORST = 3  # cases shown per kind of contradiction


class DataWarning(UserWarning):
    """Prices that contradict each other; real data have some, so they do not stop a run."""


def locate(cube: xr.DataArray, bad: np.ndarray) -> str:
    """Name the first True cell of `bad`, shaped as `cube`, and its value: ``field close, 2020-01-02, asset A: inf``."""
    cell = tuple(np.argwhere(bad)[0])
    names = []
    for dim, i in zip(cube.dims, cell, strict=True):
        label = cube[dim].values[i]
        names.append(day(label) if dim == "time" else f"{dim} {label}")
    return f"{', '.join(names)}: {cube.values[cell]:g}"


def _index_faults(cube: xr.DataArray, what: str) -> list[str]:
    faults = []
    for dim in cube.dims:
        if cube.sizes[dim] == 0:
            faults.append(f"{what} has no {dim}")
        elif dim not in cube.coords:
            faults.append(f"{what} has no labels along {dim!r}")
        else:
            index = cube.get_index(dim)
            if not index.is_unique:
                label = index[index.duplicated()][0]
                faults.append(f"{what} has {dim} {day(label) if dim == 'time' else label} more than once")
    return faults


def _time_faults(cube: xr.DataArray, what: str) -> list[str]:
    if "time" not in cube.coords:
        return []
    times = cube.get_index("time")
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        return [f"{what} has times with a time zone, {times.dtype.tz}; use tz_localize(None)"]
    if times.dtype.kind != "M":
        return [f"{what} has times of dtype {times.dtype}, want datetime64[ns]; use pd.to_datetime"]
    if times.hasnans:
        return [f"{what} has a time that is not a date (NaT) at row {int(np.argmax(times.isna()))}"]
    late = np.flatnonzero(times[1:] < times[:-1])
    if len(late):
        i = late[0] + 1
        return [f"{what} is not sorted by time: {day(times[i])} follows {day(times[i - 1])}; use sortby('time')"]
    return []


def _structure_faults(cube: object, what: str, fields: tuple[str, ...]) -> list[str]:
    """Return every reason why `cube` is not a cube at all."""
    if not isinstance(cube, xr.DataArray):
        return [f"{what} must be an xarray.DataArray with dims (field, time, asset), got {type(cube).__name__}"]
    if set(cube.dims) != set(DIMS) or len(cube.dims) != len(DIMS):
        return [f"{what} must have dims (field, time, asset), got ({', '.join(map(str, cube.dims))})"]
    faults = _index_faults(cube, what) + _time_faults(cube, what)
    if "field" in cube.coords:
        present = {str(field) for field in cube["field"].values}
        faults += [f"{what} lacks field {field!r}" for field in fields if field not in present]
    if cube.dtype.kind not in "fiu":
        faults.append(f"{what} has dtype {cube.dtype}, want float64; use astype(float)")
    elif not faults and cube.dtype.kind == "f":
        infinite = np.isinf(cube.values)
        if infinite.any():
            faults.append(f"{what} has {int(infinite.sum())} infinite values, first {locate(cube, infinite)}")
    return faults


def _suspects(prices: dict[str, np.ndarray], volume: np.ndarray | None) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return each kind of contradiction: what it is, where (time, asset), and how bad each cell is."""
    found = [(f"{name} not positive", price <= 0, -price) for name, price in prices.items()]
    if {"high", "low"} <= prices.keys():
        high, low = prices["high"], prices["low"]
        found.append(("high below low", high < low, low / high))
        for name in ("open", "close"):
            if name in prices:
                price = prices[name]
                outside = (price > high) | (price < low)
                found.append((f"{name} outside low..high", outside, np.maximum(price / high, low / price)))
    if volume is not None:
        found.append(("vol negative", volume < 0, -volume))
    return found


def _contradictions(cube: xr.DataArray) -> list[str]:
    """Return one sentence per kind of contradicting price, with its count and the worst cases."""
    names = {str(name): i for i, name in enumerate(cube["field"].values)}
    prices = {name: cube.values[names[name]] for name in FIELDS[:4] if name in names}
    with np.errstate(divide="ignore", invalid="ignore"):  # prices of 0 are among what is looked for
        found = _suspects(prices, cube.values[names["vol"]] if "vol" in names else None)
    times, assets = cube["time"].values, cube["asset"].values
    sentences = []
    for what, where, badness in found:
        cells = np.argwhere(where)
        if len(cells) == 0:
            continue
        order = np.argsort(-np.nan_to_num(badness[where], nan=np.inf, posinf=np.inf), kind="stable")[:_WORST]
        worst = (f"{assets[a]} {day(times[t])} ({_values(prices, t, a)})" for t, a in cells[order])
        sentences.append(f"{what}: {len(cells)} of {where.size} cells, worst {'; '.join(worst)}")
    return sentences


def _values(prices: dict[str, np.ndarray], t: int, a: int) -> str:
    return " ".join(f"{name} {price[t, a]:g}" for name, price in prices.items())


def check(cube: object, *, what: str = "data", fields: tuple[str, ...] = FIELDS, warn: bool = True) -> list[str]:
    """Check that `cube` is a cube, and return what is contradictory about its prices.

    Parameters
    ----------
    cube : xr.DataArray
        Dims ``(field, time, asset)`` in any order; prices in currency per share, volume in shares.
    what : str
        What to call it in messages.
    fields : tuple of str
        The fields it must have.
    warn : bool
        Also emit each contradiction as a `DataWarning`.

    Returns
    -------
    list of str
        One sentence per kind of contradiction (a price that is not positive, high below low, open or close outside
        low..high, negative volume) with its count and its worst cases.

    Raises
    ------
    DataError
        When the structure is wrong: type, dims, labels that are missing, unsorted or doubled, missing fields, a dtype
        that is not numeric, infinities. The message lists every such fault.
    """
    faults = _structure_faults(cube, what, fields)
    if faults:
        raise DataError("; ".join(faults))
    assert isinstance(cube, xr.DataArray)
    sentences = _contradictions(cube.transpose(*DIMS))
    if warn:
        for sentence in sentences:
            warnings.warn(f"{what}: {sentence}", DataWarning, stacklevel=2)
    return sentences


def as_cube(cube: object, *, what: str = "data", fields: tuple[str, ...] = FIELDS) -> xr.DataArray:
    """Return `cube` in the one form the engine works on, sharing memory with it where that form allows.

    Returns
    -------
    xr.DataArray
        Dims ``(field, time, asset)``, float64, times ``datetime64[ns]``, read-only. The cube handed in stays writable.

    Raises
    ------
    DataError
        As `check` does for a wrong structure. Contradicting prices are not looked at here.
    """
    faults = _structure_faults(cube, what, fields)
    if faults:
        raise DataError("; ".join(faults))
    assert isinstance(cube, xr.DataArray)
    cube = cube.transpose(*DIMS)
    values = np.asarray(cube.values, dtype=np.float64).view()
    values.flags.writeable = False
    result = cube.copy(deep=False, data=values)
    times = cube.get_index("time")
    if times.dtype != np.dtype("datetime64[ns]"):
        result = result.assign_coords(time=times.astype("datetime64[ns]"))
    return result


class Windows:
    """Cuts what a strategy may see out of the data: the last N calendar days up to t, nothing after t.

    Parameters
    ----------
    data : xr.DataArray or mapping of str to xr.DataArray
        One cube, or several by name; the first is the traded one and gives the calendar.
    cut : callable, optional
        ``cut(data, t, days)`` does the cutting instead; it gets what `data` was, made read-only.
    copy_windows : bool
        Hand out deep copies, for strategies that write into their data.

    Attributes
    ----------
    times : np.ndarray
        The calendar: the traded cube's times, ``datetime64[ns]``, ascending.
    traded : xr.DataArray
        The traded cube, read-only.
    """

    def __init__(
        self, data: Cubes, cut: Callable[[Any, np.datetime64, int], Any] | None = None, copy_windows: bool = False
    ) -> None:
        self.data: Any
        if isinstance(data, Mapping):
            if not data:
                raise DataError("data is an empty mapping; give at least the traded cube")
            first, *others = data
            self.data = {first: as_cube(data[first], what=f"data[{first!r}]")}
            self.data |= {name: as_cube(data[name], what=f"data[{name!r}]", fields=()) for name in others}
            self.traded = self.data[first]
        else:
            self.data = self.traded = as_cube(data)
        self.times: np.ndarray = self.traded["time"].values
        self._cut = cut
        self._copy = copy_windows

    def __call__(self, t: np.datetime64, days: int) -> Any:
        """Return the rows with ``t - days <= time <= t``, both ends included, of the cube (or of each cube)."""
        if self._cut is not None:
            cut = self._cut(self.data, t, days)
        elif isinstance(self.data, dict):
            cut = {name: _rows(cube, t, days) for name, cube in self.data.items()}
        else:
            cut = _rows(self.data, t, days, self.times)
        return copy.deepcopy(cut) if self._copy else cut

    def over(self, cube: xr.DataArray) -> Windows:
        """Return windows that cut another cube in the same way."""
        return Windows(cube, self._cut, self._copy)

    def up_to(self, t: np.datetime64) -> Windows:
        """Return windows over the same data that end at t."""
        data = (
            {name: _upto(c, t) for name, c in self.data.items()} if isinstance(self.data, dict) else _upto(self.data, t)
        )
        return Windows(data, self._cut, self._copy)


def _rows(cube: xr.DataArray, t: np.datetime64, days: int, times: np.ndarray | None = None) -> xr.DataArray:
    times = cube["time"].values if times is None else times
    first = int(times.searchsorted(t - calendar_days(days), "left"))
    return cube.isel(time=slice(first, int(times.searchsorted(t, "right"))))


def _upto(cube: xr.DataArray, t: np.datetime64) -> xr.DataArray:
    return cube.isel(time=slice(0, int(cube["time"].values.searchsorted(t, "right"))))
