"""Which files a strategy opens while it trains and predicts."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["last_row", "watching"]

_watcher: ContextVar[Callable[[Path], None] | None] = ContextVar("watcher", default=None)
_TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".pq": pd.read_parquet,
}


@contextmanager
def watching(seen: Callable[[Path], None]) -> Iterator[None]:
    """Have `seen` called with each file that is opened inside the block, but for those of Python and its packages."""
    _install()
    token = _watcher.set(seen)
    try:
        with _netcdf():
            yield
    finally:
        _watcher.reset(token)


@cache
def _install() -> None:
    sys.addaudithook(_hook)  # cannot be removed, so it is added once, and asks the watcher


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes):
        _tell(os.fsdecode(arguments[0]))


def _tell(name: str) -> None:
    seen = _watcher.get()
    if seen is None:
        return
    path = Path(os.path.abspath(name))
    is_code = path.suffix in (".py", ".pyc", ".so") or path.parent.suffix in (".dist-info", ".egg-info")
    is_data = path.suffix in (".nc", ".nc4", ".h5", *_TABLES)  # prices are the future wherever they lie
    is_code = is_code or (not is_data and any(folder in path.parents for folder in _libraries()))
    if not is_code and path.is_file():
        seen(path)


@contextmanager
def _netcdf() -> Iterator[None]:
    """Have netCDF4, which opens files in C, say so too."""
    import netCDF4  # deferred: a second for those who only look at data

    plain = netCDF4.Dataset

    class Telling(type):
        """Makes plain datasets: one of a subclass would say its last word after Python has taken it apart."""

        def __call__(cls, filename: Any, *arguments: Any, **settings: Any) -> Any:
            _tell(str(filename))
            return plain(filename, *arguments, **settings)

        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, plain)

        def __getattr__(cls, name: str) -> Any:
            return getattr(plain, name)

    setattr(netCDF4, "Dataset", Telling("Dataset", (), {}))  # noqa: B010 (mypy takes a class for a constant)
    try:
        yield
    finally:
        setattr(netCDF4, "Dataset", plain)  # noqa: B010


@cache
def _libraries() -> tuple[Path, ...]:
    ours = Path(__file__).resolve().parents[1]
    system = (Path(name) for name in ("/proc", "/sys", "/dev", "/etc", "/usr/share"))
    return (*(Path(path) for path in sysconfig.get_paths().values()), Path(sys.prefix), ours, *system)


def last_row(path: Path) -> np.datetime64 | None:
    """Return the last date that a data file holds, None where it holds no dates."""
    token = _watcher.set(None)
    try:
        return _last_row(path)
    except Exception:  # any file may be met, in any form: what cannot be read as a table holds no dates
        return None
    finally:
        _watcher.reset(token)


def _last_row(path: Path) -> np.datetime64 | None:
    if path.suffix in (".nc", ".nc4", ".h5"):
        import xarray as xr

        with xr.open_dataset(path) as content:
            return np.datetime64(content["time"].values.max(), "ns") if "time" in content.coords else None
    if path.suffix not in _TABLES:
        return None
    table = _TABLES[path.suffix](path)
    dates = pd.to_datetime(table[table.columns[0]], errors="coerce")
    return None if dates.isna().all() else np.datetime64(dates.max(), "ns")
