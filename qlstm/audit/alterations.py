"""Other futures: the same cube with everything after a day replaced, so that whoever saw it gives himself away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import xarray as xr

from ..cube import Cubes

__all__ = ["VARIANTS", "after", "all_at_once", "beyond_the_trade", "in_gaps", "one_by_one"]

_FLAGS = ("is_liquid",)
_FACTOR = 3.0  # more than any label's threshold or any rank's gap


def _noise(values: np.ndarray, past: np.ndarray, rng: np.random.Generator, flags: np.ndarray) -> np.ndarray:
    """Shake every number by the size of its field's and asset's own changes; flags stay."""
    with np.errstate(all="ignore"):
        squares = np.square(np.diff(np.log(np.where(past > 0, past, np.nan)), axis=1))
        known = np.maximum(1, (~np.isnan(squares)).sum(axis=1, keepdims=True))  # nanmean would warn where there is none
        size = np.nan_to_num(np.sqrt(np.nansum(squares, axis=1, keepdims=True) / known)) + 1e-3
    factors = np.exp(size * rng.standard_normal(values.shape))
    return np.where(flags[:, np.newaxis, np.newaxis], values, values * factors)


def _missing(values: np.ndarray, past: np.ndarray, rng: np.random.Generator, flags: np.ndarray) -> np.ndarray:
    return np.full_like(values, np.nan)


def _scaled(values: np.ndarray, past: np.ndarray, rng: np.random.Generator, flags: np.ndarray) -> np.ndarray:
    """Multiply each asset by 3 or 1/3, so that ranks change too; flags stay."""
    factors = _FACTOR ** rng.choice([-1.0, 1.0], size=values.shape[2])
    return np.where(flags[:, np.newaxis, np.newaxis], values, values * factors)


def _permuted(values: np.ndarray, past: np.ndarray, rng: np.random.Generator, flags: np.ndarray) -> np.ndarray:
    """Exchange the rows, then the assets."""
    return values[:, rng.permutation(values.shape[1])][:, :, rng.permutation(values.shape[2])]


VARIANTS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator, np.ndarray], np.ndarray]] = {
    "noise": _noise,
    "scaled": _scaled,
    "permuted": _permuted,
    "NaN": _missing,
}
"""Name -> what makes other rows of those after a day."""


def _flags(cube: xr.DataArray) -> np.ndarray:
    return np.isin(cube["field"].values.astype(str), _FLAGS)


def after(cube: xr.DataArray, t: np.datetime64, variant: str) -> xr.DataArray:
    """Return a copy of a cube whose rows after t are others.

    Parameters
    ----------
    cube : xr.DataArray
        Dims ``(field, time, asset)``.
    t : np.datetime64
        The last row that stays.
    variant : str
        One of `VARIANTS`.
    """
    row = int(cube["time"].values.searchsorted(t, "right"))
    values = cube.values.copy()
    if row < values.shape[1]:
        rng = np.random.default_rng(row)
        values[:, row:] = VARIANTS[variant](values[:, row:], values[:, :row], rng, _flags(cube))
    return cube.copy(data=values)


def beyond_the_trade(cube: xr.DataArray, t: np.datetime64, turn: int) -> xr.DataArray:
    """Return a copy in which all that a position decided on day t can earn is other: what follows the next open.

    Parameters
    ----------
    cube : xr.DataArray
        Dims ``(field, time, asset)``.
    t : np.datetime64
        The day of the decision; it is traded at the open of the next row, which stays.
    turn : int
        1 or -1: which assets rise and which fall.
    """
    row = int(cube["time"].values.searchsorted(t, "right"))
    rng = np.random.default_rng(row)
    factors = _FACTOR ** (turn * rng.choice([-1.0, 1.0], size=cube.sizes["asset"]))
    values = cube.values.copy()
    moved = ~_flags(cube)
    values[moved, row + 1 :] *= factors
    moved &= cube["field"].values.astype(str) != "open"
    values[moved, row : row + 1] *= factors
    return cube.copy(data=values)


def in_gaps(cube: xr.DataArray) -> list[np.datetime64]:
    """Return the last day before most assets are listed, and the one inside most gaps: there a back-fill shows."""
    close = cube.sel(field="close", drop=True) if "close" in cube["field"].values else cube.isel(field=0, drop=True)
    known = close.transpose("time", "asset").notnull().values
    later = np.logical_or.accumulate(known[::-1])[::-1]
    before = np.logical_or.accumulate(known)
    counts = [(~known & later & (before == is_gap)).sum(axis=1) for is_gap in (False, True)]
    return [cube["time"].values[len(one) - 1 - int(one[::-1].argmax())] for one in counts if one.any()]


def one_by_one(data: Cubes, alter: Callable[[xr.DataArray], xr.DataArray]) -> Iterator[tuple[str | None, Cubes]]:
    """Yield, for each cube, its name (None where there is but one) and the data with this cube altered."""
    if not isinstance(data, Mapping):
        yield None, alter(data)
        return
    for name, cube in data.items():
        yield name, {**data, name: alter(cube)}


def all_at_once(data: Cubes, alter: Callable[[xr.DataArray], xr.DataArray]) -> Cubes:
    """Return the data with each cube altered."""
    return {name: alter(cube) for name, cube in data.items()} if isinstance(data, Mapping) else alter(data)
