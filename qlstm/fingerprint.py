"""What a result depends on, as a SHA-256: the strategy's code with what it refers to, data, settings and versions.

Equal fingerprints must mean equal results, so everything that can be followed is: each file that the strategy imports,
unless it belongs to an installed package; functions with their defaults and the variables they enclose; module-level
values that they name. What cannot be read as a value has no fingerprint, and then nothing is stored or taken from a
store. Files, clocks and the network, which a pure function does not touch, are not seen.
"""

from __future__ import annotations

import ast
import dataclasses
import datetime
import enum
import functools
import hashlib
import importlib.util
import logging
import platform
import re
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .cube import DIMS, as_cube
from .errors import StrategyError
from .strategy import Strategy

__all__ = ["of_cube", "of_data", "of_function", "of_strategy"]

_ATOMS = (str, bytes, int, float, complex, bool, type(None), type(...), np.generic, enum.Enum, np.dtype, range, slice)
_WRITTEN = (datetime.date, datetime.time, datetime.timedelta, PurePath, re.Pattern, Decimal, Fraction)
_NAMED = (type, types.ModuleType, types.BuiltinFunctionType, np.ufunc, logging.Logger)
_LIBRARIES = ("numpy", "pandas", "xarray", "torch", "numba", "scipy")


def of_cube(cube: xr.DataArray) -> str:
    """Return the fingerprint of a cube's labels and values, whatever file or layout they came from.

    Raises
    ------
    DataError
        When it is no cube.
    """
    cube = as_cube(cube, fields=())
    return of_data([cube.values, *(cube[dim].values.astype(str) for dim in DIMS)])


def of_data(data: Any) -> str:
    """Return the fingerprint of a window, or of several by name: labels, values, names and layout.

    Raises
    ------
    StrategyError
        When it holds anything but arrays and plain values.
    """
    walk = _Walk()
    walk.take(data, "data")
    return walk.digest.hexdigest()


def of_strategy(strategy: Strategy) -> str:
    """Return the fingerprint of a strategy: its code, its settings, and the versions of what runs it.

    Raises
    ------
    StrategyError
        When it depends on something that is no value; names it.
    """
    walk = _Walk()
    for field in dataclasses.fields(strategy):
        walk.take(getattr(strategy, field.name), field.name)
    for name, content in _sources(strategy):
        walk.add(name, content)
    walk.add_versions()
    return walk.digest.hexdigest()


def of_function(function: Any) -> str:
    """Return the fingerprint of a function: its code with what it refers to, and the versions of what runs it.

    Raises
    ------
    StrategyError
        When it depends on something that is no value; names it.
    """
    walk = _Walk()
    walk.take(function, getattr(function, "__name__", type(function).__name__))
    walk.add_versions()
    return walk.digest.hexdigest()


