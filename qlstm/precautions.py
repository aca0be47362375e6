"""What a day starts from, and what has changed since that was saved: code, libraries, contest, data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import dates, imprint, state
from .cube import Cubes, Windows
from .dates import day
from .decision import decide
from .errors import QlstmError, StateChangedError, StateCorruptError, StateError
from .state import codec
from .state.positions import positions_in
from .state.store import STATE_FILE
from .strategy import Memory, Strategy

__all__ = ["Parent", "changes", "find", "refuse"]

_SAME = 1e-9  # weights that differ by less are the same decision
_SHOWN = 3  # weights listed in a sentence


@dataclass(frozen=True)
class Parent:
    """What a day starts from.

    Parameters
    ----------
    memory : Memory
        Empty on a first day.
    since : np.datetime64, optional
        The day that it is the memory of; None on a first day, and where the file does not say.
    generation : np.datetime64, optional
        The same day where it is a generation of the store, not a file that was handed over.
    path : Path, optional
        The state file; None on a first day.
    header : mapping
        What that file says about itself: `qlstm.state.codec.header`.
    """

    memory: Memory = field(default_factory=Memory)
    since: np.datetime64 | None = None
    generation: np.datetime64 | None = None
    path: Path | None = None
    header: Mapping[str, Any] = field(default_factory=dict)


def find(strategy: Strategy, store: state.Store, today: np.datetime64, given: Path | None = None) -> Parent:
    """Return what `today` starts from: the file that a contest hands over, else the newest generation before it.

    Raises
    ------
    StateError
        When that file is damaged, cannot be trusted, or is of that day or a later one.
    """
    if given is not None:
        return _handed_over(strategy, given, today)
    newest = store.newest(before=today)
    if newest is None:
        return Parent()
    try:
        memory, path = store.read(newest, strategy), store.path(newest) / STATE_FILE
    except StateCorruptError as error:
        older = store.newest(before=newest)
        back = "" if older is None else f", or: qlstm state rollback {store.folder} {day(older)}, and run --catch-up"
        raise StateCorruptError(f"{error}; restore it from a copy{back}") from error
    return Parent(memory, newest, newest, path, codec.header(path.read_bytes(), str(path)))


def _handed_over(strategy: Strategy, path: Path, today: np.datetime64) -> Parent:
    memory = state.read(path, strategy)
    if memory is None:
        return Parent()
    header = codec.header(path.read_bytes(), str(path))
    if header.get("strategy") not in (None, strategy.name):
        raise StateError(f"{path} is the state of strategy {header['strategy']}, not of {strategy.name}")
    as_of = header.get("as_of")
    since = dates.as_time(as_of) if as_of else None
    if since is not None and since >= today:
        raise StateError(f"{path} is of {day(since)}, not before {day(today)}; give the state of the day before")
    if memory.trained_at is not None and memory.trained_at > today:
        raise StateError(f"{path} holds models trained on {day(memory.trained_at)}, after {day(today)}")
    return Parent(memory, since, None, path, header)


def changes(strategy: Strategy, parent: Parent, data: Cubes, windows: Windows, store: state.Store) -> dict[str, str]:
    """Return what is no longer as it was when the parent was saved, a sentence each.

    Where the data have been restated, the parent's day is decided again, from its own parent and with the data as they
    are now, to say which of its weights would differ.

    Parameters
    ----------
    strategy : Strategy
        As it is now.
    parent : Parent
        From `find`.
    data : xr.DataArray or mapping
        The data as loaded, as `Windows.data`.
    windows : Windows
        The same as `decide` takes them.
    store : Store
        Where the parent's own parent is kept.

    Returns
    -------
    dict
        Some of ``code``, ``versions``, ``contest``, ``data``; what the parent's file does not record is not looked at.
    """
    found = {
        "code": _code(strategy, parent),
        "versions": _versions(parent),
        "contest": _contest(strategy, parent),
        "data": _data(strategy, parent, data, windows, store),
    }
    return {what: sentence for what, sentence in found.items() if sentence}


def refuse(found: Mapping[str, str], *, strict: bool, allow_changes: bool) -> None:
    """Refuse what matters: another contest unless that is allowed, everything when strict.

    Raises
    ------
    StateChangedError
        When `strict`; names every change.
    StateError
        When the contest is another one.
    """
    if strict and found:
        raise StateChangedError(f"refused as asked (strict): {'; '.join(found.values())}")
    if "contest" in found and not allow_changes:
        raise StateError(
            f"{found['contest']}; go on with --allow-changes (allow_changes=True), or give the strategy another name "
            "to start anew"
        )


def _code(strategy: Strategy, parent: Parent) -> str:
    if parent.header.get("code_sha256") in (None, strategy.code_hash):
        return ""
    return f"{parent.path} was written by other code than {strategy.where} has now; is it still the same strategy?"


def _versions(parent: Parent) -> str:
    then, now = parent.header.get("versions", {}), codec.versions()
    changed = [f"{name} {then[name]} is now {now.get(name, 'missing')}" for name in then if then[name] != now.get(name)]
    return f"{parent.path} was written with other libraries: {', '.join(changed)}" if changed else ""


def _contest(strategy: Strategy, parent: Parent) -> str:
    """Compare the rules, but only those that the version of qlstm that wrote them knew too."""
    then = parent.header.get("contest") or {}
    now = json.loads(json.dumps(dataclasses.asdict(strategy.rules)))
    if then.get("name", now["name"]) != now["name"]:
        return f"{parent.path} was decided for contest {then['name']}, {strategy.where} is for {now['name']} now"
    changed = [f"{rule} {then[rule]} is now {now[rule]}" for rule in then if rule in now and then[rule] != now[rule]]
    return f"{parent.path} was decided by other rules of {now['name']}: {', '.join(changed)}" if changed else ""


def _data(strategy: Strategy, parent: Parent, data: Cubes, windows: Windows, store: state.Store) -> str:
    restated = imprint.compare(parent.header.get("imprint") or [], data, str(parent.path))
    if not restated or parent.since is None:
        return ""
    differ = "; ".join(map(str, restated))
    return (
        f"the data up to {day(parent.since)} have been restated since that day was run: {differ}; "
        f"{_consequence(strategy, parent, windows, store)}"
    )


def _consequence(strategy: Strategy, parent: Parent, windows: Windows, store: state.Store) -> str:
    """Say which weights of the parent's day would be others with the data as they are now."""
    date = parent.generation
    if date is None:
        return "its weights cannot be compared, since the store does not keep that day"
    try:
        seen = state.inspect(store.path(date) / STATE_FILE)
        if seen.parent is None and (seen.parent_sha256 or store.dates()[0] < date):
            return "its weights cannot be compared, since the day it started from is not kept"
        before = Memory() if seen.parent is None else store.read(state.as_of(seen.parent), strategy)
        now = decide(strategy, windows.up_to(date), date, before)
        differ = list(_differences(dict(seen.weights or ()), dict(positions_in(now.content, "the weights of now"))))
    except QlstmError as error:
        return f"its weights cannot be compared: {error}"
    if not differ:
        return f"the weights of {day(date)} would be the same"
    more = f" and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
    return f"the weights of {day(date)} would differ: {', '.join(differ[:_SHOWN])}{more}"


def _differences(then: Mapping[str, float], now: Mapping[str, float]) -> Iterator[str]:
    """Yield what differs, largest first."""
    change = {asset: now.get(asset, 0.0) - then.get(asset, 0.0) for asset in sorted({*then, *now})}
    for asset in sorted(change, key=lambda asset: -abs(change[asset])):
        if abs(change[asset]) > _SAME:
            yield f"{asset} {then.get(asset, 0.0):.4f} would be {now.get(asset, 0.0):.4f}"
