"""What a search has tried, on record: a line of JSON per trial, added and flushed to the disk when the trial ends.

Nothing is ever rewritten. A line that a crash cut short is cut off when the record is next opened, and its trial run
again; any other damage is an error.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import files
from ..errors import OutputError, QlstmError

__all__ = ["Record", "Setting", "Trial", "key", "read", "told"]

_SHOWN = 12  # characters of a hash
_MEANT = {"code": "code (the strategy's, qlstm's or another library's)", "start": "first day", "end": "last day"}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@dataclass(frozen=True)
class Setting:
    """What figures depend on besides the arguments; two records of different settings are never mixed.

    Parameters
    ----------
    strategy : str
        Its name.
    code, data : str
        Fingerprints.
    start, end : str
        First and last day of the backtests.
    """

    strategy: str
    code: str
    data: str
    start: str
    end: str


@dataclass(frozen=True)
class Trial:
    """One set of arguments and what came of it.

    Parameters
    ----------
    arguments : dict
        Name -> a number, text, True, False or None.
    figures : dict of str to float
        The statistics at the end of the period; empty for a failed trial.
    error : str, optional
        Why it failed.
    seconds : float
        How long it took.
    at : str
        When it ended, in UTC.
    seed : int
        That of the search.
    """

    arguments: dict[str, Any]
    figures: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    seconds: float = math.nan
    at: str = ""
    seed: int = 0

    @property
    def status(self) -> str:
        """``done`` or ``failed``."""
        return "done" if self.error is None else "failed"


def key(arguments: Mapping[str, Any]) -> str:
    """Return arguments in one spelling, whatever their order."""
    return json.dumps(arguments, sort_keys=True)


def told(error: Exception) -> str:
    """Return why a trial failed, on one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, QlstmError) else f"{type(error).__name__}: {text}"


def _line(trial: Trial, setting: Setting) -> bytes:
    content = {**asdict(trial), "status": trial.status, **asdict(setting)}
    content["figures"] = {name: _written(value) for name, value in trial.figures.items()}
    return (json.dumps(content, allow_nan=False) + "\n").encode()


def _written(value: float) -> float | str | None:
    """Return a figure as JSON can hold it: NaN as null, infinities by name."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _parse(line: bytes, where: str) -> tuple[Trial, Setting]:
    try:
        content = json.loads(line)
        figures = {str(k): math.nan if v is None else float(v) for k, v in content["figures"].items()}
        trial = Trial(
            dict(content["arguments"]),
            figures,
            content["error"],
            float(content["seconds"]),
            str(content["at"]),
            int(content["seed"]),
        )
        return trial, Setting(**{name: str(content[name]) for name in Setting.__dataclass_fields__})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise QlstmError(f"{where} is no trial ({type(error).__name__}: {error}); remove the line") from error


def _lines(content: bytes, path: Path) -> Iterator[tuple[str, Trial, Setting]]:
    """Yield each whole line's place, trial and setting; what stands after the last line break is left out."""
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        where = f"{path}, line {number}"
        yield where, *_parse(line, where)


def read(path: str | Path) -> tuple[Setting, list[Trial]]:
    """Return the setting and the trials of a record.

    Raises
    ------
    QlstmError
        When it cannot be read, is empty or damaged, or holds trials of several settings.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise QlstmError(f"cannot read the record {path}: {error.strerror or error}") from error
    rows = list(_lines(content, path))
    if not rows:
        raise QlstmError(f"the record {path} has no trial")
    for where, _, setting in rows:
        _compare(setting, rows[0][2], where)
    return rows[0][2], [trial for _, trial, _ in rows]


def _compare(recorded: Setting, now: Setting, where: str) -> None:
    # Data last: where the days are others too, the data are by their doing.
    for name, value in sorted(asdict(now).items(), key=lambda item: item[0] == "data"):
        other = getattr(recorded, name)
        if other != value:
            raise QlstmError(
                f"{where} is of another {_MEANT.get(name, name)}: {other[:_SHOWN]}, not {value[:_SHOWN]}; "
                "figures of the two cannot be compared, so give this search a record of its own (--record FILE)"
            )


class Record:
    """The trials of one search: in memory, and in a file where one is given. Made by `Record.opened`."""

    def __init__(self, setting: Setting, path: Path | None, handle: int | None) -> None:
        self.trials: dict[str, Trial] = {}
        self._setting, self._path, self._handle = setting, path, handle
        if path is not None and handle is not None:
            content = path.read_bytes()
            for where, trial, recorded in _lines(content, path):
                _compare(recorded, setting, where)
                self.trials[key(trial.arguments)] = trial
            os.ftruncate(handle, content.rfind(b"\n") + 1)

    @classmethod
    @contextmanager
    def opened(cls, setting: Setting, path: str | Path | None) -> Iterator[Record]:
        """Open a record, made if there is none, and keep other searches out of it.

        Raises
        ------
        QlstmError
            When it is damaged, of another setting, or another process has it open.
        OutputError
            When it cannot be written.
        """
        if path is None:
            yield cls(setting, None, None)
            return
        path = Path(path)
        with contextlib.ExitStack() as stack:
            try:
                files.make_folder(path.parent)
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
                stack.callback(os.close, handle)
                _lock(handle, path)
                files.fsync_folder(path.parent)
                record = cls(setting, path, handle)
            except OSError as error:
                raise OutputError(f"cannot write the record {path}: {error.strerror or error}") from error
            yield record

    def add(self, trial: Trial) -> None:
        """Keep a trial; it is on the disk when this returns.

        Raises
        ------
        OutputError
            When it cannot be written; the trials before it are untouched.
        """
        if self._handle is not None:
            try:
                rest = memoryview(_line(trial, self._setting))
                while rest:  # a signal or a full disk may end a write early
                    rest = rest[os.write(self._handle, rest) :]
                os.fsync(self._handle)
            except OSError as error:
                raise OutputError(f"cannot write the record {self._path}: {error.strerror or error}") from error
        self.trials[key(trial.arguments)] = trial


def _lock(handle: int, path: Path) -> None:
    """Keep other searches out until the file is closed, where the file system can."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise QlstmError(f"another search is writing the record {path}; wait for it, or give another") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
