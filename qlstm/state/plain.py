"""The schema: what a state file may hold, described in builtins and numpy arrays, and rebuilt from them.

These stand for themselves: None, bool, int, float, str, bytes, lists, tuples, dictionaries whose keys are of the first
six, and numpy arrays of numbers, dates and fixed-width strings. Everything else becomes a dictionary with the reserved
key ``"qlstm:kind"`` and its parts:

=============  ========================================================================================================
kind           parts
=============  ========================================================================================================
dict           items: a list of (key, value); for other keys, and for dictionaries that contain the reserved key
set frozenset  items: in the order of their bytes, so that equal sets give equal files
datetime date  iso: text as of ISO 8601; fold
timedelta      days, seconds, microseconds
scalar         value: a numpy array without dimensions
objects        shape, items: a numpy array of strings, numbers and None
Timestamp …    pandas and xarray: see `qlstm.state.labelled`
module …       torch: see `qlstm.state.networks`
=============  ========================================================================================================

Only these exact classes are described, never their subclasses: what comes back has the type that went in. Sharing is
not kept outside of networks: a list that occurs twice comes back as two equal ones.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import StateCorruptError, StateError
from . import labelled, networks
from .labelled import Unfit
from .payload import KIND, dumps

__all__ = ["DUMPED", "KIND", "MAX_DEPTH", "describe", "is_dumped", "rebuild", "split_memory"]

DUMPED = "dumped"
"""The kind of models that the strategy's own `dump` turned into plain values (part ``value``)."""
MAX_DEPTH = 64
"""Nesting of described values; each takes at most three levels of the payload."""

_ATOMS = {type(None), bool, int, float, str, bytes}
_DESCRIBERS = {**labelled.DESCRIBERS, **networks.DESCRIBERS}


class _Describer:
    """One walk from a value to its description. When it fails, `path` says where it was."""

    def __init__(self, namespace: Mapping[str, Any] | None) -> None:
        self.namespace = namespace
        self.met: dict[int, Any] | None = None
        self.path: list[str] = []
        self.open: set[int] = set()

    def inner(self, value: Any, place: str) -> Any:
        if type(value) in _ATOMS:
            return value
        self.path.append(place)
        if len(self.path) > MAX_DEPTH or id(value) in self.open:
            raise Unfit(f"values nest deeper than {MAX_DEPTH} levels or contain themselves; flatten them")
        # A network may hold a reference to one around it; its description says which.
        if not _is_network(value):
            self.open.add(id(value))
        described = self._describe(value)
        self.open.discard(id(value))
        self.path.pop()
        return described

    def _describe(self, value: Any) -> Any:
        kind = type(value)
        if kind in _BUILTINS:
            return _BUILTINS[kind](value, self)
        if isinstance(value, np.generic):
            return {KIND: "scalar", "value": np.asarray(value)}
        tag, describe = _DESCRIBERS.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}", ("", None))
        if describe is not None:
            return {KIND: tag, **describe(value, self)}
        if _is_network(value):
            return {KIND: "module", **networks.describe_network(value, self)}
        inner = "keep its .network, or " if _is_network(getattr(value, "network", None)) else ""
        raise Unfit(
            f"objects of class {kind.__module__}.{kind.__qualname__} cannot be saved; {inner}use plain values, arrays "
            "or xarray (for models of other libraries give Strategy(dump=, load=))"
        )


def _is_network(value: object) -> bool:
    torch = sys.modules.get("torch")  # a network exists only where torch has been imported
    return torch is not None and isinstance(value, torch.nn.Module)


def _describe_list(value: list[Any] | tuple[Any, ...], walk: _Describer) -> Any:
    if set(map(type, value)) <= _ATOMS:
        return type(value)(value)
    return type(value)([walk.inner(item, f"[{i}]") for i, item in enumerate(value)])


def _describe_dict(value: dict[Any, Any], walk: _Describer) -> dict[Any, Any]:
    if KIND not in value and set(map(type, value)) <= _ATOMS:
        return {key: walk.inner(item, f"[{key!r}]") for key, item in value.items()}
    items = [(walk.inner(key, f" key {key!r}"), walk.inner(item, f"[{key!r}]")) for key, item in value.items()]
    return {KIND: "dict", "items": items}


def _describe_set(value: set[Any] | frozenset[Any], walk: _Describer) -> dict[str, Any]:
    return {
        KIND: type(value).__name__,
        "items": sorted((walk.inner(item, f"{{{item!r}}}") for item in value), key=dumps),
    }


def _describe_datetime(value: datetime.datetime, walk: _Describer) -> dict[str, Any]:
    if value.tzinfo is not None and type(value.tzinfo) is not datetime.timezone:
        raise Unfit(f"a datetime in time zone {value.tzinfo} cannot be saved; use UTC or pandas.Timestamp")
    return {KIND: "datetime", "iso": value.isoformat(), "fold": value.fold}


