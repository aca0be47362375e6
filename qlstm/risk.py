"""Rules that take money out of a book and remember why: ``rule(state, facts of today) -> (factor or mask, state)``.

A rule is a pure function. Its state is a dict of numbers, strings and lists, None on the first day, so it goes into the
strategy's own state and with it into a file. Call a rule once a day, multiply sizes with what it returns *before* they
are normalised, and keep the weights after it as those of the day before:

    factor, state["panic"] = risk.panic(state["panic"], index_returns)

Limits on single positions are in `qlstm.exposure`; they need no memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import weights as algebra
from .errors import DataError, WeightsError
from .stats.panel import whole

__all__ = ["blacklist", "panic", "peak_stop", "release"]

State = Mapping[str, Any]


def panic(
    state: State | None,
    returns: Any,
    *,
    one_day: float = -0.05,
    two_days: float = -0.03,
    cool_down: int = 22,
) -> tuple[float, dict[str, int]]:
    """Leave the market on a crash and for some days after it.

    Parameters
    ----------
    state : dict or None
        ``{"rest": days still to come}``.
    returns : array-like
        Shape (row,): daily returns of an index up to and including today; the last two count. NaN is no crash.
    one_day, two_days : float
        A crash is a return below the first today, or below the second both today and the day before.
    cool_down : int
        Days after the crash on which the factor stays 0. A crash among them starts the count again.

    Returns
    -------
    tuple
        The factor, 0 on the day of the crash and the next `cool_down` calls, else 1; and the new state.

    Raises
    ------
    DataError
        No returns, limits that are not below 0, or a count below 1.
    """
    series = np.asarray(returns, dtype=np.float64)
    if series.ndim != 1 or not len(series):
        raise DataError(f"returns must have shape (row,) and a row, got {series.shape}; pass those of one index")
    for name, limit in (("one_day", one_day), ("two_days", two_days)):
        if not limit < 0:
            raise DataError(f"{name} must be below 0, got {limit!r}")
    cool_down = whole("cool_down", cool_down, " day")
    if series[-1] < one_day or (len(series) > 1 and (series[-2:] < two_days).all()):
        return 0.0, {"rest": cool_down}
    rest = 0 if state is None else int(state["rest"])
    return (0.0 if rest else 1.0), {"rest": max(rest - 1, 0)}


def peak_stop(
    state: State | None, held: xr.DataArray | None, close: xr.DataArray, *, loss: float = 0.5
) -> tuple[xr.DataArray, dict[str, Any]]:
    """Leave a position that has lost a share of its best price since it was opened, and stay out until released.

    Parameters
    ----------
    state : dict or None
        ``{"best": {asset: [side, price]}, "last": {asset: price}, "stopped": [asset, ...]}``.
    held : xr.DataArray or None
        Dims ``(asset,)``: the weights of the day before, after this rule. None on the first day.
    close : xr.DataArray
        Dims ``(asset,)``: today's prices, adjusted for splits. NaN, or an asset it lacks: no news of that asset.
    loss : float
        A long position is stopped when the price is more than this share below its highest close, a short one when it
        is more than that above its lowest, counted from the close at which it was decided. One that turns starts anew.

    Returns
    -------
    tuple
        The mask ``(asset,)`` over the assets of `close`, 0 where stopped, else 1; and the new state. An asset stays
        stopped, even while it is absent, until `release`.

    Raises
    ------
    WeightsError, DataError
        Weights or prices with other dims, a price that is not above 0, or a loss that is not above 0.
    """
    if not loss > 0:
        raise DataError(f"loss must be above 0, got {loss!r}")
    prices = _prices(close)
    stopped = set() if state is None else set(state["stopped"])
    before, last = ({}, {}) if state is None else (state["best"], state["last"])
    best: dict[str, list[float]] = {}
    for asset, side in _sides(held).items():
        was = before.get(asset)
        mark = was[1] if was is not None and was[0] == side else last.get(asset, np.nan)
        price = prices.get(asset, np.nan)
        mark = float(np.fmax(mark, price) if side > 0 else np.fmin(mark, price))  # NaN only where both are
        if side * (1.0 - price / mark) > loss:
            stopped.add(asset)
        elif not np.isnan(mark):
            best[asset] = [side, mark]
    memory = {"best": best, "last": prices.dropna().to_dict(), "stopped": sorted(stopped)}
    return _mask(pd.Index(prices.index), stopped), memory


def release(state: State | None, assets: Collection[str] | None = None) -> dict[str, Any]:
    """Return the state of `peak_stop` in which these assets (by default all) may be held again.

    Call it when the reason to hold them is new, say after training. What they had at their best is forgotten.
    """
    if state is None:
        return {"best": {}, "last": {}, "stopped": []}
    free = {*state["best"], *state["stopped"]} if assets is None else set(assets)
    best = {asset: mark for asset, mark in state["best"].items() if asset not in free}
    return {**state, "best": best, "stopped": [asset for asset in state["stopped"] if asset not in free]}


def blacklist(
    state: State | None, failed: Collection[str], assets: Collection[str]
) -> tuple[xr.DataArray, dict[str, list[str]]]:
    """Leave out every asset that has failed so far, and none before it has.

    Parameters
    ----------
    state : dict or None
        ``{"listed": [asset, ...]}``. A list of names known to be bad afterwards does not belong there.
    failed : collection of str
        What failed today: no training, no forecast.
    assets : collection of str
        Over which the mask is wanted.

    Returns
    -------
    tuple
        The mask ``(asset,)``, 0 where listed, else 1; and the new state.
    """
    listed = {*([] if state is None else state["listed"]), *map(str, failed)}
    return _mask(pd.Index([str(asset) for asset in assets]), listed), {"listed": sorted(listed)}


def _prices(close: xr.DataArray) -> pd.Series:
    series = _series(close, "close")
    bad = (series <= 0) | np.isinf(series)
    if bad.any():
        raise DataError(
            f"close of {series.index[int(np.argmax(bad))]} is {series[bad].iloc[0]:g}; use NaN for no price"
        )
    return series


def _sides(held: xr.DataArray | None) -> dict[str, float]:
    """Return 1 or -1 for each position."""
    if held is None:
        return {}
    series = _series(held, "held").fillna(0.0)
    return {str(asset): float(np.sign(weight)) for asset, weight in series.items() if weight}


def _series(values: xr.DataArray, what: str) -> pd.Series:
    row = algebra.check_dims(values, what)
    if row.dims != ("asset",):
        raise WeightsError(f"{what} must have dims (asset,), got {row.dims}; use isel(time=-1, drop=True)")
    return pd.Series(np.asarray(row.values, dtype=np.float64), index=[str(a) for a in row["asset"].values])


def _mask(assets: pd.Index, out: Collection[str]) -> xr.DataArray:
    return xr.DataArray(np.where(assets.isin(list(out)), 0.0, 1.0), dims="asset", coords={"asset": assets.to_numpy()})
