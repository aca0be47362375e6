"""Bars of months made of shorter ones: inputs as they were known when a bar ended, and what was earned until the next.

A bar ends on the first row at or after the last weekday of its last month (`schedule.every_months`), and its row bears
that row's time, so nothing in it is later than its label. A cube whose rows are months or quarters already has one row
per bar. The bar in which the data begin is left out, since it may have begun before them; the one that has not ended
yet is too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from . import schedule, ta
from .asof import AVAILABLE_FROM, refuse_future
from .cube import DIMS, as_cube
from .data.quality import examine
from .dates import day
from .errors import DataError

__all__ = ["AVERAGED", "QUARTER", "SUMMED", "WINDOWS", "complete", "earned", "ends", "features", "sound"]

QUARTER = 3
"""Months."""
WINDOWS = (7, 30, 90, 180)
"""Rows of the averages that prices and volumes are compared with."""
SUMMED = ("vol", "insider_acquisition", "insider_disposal")
"""Fields that hold what happened in a row, not where something stands: a bar has their sum."""
AVERAGED = ("sentiment", "outlook")
"""Fields that hold an opinion of each row: a bar has their mean."""
_TRENDING = ("close", "vol")
_PRICES = ("open", "high", "low")
_ACTIONS = ("is_liquid", "divs", "split", "split_cumprod", "roll")
_NOT_INPUTS = {*_PRICES, *_ACTIONS, "period_end", AVAILABLE_FROM}
_FAULTY = 0.6  # change over a bar below which a price is believed, however calm the asset was before


def ends(times: np.ndarray, months: int = QUARTER) -> np.ndarray:
    """Return the rows on which bars end.

    Parameters
    ----------
    times : np.ndarray
        Calendar, ``datetime64``, ascending.
    months : int
        Of a bar; 3 are quarters that end in March, June, September and December.

    Returns
    -------
    np.ndarray
        Rows, ascending, the end of the bar in which the calendar begins left out. Later rows do not change them.

    Raises
    ------
    StrategyError
        When `months` is no whole number of at least 1.
    """
    return _firsts(times, months)[1:]


def features(
    data: xr.DataArray,
    months: int = QUARTER,
    windows: Sequence[int] = WINDOWS,
    only: Sequence[str] | None = None,
) -> xr.DataArray:
    """Return every field as it stood at the end of each bar, its distance from its averages, and its change.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with ``close`` and ``vol``. Any other field is an input too, except prices of the
        day, liquidity and corporate actions; put them there with `asof.join`, which knows when they were published.
    months : int
        Of a bar.
    windows : sequence of int
        Rows of `data` in each average.
    only : sequence of str, optional
        The columns wanted, such as those learned from; all unless given.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset, feature)``: the fields by name, the last value of the bar, or the sum or mean of those in
        `SUMMED` and `AVERAGED`; ``close_diff_ma_7``, the distance of close (and vol) from its simple moving average of
        7 rows, as a share of it; ``delta_close``, the difference from the bar before. NaN where something is missing.
        With the 22 fields of the source, 52 columns.

    Raises
    ------
    DataError
        No ``close`` or ``vol``; no field for a column of `only`; fields that were not yet public, where
        ``available_from`` says so; or no bar has ended.
    """
    cube = as_cube(data, fields=_TRENDING)
    names = [str(name) for name in cube["field"].values]
    if AVAILABLE_FROM in names:
        refuse_future(cube)
    times = cube["time"].values
    firsts = _firsts(times, months)
    if len(firsts) < 2:
        raise DataError(
            f"no bar of {months} months begins and ends in the data, {day(times[0])} to {day(times[-1])};"
            " give a longer window (lookback_period, train_period)"
        )
    values = cube.transpose(*DIMS).values
    series = {name: values[i] for i, name in enumerate(names) if name not in _NOT_INPUTS}
    levels = {name: _of_bars(name, cells, firsts) for name, cells in series.items()}
    distances = {
        f"{name}_diff_ma_{window}": _distance(series[name], window)[firsts[1:]]
        for name in _TRENDING
        for window in windows
    }
    changes = {f"delta_{name}": _change(cells) for name, cells in levels.items()}
    columns = _chosen(levels | distances | changes, only)
    coords = {"time": times[firsts[1:]], "asset": cube["asset"].values, "feature": list(columns)}
    return xr.DataArray(np.stack(list(columns.values()), axis=-1), coords, (*DIMS[1:], "feature"))


def earned(returns: xr.DataArray, months: int = QUARTER) -> xr.DataArray:
    """Return what is earned from the end of each bar to the end of the next, compounded: a label.

    Parameters
    ----------
    returns : xr.DataArray
        Dims ``(time, asset)``: what a position decided on each row earns until the next row's would,
        `labels.executed_return`.
    months : int
        Of a bar.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``, the times of `features`. NaN where any return in between is, so in the last row, and in
        the last two where the data end with a bar.

    Raises
    ------
    DataError
        Other dims.
    """
    values = _of_dims(returns, "returns", DIMS[1:])
    rows = ends(values["time"].values, months)
    grown = np.full((len(rows), values.sizes["asset"]), np.nan)
    if len(rows) > 1:
        grown[:-1] = np.multiply.reduceat(1.0 + values.values[: rows[-1]], rows[:-1], axis=0)
    return values.isel(time=rows).copy(data=grown - 1.0)


def complete(inputs: xr.DataArray, share: float = 0.8) -> list[str]:
    """Return the features that are known often enough to learn from.

    Parameters
    ----------
    inputs : xr.DataArray
        Dims ``(time, asset, feature)``, of `features`.
    share : float
        How often, among the cells that have a ``close``.

    Raises
    ------
    DataError
        Other dims, or no feature ``close``.
    """
    inputs = _of_dims(inputs, "inputs", (*DIMS[1:], "feature"))
    if "close" not in inputs.get_index("feature"):
        raise DataError("inputs lack feature 'close', whose cells are counted; give those of bars.features, or add it")
    priced = inputs.sel(feature="close", drop=True).notnull()
    counts = (inputs.notnull() & priced).sum(("time", "asset"))
    enough = counts >= np.maximum(share * priced.sum(), 1)
    return [str(name) for name in inputs["feature"].values[enough.values]]


def sound(data: xr.DataArray, months: int = QUARTER) -> xr.DataArray:
    """Return the data without what an asset's prices were before its last fault: another basis, or no price at all.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` with ``close``.
    months : int
        Of a bar.

    Returns
    -------
    xr.DataArray
        The cube, NaN in all fields of an asset until its last frozen price is over, until its last split that prices
        lack, as `data.quality.examine` finds them row by row, and until the end of the last bar over which its price
        jumped or was split. A jump from one day to the next is no fault: earnings do that. Nor is a change of less
        than 60 % over a bar.

    Raises
    ------
    DataError
        When the data are no cube, or lack ``close``.
    """
    data = as_cube(data, fields=("close",))
    by_row = examine(data).of("frozen", "split")
    by_bar = examine(data.isel(time=ends(data["time"].values, months))).of("jump", "split")
    times, assets = data["time"].values, data.get_index("asset")
    kept = np.ones((len(times), len(assets)), dtype=bool)
    for one in [*by_row, *(one for one in by_bar if one.kind == "split" or abs(one.value) > _FAULTY)]:
        last = times.searchsorted(one.end, "right" if one.kind == "frozen" else "left")
        kept[:last, assets.get_loc(one.asset)] = False
    return data.where(xr.DataArray(kept, {"time": data["time"], "asset": data["asset"]}, DIMS[1:]))


def _firsts(times: np.ndarray, months: int) -> np.ndarray:
    """Return the rows on which a bar ends, but for the first row of all, of which that cannot be told."""
    moments = np.asarray(times, dtype="datetime64[ns]")
    blocks = schedule.blocks(moments, schedule.every_months(months))
    return moments.searchsorted(np.array([block[0] for block in blocks][1:], dtype="datetime64[ns]"))


def _of_dims(array: xr.DataArray, what: str, dims: tuple[str, ...]) -> xr.DataArray:
    if set(array.dims) != set(dims):
        raise DataError(f"{what} must have dims ({', '.join(dims)}), got ({', '.join(map(str, array.dims))})")
    return array.transpose(*dims)


def _chosen(columns: dict[str, np.ndarray], only: Sequence[str] | None) -> dict[str, np.ndarray]:
    if only is None:
        return columns
    for name in only:
        if name not in columns:
            field = name.removeprefix("delta_")
            raise DataError(f"data lack field {field!r}, and so input {name!r}; give it, or train without it")
    return {name: columns[name] for name in only}


def _of_bars(name: str, cells: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Return one field, (time, asset), at the ends of bars but the first, whose bar may lack its beginning."""
    if name not in SUMMED + AVERAGED:
        return cells[firsts[1:]]
    within = cells[: firsts[-1] + 1]
    known = np.isfinite(within)
    parts = np.where(known, within, 0.0), known.astype(np.int64)
    total, count = (np.add.reduceat(part, firsts[:-1] + 1, axis=0) for part in parts)
    divisor = 1 if name in SUMMED else np.maximum(count, 1)
    return np.where(count > 0, total / divisor, np.nan)


def _change(cells: np.ndarray) -> np.ndarray:
    """Return the difference from the row before, NaN in the first."""
    return np.diff(cells, axis=0, prepend=np.full((1, cells.shape[1]), np.nan))


def _distance(cells: np.ndarray, window: int) -> np.ndarray:
    """Return how far values (time, asset) are from their average, as a share of it; NaN where that is not above 0."""
    average = ta.sma(np.ascontiguousarray(cells.T), window).T
    return cells / np.where(average > 0, average, np.nan) - 1.0
