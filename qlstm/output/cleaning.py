"""Weights brought into the form a contest accepts.

No contest is known by name here; every rule asks the contest's record (`qlstm.contests`).
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import contests, exposure
from .. import weights as algebra
from ..contests import Contest
from ..dates import day
from ..errors import ContestError, WeightsError
from ..stats.panel import Panel, times_of
from ..stats.rules import check_exposure, find_missed_dates
from ..weights import normalize

__all__ = ["align", "clean", "contest_of"]

_LOG = logging.getLogger("qlstm.output")


def contest_of(kind: str | Contest | None, data: xr.DataArray) -> Contest:
    """Return the contest asked for, or the one the cube is named after."""
    if kind is None and contests.find(None if data.name is None else str(data.name)) is None:
        raise ContestError(
            f"data named {data.name!r} tell no contest; pass kind=, one of {', '.join(contests.names())}"
        )
    return contests.get(str(data.name) if kind is None else kind)


class _Notes:
    """Collect what cleaning did: into the log, and into the caller's list."""

    def __init__(self, report: list[str] | None) -> None:
        self._report = [] if report is None else report

    def _add(self, level: int, line: str) -> None:
        _LOG.log(level, line)
        self._report.append(line)

    def changed(self, line: str) -> None:
        """Note a change that any portfolio may need."""
        self._add(logging.INFO, f"contest rules: {line}")

    def dropped(self, line: str) -> None:
        """Note something that the strategy asked for and will not get."""
        self._add(logging.WARNING, f"contest rules: {line}")

    def positions(self, why: str, book: xr.DataArray, where: np.ndarray, done: str = "took away") -> None:
        """Note what was done, and why, to positions of `book` at `where` (time, asset)."""
        held = where & (np.nan_to_num(book.values) != 0)
        if held.any():
            t, a = np.argwhere(held)[0]
            many = int(held.sum())
            first = f"{book['asset'].values[a]} on {day(book['time'].values[t])} (weight {book.values[t, a]:.3g})"
            line = f"contest rules {done} {many} position{'s' * (many != 1)} ({why}), first {first}"
            self._add(logging.WARNING, line)


def clean(
    output: Any, data: xr.DataArray, kind: str | Contest | None = None, report: list[str] | None = None
) -> xr.DataArray:
    """Bring weights into the form a contest accepts, and say what was changed.

    In this order: one row per date and one column per asset, sorted; assets and dates the cube lacks are dropped;
    positions without a close are dropped, or carried forward, as the contest has it; so are illiquid ones, where it
    asks for liquidity; trading days that were missed become days without positions; short positions, too big ones and
    those in other assets go where the contest does not allow them; rows are normalised.

    In contests whose rules look at one day alone (``stocks_nasdaq100``, ``stocks_s&p500``) a day cleaned by itself,
    with the cube up to it, equals that day cleaned among others, to the bit.

    Parameters
    ----------
    output : xr.DataArray or Result
        Weights ``(time, asset)``, or ``(asset,)`` for the newest day of the cube. Labels may repeat: the first counts.
    data : xr.DataArray
        Cube ``(field, time, asset)`` with the field close, and ``is_liquid`` where the contest asks for liquidity.
    kind : str or Contest, optional
        The contest; by default the one the cube is named after.
    report : list, optional
        One line is appended for each kind of change. The same lines go to the logger ``qlstm.output``: what was taken
        away as warnings, the rest as information.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``, float64, sorted.

    Raises
    ------
    ContestError
        An unknown contest, or none named.
    DataError, WeightsError
        A cube or weights without usable labels, weights that are not numbers, or that share no asset or date with it.
    """
    contest, notes, panel = contest_of(kind, data), _Notes(report), Panel(data)
    book = _unique(algebra.of(output), notes)
    is_single = "time" not in book.dims
    if is_single:
        book = _dated(book, panel, notes)
    book = _known(book, panel, notes)
    if not is_single:
        book = _priced(book, panel, contest, notes)
    if contest.liquid_only:
        book = _liquid(book, panel, notes)
    if not is_single:
        book = _continuous(book, data, panel, contest, notes)
    if contest.long_only:
        notes.positions("short", book, book.values < 0)
        book = book.clip(min=0.0)
    if contest.exposure_limit is not None:
        book = _limited(book, contest, contest.exposure_limit, notes)
    if contest.allowed_assets is not None:
        book = _allowed(book, contest.allowed_assets, notes)
    _note_scaled(book, notes)
    return normalize(book)


