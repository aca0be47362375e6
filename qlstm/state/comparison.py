"""What changed between two state files: facts, weights, models, and the state value by value. Runs nothing in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StateCorruptError
from .entries import entry_of, networks_in, parameters_of
from .inspection import Inspection, inspect, read_bytes, unpack
from .plain import KIND
from .rendering import bar

__all__ = ["Change", "Comparison", "compare"]

_ABSENT: Any = type("Absent", (), {})()
_MOST = 30


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Parameters
    ----------
    place : str
        What it is: a fact's name, an asset, a model's key, a place in the state.
    before, after : str or float, optional
        A weight as a number, anything else in words; None where it is not there.
    """

    place: str
    before: str | float | None
    after: str | float | None


@dataclass(frozen=True)
class Comparison:
    """What changed from one state file to another.

    Parameters
    ----------
    before, after : str
        The files.
    follows : bool
        Whether the second names the first as its parent.
    facts : tuple of Change
        As-of date, training day, strategy, code, library versions.
    weights : tuple of Change
        Positions that differ, the largest difference first; empty where a file of weights is missing.
    models : tuple of Change
        Networks that came, went or learned.
    state : tuple of Change
        Places in the state.
    """

    before: str
    after: str
    follows: bool
    facts: tuple[Change, ...]
    weights: tuple[Change, ...]
    models: tuple[Change, ...]
    state: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both hold the same, whatever their metadata say."""
        return not (self.weights or self.models or self.state)

    def to_dict(self) -> dict[str, Any]:
        """Return everything in terms of JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield it as lines of plain text."""
        yield f"before    {self.before}"
        yield f"after     {self.after}{', its child' if self.follows else ''}"
        yield from (f"{change.place:<10}{_said(change.before)} -> {_said(change.after)}" for change in self.facts)
        yield f"{'weights':<10}{_count(self.weights, 'position')} changed"
        yield from _weight_lines(self.weights[:_MOST])
        for title, changes in (("models", self.models), ("state", self.state)):
            yield f"{title:<10}{_count(changes, 'change')}"
            yield from (f"  {change.place}: {_pair(change.before, change.after)}" for change in changes[:_MOST])
            if len(changes) > _MOST:
                yield f"  and {len(changes) - _MOST} more"


def _said(value: str | float | None) -> str:
    return "absent" if value is None else str(value)


def _count(changes: tuple[Change, ...], what: str) -> str:
    return f"{len(changes) or 'no'} {what}{'' if len(changes) == 1 else 's'}"


def _pair(before: str | float | None, after: str | float | None) -> str:
    """Return both on one line; numbers with six digits, unless they are the same in those."""
    if isinstance(before, float) and isinstance(after, float):
        short = [repr(float(f"{value:.6g}")) for value in (before, after)]
        if short[0] != short[1]:
            return " -> ".join(short)
    return f"{_said(before)} -> {_said(after)}"


def _weight_lines(changes: tuple[Change, ...]) -> Iterator[str]:
    width = max((len(change.place) for change in changes), default=0)
    pairs = [(float(change.before or 0), float(change.after or 0)) for change in changes]
    largest = max((abs(after - before) for before, after in pairs), default=0.0)
    for change, (before, after) in zip(changes, pairs, strict=True):
        yield f"  {change.place:<{max(width, 10)}}  {before:+.6f} -> {after:+.6f}  {bar(after - before, largest)}"


def compare(before: str | Path, after: str | Path) -> Comparison:
    """Return what changed from one state file to another; neither strategy nor libraries are needed.

    Parameters
    ----------
    before, after : str or Path
        State files; those of a store bring their weights along.

    Raises
    ------
    StateError
        As for `qlstm.state.inspect`.
    """
    first, second = inspect(before), inspect(after)
    one, two = read_bytes(before), read_bytes(after)
    _, _, models, state = unpack(one, before)
    _, _, new_models, new_state = unpack(two, after)
    try:
        networks = tuple(_networks(first, second, models, new_models))
        changes = tuple(_changes(state, new_state, "state"))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StateCorruptError(f"{before} or {after} does not follow its schema ({error!r})") from error
    return Comparison(
        str(before),
        str(after),
        follows=second.parent_sha256 == hashlib.sha256(one).hexdigest(),
        facts=tuple(_facts(first, second)),
        weights=_positions(first.weights, second.weights),
        models=networks,
        state=changes,
    )


def _facts(first: Inspection, second: Inspection) -> Iterator[Change]:
    for place, name in (("as of", "as_of"), ("trained", "created"), ("strategy", "strategy"), ("code", "code_sha256")):
        old, new = getattr(first, name), getattr(second, name)
        if old != new:
            yield Change(place, *(value and str(value)[:40] for value in (old, new)))
    for library in sorted({*first.versions, *second.versions}):
        if first.versions.get(library) != second.versions.get(library):
            yield Change(library, first.versions.get(library), second.versions.get(library))


def _positions(first: Any, second: Any) -> tuple[Change, ...]:
    if first is None or second is None:
        return ()
    old, new = dict(first), dict(second)
    changes = [
        Change(asset, old.get(asset), new.get(asset))
        for asset in {**old, **new}
        if old.get(asset, 0) != new.get(asset, 0)
    ]
    return tuple(sorted(changes, key=lambda change: -abs((change.after or 0) - (change.before or 0))))  # type: ignore[operator]


def _networks(first: Inspection, second: Inspection, models: Any, new_models: Any) -> Iterator[Change]:
    """Yield the networks that differ; models that are no networks are compared as plain values."""
    if not first.models and not second.models:
        yield from _changes(models, new_models, "models")
        return
    old = dict(zip((m.key for m in networks_in(models)), _described(models), strict=True))
    new = dict(zip((m.key for m in networks_in(new_models)), _described(new_models), strict=True))
    for key in {**old, **new}:
        if key not in old or key not in new:
            yield Change(key or "network", *("a network" if key in one else None for one in (old, new)))
        elif any(True for _ in _changes(old[key], new[key], "")):
            before, after = _norm(old[key]), _norm(new[key])
            after = after.removeprefix(f"{before.partition(', ')[0]}, ")  # the class is said once where it is the same
            yield Change(key or "network", before, f"{after}{_distance(old[key], new[key])}")


def _described(models: Any) -> list[Any]:
    """Return the descriptions that `networks_in` walks over, in its order."""
    if not list(networks_in(models)):
        return []
    if models.get(KIND) == "module":
        return [models]
    items = models["items"] if KIND in models else models.items()
    return [model for _, model in items]


def _norm(described: dict[str, Any]) -> str:
    (model,) = networks_in(described)
    return model.kind if model.norm is None else f"{model.kind}, norm {model.norm:.4g}"


def _distance(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return how far the parameters have moved, where they have the same shapes and numpy's types."""
    pairs = list(zip_longest(parameters_of(old), parameters_of(new), fillvalue=("", {"values": np.zeros(0)})))
    values = [(a["values"], b["values"]) for (_, a), (_, b) in pairs]
    if any(a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind != "f" for a, b in values):
        return ""
    return f", {np.sqrt(sum(float(np.sum(np.square(b - a, dtype=np.float64))) for a, b in values)):.4g} away"