def _describe_timedelta(value: datetime.timedelta, walk: _Describer) -> dict[str, Any]:
    return {KIND: "timedelta", "days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}


def _describe_ndarray(value: np.ndarray, walk: _Describer) -> Any:
    if value.dtype.kind in "biufcmMUS":
        return value
    if value.dtype.kind != "O":
        raise Unfit(f"an array of dtype {value.dtype} cannot be saved; use numbers, dates or strings")
    items = value.ravel().tolist()
    strange = [type(item).__name__ for item in items if type(item) not in _ATOMS]
    if strange:
        raise Unfit(f"an array of objects of class {strange[0]} cannot be saved; use numbers, dates or strings")
    return {KIND: "objects", "shape": value.shape, "items": items}


_BUILTINS: Mapping[type, Callable[[Any, _Describer], Any]] = {
    list: _describe_list,
    tuple: _describe_list,
    dict: _describe_dict,
    set: _describe_set,
    frozenset: _describe_set,
    datetime.datetime: _describe_datetime,
    datetime.date: lambda value, walk: {KIND: "date", "iso": value.isoformat()},
    datetime.timedelta: _describe_timedelta,
    np.ndarray: _describe_ndarray,
}


def describe(value: object, what: str = "state", namespace: Mapping[str, Any] | None = None) -> Any:
    """Return `value` in plain terms: see the module's docstring.

    Parameters
    ----------
    value : object
        What to save. Arrays inside are not copied.
    what : str
        How errors call it: ``state`` or ``models``.
    namespace : mapping, optional
        The globals of the strategy's file, whose network classes may occur.

    Raises
    ------
    StateError
        When something inside is of a class that cannot be saved; names the place, the class and the fix.
    """
    walk = _Describer(namespace)
    try:
        return walk.inner(value, what)
    except Unfit as error:
        raise StateError(f"{''.join(walk.path) or what}: {error}") from None


class _Rebuilder:
    """One walk from a description to what it describes."""

    def __init__(self, namespace: Mapping[str, Any] | None) -> None:
        self.namespace = namespace
        self.met: dict[int, Any] | None = None
        self.path: list[str] = []

    def inner(self, value: Any, place: str) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            return value
        if kind is np.ndarray:
            return value.copy()
        if len(self.path) > MAX_DEPTH:
            raise ValueError(f"values nest deeper than {MAX_DEPTH} levels")
        self.path.append(place)
        if kind is dict:
            rebuilt = self._rebuild_dict(value)
        elif kind is list or kind is tuple:
            rebuilt = kind([self.inner(item, f"[{i}]") for i, item in enumerate(value)])
        else:  # sets, dates and numpy scalars, as other writers leave them in their files
            rebuilt = value
        self.path.pop()
        return rebuilt

    def _rebuild_dict(self, value: dict[Any, Any]) -> Any:
        if KIND not in value:
            return {key: self.inner(item, f"[{key!r}]") for key, item in value.items()}
        return _REBUILDERS[value[KIND]](value, self)


def _rebuild_objects(parts: dict[str, Any], walk: _Rebuilder) -> np.ndarray:
    array = np.empty(len(parts["items"]), dtype=object)
    array[:] = parts["items"]
    return array.reshape(parts["shape"])


def _rebuild_items(parts: dict[str, Any], walk: _Rebuilder) -> list[Any]:
    return [walk.inner(item, f"[{i}]") for i, item in enumerate(parts["items"])]


_REBUILDERS: Mapping[Any, Callable[[dict[str, Any], Any], Any]] = {
    "dict": lambda parts, walk: {walk.inner(k, f" key {k!r}"): walk.inner(v, f"[{k!r}]") for k, v in parts["items"]},
    "set": lambda parts, walk: set(_rebuild_items(parts, walk)),
    "frozenset": lambda parts, walk: frozenset(_rebuild_items(parts, walk)),
    "datetime": lambda parts, walk: datetime.datetime.fromisoformat(parts["iso"]).replace(fold=parts["fold"]),
    "date": lambda parts, walk: datetime.date.fromisoformat(parts["iso"]),
    "timedelta": lambda parts, walk: datetime.timedelta(parts["days"], parts["seconds"], parts["microseconds"]),
    "scalar": lambda parts, walk: parts["value"][()],
    "objects": _rebuild_objects,
    **labelled.REBUILDERS,
    **networks.REBUILDERS,
}


def rebuild(plain: object, namespace: Mapping[str, Any] | None = None, what: str = "state") -> Any:
    """Return what `describe` was given.

    Parameters
    ----------
    plain : object
        A description, or plain values of another writer.
    namespace : mapping, optional
        The globals of the strategy's file, where its network classes are found.
    what : str
        How errors call it.

    Raises
    ------
    StateCorruptError
        When it is no description of this schema.
    StateError
        When it needs a class that is not there.
    """
    walk = _Rebuilder(namespace)
    try:
        return walk.inner(plain, what)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise StateCorruptError(f"{''.join(walk.path) or what} cannot be rebuilt: {error!r}") from error


def is_dumped(models: object) -> bool:
    """Return whether the models of a payload went through the strategy's `dump`."""
    return isinstance(models, dict) and models.get(KIND) == DUMPED


def split_memory(plain: Any, what: str, ours: bool) -> tuple[np.datetime64 | None, Any, Any]:
    """Return created, models and state of a payload.

    Parameters
    ----------
    plain : object
        What `payload.loads` returned.
    what : str
        What errors call the file: its path.
    ours : bool
        Whether its metadata say that qlstm wrote it.

    Raises
    ------
    StateError
        When it is no such tuple; says what it is. A `StateCorruptError` where qlstm wrote the file.
    """
    kind = StateCorruptError if ours else StateError
    if type(plain) is not tuple or len(plain) != 3:
        raise kind(f"{what} holds {_shape(plain)}, not (created, models, state); save it as such a tuple")
    created, models, state = plain
    if created is None:
        return None, models, state
    if not isinstance(created, np.datetime64) or np.isnat(created):
        raise kind(f"{what}: its first entry, the training day, is {created!r:.60}; it must be a numpy.datetime64")
    return created.astype("datetime64[ns]"), models, state


def _shape(plain: object) -> str:
    """Return a few words on what a payload is."""
    if isinstance(plain, dict):
        return f"a dict with keys {', '.join(repr(key) for key in list(plain)[:5])}"
    if isinstance(plain, (list, tuple)):
        return f"a {type(plain).__name__} of {len(plain)}"
    return f"one {type(plain).__name__}"
