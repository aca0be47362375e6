"""Trained models on the disk, found by what they were made of, so that nothing is trained twice.

The name of an entry is the SHA-256 of the strategy (its code, settings and the versions that run it), the training
day and the training window. Any edit gives another name, so an entry is never out of date, only unused; `prune`
removes what has not been used for long. An entry is written once, by one rename, and never changed: processes may share
a folder without locks. It holds values as data, as a state file does; reading one runs no code.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import files, fingerprint
from .errors import OutputError, StateError, StrategyError
from .state import codec, sealed
from .strategy import Strategy

__all__ = ["Entry", "ModelStore", "default_folder", "entries", "pack", "prune", "unpack"]

_SUFFIX = ".models"
_log = logging.getLogger("qlstm.models")


def default_folder() -> Path:
    """Return where the command line keeps trained models: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qlstm" / "models"


def pack(models: Any, strategy: Strategy) -> bytes:
    """Return what train returned as bytes that are read without trusting them.

    Raises
    ------
    StateError
        When something in it is no plain value, array or network.
    """
    return sealed.seal(codec.describe_models(models, strategy))


def unpack(content: bytes, strategy: Strategy, what: str) -> Any:
    """Return what was packed; `what` is what errors call it.

    Raises
    ------
    StateError
        When the bytes are damaged, or the strategy lacks what they need.
    """
    return codec.rebuild_models(sealed.unseal(content, what), strategy, what)


class ModelStore:
    """The trained models of one strategy.

    Parameters
    ----------
    folder : str or Path
        Holds a folder per strategy, made when the first entry is written.
    strategy : Strategy
        Whose models.

    Notes
    -----
    What cannot be stored or read is logged as a warning; the run goes on and trains.
    """

    def __init__(self, folder: str | Path, strategy: Strategy) -> None:
        self._folder, self._strategy = Path(folder) / str(strategy.name), strategy
        self._code: str | None = None  # None: nothing can be known by its name
        self._writes = True
        try:
            self._code = fingerprint.of_strategy(strategy)
        except StrategyError as error:
            _log.warning("models are not stored: %s", error)

    def key(self, t: np.datetime64, window: Any) -> str | None:
        """Return the name of the models trained on day t with this window; None where that cannot be told."""
        if self._code is None:
            return None
        try:
            data = fingerprint.of_data(window)
        except StrategyError as error:
            self._code = None
            _log.warning("models are not stored: %s", error)
            return None
        return f"{str(t)[:10]}-{hashlib.sha256(f'{self._code} {t} {data}'.encode()).hexdigest()}"

    def has(self, key: str | None) -> bool:
        """Tell whether there is an entry of that name."""
        return key is not None and self._path(key).exists()

    def get(self, key: str | None) -> tuple[bool, Any]:
        """Return whether the models are known, and the models. A damaged entry is not known."""
        if key is None:
            return False, None
        path = self._path(key)
        try:
            models = unpack(path.read_bytes(), self._strategy, str(path))
        except FileNotFoundError:
            return False, None
        except (OSError, StateError) as error:
            _log.warning("trained anew, since an entry of the model store cannot be read: %s", error)
            return False, None
        with suppress(OSError):
            os.utime(path)  # used now: `prune` goes by it
        return True, models

    def put(self, key: str | None, models: Any) -> None:
        """Keep models; what cannot be kept is logged, and the run goes on."""
        if key is None or not self._writes:
            return
        try:
            files.write_bytes(self._path(key), pack(models, self._strategy))
        except (OutputError, StateError) as error:
            self._writes = False
            _log.warning("models are not stored: %s", error)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"


@dataclass(frozen=True)
class Entry:
    """One entry of a store: the strategy's name, the training day as text, bytes on the disk, days since its use."""

    strategy: str
    trained_at: str
    size: int
    idle_days: float
    path: Path


def entries(folder: str | Path) -> Iterator[Entry]:
    """Yield the entries below a folder, by strategy and training day."""
    now = time.time()
    for path in sorted(Path(folder).glob(f"*/*{_SUFFIX}")):
        with suppress(FileNotFoundError):  # another process prunes too
            status = path.stat()
            idle = (now - status.st_mtime) / 86_400
            yield Entry(path.parent.name, path.name[:10], status.st_size, idle, path)


def prune(folder: str | Path, idle_days: float, strategy: str | None = None) -> list[Entry]:
    """Remove the entries that were not used for `idle_days` days, of all strategies or of one, and return them.

    Raises
    ------
    OutputError
        When one cannot be removed.
    """
    gone = [e for e in entries(folder) if e.idle_days >= idle_days and strategy in (None, e.strategy)]
    for entry in gone:
        try:
            entry.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {entry.path}: {error.strerror or error}") from error
    return gone