def _changes(old: Any, new: Any, place: str) -> Iterator[Change]:
    """Yield where two descriptions differ, as deep as possible."""
    if isinstance(old, dict) and isinstance(new, dict) and old.get(KIND) == new.get(KIND):
        if _labels(old) and _labels(new):
            yield from _labelled(old, new, place)
            return
        yield from _items(old, new, place, KIND in old)
    elif isinstance(old, (list, tuple)) and type(old) is type(new):
        for i, (a, b) in enumerate(zip_longest(old, new, fillvalue=_ABSENT)):
            yield from _changes(a, b, f"{place}[{i}]")
    elif isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        yield from _arrays(old, new, place)
    elif type(old) is not type(new) or not (old == new or (old != old and new != new)):
        yield Change(place, _words(old), _words(new))


def _items(old: Mapping[Any, Any], new: Mapping[Any, Any], place: str, parts: bool) -> Iterator[Change]:
    for key in {**old, **new}:
        inner = f"{place}.{key}" if parts else f"{place}[{key!r}]"
        yield from _changes(old.get(key, _ABSENT), new.get(key, _ABSENT), inner)


def _arrays(old: np.ndarray, new: np.ndarray, place: str) -> Iterator[Change]:
    if old.shape != new.shape or old.dtype != new.dtype:
        yield Change(place, _words(old), _words(new))
        return
    differ = (old != new) & ((old == old) | (new == new))
    count = int(differ.sum())
    if not count:
        return
    if old.dtype.kind in "fiuc" and old.size > 1:
        most = np.abs(np.subtract(new, old, dtype="c16" if old.dtype.kind == "c" else "f8"))[differ].max()
        yield Change(place, _words(old), f"{count} of {old.size} differ, by up to {most:.4g}")
    elif old.size == 1:
        yield Change(place, str(old.reshape(())), str(new.reshape(())))
    else:
        yield Change(place, _words(old), f"{count} of {old.size} differ")


def _labels(described: Mapping[str, Any]) -> list[Any] | None:
    """Return the labels of a described array of numbers along one dimension, None of anything else."""
    if described.get(KIND) != "DataArray" or not isinstance(described["values"], np.ndarray):
        return None
    if described["values"].ndim != 1 or described["values"].dtype.kind != "f":
        return None
    for name, parts in described["coords"]:
        index = parts.get("index", {})
        if name == described["dims"][0] and index.get("type") == "Index":
            values = index["values"]
            return list(values["items"] if isinstance(values, dict) else values)
    return None


def _labelled(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[Change]:
    """Compare two rows by label; a label that is missing is not the same as zero."""
    before = dict(zip(_labels(old) or (), old["values"].tolist(), strict=True))
    after = dict(zip(_labels(new) or (), new["values"].tolist(), strict=True))
    for label in {**before, **after}:
        a, b = before.get(label), after.get(label)
        if a != b and not (a != a and b != b):
            yield Change(f"{place}[{label!r}]", a, b)


def _words(value: Any) -> str | None:
    """Return a value in a few words; None for an absent one."""
    if value is _ABSENT:
        return None
    entry = entry_of(value, "")
    size = "" if entry.shape is None else f"({', '.join(map(str, entry.shape))})"
    return entry.text or f"{entry.kind}{size} {entry.dtype or ''}".rstrip()
