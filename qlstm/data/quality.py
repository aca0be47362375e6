"""Prices that cannot be what was paid: frozen, jumping, split and not adjusted, missing. A list of them, and a mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..dates import day

__all__ = ["KINDS", "Quality", "Suspect", "examine"]

KINDS = ("frozen", "jump", "split", "gap", "delisting")
"""Prices that stand still; one change too large; one of a split's ratio that stays; days without a price; the end."""
_FROZEN = 10  # rows
_LARGEST = 0.6  # change in a day
_DEVIATIONS = 15.0  # median absolute deviations of log changes
_SMALLEST_DEVIATION = 1e-3  # of a price that hardly moves, a tick is no jump
_GAP = 5  # rows
_RATIOS = np.array([2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 50.0, 100.0])
_NEAR = 0.08  # how far from a ratio a split's day may end, since the price moves on that day too
_STAYS = 5  # rows over which the price must stay at its new level
_TRADING_DAYS = 252 / 365


@dataclass(frozen=True)
class Suspect:
    """One thing that is odd about one asset's prices.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    asset : str
        Where.
    start, end : np.datetime64
        First and last row; of a jump and a split the row after it.
    value : float
        The frozen price, the change of a jump as a share, a split's ratio (above 1: more shares), a gap's rows.
    """

    kind: str
    asset: str
    start: np.datetime64
    end: np.datetime64
    value: float

    def __str__(self) -> str:
        until = "" if self.end == self.start else f" to {day(self.end)}"
        return f"{self.kind}: {self.asset} {day(self.start)}{until}, {self.value:g}"


@dataclass(frozen=True, eq=False)
class Quality:
    """What `examine` found.

    Attributes
    ----------
    suspects : tuple of Suspect
        By start, then asset.
    mask : xr.DataArray
        Dims ``(time, asset)``, True where the row's price, or its change from the row before, should not be used.
    """

    suspects: tuple[Suspect, ...]
    mask: xr.DataArray

    def of(self, *kinds: str) -> tuple[Suspect, ...]:
        """Return those of some kinds."""
        return tuple(one for one in self.suspects if one.kind in kinds)


def examine(cube: xr.DataArray) -> Quality:
    """Look through the closes of a cube.

    A row is frozen when it lies in a run of at least 10 equal closes. A change is a jump beyond 60 % of the price or 15
    median absolute deviations of the asset's log changes; both limits grow with the square root of the time between two
    rows, and over gaps. It is a split when it is within 8 % of a usual ratio and the price then stays at its new level.

    Parameters
    ----------
    cube : xr.DataArray
        Dims ``(field, time, asset)`` with ``close``.

    Returns
    -------
    Quality
        Of gaps and delistings there is nothing to mask.
    """
    close = cube.sel(field="close", drop=True).transpose("time", "asset")
    times, mask = close["time"].values, np.zeros(close.shape, dtype=bool)
    bar_days = _bar_days(times)
    found: list[Suspect] = []
    for column, asset in enumerate(close["asset"].values):
        prices = close.values[:, column]
        for kind, first, last, value in _of_asset(prices, bar_days):
            found.append(Suspect(kind, str(asset), times[first], times[last], value))
            if kind not in ("gap", "delisting"):
                mask[first : last + 1, column] = True
    found.sort(key=lambda one: (one.start, one.asset))
    return Quality(tuple(found), close.copy(data=mask).rename(None))


def _bar_days(times: np.ndarray) -> float:
    """Return the length of a bar in trading days; 1 for daily rows, whatever weekends do to the average."""
    if len(times) < 2:
        return 1.0
    usual = float(np.median(np.diff(times)) / np.timedelta64(1, "D"))
    return usual if usual <= 1.0 else usual * _TRADING_DAYS


_Found = tuple[str, int, int, float]


def _of_asset(prices: np.ndarray, bar_days: float) -> Iterator[_Found]:
    rows = np.flatnonzero(prices > 0)
    if len(rows) < 2:
        return
    yield from _frozen(prices, rows)
    yield from _changes(prices, rows, bar_days)
    steps = np.diff(rows)
    for i in np.flatnonzero(steps > _GAP):
        yield "gap", int(rows[i]) + 1, int(rows[i + 1]) - 1, float(steps[i] - 1)
    if rows[-1] < len(prices) - 1:
        yield "delisting", int(rows[-1]) + 1, len(prices) - 1, float(prices[rows[-1]])


def _frozen(prices: np.ndarray, rows: np.ndarray) -> Iterator[_Found]:
    values = prices[rows]
    starts = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    for start, length in zip(starts, np.diff(starts, append=len(values)), strict=True):
        if length >= _FROZEN:
            yield "frozen", int(rows[start]), int(rows[start + length - 1]), float(values[start])


def _changes(prices: np.ndarray, rows: np.ndarray, bar_days: float) -> Iterator[_Found]:
    values = np.log(prices[rows])
    changes, steps = np.diff(values), np.diff(rows)
    moving = changes[changes != 0]
    if not moving.size:
        return
    deviation = max(float(np.median(np.abs(moving - np.median(moving)))), _SMALLEST_DEVIATION)
    with np.errstate(over="ignore"):  # a price may rise from almost nothing
        relative = np.expm1(changes)
    limit = _LARGEST * np.sqrt(np.maximum(bar_days * steps, bar_days))
    odd = np.abs(changes) > _DEVIATIONS * deviation * np.sqrt(steps)
    odd |= (relative > limit) | (relative < -np.minimum(limit, 0.95))
    for i in np.flatnonzero(odd):
        ratio = _split_ratio(values, int(i))
        row = int(rows[i + 1])
        yield ("jump", row, row, float(relative[i])) if ratio is None else ("split", row, row, ratio)


def _split_ratio(values: np.ndarray, i: int) -> float | None:
    """Return the ratio of a split between log prices i and i + 1, None where it looks like none."""
    change = values[i] - values[i + 1]
    ratio = float(_RATIOS[np.argmin(np.abs(np.log(_RATIOS) - abs(change)))])
    before, behind = values[max(0, i + 1 - _STAYS) : i + 1], values[i + 1 : i + 1 + _STAYS]
    level = float(np.median(before) - np.median(behind))
    near = abs(abs(change) - np.log(ratio)) < _NEAR and abs(abs(level) - np.log(ratio)) < 2 * _NEAR
    return None if not near else ratio if change > 0 else 1.0 / ratio
