"""What is in a cube, in a few lines: the facts behind ``qlstm data info``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from ..cube import DIMS, check
from ..dates import day

__all__ = ["info", "sectors"]


def info(cube: xr.DataArray) -> dict[str, Any]:
    """Summarise a cube.

    Parameters
    ----------
    cube : xr.DataArray
        Dims ``(field, time, asset)``.

    Returns
    -------
    dict
        Plain values, in the order in which they are worth reading: ``name`` (contest type or None), ``note`` and
        ``source`` (None where the cube has none), ``simulated``, ``assets`` and ``days`` (counts), ``start`` and
        ``end`` (ISO dates), ``fields``, ``late`` and ``ended`` (asset to the date of its first or last close, where
        that is not the cube's first or last day), ``empty`` (assets without any close), ``gaps`` (days without a close
        between an asset's first and last), ``nan_share`` (share of days × assets without a close), ``liquid_mean``
        (mean number of liquid assets a day, None without ``is_liquid``), ``sectors`` (sector to its number of assets).

    Raises
    ------
    DataError
        When `cube` is not a cube.
    """
    check(cube, warn=False)
    cube = cube.transpose(*DIMS)
    times = cube["time"].values
    fields = [str(field) for field in cube["field"].values]
    by_asset = sectors(cube)
    return {
        "name": cube.name,
        "note": cube.attrs.get("note"),
        "source": cube.attrs.get("source"),
        "simulated": bool(cube.attrs.get("simulated", False)),
        "assets": cube.sizes["asset"],
        "days": cube.sizes["time"],
        "start": day(times[0]),
        "end": day(times[-1]),
        "fields": fields,
        **_listing(cube.sel(field="close")),
        "liquid_mean": float(cube.sel(field="is_liquid").sum("asset").mean()) if "is_liquid" in fields else None,
        "sectors": {name: list(by_asset.values()).count(name) for name in sorted(set(by_asset.values()))},
    }


def sectors(cube: xr.DataArray) -> dict[str, str]:
    """Return asset to sector, from the JSON text in ``attrs["sectors"]``; empty where the cube has none."""
    return dict(json.loads(cube.attrs.get("sectors", "{}")))


def _listing(close: xr.DataArray) -> dict[str, Any]:
    """Say when the assets of `close`, dims (time, asset), have prices."""
    priced = close.notnull().values
    times = close["time"].values
    assets = [str(asset) for asset in close["asset"].values]
    any_price = priced.any(axis=0)
    first = priced.argmax(axis=0)
    last = len(times) - 1 - priced[::-1].argmax(axis=0)
    return {
        "late": {assets[i]: day(times[first[i]]) for i in np.flatnonzero(any_price & (first > 0))},
        "ended": {assets[i]: day(times[last[i]]) for i in np.flatnonzero(any_price & (last < len(times) - 1))},
        "empty": [assets[i] for i in np.flatnonzero(~any_price)],
        "gaps": int((last - first + 1 - priced.sum(axis=0))[any_price].sum()),
        "nan_share": float(1.0 - priced.mean()),
    }
