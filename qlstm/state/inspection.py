"""What is in a state file, shown from its description alone: no torch, no pandas, no xarray, no strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StateError
from . import envelope, payload
from .entries import Entry, Model, entry_of, networks_in, short_date
from .plain import split_memory
from .store import STATE_FILE, Store

__all__ = ["Inspection", "inspect", "newest_file", "render"]


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

    def to_dict(self) -> dict[str, Any]:
        """Return everything in terms of JSON."""
        return asdict(self)


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
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror or error}") from error
    content, known = envelope.unwrap(data, str(path))
    created, models, state = split_memory(payload.loads(content, str(path)), str(path), ours=bool(known))
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
    if not path.exists():
        raise StateError(f"there is no {path}")
    if not path.is_dir():
        return path
    if (path / STATE_FILE).exists():
        return path / STATE_FILE
    stores = [store for store in (Store(path), *map(Store, sorted(path.iterdir()))) if store.dates()]
    if not stores:
        raise StateError(f"{path} holds no saved state")
    if len(stores) > 1:
        raise StateError(f"{path} holds several strategies: {', '.join(s.folder.name for s in stores)}; name one")
    return stores[0].path(stores[0].dates()[-1]) / STATE_FILE


def render(seen: Inspection) -> Iterator[str]:
    """Yield an inspection as lines of plain text."""
    by = f"schema {seen.schema}, checksums good" if seen.schema is not None else "written by another program"
    yield f"{seen.path} ({seen.size:,} bytes, {by})"
    code = f" (code {seen.code_sha256[:12]})" if seen.code_sha256 else ""
    facts = {
        "as of": seen.as_of,
        "strategy": seen.strategy and seen.strategy + code,
        "trained": seen.created,
        "parent": seen.parent_sha256 and seen.parent_sha256[:12],
        "versions": ", ".join(f"{name} {version}" for name, version in seen.versions.items()),
    }
    yield from (f"{name:<10}{fact}" for name, fact in facts.items() if fact)
    yield f"{'models':<10}{len(seen.models) or ('none' if seen.other_models is None else '')}".rstrip()
    width = max((len(model.key) for model in seen.models), default=0)
    for model in seen.models:
        yield f"  {model.key:<{width}}  {model.kind}, {model.parameters:,} parameters"
    if seen.other_models is not None:
        yield from _render(seen.other_models, "models", "  ")
    yield from _render(seen.state, "", "")


def _render(entry: Entry, parent: str, indent: str) -> Iterator[str]:
    """Yield an entry and all inside it, deeper ones further to the right."""
    yield f"{indent}{entry.place.removeprefix(parent) or entry.place:<9} {_words(entry)}".rstrip()
    for label, value in entry.largest:
        yield f"{indent}    {label:<12}{value:+.6f}"
    if entry.held is not None and entry.held > len(entry.largest):
        yield f"{indent}    and {entry.held - len(entry.largest)} more"
    for inner in entry.inside:
        yield from _render(inner, entry.place, indent + "  ")
    if entry.inside and entry.shape and entry.shape[0] > len(entry.inside):
        yield f"{indent}  and {entry.shape[0] - len(entry.inside)} more"


def _words(entry: Entry) -> str:
    """Return what is known about a value on one line."""
    lengths = map(str, entry.shape or ())
    sizes = [f"{dim}: {n}" for dim, n in zip(entry.dims, lengths, strict=True)] if entry.dims else list(lengths)
    words = [
        f"{entry.kind}({', '.join(sizes)})" if entry.shape is not None else entry.kind,
        entry.dtype,
        f"{entry.dates[0]} to {entry.dates[1]}" if entry.dates else None,
        f"{entry.held} not zero" if entry.held is not None else None,
        entry.text,
    ]
    return " ".join(word for word in words if word)
