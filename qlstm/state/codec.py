"""The state file: memory to bytes and back.

A file is the gzip of a pickle of ``(created, models, state)``, the form contests know, with the parts described in
plain terms (`plain`), pickled as data (`payload`) and wrapped with metadata and checksums (`envelope`). Reading has
three outcomes: the memory, None where there is no file, or an error that names the file and what is wrong with it.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from ..errors import StateError
from ..strategy import Memory
from . import envelope, payload
from .foreign import loads_foreign
from .plain import DUMPED, KIND, describe, is_dumped, rebuild, split_memory

if TYPE_CHECKING:
    import numpy as np

    from ..strategy import Strategy

__all__ = ["decode", "describe_models", "encode", "header", "read", "rebuild_models", "versions", "write"]

_LIBRARIES = ("qlstm", "numpy", "pandas", "torch", "xarray")


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that memories come from, without importing them."""
    from importlib import metadata  # deferred: only writing needs it

    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:  # run from a source tree, or an optional one
            continue
    return versions


def encode(
    memory: Memory,
    *,
    strategy: Strategy | None = None,
    as_of: np.datetime64 | None = None,
    parent: str | None = None,
    weights: str | None = None,
    imprint: list[dict[str, Any]] | None = None,
) -> bytes:
    """Return the state file of `memory`; equal arguments give equal bytes.

    What is returned has been decoded once: nothing is written that could not be read back.

    Parameters
    ----------
    memory : Memory
        What to save. Its models go through ``strategy.dump`` where there is one.
    strategy : Strategy, optional
        Gives name, code hash, `dump`, and the classes of its file.
    as_of : np.datetime64, optional
        The day the memory is the memory of.
    parent : str, optional
        SHA-256 of the file of the generation before, in hexadecimal.
    weights : str, optional
        SHA-256 of the file of weights that belongs to it.
    imprint : list of dict, optional
        What the strategy saw that day: `qlstm.imprint.take`.

    Raises
    ------
    StateError
        When something in it cannot be saved; names the place, the class and the fix.
    """
    namespace = None if strategy is None else strategy.namespace
    created = None if memory.trained_at is None else memory.trained_at.astype("datetime64[ns]")
    models = describe_models(memory.models, strategy)
    content = payload.dumps((created, models, describe(memory.state, "state", namespace)))
    known = {
        "strategy": None if strategy is None else strategy.name,
        "code_sha256": None if strategy is None else strategy.code_hash,
        "as_of": None if as_of is None else str(as_of.astype("datetime64[ns]")),
        "parent_sha256": parent,
        "versions": versions(),
        **({} if strategy is None else {"contest": dataclasses.asdict(strategy.rules)}),
        **({} if weights is None else {"weights_sha256": weights}),
        **({} if imprint is None else {"imprint": imprint}),
    }
    _check_way_back(content, namespace)
    return envelope.wrap(content, known)


def decode(data: bytes, strategy: Strategy | None = None, what: str = "the state") -> Memory:
    """Return the memory in a state file, ours or one that another program pickled.

    Parameters
    ----------
    data : bytes
        The file.
    strategy : Strategy, optional
        Gives `load` and the classes of its file; needed where the models came from either.
    what : str
        What errors call the file: its path.

    Raises
    ------
    StateCorruptError
        When the file is damaged.
    StateForeignError
        When it holds objects that reading it would have to trust.
    StateTooNewError
        When a later version of qlstm wrote it.
    StateError
        When it is not ``(created, models, state)``, or needs what the strategy does not give.
    """
    content, known = envelope.unwrap(data, what)
    namespace = None if strategy is None else strategy.namespace
    plain = payload.loads(content, what) if known else loads_foreign(content, what, namespace)
    parts = split_memory(plain, what, ours=bool(known))
    memory = _memory(parts, namespace, what)
    if not is_dumped(parts[1]) or strategy is None:
        return memory
    return Memory(memory.trained_at, _loaded(memory.models, strategy, what), memory.state)


