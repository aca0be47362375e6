"""What is in a state file, shown from its description alone: no torch, no pandas, no xarray, no strategy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StateError
from . import envelope, payload
from .entries import Entry, Model, entry_of, networks_in, short_date
from .foreign import loads_foreign
from .names import STATE_FILE, WEIGHTS_FILE, as_of, date_of, name_of
from .plain import split_memory
from .positions import positions_in
from .rendering import render_html
from .store import Store

__all__ = ["Inspection", "examine", "find_file", "find_store", "inspect", "newest_file", "read_bytes", "unpack"]


@dataclass(frozen=True)
class Inspection:
    """What a state file says about itself and holds. Its checksums are good, else there would be none.

    Parameters
    ----------
    path : str
        The file.
    size : int
        Bytes on the disk.
    schema : int, optional
        None for a file that another program wrote; it then has no metadata either.
    strategy, code_sha256, as_of, parent_sha256, payload_sha256 : str, optional
        From the metadata; `as_of` is ISO 8601.
    created : str, optional
        The day the models were trained.
    versions : mapping
        Library -> version that wrote it.
    models : tuple of Model
        The networks.
    other_models : Entry, optional
        What train returned, where that is not networks.
    state : Entry
        The state, as a tree.
    parent : str, optional
        The date of the generation it follows from, where it is one of a store and that one is kept.
    weights : tuple of (str, float), optional
        Asset and share of capital, largest first, from the file beside it in a store.
    """

    path: str
    size: int
    schema: int | None
    strategy: str | None
    code_sha256: str | None
    as_of: str | None
    created: str | None
    parent_sha256: str | None
    payload_sha256: str | None
    versions: Mapping[str, str]
    models: tuple[Model, ...]
    other_models: Entry | None
    state: Entry = field(repr=False)
    parent: str | None = None
    weights: tuple[tuple[str, float], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything in terms of JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        return render_html(self)


def inspect(path: str | Path) -> Inspection:
    """Return what is in a state file.

    Parameters
    ----------
    path : str or Path
        A file of any source. Neither its strategy nor the libraries it was made with are needed.

    Raises
    ------
    StateError
        When there is no such file, or it is damaged, refused or too new; see `qlstm.state.read`.
    """
    seen, folder = examine(read_bytes(path), path), Path(path).parent
    date = date_of(folder.name.removeprefix(".old-"))
    if date is None or Path(path).name != STATE_FILE:
        return seen
    return replace(seen, parent=_parent(folder.parent, date, seen.parent_sha256), weights=_weights(folder))


def _parent(folder: Path, date: np.datetime64, sha256: str | None) -> str | None:
    """Return the date of the generation with that hash, the nearest before `date` tried first."""
    store = Store(folder)
    earlier = [other for other in store.dates() if other < date] if sha256 else []
    for other in reversed(earlier):
        file = store.path(other) / STATE_FILE
        if file.is_file() and hashlib.sha256(read_bytes(file)).hexdigest() == sha256:
            return name_of(other)
    return None


def _weights(folder: Path) -> tuple[tuple[str, float], ...] | None:
    """Return the weights kept beside a state file; None where there are none."""
    file = folder / WEIGHTS_FILE
    return positions_in(read_bytes(file), str(file)) if file.is_file() else None


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    StateError
        When it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror or error}") from error


def unpack(data: bytes, path: str | Path) -> tuple[dict[str, Any], np.datetime64 | None, Any, Any]:
    """Return the metadata of a state file and the three described parts: created, models, state.

    Raises
    ------
    StateError
        As for `inspect`.
    """
    content, known = envelope.unwrap(data, str(path))
    plain = payload.loads(content, str(path)) if known else loads_foreign(content, str(path))
    return known, *split_memory(plain, str(path), ours=bool(known))


def examine(data: bytes, path: str | Path) -> Inspection:
    """Return what is in a state file that has been read; `path` is what it is called.

    Raises
    ------
    StateError
        As for `inspect`.
    """
    known, created, models, state = unpack(data, path)
    try:
        networks = tuple(networks_in(models))
        other = None if networks or models is None else entry_of(models, "models")
        tree = entry_of(state, "state")
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StateError(f"{path} is damaged: it does not follow its schema ({error!r})") from error
    return Inspection(
        path=str(path),
        size=len(data),
        created=None if created is None else short_date(created),
        versions=known.get("versions", {}),
        models=networks,
        other_models=other,
        state=tree,
        as_of=short_date(np.datetime64(known["as_of"])) if known.get("as_of") else None,
        **{key: known.get(key) for key in ("schema", "strategy", "code_sha256", "parent_sha256", "payload_sha256")},
    )


def newest_file(path: str | Path) -> Path:
    """Return the state file that a path means.

    Parameters
    ----------
    path : str or Path
        A state file; the folder of a generation; a strategy's folder, for its newest generation; or a state folder that
        holds one strategy.

    Raises
    ------
    StateError
        When there is nothing there, no generation, or more than one strategy.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        return _state_file(path)
    if (path / STATE_FILE).exists():
        return path / STATE_FILE
    store = find_store(path)
    return store.path(store.dates()[-1]) / STATE_FILE


def _state_file(path: Path) -> Path:
    """Return a file, after a look at its name."""
    if path.name == WEIGHTS_FILE and (path.parent / STATE_FILE).exists():
        raise StateError(f"{path} holds weights; the state is {path.parent / STATE_FILE}")
    return path


def find_file(what: str, within: str | Path = "state") -> Path:
    """Return the state file that a user means.

    Parameters
    ----------
    what : str
        A path as for `newest_file`, or the as-of date of a generation.
    within : str or Path
        Where generations of a date are looked for: a strategy's folder, or a state folder that holds one strategy.

    Raises
    ------
    StateError
        When there is no such file, or no generation of that date.
    """
    try:
        date = None if Path(what).exists() else as_of(what)
    except StateError:  # no date, so a path
        date = None
    if date is None:
        return newest_file(what)
    store = find_store(within)
    store.contents(date)  # says which there are
    return store.path(date) / STATE_FILE


def find_store(path: str | Path) -> Store:
    """Return the store that a path means: a strategy's folder, or a state folder that holds one strategy.

    Raises
    ------
    StateError
        When there is nothing there, no generation, or more than one strategy.
    """
    path = Path(path)
    if not path.exists():
        raise StateError(f"there is no file or folder {path}")
    if not path.is_dir():
        raise StateError(f"{path} is a file; give a strategy's folder")
    stores = [store for store in (Store(path), *map(Store, sorted(path.iterdir()))) if store.dates()]
    if not stores:
        raise StateError(f"{path} holds no saved state")
    if len(stores) > 1:
        names, one = ", ".join(store.folder.name for store in stores), stores[0].folder
        raise StateError(f"{path} holds several strategies: {names}; give {one}, or --state-dir {one} with a date")
    return stores[0]
