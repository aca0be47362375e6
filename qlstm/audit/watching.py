"""Which files, folders and hosts a strategy looks at while it trains and predicts, and which programs it starts."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import warnings
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Program", "What", "last_row", "watching"]


@dataclass(frozen=True)
class Program:
    """Another program: what it reads is out of sight."""

    name: str


What = Path | str | Program
"""The path of a file or folder, the name of a host, or a program."""
Seen = Callable[[What], None]
_watcher: Seen | None = None  # of the process, not of a thread: threads that a strategy starts are watched too
_strangers: Set[int] = frozenset()
_TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".pq": pd.read_parquet,
    ".feather": pd.read_feather,
}
_MAYBE_TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {  # those of installed packages are settings and texts
    ".txt": lambda path: pd.read_csv(path, sep=None, engine="python"),
    ".tsv": lambda path: pd.read_csv(path, sep="\t"),
    ".json": pd.read_json,
}
_PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")
_IN_C = ("read_parquet", "read_feather", "read_orc")  # functions of pandas that open files without a word to Python
_DATED = 0.5  # of the rows of a column, for it to be the dates
_WHOLE = (1900_01_01, 2100_12_31)  # dates as whole numbers
_HERE = ("localhost", "127.0.0.1", "::1", "")


@contextmanager
def watching(seen: Seen) -> Iterator[None]:
    """Have `seen` called with what is looked at inside the block, but for what belongs to Python and its packages.

    Threads that run already are the caller's, and not watched.
    """
    _install()
    with _watched_by(seen), _netcdf(), _tables():
        yield


@contextmanager
def _watched_by(seen: Seen | None) -> Iterator[None]:
    global _watcher, _strangers
    before, others = _watcher, _strangers
    _watcher, _strangers = seen, sys._current_frames().keys() - {threading.get_ident()}
    try:
        yield
    finally:
        _watcher, _strangers = before, others


@cache
def _install() -> None:
    sys.addaudithook(_hook)  # cannot be removed, so it is added once, and asks the watcher


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watcher is None or event not in _EVENTS or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    if threading.get_ident() in _strangers or (event == "open" and _writes(*arguments[1:])):
        return
    name, caller = os.fsdecode(arguments[0]), sys._getframe(1).f_code.co_filename
    if event == "socket.getaddrinfo":
        if name not in _HERE:
            _watcher(name)
    elif event in _STARTS:
        if not _is_of_a_library(sys._getframe(1)):
            _watcher(Program(Path(name.strip().partition(" ")[0] if event == "os.system" else name).name))
    elif event not in _LISTED or not any(one in caller for one in _IMPORTS):
        _tell(name, is_listed=event in _LISTED)


def _writes(mode: str | None, flags: int) -> bool:
    """Tell whether a file is opened to be written only; `os.open` has no mode."""
    return (flags & os.O_ACCMODE) == os.O_WRONLY if mode is None else not {"r", "+"} & set(mode)


_LISTED = ("os.listdir", "os.scandir")
_IMPORTS = ("importlib._bootstrap", "importlib/metadata", "importlib_metadata")  # they list the folders of packages
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
_PASS_ON = ("subprocess", "os", "asyncio", "threading", "concurrent")  # packages that start what they are told to
_EVENTS = ("open", "sqlite3.connect", "socket.getaddrinfo", *_LISTED, *_STARTS)


def _is_of_a_library(frame: FrameType | None) -> bool:
    """Tell whether a package starts a program for itself, as `platform` asks uname and joblib counts processors."""
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _PASS_ON:
        frame = frame.f_back
    return frame is not None and any(folder in Path(frame.f_code.co_filename).parents for folder in _libraries())


def _tell(name: str, is_listed: bool = False) -> None:
    seen = _watcher
    if seen is None:
        return
    path = Path(os.path.abspath(name))
    is_code = path.suffix in (".py", ".pyc", ".so") or path.parent.suffix in (".dist-info", ".egg-info")
    is_data = _kind(path) in (".nc", ".nc4", ".h5", *_TABLES)  # prices are the future wherever they lie
    is_code = is_code or (not is_data and any(folder in path.parents for folder in _libraries()))
    if not is_code and (path.is_dir() if is_listed else path.is_file()):
        seen(path)


@contextmanager
def _tables() -> Iterator[None]:
    """Have pandas say which files it leaves to others, who open them in C."""
    plain = {name: getattr(pd, name) for name in _IN_C}

    def telling(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def read(path: Any, *arguments: Any, **settings: Any) -> Any:
            if isinstance(path, str | os.PathLike):
                _tell(os.fspath(path))
            return function(path, *arguments, **settings)

        return read

    for name, function in plain.items():
        setattr(pd, name, telling(function))
    try:
        yield
    finally:
        for name, function in plain.items():
            setattr(pd, name, function)


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
    with _watched_by(None), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas says so where a column holds no dates
        try:
            return _last_row(path)
        except Exception:  # any file may be met, in any form: what cannot be read as a table holds no dates
            return None


def _last_row(path: Path) -> np.datetime64 | None:
    if path.suffix in (".nc", ".nc4", ".h5"):
        import xarray as xr

        with xr.open_dataset(path) as content:
            return np.datetime64(content["time"].values.max(), "ns") if "time" in content.coords else None
    read = (_TABLES | _MAYBE_TABLES).get(_kind(path))
    if read is None:
        return None
    table = read(path).reset_index()
    for name in table.columns:
        dates = _dates(table[name])
        if dates.notna().mean() > _DATED:
            return np.datetime64(dates.max(), "ns")
    return None


def _dates(column: pd.Series) -> pd.Series:
    """Return the dates of a column, NaT where it holds none; of numbers, 20201231 is one."""
    if not pd.api.types.is_numeric_dtype(column):
        return pd.to_datetime(column, errors="coerce", utc=True).dt.tz_localize(None)
    whole = column[column.between(*_WHOLE) & (column % 1 == 0)].astype(np.int64)
    return pd.to_datetime(whole, format="%Y%m%d", errors="coerce").reindex(column.index)


def _kind(path: Path) -> str:
    """Return the ending of a file's name, without that of its packing."""
    return Path(path.stem).suffix if path.suffix in _PACKED else path.suffix
