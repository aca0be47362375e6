"""Features and a label as matched arrays, which every analysis starts from."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..errors import DataError
from ..weights import check_labels

__all__ = ["matched"]


def matched(features: xr.DataArray, label: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return features (time, asset, feature) and label (time, asset) over the times and assets both have, float64.

    Raises
    ------
    DataError
        Other dims, labels missing or doubled, infinite values, or nothing in common.
    """
    for values, what, dims in (
        (features, "features", {"time", "asset", "feature"}),
        (label, "the label", {"time", "asset"}),
    ):
        if not isinstance(values, xr.DataArray) or set(values.dims) != dims:
            shown = values.dims if isinstance(values, xr.DataArray) else type(values).__name__
            raise DataError(f"{what} must have dims ({', '.join(sorted(dims))}), got {shown}")
        check_labels(values, what, DataError)
        if np.isinf(values.values).any():
            raise DataError(f"{what} hold {int(np.isinf(values.values).sum())} infinite values; use NaN")
    given, happened = xr.align(features, label, join="inner")
    if not happened.size:
        raise DataError("features and label have no time and asset in common")
    return given.transpose("time", "asset", "feature").astype(float), happened.transpose("time", "asset").astype(float)