class _Walk:
    """Follows values into one digest, each with its kind and length, so that no two texts run together."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._met: dict[int, tuple[int, Any]] = {}  # id -> its number, and the value itself so that the id stays taken

    def add(self, kind: str, content: Any) -> None:
        """Add bytes."""
        view = memoryview(content)
        self.digest.update(f"{kind}:{view.nbytes};".encode())
        self.digest.update(view)

    def add_versions(self) -> None:
        """Add the versions of what runs the code: this package file by file, Python, the machine, libraries."""
        self.add("versions", repr((_own_code(), platform.python_version(), platform.machine(), _versions())).encode())

    def take(self, value: Any, place: str) -> None:
        """Add a value and what it refers to; `place` is what an error calls it."""
        if isinstance(value, (*_ATOMS, *_WRITTEN)):
            self.add(type(value).__name__, repr(value).encode())
        elif isinstance(value, (np.ndarray, pd.Index, xr.DataArray)):
            self._take_array(value, place)
        elif isinstance(value, (pd.Series, pd.DataFrame)):
            self._take_array(value.to_numpy(), place)
            self._take_items({"index": value.index, "columns": getattr(value, "columns", None)}, place)
        elif id(value) in self._met:
            self.add("again", str(self._met[id(value)][0]).encode())
        else:
            self._met[id(value)] = len(self._met), value
            self._take_object(value, place)

    def _take_array(self, value: Any, place: str) -> None:
        if isinstance(value, xr.DataArray):
            self.add("DataArray", repr((value.dims, value.name, list(value.coords))).encode())
            for name, labels in value.coords.items():
                self._take_array(labels.values, f"{place}.{name}")
            value = value.values
        array = np.asarray(value)
        self.add("array", repr((array.dtype.str, array.shape)).encode())
        if array.dtype.hasobject:
            for item in array.ravel().tolist():
                self.take(item, place)
        else:
            self.add("values", np.ascontiguousarray(array).view(np.uint8) if array.size else b"")

    def _take_object(self, value: Any, place: str) -> None:
        if isinstance(value, types.FunctionType):
            self._take_function(value, place)
        elif isinstance(value, functools.partial):
            self._take_items({"function": value.func, "arguments": value.args, "named": value.keywords}, place)
        elif isinstance(value, types.MethodType):
            self._take_items({"function": value.__func__, "of": value.__self__}, place)
        elif isinstance(value, _NAMED) or _is_installed(value):
            self._take_named(value, place)
        elif callable(getattr(value, "py_func", None)) or callable(getattr(value, "__wrapped__", None)):
            self.take(getattr(value, "py_func", None) or value.__wrapped__, place)  # numba's and functools' wrappers
        elif isinstance(value, Mapping):
            self.add("mapping", str(len(value)).encode())
            for key, item in value.items():
                self.take(key, place)
                self.take(item, f"{place}[{key!r}]")
        elif isinstance(value, (list, tuple)):
            self.add(type(value).__name__, str(len(value)).encode())
            for i, item in enumerate(value):
                self.take(item, f"{place}[{i}]")
        elif isinstance(value, (set, frozenset)):
            self.add(type(value).__name__, repr(sorted(map(repr, value))).encode())
        else:
            self._take_instance(value, place)

    def _take_items(self, items: Mapping[str, Any], place: str) -> None:
        for name, item in items.items():
            self.add("part", name.encode())
            self.take(item, f"{place}.{name}")

    def _take_named(self, value: Any, place: str) -> None:
        """Add a module, a class or a library's function by its name; classes of the user's with all they define."""
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"
        self.add("named", name.encode())
        library = sys.modules.get(name.partition(".")[0] or getattr(value, "__name__", "").partition(".")[0])
        self.add("version", str(getattr(library, "__version__", "")).encode())
        if isinstance(value, types.ModuleType):  # by name alone it would stay the same when its files are edited
            for kind, content in _followed(sorted(_files(value.__name__))):
                self.add(kind, content)
        if isinstance(value, type) and not _is_installed(value):
            skipped = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__"}
            members = {name: item for name, item in vars(value).items() if name not in skipped}
            self._take_items({"bases": value.__bases__, **members}, place)

    def _take_function(self, function: types.FunctionType, place: str) -> None:
        if _is_installed(function):
            self._take_named(function, place)
            return
        self._take_code(function.__code__, place)
        enclosed = function.__closure__ or ()
        cells = {name: cell.cell_contents for name, cell in zip(function.__code__.co_freevars, enclosed, strict=True)}
        names = set(_names(function.__code__)) & function.__globals__.keys()
        known = {name: function.__globals__[name] for name in sorted(names)}
        defaults = {"defaults": function.__defaults__, "named": function.__kwdefaults__}
        self._take_items({**defaults, **cells, **known}, place)

    def _take_code(self, code: types.CodeType, place: str) -> None:
        self.add("code", code.co_code)
        self.add("names", repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._take_code(constant, place)
            else:
                self.take(constant, place)

    def _take_instance(self, value: Any, place: str) -> None:
        """Add an object as its class and what it holds."""
        held = getattr(value, "__dict__", None)
        if _is_tensor(value):
            self._take_named(type(value), place)
            self._take_array(value.detach().cpu().numpy(), place)
        elif held is None or isinstance(value, (types.GeneratorType, types.CoroutineType)):
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            raise StrategyError(f"{place} is a {kind}, whose content cannot be told; use plain values")
        else:
            self._take_named(type(value), place)
            self._take_items(held, place)


def _is_tensor(value: Any) -> bool:
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a function's code looks up, nested functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _is_installed(value: Any) -> bool:
    """Tell whether a function, class or module belongs to Python, to qlstm or to an installed package."""
    if not callable(value) or not hasattr(value, "__name__"):
        return False
    name = str(getattr(value, "__module__", ""))
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and _is_library(Path(file))


@functools.cache
def _library_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    homes = {Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*homes, Path(__file__).resolve().parent)


def _is_library(file: Path) -> bool:
    return any(folder in file.resolve().parents for folder in _library_folders())


def _sources(strategy: Strategy) -> Iterator[tuple[str, bytes]]:
    """Yield the strategy's file and every file of the user's that it imports, anywhere in it, each once."""
    file = strategy.namespace.get("__file__")
    return _followed([Path(file)] if file and Path(file).is_file() and not _is_library(Path(file)) else [])


def _followed(waiting: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield these files and every file of the user's that they import, each once."""
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop().resolve()
        if path in seen:
            continue
        seen.add(path)
        content = path.read_bytes()
        yield "source", content
        waiting += sorted(_imported(content, path.parent))


def _imported(content: bytes, folder: Path) -> Iterator[Path]:
    """Yield the files of the user's that a file imports; of a package all files."""
    tops = set()
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            tops.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            yield from folder.glob("*.py")
    for top in tops:
        yield from _files(top)


def _files(module: str) -> Iterator[Path]:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # an import that the code itself guards, perhaps
        return
    if spec is None:
        return
    if spec.submodule_search_locations:  # a folder without __init__.py has these alone
        for location in spec.submodule_search_locations:
            if not _is_library(Path(location) / "__init__.py"):
                yield from Path(location).rglob("*.py")
    elif spec.has_location and spec.origin and not _is_library(Path(spec.origin)):
        yield Path(spec.origin)


@functools.cache
def _own_code() -> str:
    """Return a digest of qlstm's own files: a version number alone stays the same while one is being written."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).resolve().parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


@functools.cache
def _versions() -> tuple[str, ...]:
    found = []
    for library in _LIBRARIES:
        try:
            found.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)
