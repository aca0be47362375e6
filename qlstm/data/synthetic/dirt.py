"""Faults that real data have, put into a clean cube on purpose, with a list of what was put where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...cube import DIMS
from ...dates import day
from ...errors import DataError, near
from ..motion import stream

__all__ = ["KINDS", "Fault", "as_known_on", "dirty", "put"]

_PRICES = ("open", "high", "low", "close")
_EDGE = 0.1  # share of the days at either end that stays clean
_PUBLISHED = (5, 30)  # rows after a restatement's end, fewest and most, until it is known
Bars = dict[str, np.ndarray]


@dataclass(frozen=True)
class Fault:
    """One fault of one asset.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    asset : str
        Where.
    start, end : np.datetime64
        First and last row that is wrong.
    value : float
        What a split divides prices by, what a bad tick or a restatement multiplies them with, the price that is
        frozen; NaN for gaps and delistings.
    known : np.datetime64, optional
        For restatements: the first day on which the restated prices are known. Before, the original ones were.
    """

    kind: str
    asset: str
    start: np.datetime64
    end: np.datetime64
    value: float = np.nan
    known: np.datetime64 | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.asset} {day(self.start)} to {day(self.end)}, {self.value:g}"


def dirty(
    cube: xr.DataArray, *, seed: int = 0, kinds: Sequence[str] | None = None, each: int = 1
) -> tuple[xr.DataArray, tuple[Fault, ...]]:
    """Return a copy of `cube` with faults at random places, and the list of them.

    Parameters
    ----------
    cube : xr.DataArray
        Dims (field, time, asset), with prices and volume.
    seed : int
        Of the places.
    kinds : sequence of str, optional
        Which kinds of faults; all of `KINDS` by default.
    each : int
        How many of each kind. Each fault is in an asset of its own.

    Returns
    -------
    tuple
        The dirty cube, and its faults in the order of kinds.

    Raises
    ------
    DataError
        For a kind that does not exist, and when the cube has too few days, or too few assets that trade all the time.
    """
    chosen = list(KINDS) if kinds is None else list(kinds)
    unknown = [kind for kind in chosen if kind not in _KINDS]
    if unknown:
        raise DataError(f"no kind of fault {unknown[0]!r}{near(unknown[0], list(KINDS))}")
    cube = cube.transpose(*DIMS)
    rng = stream(seed, 0)
    whole = cube["asset"].values[cube.sel(field="close").notnull().all("time").values]
    n_faults = each * len(chosen)
    if len(whole) < n_faults:
        raise DataError(
            f"{n_faults} faults need as many assets with prices on all days, and the data have {len(whole)}"
        )
    assets = rng.permutation(whole)[:n_faults]
    order = [kind for kind in chosen for _ in range(each)]
    faults = tuple(_draw(cube, kind, str(asset), rng) for kind, asset in zip(order, assets, strict=True))
    return put(cube, faults), faults


def put(cube: xr.DataArray, faults: Sequence[Fault]) -> xr.DataArray:
    """Return a copy of `cube` with exactly these faults, put in one after the other.

    Returns
    -------
    xr.DataArray
        Dims (field, time, asset), float64.
    """
    result = cube.transpose(*DIMS).astype(np.float64)
    values = result.values
    times, assets = result["time"].values, result.get_index("asset")
    names = [str(field) for field in result["field"].values]
    for fault in faults:
        rows = slice(times.searchsorted(fault.start), times.searchsorted(fault.end, "right"))
        column = assets.get_loc(fault.asset)
        bars = {name: values[i, rows, column] for i, name in enumerate(names)}
        _KINDS[fault.kind].apply(bars, fault.value)
    return result


def as_known_on(cube: xr.DataArray, faults: Sequence[Fault], t: np.datetime64 | str) -> xr.DataArray:
    """Return what `cube`, which holds restated prices, was on day t: no row after t, later restatements undone."""
    t = np.datetime64(t)
    later = [fault for fault in faults if fault.known is not None and fault.known > t]
    undone = [Fault(f.kind, f.asset, f.start, f.end, 1.0 / f.value) for f in later]
    return put(cube, undone).sel(time=slice(None, t))


@dataclass(frozen=True)
class _Kind:
    """How one kind of fault is drawn and put in.

    `apply` changes the bars of the fault's rows, 1-D views by field; `lengths` are the fewest and most rows, None up to
    the last day; `values` are what is drawn from.
    """

    apply: Callable[[Bars, float], None]
    lengths: tuple[int, int] | None
    values: tuple[float, ...] = (np.nan,)


def _draw(cube: xr.DataArray, kind: str, asset: str, rng: np.random.Generator) -> Fault:
    times, how = cube["time"].values, _KINDS[kind]
    edge = max(1, int(_EDGE * len(times)))
    length = rng.integers(how.lengths[0], how.lengths[1] + 1) if how.lengths else 1
    if len(times) < 2 * edge + length + _PUBLISHED[1]:
        raise DataError(
            f"faults need at least {2 * edge + length + _PUBLISHED[1]} days, and the data have {len(times)}"
        )
    first = int(rng.integers(edge, len(times) - edge - length - _PUBLISHED[1] + 1))
    last = first + length - 1 if how.lengths else len(times) - 1
    value = float(rng.choice(how.values))
    if kind == "frozen":
        value = float(cube.sel(field="close", asset=asset).values[first - 1])
    known = times[last + int(rng.integers(*_PUBLISHED))] if kind == "restatement" else None
    return Fault(kind, asset, times[first], times[last], value, known)


def _remove(bars: Bars, _: float) -> None:
    for name, values in bars.items():
        values[:] = 0.0 if name == "is_liquid" else np.nan


def _freeze(bars: Bars, price: float) -> None:
    for name in _PRICES:
        bars[name][:] = price
    bars["vol"][:] = 0.0


def _split(bars: Bars, ratio: float) -> None:
    _scale(bars, 1.0 / ratio)
    bars["vol"][:] *= ratio


def _spike(bars: Bars, factor: float) -> None:
    bars["close"][:] *= factor
    bars["high"][:] = np.maximum(bars["high"], bars["close"])
    bars["low"][:] = np.minimum(bars["low"], bars["close"])


def _scale(bars: Bars, factor: float) -> None:
    for name in _PRICES:
        bars[name][:] *= factor


_KINDS = {
    "bad tick": _Kind(_spike, (1, 1), (0.01, 0.1, 10.0, 100.0)),  # a decimal point in the wrong place
    "delisting": _Kind(_remove, None),
    "frozen": _Kind(_freeze, (10, 30)),
    "gap": _Kind(_remove, (5, 20)),
    "restatement": _Kind(_scale, (10, 40), (0.95, 0.97, 1.03, 1.05)),
    "split": _Kind(_split, None, (2.0, 3.0, 4.0, 10.0)),
}
KINDS = tuple(_KINDS)
"""The kinds of faults: a close far off on one day; prices that end; prices that stand still, without volume, while the
asset stays liquid; days without prices; prices changed later for days long past; a split left out of the prices.
"""
