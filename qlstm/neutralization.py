"""Take the common bet out of weights: the market's, a sector's or an industry's."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from . import weights as algebra
from .errors import WeightsError

__all__ = ["neutralize"]

_GROUPS = ("market", "sector", "industry")
_UNKNOWN = "no_info"
_LOG = logging.getLogger("qlstm.neutralization")


def neutralize(weights: Any, assets: Iterable[Mapping[str, Any]], group: str = "market") -> xr.DataArray:
    """Subtract from each weight the mean weight of its group, so that longs and shorts of a group balance.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)`` or ``(asset,)``. NaN stays NaN and does not count in a mean. An infinite weight is no
        error here: it makes its group infinite or NaN that day, as in the established toolbox, and is named in a
        warning of the logger ``qlstm.neutralization``. `output.normalize` takes it as 0.
    assets : iterable of mapping
        One per asset, with ``id`` and, for those groups, ``sector`` or ``industry`` (None is a group too).
    group : {"market", "sector", "industry"}
        ``market`` is one group of all assets.

    Returns
    -------
    xr.DataArray
        The same labels; rows are not normalised.

    Raises
    ------
    WeightsError
        Another group, or not weights.

    Warns
    -----
    UserWarning
        When assets are not described; together they form a group of their own.
    """
    book = algebra.check_dims(weights)
    if group not in _GROUPS:
        raise WeightsError(f"no such group {group!r}; use {', '.join(map(repr, _GROUPS))}")
    algebra.log_infinite(book, _LOG)
    if group == "market":
        return book - book.mean("asset")
    known = {str(asset["id"]): asset.get(group) for asset in assets}
    ids = [str(asset) for asset in book["asset"].values]
    missing = [asset for asset in ids if asset not in known]
    if missing:
        warnings.warn(
            f"{len(missing)} assets have no {group}, first {missing[0]}; they are taken as one group", stacklevel=2
        )
    names = [f"{group} {known[asset]}" if asset in known else _UNKNOWN for asset in ids]
    result = book.astype(np.float64)
    for name in sorted(set(names)):
        members = np.array([other == name for other in names])
        part = book.isel(asset=members)
        result = result.where(~xr.DataArray(members, dims="asset"), result - part.mean("asset"))
    return result