def _note_scaled(book: xr.DataArray, notes: _Notes) -> None:
    """Note the rows that use more than the whole capital, before they are scaled to it."""
    total = np.abs(book.values).sum(axis=1)
    full = total > 1.0 + 1e-9
    if full.any():
        t = int(np.argmax(full))
        notes.changed(
            f"rows above the whole capital, scaled to it: {int(full.sum())}, "
            f"first {day(book['time'].values[t])}: {total[t]:g}"
        )


def _unique(output: Any, notes: _Notes) -> xr.DataArray:
    """Return weights as numbers, each label once (the first counts), sorted, NaN left in place."""
    if not isinstance(output, xr.DataArray):
        raise WeightsError(f"weights must be an xarray.DataArray, got {type(output).__name__}")
    book = output.squeeze("field", drop=True) if output.sizes.get("field") == 1 else output
    book = book.drop_vars("field", errors="ignore")
    for dim in book.dims:
        if dim in book.coords and not book.get_index(dim).is_unique:
            again = book.get_index(dim).duplicated()
            first = book[dim].values[again][0]
            named = day(first) if dim == "time" else first
            notes.dropped(f"{dim} labels named more than once, the first counts: {int(again.sum())}, first {named}")
            book = book.isel({dim: ~again})
    book = algebra.check_dims(book).astype(np.float64)
    for dim in book.dims:
        if not book.get_index(dim).is_monotonic_increasing:
            book = book.sortby(dim)
    infinite = int(np.isinf(book.values).sum())
    if infinite:
        notes.dropped(f"infinite weights, taken as 0: {infinite}")
        book = book.where(~np.isinf(book), 0.0)
    missing = int(np.isnan(book.values).sum())
    if missing:
        notes.changed(f"missing weights (NaN), taken as 0: {missing} of {book.size}")
    return book.transpose("time", "asset") if "time" in book.dims else book


def _dated(book: xr.DataArray, panel: Panel, notes: _Notes) -> xr.DataArray:
    """Return weights without time as those of the newest date of the cube."""
    newest = panel.times[-1]
    if "time" in book.coords and pd.Timestamp(book["time"].item()) != newest:
        notes.changed(f"weights of {day(book['time'].values)} have no time dim: taken as those of {day(newest)}")
    return book.drop_vars("time", errors="ignore").expand_dims(time=[newest]).fillna(0.0)


def _known(book: xr.DataArray, panel: Panel, notes: _Notes) -> xr.DataArray:
    """Return weights without the assets and dates that the cube lacks."""
    for dim, known in (("asset", panel.assets), ("time", panel.times)):
        index = times_of(book, "weights") if dim == "time" else book.get_index(dim)
        strange = ~index.isin(known)
        if len(index) and strange.all():
            raise WeightsError(
                f"weights and data share no {'date' if dim == 'time' else dim}: weights have {_span(index)}, "
                f"data {_span(known)}"
            )
        if strange.any():
            held = int(book.isel({dim: strange}).astype(bool).sum())
            first = day(index[strange][0]) if dim == "time" else index[strange][0]
            notes.dropped(f"{dim} labels the data lack: {int(strange.sum())}, first {first}, with {held} positions")
            book = book.isel({dim: ~strange})
    return book


def _span(index: pd.Index) -> str:
    """Return the first and the last of some labels, as people write them."""
    first, last = (day(one) if isinstance(index, pd.DatetimeIndex) else str(one) for one in (index[0], index[-1]))
    return f"{first} to {last}"


def _cells(panel: Panel, field: str, book: xr.DataArray) -> np.ndarray:
    """Return a field over the labels of `book`, all of which the panel has."""
    rows = panel.times.get_indexer(book.get_index("time"))
    return panel[field][np.ix_(rows, panel.assets.get_indexer(book.get_index("asset")))]


def _priced(book: xr.DataArray, panel: Panel, contest: Contest, notes: _Notes) -> xr.DataArray:
    """Return weights without those on days without a close; where the contest holds over gaps, with the last before."""
    gap = ~np.isfinite(_cells(panel, "close", book))
    values = np.where(gap, np.nan, np.nan_to_num(book.values, nan=0.0, posinf=np.inf, neginf=-np.inf))
    if contest.hold_gaps:
        values = pd.DataFrame(values).ffill().to_numpy()
    values = np.where(np.isnan(values), 0.0, values)
    done = "held as before" if contest.hold_gaps else "took away"
    notes.positions("no close", book, gap & (values != book.values), done)
    return book.copy(data=values)


