"""Cubes as netCDF files: one variable with dims (field, time, asset), float32, compressed; NaN where there is no price.

The variable's name is the cube's name, which chooses the contest; its attributes are the cube's.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from .. import cube as cubes
from .. import files
from ..errors import DataError, OutputError

__all__ = ["SUFFIX", "read", "save"]

SUFFIX = ".nc"
_UNNAMED = "cube"  # netCDF has no variable without a name
_COMPRESSION = {"zlib": True, "shuffle": True, "complevel": 5, "dtype": "float32"}


def read(path: Path) -> xr.DataArray:
    """Return the one variable of a netCDF file, wholly in memory, as it is stored.

    Parameters
    ----------
    path : Path
        A file that `save` wrote, or any netCDF file with one variable.

    Returns
    -------
    xr.DataArray
        Not checked yet; text labels are numpy strings.

    Raises
    ------
    DataError
        When the file is not netCDF, is damaged, or holds no or several variables.
    """
    try:
        with xr.open_dataset(path, engine="netcdf4") as dataset:
            found = list(dataset.data_vars)
            if len(found) != 1:
                raise DataError(f"{path} must hold one variable with dims {cubes.DIMS}, holds {len(found)}: {found}")
            cube = dataset[found[0]].load()
    except (OSError, RuntimeError, OverflowError) as error:
        raise DataError(f"cannot read {path} as netCDF: {error}") from error
    labels = {dim: cube[dim].astype(str) for dim in ("field", "asset") if dim in cube.coords and dim in cube.dims}
    return cube.assign_coords(labels).rename(None if cube.name == _UNNAMED else cube.name)


def save(cube: xr.DataArray, path: str | Path) -> None:
    """Write a cube as a netCDF file, atomically: a reader finds the old file or the new one.

    Parameters
    ----------
    cube : xr.DataArray
        Checked by `qlstm.cube.check`; stored as float32, so values keep about seven digits.
    path : str or Path
        Ends with ``.nc``; missing folders are made.

    Raises
    ------
    DataError
        When `cube` is not a cube.
    OutputError
        When the name does not end with ``.nc``, a value or attribute does not fit into it, or it cannot be written.
    """
    target = Path(path)
    if target.suffix != SUFFIX:
        raise OutputError(f"cannot write {target}: a cube's file ends with {SUFFIX!r}")
    cubes.check(cube, warn=False)
    files.write_bytes(target, _encode(cube.transpose(*cubes.DIMS), target))


def _encode(cube: xr.DataArray, target: Path) -> bytes:
    """Return the content of the netCDF file of `cube`; `target` is for messages only."""
    with np.errstate(over="ignore"):
        values = cube.values.astype(np.float32)
    overflow = np.isinf(values)
    if overflow.any():
        raise OutputError(f"cannot write {target}: too large for float32: {cubes.locate(cube, overflow)}")
    name = _UNNAMED if cube.name is None else str(cube.name)
    narrow = cube.copy(deep=False, data=values)
    narrow.encoding = {}
    for coordinate in narrow.coords.values():
        coordinate.encoding = {}
    chunks = (1, *values.shape[1:])  # one field is what readers cut out most often
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cube.nc"
        try:
            narrow.to_dataset(name=name).to_netcdf(
                file, engine="netcdf4", encoding={name: {**_COMPRESSION, "chunksizes": chunks}}
            )
        except (TypeError, ValueError) as error:
            raise OutputError(f"cannot write {target}: {error}") from error
        return file.read_bytes()
