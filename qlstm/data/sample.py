"""The embedded sample: a simulated market, shipped with the package so that everything runs without a download.

It is *simulated*: 60 assets ``SIM:001`` … ``SIM:060`` over ten years of daily bars that never were. It shows that a
strategy runs; it is no evidence of any strategy's merit. `qlstm.data.simulate` made it and says how.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from . import netcdf

__all__ = ["NAME", "PATH", "read"]

NAME = "sample"
PATH = Path(__file__).with_name("sample.nc")


def read() -> xr.DataArray:
    """Return the embedded sample, as stored.

    Returns
    -------
    xr.DataArray
        Dims ``(field, time, asset)``; ``attrs["note"]`` says that it is simulated.

    Raises
    ------
    DataError
        When the installed file is damaged.
    """
    return netcdf.read(PATH)
