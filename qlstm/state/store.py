"""The store: one folder per strategy, in it one generation per as-of date, state and weights committed together.

::

    state/lstm_state/
        .lock                   held by the one process that writes; names it while it does
        2024-03-14/
            state.pickle.gz     the memory after that day
            fractions.nc.gz     the weights decided on it, as the contest wants them
        2024-03-15/ …

A generation is published whole by one rename (`qlstm.files.publish_folder`), so it is there, with both files, or it is
not. What is there but cannot be read is an error that names it, never a first day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files
from ..errors import OutputError, StateCorruptError, StateError
from . import codec
from .locking import held
from .names import STATE_FILE, WEIGHTS_FILE, date_of, name_of

if TYPE_CHECKING:
    from ..strategy import Memory, Strategy

__all__ = ["STATE_FILE", "WEIGHTS_FILE", "Store"]


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
        return sorted(date for date in map(date_of, names) if date is not None)

    def newest(self, before: np.datetime64 | None = None) -> np.datetime64 | None:
        """Return the last as-of date, or the last one strictly before `before`; None when there is none."""
        dates = [date for date in self.dates() if before is None or date < before]
        return dates[-1] if dates else None

    def path(self, date: np.datetime64) -> Path:
        """Return the folder of a generation, whether it exists or not."""
        return files.find_folder(self.folder / name_of(date))

    def read(self, date: np.datetime64, strategy: Strategy | None = None) -> Memory:
        """Return the memory of a generation.

        Raises
        ------
        StateError
            When there is none for that date, it is incomplete, or its file is not readable; see `qlstm.state.read`.
        """
        data, weights = self.contents(date)
        memory = codec.decode(data, strategy, str(self.path(date) / STATE_FILE))
        self.check(date, data, weights)
        return memory

    def contents(self, date: np.datetime64) -> tuple[bytes, bytes]:
        """Return the files of a generation: state, weights.

        Raises
        ------
        StateError
            When there is none for that date, or it is incomplete.
        """
        return self._file(date, STATE_FILE), self._file(date, WEIGHTS_FILE)

    def check(self, date: np.datetime64, data: bytes, weights: bytes) -> None:
        """Check that the files of a generation, good as they may be, belong to it and to each other.

        Raises
        ------
        StateCorruptError
            When they do not.
        """
        folder = self.path(date)
        known = codec.header(data, str(folder / STATE_FILE))
        as_of = known.get("as_of")
        if as_of is not None and np.datetime64(as_of, "ns") != date:
            raise StateCorruptError(
                f"{folder / STATE_FILE} is the state of {as_of}, not of {name_of(date)}; was the folder renamed?"
            )
        if known.get("weights_sha256") not in (None, hashlib.sha256(weights).hexdigest()):
            raise StateCorruptError(
                f"{folder / WEIGHTS_FILE} is not what was committed on {name_of(date)}; restore it, or roll back and "
                "run that day again"
            )

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
        raise self._absent(date) from missing

    def _absent(self, date: np.datetime64) -> StateError:
        known = ", ".join(name_of(d) for d in self.dates()[-3:]) or "none"
        return StateError(f"{self.folder} has no generation {name_of(date)}; the newest are: {known}")

    def commit(
        self,
        as_of: np.datetime64,
        memory: Memory,
        weights: bytes,
        strategy: Strategy | None = None,
        parent: np.datetime64 | None = None,
        imprint: list[dict[str, Any]] | None = None,
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
        imprint : list of dict, optional
            What the strategy saw that day: `qlstm.imprint.take`.

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
        contents = self.pack(as_of, memory, weights, strategy, parent, imprint)
        with self.lock():
            if self.is_new(as_of, contents):
                try:
                    files.publish_folder(self.folder / name_of(as_of), contents)
                except OutputError as error:
                    raise StateError(str(error)) from error
        return self.path(as_of)

    def pack(
        self,
        as_of: np.datetime64,
        memory: Memory,
        weights: bytes,
        strategy: Strategy | None = None,
        parent: np.datetime64 | None = None,
        imprint: list[dict[str, Any]] | None = None,
    ) -> dict[str, bytes]:
        """Return the files that `commit` would write, name -> content; takes and raises what that does."""
        name_of(as_of)
        hashed = None if parent is None else hashlib.sha256(self._file(parent, STATE_FILE)).hexdigest()
        sealed = hashlib.sha256(weights).hexdigest()
        state = codec.encode(memory, strategy=strategy, as_of=as_of, parent=hashed, weights=sealed, imprint=imprint)
        return {STATE_FILE: state, WEIGHTS_FILE: weights}

    def is_new(self, as_of: np.datetime64, contents: Mapping[str, bytes]) -> bool:
        """Return whether a commit of these files would write anything: not where the same bytes are there.

        Raises
        ------
        StateError
            When a later generation exists, which would not follow from it.
        """
        dates = self.dates()
        if as_of in dates and all(self._file(as_of, file) == content for file, content in contents.items()):
            return False
        if dates and dates[-1] > as_of:
            raise StateError(
                f"{self.folder} has generations up to {name_of(dates[-1])}, which do not follow from this new "
                f"{name_of(as_of)}; {self._way_back(dates, as_of)}"
            )
        return True

    def _way_back(self, dates: list[np.datetime64], as_of: np.datetime64) -> str:
        """Return what to do before a day in the past can be committed."""
        kept = [date for date in dates if date <= as_of]
        if not kept:
            return f"{name_of(as_of)} is before all of them: move {self.folder} away first"
        return f"roll back first: qlstm state rollback {self.folder} {name_of(kept[-1])}"

    def rollback(self, date: np.datetime64) -> list[np.datetime64]:
        """Remove all generations after `date`, newest first, so that it is the newest; return their dates, ascending.

        A crash or a failing disk at any point leaves a store whose newest generation is one of those that there were
        from `date` on; rolling back again finishes it.

        Raises
        ------
        StateError
            When there is no generation of that date, another process is writing, or the disk refuses.
        """
        with self.lock():
            if date not in self.dates():
                raise self._absent(date)
            later = [other for other in self.dates() if other > date]
            self._withdraw(reversed(later))
        return later

    def prune(self, keep: int) -> list[np.datetime64]:
        """Remove all but the newest `keep` generations, oldest first; return the dates of those removed, ascending.

        Nothing is ever removed otherwise. Those that stay are not touched: the oldest still names its parent.

        Raises
        ------
        StateError
            When `keep` is not positive, another process is writing, or the disk refuses.
        """
        if keep < 1:
            raise StateError(f"cannot keep {keep} generations of {self.folder}; keep at least 1")
        with self.lock():
            oldest = self.dates()[:-keep]
            self._withdraw(oldest)
        return oldest

    def _withdraw(self, dates: Iterable[np.datetime64]) -> None:
        """Remove generations in the order given, each at once; the caller holds the lock."""
        try:
            for date in dates:
                files.withdraw_folder(self.folder / name_of(date))
        except OutputError as error:
            raise StateError(str(error)) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other writers out; inside, this store's own `commit` and `lock` are free.

        The lock ends with the process that holds it, however that ends (see `qlstm.state.locking`). What a dead one
        left half done is cleared up here.

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
        except OSError as error:
            raise StateError(f"cannot write into {self.folder}: {error.strerror or error}") from error
        with held(self.folder):
            self._recover()
            self._locked = True
            try:
                yield
            finally:
                self._locked = False

    def _recover(self) -> None:
        try:
            files.recover_folders(self.folder)
        except OSError as error:
            raise StateError(f"cannot write into {self.folder}: {error.strerror or error}") from error
