"""The exceptions of qlstm, each a sentence that names the object, the date, the value and the fix.

QlstmError                     everything below; the command line prints it on one line and exits with status 2
├── DataError                  a cube (or a file that should hold one) is not what `cube.check` asks for
├── StrategyError              a strategy file, or what its train or predict raised or returned
├── WeightsError               weights that cannot be normalised, aligned or written
├── ContestError               an unknown contest, or rules that contradict each other
├── OutputError                a result that cannot be written where it was asked for
└── StateError                 a saved state, or the store that keeps it
    ├── StateChangedError      code, libraries, contest or data have changed since, and that was to be refused
    ├── StateCorruptError      the file is damaged: truncated, altered, not what its checksum says
    ├── StateForeignError      the file holds objects that reading would have to trust
    └── StateTooNewError       the file was written by a later schema
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ContestError",
    "DataError",
    "OutputError",
    "QlstmError",
    "StateChangedError",
    "StateCorruptError",
    "StateError",
    "StateForeignError",
    "StateTooNewError",
    "StrategyError",
    "WeightsError",
    "listed",
    "near",
]


class QlstmError(Exception):
    """Base of every error that a user of qlstm can cause and mend."""


class DataError(QlstmError, ValueError):
    """A cube, or a file that should hold one, breaks the rules of `qlstm.cube.check`."""


class StrategyError(QlstmError):
    """A strategy file cannot be loaded, or its train or predict failed or returned something unusable."""


class WeightsError(QlstmError, ValueError):
    """Weights that cannot be normalised, aligned or written."""


class ContestError(QlstmError, ValueError):
    """An unknown contest, or contest rules that contradict each other."""


class OutputError(QlstmError):
    """A result that cannot be written where it was asked for."""


class StateError(QlstmError):
    """A saved state that cannot be used, or a store that cannot be read or written."""


class StateChangedError(StateError):
    """Code, libraries, contest or data have changed since the state was saved, and the caller asked to be strict."""


class StateCorruptError(StateError):
    """The state file is damaged."""


class StateForeignError(StateError):
    """The state file holds objects that reading it would have to trust."""


class StateTooNewError(StateError):
    """The state file was written by a later version of qlstm."""


def near(name: str, known: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `known`, or ``"; known: ..."`` when none is near."""
    import difflib  # deferred: only an error message needs it

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {listed(known, 20)}"


def listed(labels: Iterable[object], most: int = 12) -> str:
    """Return ``"a, b, c"``, or where there are more labels than `most` its first: ``"a, b, … (60 in all)"``."""
    names = [str(label) for label in labels]
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
