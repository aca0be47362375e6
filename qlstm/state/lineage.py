"""The generations of a store as a chain: which followed from which, and whether each is what was committed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StateError
from . import codec, envelope
from .inspection import examine, find_store, newest_file, read_bytes
from .locking import shortfalls
from .names import STATE_FILE, WEIGHTS_FILE, date_of, name_of
from .store import Store

__all__ = ["Generation", "Verification", "generations", "verify"]


@dataclass(frozen=True)
class Generation:
    """One day's folder, known from its header alone.

    Parameters
    ----------
    date : str
        The as-of date, as the folder is called.
    path : str
        The folder.
    size : int
        Bytes of the state file.
    sha256 : str, optional
        Of the state file; None where it cannot be read.
    parent_sha256 : str, optional
        Of the state file that the day started from; None on a first day.
    parent : str, optional
        The date of the generation that has it; None where it is not kept.
    strategy, code_sha256 : str, optional
        What decided the day.
    problem : str, optional
        Why the state file's header cannot be read.
    """

    date: str
    path: str
    size: int = 0
    sha256: str | None = None
    parent_sha256: str | None = None
    parent: str | None = None
    strategy: str | None = None
    code_sha256: str | None = None
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything in terms of JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Verification:
    """What a look at every byte has found.

    Parameters
    ----------
    path : str
        A state file or a strategy's folder.
    checked : int
        How many state files were looked at.
    problems : tuple of str
        One sentence each, oldest first; empty when all is well.
    notes : tuple of str
        What the store's file system lacks, a sentence each; mostly empty.
    """

    path: str
    checked: int
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything in terms of JSON."""
        return asdict(self)


def generations(store: Store) -> list[Generation]:
    """Return what a store holds, oldest first, without unpacking anything."""
    found: list[Generation] = []
    dates: dict[str, str] = {}
    for date in store.dates():
        one = _generation(store, date, dates)
        if one.sha256 is not None:
            dates[one.sha256] = one.date
        found.append(one)
    return found


def _generation(store: Store, date: np.datetime64, dates: dict[str, str]) -> Generation:
    """Return one generation; `dates` are those of the earlier ones by the hash of their file."""
    name, folder = name_of(date), str(store.path(date))
    try:
        data, _ = store.contents(date)
        known = codec.header(data, f"{folder}/{STATE_FILE}")
    except StateError as error:
        return Generation(name, folder, problem=str(error))
    parent = known.get("parent_sha256")
    return Generation(
        name,
        folder,
        len(data),
        hashlib.sha256(data).hexdigest(),
        parent,
        dates.get(parent) if parent else None,
        known.get("strategy"),
        known.get("code_sha256"),
    )


def verify(path: str | Path) -> Verification:
    """Look at every byte of a state file, or of each generation of a store, and say what is wrong.

    A generation is well when both files are there and belong together, the state file's checksums are good and it
    follows its schema, and its parent is the generation that it names. Neither the strategy nor its libraries are
    needed, and nothing is changed.

    Parameters
    ----------
    path : str or Path
        A state file, the folder of a generation, a strategy's folder, or a state folder that holds one strategy.

    Raises
    ------
    StateError
        When there is nothing to verify. What is damaged is reported, not raised.
    """
    path = Path(path)
    date = date_of(path.name)
    if date is not None and (path / STATE_FILE).exists():
        return Verification(str(path), 1, _problems(partial(_check, Store(path.parent), date)))
    if path.exists() and not path.is_dir():
        file = newest_file(path)
        return Verification(str(path), 1, _problems(lambda: examine(read_bytes(file), file)))
    store = find_store(path)
    dates = store.dates()
    damaged = [problem for date in dates for problem in _problems(partial(_check, store, date))]
    return Verification(
        str(store.folder), len(dates), (*damaged, *_broken_links(generations(store))), _shortfalls(store.folder)
    )


def _shortfalls(folder: Path) -> tuple[str, ...]:
    try:
        return shortfalls(folder)
    except OSError as error:
        raise StateError(f"cannot read {folder}: {error.strerror or error}") from error


def _problems(look: Callable[[], object]) -> tuple[str, ...]:
    """Return what a look at a file raises, as sentences."""
    try:
        look()
    except StateError as error:
        return (str(error),)
    return ()


def _check(store: Store, date: np.datetime64) -> None:
    """Raise what is wrong with one generation by itself."""
    data, weights = store.contents(date)
    folder = store.path(date)
    examine(data, folder / STATE_FILE)
    store.check(date, data, weights)
    if "weights_sha256" not in codec.header(data):  # committed before that hash was kept
        envelope.unwrap(weights, str(folder / WEIGHTS_FILE))


def _broken_links(found: list[Generation]) -> Iterator[str]:
    """Yield which generations name a parent that is not kept; the oldest may, since it outlives its parent."""
    for one in found[1:]:
        if one.parent_sha256 and one.parent is None:
            yield (
                f"{one.path} follows from a state {one.parent_sha256[:12]} that is no earlier generation; one between "
                "was changed, or removed by hand"
            )
