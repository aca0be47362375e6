"""P8: N0 with the faults of real data that have passed for profit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from ...cube import DIMS
from .dirt import Fault, put
from .nulls import driftless
from .plan import Made, Plan

__all__ = ["FROZEN", "RESUMED", "damaged"]

FROZEN, RESUMED = 2.95, 146.76
"""The price at which the first asset stands still, and its close on the first day after."""
_STILL, _MISSING = 20, 15  # rows
_SPLIT = 4.0
_COIN_VOL = 0.04  # a day


def damaged(plan: Plan) -> Made:
    """P8: N0 with one fault in each of the first four assets.

    The first stands still at 2.95 and goes on at 146.76, the second has a split of 1:4 that its prices do not account
    for, the third a gap, the fourth a delisting. The field ``btc`` starts in the middle of the days.
    """
    made = driftless(plan)
    cube = xr.DataArray(
        np.stack(list(made.fields.values())),
        {"field": list(made.fields), "time": made.times, "asset": made.assets},
        DIMS,
    )
    scale, faults = _faults(plan, cube)
    dirty = put(cube, (scale, *faults))
    fields = {name: dirty.values[i] for i, name in enumerate(made.fields)}
    fields["btc"] = np.broadcast_to(_coin(plan)[:, np.newaxis], fields["close"].shape)
    return replace(made, fields=fields, facts={"faults": faults, "btc_from": made.times[plan.n_days // 2]})


def _faults(plan: Plan, cube: xr.DataArray) -> tuple[Fault, tuple[Fault, ...]]:
    """Return what scales the first asset to 2.95 before it stands still, and the faults."""
    times, last = cube["time"].values, cube["time"].values[-1]
    frozen, split, gap, delisted = (str(asset) for asset in cube["asset"].values[:4])
    rows = plan.rng("extra").integers(plan.n_days // 4, plan.n_days // 2, 4)
    close = cube.sel(field="close", asset=frozen).values
    scale = close[rows[0] - 1] / FROZEN
    back = rows[0] + _STILL
    return Fault("split", frozen, times[0], last, scale), (
        Fault("frozen", frozen, times[rows[0]], times[back - 1], FROZEN),
        Fault("split", frozen, times[back], last, close[back] / scale / RESUMED),
        Fault("split", split, times[rows[1]], last, _SPLIT),
        Fault("gap", gap, times[rows[2]], times[rows[2] + _MISSING - 1]),
        Fault("delisting", delisted, times[rows[3]], last),
    )


def _coin(plan: Plan) -> np.ndarray:
    """Return a price that starts in the middle of the days, shape (time,)."""
    price = 1000.0 * np.exp(np.cumsum(_COIN_VOL * plan.rng("market").standard_normal(plan.n_days)))
    return np.where(np.arange(plan.n_days) < plan.n_days // 2, np.nan, price)