def _liquid(book: xr.DataArray, panel: Panel, notes: _Notes) -> xr.DataArray:
    """Return weights without positions where ``is_liquid`` is 0 (NaN does not count as illiquid)."""
    if "is_liquid" not in panel:
        notes.changed("data lack field is_liquid: liquidity is not looked at")
        return book
    illiquid = _cells(panel, "is_liquid", book) == 0
    notes.positions("not liquid", book, illiquid)
    return book.where(~illiquid, 0.0)


def _continuous(book: xr.DataArray, data: xr.DataArray, panel: Panel, contest: Contest, notes: _Notes) -> xr.DataArray:
    """Return weights with a row without positions for each trading day they miss after their first.

    As in the contest's own cleaning, assets and days that are never liquid then leave the output.
    """
    missed = find_missed_dates(book, data)
    if not len(missed):
        return book
    notes.changed(f"days added without positions: {len(missed)}, first {day(missed[0])}")
    book = book.reindex(time=np.union1d(book["time"].values.astype("datetime64[ns]"), missed), fill_value=0.0)
    if contest.liquid_only and "is_liquid" in panel:
        kept = _cells(panel, "is_liquid", book) > 0
        if not contest.hold_gaps:
            kept |= book.values != 0  # cleaned by one day's rules already; a day alone would keep it
        notes.positions("not liquid", book, ~kept)
        rows, columns = kept.any(axis=1), kept.any(axis=0)
        if not (rows.all() and columns.all()):
            gone = int((~columns).sum()), int((~rows).sum())
            notes.changed(f"never liquid: {gone[0]} assets and {gone[1]} days left out")
        book = book.where(kept, 0.0).isel(time=rows, asset=columns)
    _note_scaled(book, notes)
    return normalize(book)


def _limited(book: xr.DataArray, contest: Contest, limit: float, notes: _Notes) -> xr.DataArray:
    """Return weights whose exposure passes: positions cut to `limit` and, if that is not enough, bad days dropped."""
    bounds = contest.exposure_bounds or ()
    if check_exposure(book, *bounds):
        return book
    cut = exposure.cut_big_positions(book, limit)
    notes.positions(f"above {limit:g} of the capital", book, cut.values != book.values, "cut")
    if check_exposure(cut, *bounds):
        return cut
    kept = exposure.drop_bad_days(cut, limit)
    days = int(((kept.values == 0).all(axis=1) & (cut.values != 0).any(axis=1)).sum())
    if days:
        notes.dropped(f"days dropped, one asset makes up {limit:g} of the book or more: {days}; hold more assets")
    return kept


def _allowed(book: xr.DataArray, allowed: tuple[str, ...], notes: _Notes) -> xr.DataArray:
    """Return weights of the allowed assets only."""
    foreign = ~book.get_index("asset").isin(list(allowed))
    notes.positions(f"only {', '.join(allowed)} allowed", book, np.broadcast_to(foreign, book.shape))
    return book.isel(asset=~foreign)


def align(
    weights: Any, time_coord: Any, start: str | pd.Timestamp | None = None, end: str | pd.Timestamp | None = None
) -> xr.DataArray:
    """Bring weights to given dates; days they lack have no positions.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)``.
    time_coord : array of dates, or a cube
        The dates; of a cube the assets are taken too.
    start, end : date, optional
        First and last of the dates wanted, both included.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``, normalised.

    Raises
    ------
    WeightsError
        Not weights, without time, or dates that are none.
    """
    book = algebra.over_time(weights)
    times = time_coord["time"] if isinstance(time_coord, xr.DataArray) else time_coord
    dates = pd.DatetimeIndex(np.asarray(times))
    first = pd.Timestamp.min if start is None else pd.Timestamp(start)
    last = pd.Timestamp.max if end is None else pd.Timestamp(end)
    labels: dict[str, pd.Index] = {"time": dates[(dates >= first) & (dates <= last)]}
    if isinstance(time_coord, xr.DataArray) and "asset" in time_coord.dims:
        labels["asset"] = time_coord.get_index("asset")
    return normalize(book.reindex(labels, fill_value=0.0))
