"""What a multi-pass has done so far, in one file, so that an interrupted run goes on where it stopped.

The file holds the rows, the states and how many days are done, with the fingerprint of the run: strategy, data and
days. Models are not in it; they come from the model store or are trained again, which gives the same ones.
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import files, fingerprint
from .cube import Windows
from .errors import OutputError, StateError, StrategyError
from .state import plain, sealed
from .strategy import Strategy

__all__ = ["Checkpoint"]

_log = logging.getLogger("qlstm.checkpoint")
_EVERY_S = 5.0
_SHARE = 0.05  # of the time, at most, goes into checkpoints


class Checkpoint:
    """The file of one run.

    Parameters
    ----------
    path : str or Path
        Where; an older file is replaced at the first `save`.
    strategy, windows, days : Strategy, Windows, np.ndarray
        What is run, on what, for which days.
    how : optional
        What else the outcome depends on: the function that cuts windows, what is collected.

    Notes
    -----
    Why nothing is saved, or nothing taken up, is logged as a warning; the run goes on.
    """

    def __init__(
        self, path: str | Path, strategy: Strategy, windows: Windows, days: np.ndarray, how: Any = None
    ) -> None:
        self._path, self._strategy = Path(path), strategy
        self._next = time.monotonic() + _EVERY_S
        self._works = True
        try:
            parts = fingerprint.of_strategy(strategy), *map(fingerprint.of_data, (windows.data, days, how))
            self._run = hashlib.sha256(" ".join(parts).encode()).hexdigest()
        except StrategyError as error:
            self._give_up(error)

    def load(self) -> dict[str, Any] | None:
        """Return what `save` was given, None when there is nothing of this run.

        Returns
        -------
        dict or None
            ``done``, ``trained_at``, ``state``, ``states``, ``rows``.
        """
        if not self._works:
            return None
        try:
            described = sealed.unseal(self._path.read_bytes(), str(self._path))
            saved = plain.rebuild(described["parts"], self._strategy.namespace, "checkpoint")
        except FileNotFoundError:
            _log.warning("nothing to resume: there is no %s; started afresh", self._path)
        except (OSError, StateError) as error:
            _log.warning("nothing to resume, started afresh: %s", error)
        else:
            if described["run"] == self._run:
                return dict(saved)
            _log.warning("%s is of other code, data or settings; started afresh", self._path)
        return None

    @property
    def is_due(self) -> bool:
        """Whether the last `save` is long enough ago for the next."""
        return self._works and time.monotonic() >= self._next

    def save(self, parts: dict[str, Any]) -> None:
        """Replace the file by these parts; when that fails, the run goes on without."""
        if not self._works:
            return
        started = time.monotonic()
        try:
            described = plain.describe(parts, "checkpoint", self._strategy.namespace)
            files.write_bytes(self._path, sealed.seal({"run": self._run, "parts": described}))
        except (OutputError, StateError) as error:
            self._give_up(error)
        ended = time.monotonic()
        self._next = ended + max(_EVERY_S, (ended - started) / _SHARE)

    def _give_up(self, error: Exception) -> None:
        self._works = False
        _log.warning("the run cannot be resumed if it is interrupted: %s", error)
