r"""The file a contest reads: weights as gzipped netCDF, the same bytes for the same weights whenever they are written.

The form is pinned, because writers' defaults change with their versions: netCDF-3 with 64-bit offsets (the magic bytes
``CDF\x02``), one float64 variable over time and asset, time as whole days (or seconds, where there are hours) since
the first date, asset names as characters, and a gzip header without a clock.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import files
from .. import weights as algebra
from ..errors import WeightsError

__all__ = ["to_bytes", "write"]

_FILE = "fractions.nc.gz"
_UNNAMED = "__xarray_dataarray_variable__"  # xarray's own word for an array without a name


def to_bytes(weights: Any) -> bytes:
    """Return weights as the bytes of a contest's file.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)`` or ``(asset,)``; normalised before they are written.

    Returns
    -------
    bytes
        Gzipped netCDF-3. Unzipped, `xarray.open_dataarray` reads it.

    Raises
    ------
    WeightsError
        Not weights, no assets, a label that occurs twice, times that are not dates or have a time zone, or a name that
        netCDF cannot hold.
    """
    book = _datable(algebra.normalize(algebra.of(weights)))
    name = _UNNAMED if book.name is None else str(book.name)
    coords: dict[str, Any] = {"asset": np.array([str(asset) for asset in book["asset"].values], dtype=object)}
    encoding: dict[str, Any] = {name: {"dtype": "float64", "_FillValue": np.nan}}
    if "time" in book.coords:
        dates = pd.DatetimeIndex(np.atleast_1d(book["time"].values))
        coords["time"] = dates if "time" in book.dims else dates[0]
        encoding["time"] = _calendar(dates)
    plain = xr.DataArray(book.values, dims=book.dims, coords=coords)
    try:
        content = plain.to_dataset(name=name).to_netcdf(engine="scipy", format="NETCDF3_64BIT", encoding=encoding)
    except ValueError as error:
        raise WeightsError(f"weights named {name!r} cannot be written as netCDF: {error}") from error
    return gzip.compress(bytes(content), mtime=0)


def _datable(book: xr.DataArray) -> xr.DataArray:
    """Refuse what netCDF would hold as something else: no assets, and times that are not plain dates."""
    if not book.sizes["asset"]:
        raise WeightsError("weights have no assets; a contest's file needs one at least")
    if "time" not in book.coords:
        return book
    kind = book.get_index("time").dtype if "time" in book.dims else book["time"].dtype
    if not isinstance(kind, np.dtype) or kind.kind != "M":  # pandas has a dtype of its own for times with a zone
        raise WeightsError(f"weights have times of dtype {kind}; use pd.to_datetime, and no time zone")
    return book


def _calendar(dates: pd.DatetimeIndex) -> dict[str, Any]:
    """Return how times are counted: in days where all are midnights, else in seconds."""
    if dates.hasnans:
        raise WeightsError(f"weights have a time that is not a date at row {int(np.argmax(dates.isna()))}")
    unit = "days" if (dates == dates.normalize()).all() else "seconds"
    first = dates[0].normalize() if len(dates) else pd.Timestamp(0)
    return {
        "units": f"{unit} since {first:%Y-%m-%d}",
        "calendar": "proleptic_gregorian",
        "dtype": "int32",
        "_FillValue": None,
    }


def write(weights: Any, path: str | Path | None = None) -> Path:
    """Write weights as a contest's file, atomically, the same bytes for the same weights.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)`` or ``(asset,)``; normalised before they are written.
    path : path, optional
        By default the environment variable ``OUTPUT_PATH``, else ``fractions.nc.gz`` in the working folder.

    Returns
    -------
    Path
        Where they were written.

    Raises
    ------
    WeightsError
        Not weights.
    OutputError
        When the file cannot be written; an older one is untouched then.
    """
    target = Path(path or os.environ.get("OUTPUT_PATH") or _FILE)
    files.write_bytes(target, to_bytes(weights))
    return target
