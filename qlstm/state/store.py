"""The store: one folder per strategy, in it one generation per as-of date, state and weights committed together.

::

    state/lstm_state/
        .lock                   held by the one process that writes; holds its pid
        2024-03-14/
            state.pickle.gz     the memory after that day
            fractions.nc.gz     the weights decided on it, as the contest wants them
        2024-03-15/ …

A generation is published whole by one rename (`qlstm.files.publish_folder`), so it is there, with both files, or it is
not. What is there but cannot be read is an error that names it, never a first day.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import files
from ..errors import OutputError, StateCorruptError, StateError
from . import codec

if TYPE_CHECKING:
    from ..strategy import Memory, Strategy

__all__ = ["STATE_FILE", "WEIGHTS_FILE", "Store"]

STATE_FILE = "state.pickle.gz"
WEIGHTS_FILE = "fractions.nc.gz"

_LOCK_FILE = ".lock"
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2})(\d{2}))?")


class Store:
    """The generations of one strategy.

    Parameters
    ----------
    folder : str or Path
        The strategy's own folder, ``state/<strategy>``. Nothing is made before the first `lock` or `commit`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._locked = False

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def dates(self) -> list[np.datetime64]:
        """Return the as-of dates there are generations for, ``datetime64[ns]``, sorted.

        Raises
        ------
        StateError
            When the folder cannot be listed.
        """
        if self.folder.exists() and not self.folder.is_dir():
            return []
        try:
            names = files.list_folders(self.folder)
        except OutputError as error:
            raise StateError(str(error)) from error
        return sorted(date for date in map(_date, names) if date is not None)

    def newest(self, before: np.datetime64 | None = None) -> np.datetime64 | None:
        """Return the last as-of date, or the last one strictly before `before`; None when there is none."""
        dates = [date for date in self.dates() if before is None or date < before]
        return dates[-1] if dates else None

    def path(self, date: np.datetime64) -> Path:
        """Return the folder of a generation, whether it exists or not."""
        return files.find_folder(self.folder / _name(date))

    def read(self, date: np.datetime64, strategy: Strategy | None = None) -> Memory:
        """Return the memory of a generation.

        Raises
        ------
        StateError
            When there is none for that date, it is incomplete, or its file is not readable; see `qlstm.state.read`.
        """
        data = self._file(date, STATE_FILE)
        self._file(date, WEIGHTS_FILE)
        what = str(self.path(date) / STATE_FILE)
        memory = codec.decode(data, strategy, what)
        as_of = codec.header(data, what).get("as_of")
        if as_of is not None and np.datetime64(as_of, "ns") != date:
            raise StateCorruptError(f"{what} is the state of {as_of}, not of {_name(date)}; was the folder renamed?")
        return memory

    def _file(self, date: np.datetime64, name: str) -> bytes:
        """Return one file of a generation."""
        missing: OSError | None = None
        # Twice: between finding the folder and opening the file, a writer may have put the new one in its place.
        for _ in range(2):
            path = self.path(date) / name
            try:
                return path.read_bytes()
            except FileNotFoundError as error:
                missing = error
            except OSError as error:
                raise StateError(f"cannot read {path}: {error.strerror or error}") from error
        if path.parent.exists():
            raise StateCorruptError(
                f"{path.parent} is incomplete: {name} is missing; restore it, or remove the folder"
            ) from missing
        known = ", ".join(_name(d) for d in self.dates()[-3:]) or "none"
        raise StateError(f"{self.folder} has no generation {_name(date)}; the newest are: {known}") from missing

    def commit(
        self,
        as_of: np.datetime64,
        memory: Memory,
        weights: bytes,
        strategy: Strategy | None = None,
        parent: np.datetime64 | None = None,
    ) -> Path:
        """Keep the memory and the weights of one day, both or neither.

        A generation of the same bytes is left as it is. Another one of that date is replaced if it is the newest.

        Parameters
        ----------
        as_of : np.datetime64
            The day decided; at most to the minute.
        memory : Memory
            What the next day starts from.
        weights : bytes
            The contest's file of that day's weights.
        strategy : Strategy, optional
            As for `qlstm.state.write`.
        parent : np.datetime64, optional
            The generation that the day started from.

        Returns
        -------
        Path
            The generation's folder.

        Raises
        ------
        StateError
            When something in the memory cannot be saved, another process is writing, a later generation exists, or the
            disk refuses. What was there before is untouched then.
        """
        name = _name(as_of)
        hashed = None if parent is None else hashlib.sha256(self._file(parent, STATE_FILE)).hexdigest()
        state = codec.encode(memory, strategy=strategy, as_of=as_of, parent=hashed)
        contents = {STATE_FILE: state, WEIGHTS_FILE: weights}
        with self.lock():
            dates = self.dates()
            if as_of in dates and all(self._file(as_of, file) == content for file, content in contents.items()):
                return self.path(as_of)
            if dates and dates[-1] > as_of:
                raise StateError(
                    f"{self.folder} has generations up to {_name(dates[-1])}, which do not follow from this new "
                    f"{name}; remove the folders of later days first"
                )
            try:
                files.publish_folder(self.folder / name, contents)
            except OutputError as error:
                raise StateError(str(error)) from error
        return self.path(as_of)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other writers out; inside, this store's own `commit` and `lock` are free.

        The lock is the kernel's: it ends with the process that holds it, however that ends. What a dead one left half
        done is cleared up here.

        Raises
        ------
        StateError
            When another process holds it, names its pid; or when the folder cannot be written.
        """
        if self._locked:
            yield
            return
        try:
            files.make_folder(self.folder)
            handle = os.open(self.folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StateError(f"cannot write into {self.folder}: {error.strerror or error}") from error
        try:
            self._hold(handle)
            self._locked = True
            yield
        finally:
            self._locked = False
            os.close(handle)  # which gives the lock back

    def _hold(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise StateError(f"{self.folder} is being written by process {holder}; wait until it has ended") from None
        except OSError as error:
            raise StateError(f"cannot lock {self.folder}: {error.strerror or error}") from error
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            files.recover_folders(self.folder)
        except OSError as error:
            raise StateError(f"cannot write into {self.folder}: {error.strerror or error}") from error


def _name(date: np.datetime64) -> str:
    """Return the folder name of an as-of date: ``2024-03-15``, or ``2024-03-15T1400`` where there is a time of day."""
    minute = date.astype("datetime64[m]")
    if np.isnat(date) or minute != date:
        raise StateError(f"as-of date {date} cannot name a generation; give a date, or a time to the minute")
    text = str(minute)
    return text.removesuffix("T00:00").replace(":", "")


def _date(name: str) -> np.datetime64 | None:
    """Return the as-of date of a folder name, None when it is not one."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    day, hour, minute = match.groups()
    try:
        date = np.datetime64(f"{day}T{hour or '00'}:{minute or '00'}", "ns")
    except ValueError:
        return None
    return date if _name(date) == name else None
