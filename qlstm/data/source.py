"""From what a user names (the sample, a synthetic market, a file, a folder, a cube in memory) to a checked cube."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import xarray as xr

from .. import cube as cubes
from ..errors import DataError, near
from . import folder, netcdf, sample

__all__ = ["load"]

_SYNTHETIC = "synthetic:"
_ACCEPTED = (
    f"accepted are {sample.NAME!r}, '{_SYNTHETIC}P1' and the like, a {netcdf.SUFFIX} file, "
    "or a folder of CSV or Parquet files"
)


def load(name_or_path: str | Path | xr.DataArray) -> xr.DataArray:
    """Return a checked cube.

    Parameters
    ----------
    name_or_path : str, Path or xr.DataArray
        - ``"sample"``: the embedded simulated market (`qlstm.data.sample`);
        - ``"synthetic:P1"``, ``"synthetic:P1?seed=3&n_assets=50&n_days=2520"``: a market of `qlstm.data.synthetic`;
        - a ``.nc`` file with one variable of dims ``(field, time, asset)``, as `save` writes it;
        - a folder with one CSV or Parquet file per asset (`qlstm.data.folder`);
        - a cube, which is checked and brought into the form below.

    Returns
    -------
    xr.DataArray
        Dims ``(field, time, asset)``, float64; time ascending, ``datetime64[ns]``; assets sorted. ``attrs["note"]``,
        where there is one, belongs into every report (the sample's says that it is simulated);
        ``attrs["source"]`` says where the cube came from; the name chooses the contest.

    Raises
    ------
    DataError
        When nothing of that name exists, or what exists is not a cube; the message names file, place and value.

    Warns
    -----
    DataWarning
        When prices contradict each other.
    """
    if isinstance(name_or_path, xr.DataArray):
        return _finish(name_or_path, "data")
    if not isinstance(name_or_path, str | Path):
        raise DataError(f"cannot load data from a {type(name_or_path).__name__}; {_ACCEPTED}, or an xarray.DataArray")
    if str(name_or_path) == sample.NAME:
        return _finish(sample.read(), sample.NAME)
    if str(name_or_path).startswith(_SYNTHETIC):
        from . import synthetic  # deferred: it needs scipy's filters and integrals, which other data do not

        return _finish(synthetic.from_name(str(name_or_path).removeprefix(_SYNTHETIC)), str(name_or_path))
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        cube = folder.read(path)
    elif path.is_file() and path.suffix == netcdf.SUFFIX:
        cube = netcdf.read(path)
    elif path.exists():
        raise DataError(f"cannot load data from {path}: it is not a {netcdf.SUFFIX} file; {_ACCEPTED}")
    else:
        raise DataError(f"no data {str(path)!r}: {_ACCEPTED}{near(str(path), _neighbours(path))}")
    cube.attrs.setdefault("source", str(path))
    return _finish(cube, str(path))


def _neighbours(path: Path) -> list[str]:
    """Return the names that `path` may have been meant to be: the sample, and what lies beside it."""
    if not path.parent.is_dir():
        return [sample.NAME]
    beside = [str(p) for p in path.parent.iterdir() if p.is_dir() or p.suffix == netcdf.SUFFIX]
    return [sample.NAME, *difflib.get_close_matches(str(path), beside, n=5)]


def _finish(cube: xr.DataArray, what: str) -> xr.DataArray:
    """Check `cube` and return it in the form that `load` promises; this is where float32 becomes float64."""
    cubes.check(cube, what=what)
    cube = cube.transpose(*cubes.DIMS).astype(np.float64, copy=False)
    times = cube.get_index("time")
    if times.dtype != np.dtype("datetime64[ns]"):
        cube = cube.assign_coords(time=times.astype("datetime64[ns]"))
    return cube if cube.get_index("asset").is_monotonic_increasing else cube.sortby("asset")