def describe_models(models: Any, strategy: Strategy | None) -> Any:
    """Return what train returned in plain terms, by way of the strategy's `dump` where there is one.

    Raises
    ------
    StateError
        When something in it cannot be saved.
    """
    namespace = None if strategy is None else strategy.namespace
    if strategy is None or strategy.dump is None or models is None:
        return describe(models, "models", namespace)
    return {KIND: DUMPED, "value": describe(_of_the_users(strategy, "dump", models), "models", namespace)}


def rebuild_models(plain: Any, strategy: Strategy, what: str) -> Any:
    """Return what `describe_models` was given, by way of the strategy's `load` where `dump` was.

    Raises
    ------
    StateError
        When it needs what the strategy does not give, or is no such description.
    """
    models = rebuild(plain["value"] if is_dumped(plain) else plain, strategy.namespace, "models")
    return _loaded(models, strategy, what) if is_dumped(plain) else models


def _loaded(dumped: Any, strategy: Strategy, what: str) -> Any:
    if strategy.load is None:
        raise StateError(f"{what}: its models were saved by a dump function; give {strategy.where} the load for it")
    return _of_the_users(strategy, "load", dumped)


def _memory(parts: tuple[Any, Any, Any], namespace: Mapping[str, Any] | None, what: str) -> Memory:
    """Rebuild a memory from its three parts; dumped models stay as `dump` made them."""
    created, models, state = parts
    models = models["value"] if is_dumped(models) else models
    try:
        return Memory(created, rebuild(models, namespace, "models"), rebuild(state, namespace, "state"))
    except StateError as error:
        raise type(error)(f"{what}: {error}") from error


def _check_way_back(content: bytes, namespace: Mapping[str, Any] | None) -> None:
    """Read a payload as `decode` will, but for the user's own `load`, which may be slow."""
    what = "the new state"
    try:
        _memory(split_memory(payload.loads(content, what), what, ours=True), namespace, what)
    except StateError as error:
        raise StateError(f"the memory was not saved, since it could not be read back: {error}") from error


def _of_the_users(strategy: Strategy, role: str, models: Any) -> Any:
    """Call the strategy's own `dump` or `load`; whatever it raises becomes an error that names it."""
    try:
        return getattr(strategy, role)(models)
    except Exception as error:  # the user's code may raise anything
        raise StateError(f"{strategy.where}: {role} failed: {type(error).__name__}: {error}") from error


def header(data: bytes, what: str = "the state") -> dict[str, Any]:
    """Return the metadata in a state file's header, without unpacking it.

    Returns
    -------
    dict
        ``schema`` (int), ``strategy``, ``code_sha256``, ``as_of`` (ISO 8601), ``parent_sha256`` (str or None each),
        ``versions`` (library -> version), ``payload_bytes`` and ``payload_sha256``; where a strategy wrote it also
        ``contest`` (its rules); of a generation of a store also ``weights_sha256`` and ``imprint``; empty when another
        program wrote the file.

    Raises
    ------
    StateCorruptError
        When the header is damaged.
    StateTooNewError
        When a later version of qlstm wrote it.
    """
    return envelope.metadata(data, what)


def read(path: str | Path, strategy: Strategy | None = None) -> Memory | None:
    """Return the memory in a state file, None when the file does not exist.

    Parameters
    ----------
    path : str or Path
        A ``state.pickle.gz`` of a store, or a contest's ``state.in.pickle.gz``.
    strategy : Strategy, optional
        As for `decode`.

    Raises
    ------
    StateError
        As for `decode`, and when the file cannot be opened. An unreadable file is never taken for an absent one.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror or error}") from error
    return decode(data, strategy, str(path))


def write(
    memory: Memory,
    path: str | Path,
    strategy: Strategy | None = None,
    as_of: np.datetime64 | None = None,
    parent: str | None = None,
) -> None:
    """Write a state file, atomically and durably.

    Parameters
    ----------
    memory, strategy, as_of, parent
        As for `encode`.
    path : str or Path
        Where to; an older file of that name is replaced at once or stays as it was.

    Raises
    ------
    StateError
        When something in the memory cannot be saved.
    OutputError
        When the file cannot be written.
    """
    files.write_bytes(path, encode(memory, strategy=strategy, as_of=as_of, parent=parent))
