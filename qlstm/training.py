"""The models of each retrain date: from the store, in batches ahead of time, or on other cores and machines.

Whatever the way, the result is that of `engine.train` called for one date after the other. Where a shortcut does not
work out (train fails, or looked at what was not known yet), the date is trained plainly when its turn comes, so an
error comes with its own date and after the results of all days before it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from . import ahead, engine, generators, parallel, schedule
from .cube import Windows
from .dates import day
from .errors import QlstmError, StateError
from .modelstore import ModelStore, pack, unpack
from .strategy import Memory, Strategy

__all__ = ["Trainer"]

# Bytes of models and their data in one batch: about 1000 of the LSTMs most strategies use, many times what two threads
# or a stack need to be always at work; and what a run killed in the middle would lose.
_ROOM = 64 * 2**20
_BURST = 10  # trainings elsewhere, which come many at a time, from which on what one takes is known


class Trainer:
    """Gives the models of each retrain date, in ascending order.

    Parameters
    ----------
    strategy : Strategy
        What trains.
    windows : Windows
        The data, from `engine.prepare`.
    days : np.ndarray
        The days to predict, ascending, from which the retrain dates follow.
    store : ModelStore, optional
        Where models are looked up before they are trained, and kept afterwards.
    jobs : int
        Processes on this machine. A train that only calls `nn.fit` stays in this one: it uses all cores already.
    dask : str, optional
        Address of a Dask scheduler; then every training goes there.

    Attributes
    ----------
    trained, loaded : int
        Trainings done, and models found in the store.
    seconds : float
        Spent on the trainings, models found not counted.
    first_s : float or None
        Of that, on the first; None before it.
    """

    def __init__(
        self,
        strategy: Strategy,
        windows: Windows,
        days: np.ndarray,
        store: ModelStore | None = None,
        jobs: int = 1,
        dask: str | None = None,
    ) -> None:
        self._strategy, self._windows, self._store = strategy, windows, store
        blocks = () if strategy.train is None else schedule.blocks(days, strategy.retrain_interval, windows.times)
        self._dates = np.array([block[0] for block in blocks], dtype="datetime64[ns]")
        self._jobs, self._dask = jobs, dask
        self._ready: dict[np.datetime64, Any] = {}
        self._keys: dict[np.datetime64, str | None] = {}
        self._puts_off: bool | None = None  # whether train leaves its fits to be done in a batch; None: not known yet
        self._elsewhere: Generator[tuple[np.datetime64, Any], None, None] | None = None
        self.trained = self.loaded = 0
        self.seconds = 0.0
        self.first_s: float | None = None
        self._expected: int | None = None  # trainings in all, once it was asked how many are left

    @property
    def each_s(self) -> float | None:
        """Seconds that one more training takes, None while that is not known.

        The first one here tells nothing of the others: it imports, compiles and is alone in its batch.
        """
        trained, seconds = self.trained, self.seconds
        if self.first_s is not None and self._dask is None:
            trained, seconds = trained - 1, seconds - self.first_s
        enough = 1 if self._elsewhere is None else _BURST
        return seconds / trained if trained >= enough else None

    @property
    def total(self) -> int:
        """How many retrain dates there are."""
        return len(self._dates)

    def renew(self, memory: Memory, t: np.datetime64) -> Memory:
        """Return a memory with the models of day t where they are due, else `memory` itself."""
        interval, times = self._strategy.retrain_interval, self._windows.times
        if self._strategy.train is None or not schedule.due(t, memory.trained_at, interval, times):
            return memory
        return Memory(t, self.models(t), memory.state)

    def models(self, t: np.datetime64) -> Any:
        """Return the models trained on day t.

        Raises
        ------
        StrategyError
            When train raises.
        QlstmError
            When a worker or a cluster is lost.
        """
        if t not in self._ready:
            known, models = self._store.get(self._key(t)) if self._store else (False, None)
            if known:
                self.loaded += 1
                return models
            started = perf_counter()
            self._train_from(t)
            took = perf_counter() - started
            self.seconds += took
            self.first_s = took if self.first_s is None else self.first_s
        return self._ready.pop(t)

    def close(self) -> None:
        """Let go of what works elsewhere."""
        if self._elsewhere is not None:
            self._elsewhere.close()

    def left(self, t: np.datetime64) -> int:
        """Return how many trainings are still to be done after day t: those that the store does not know.

        The store is asked at the first call alone, since a walk may ask every day.
        """
        if self._expected is None:
            later = self._missing(self._dates[self._dates > t])
            self._expected = self.trained + sum(date not in self._ready for date in later)
        return max(0, self._expected - self.trained)

    def _key(self, t: np.datetime64) -> str | None:
        if self._store is not None and t not in self._keys:
            self._keys[t] = self._store.key(t, self._window(t))
        return self._keys.get(t)

    def _window(self, t: np.datetime64) -> Any:
        return self._windows(t, self._strategy.train_period)

    def _missing(self, dates: np.ndarray) -> Iterator[np.datetime64]:
        return (date for date in dates if self._store is None or not self._store.has(self._key(date)))

    def _keep(self, t: np.datetime64, models: Any) -> None:
        self._ready[t] = models
        self.trained += 1
        if self._store is not None:
            self._store.put(self._key(t), models)

    def _train_from(self, t: np.datetime64) -> None:
        """Train for day t, and perhaps for days after it."""
        others = self._jobs != 1 and self._puts_off is False
        if self._elsewhere is None and (others or self._dask is not None):
            self._elsewhere = self._sent(t)
        if self._elsewhere is None:
            self._train_ahead(t)
        else:
            self._receive(t)
        if t not in self._ready:
            self._keep(t, engine.train(self._strategy, self._window(t), t))

    def _train_ahead(self, t: np.datetime64) -> None:
        """Call train for as many dates as are put off and fit in memory, and do what was put off in one batch."""
        called: list[tuple[np.datetime64, Any, list[ahead.Job]]] = []
        room = 0
        for date in (t, *self._missing(self._dates[self._dates > t])):
            with ahead.collecting() as jobs:
                try:
                    models = engine.train(self._strategy, self._window(date), date)
                except QlstmError:  # comes again when it is that day's turn
                    break
            called.append((date, models, jobs))
            first, self._puts_off = self._puts_off is None, any(not job.is_done for job in jobs)
            room += sum(job.room for job in jobs)
            if first or not self._puts_off or room >= _ROOM:  # the first alone, to measure what one costs
                break
        try:
            ahead.solve(job for _, _, jobs in called for job in jobs)
        except Exception:  # a user's loss may raise anything; which date it was shows when each is trained alone
            return
        for date, models, jobs in called:
            if not any(job.misled for job in jobs):
                self._keep(date, models)

    def _receive(self, t: np.datetime64) -> None:
        """Take what comes from elsewhere up to day t, or the first after it where the store had seemed to know t."""
        assert self._elsewhere is not None
        for date, models in self._elsewhere:
            if date >= t:
                self._keep(date, models)
                return

    def _sent(self, t: np.datetime64) -> Generator[tuple[np.datetime64, Any], None, None]:
        """Yield day t and all days after it that miss their models, with these, trained elsewhere."""
        dates = [t, *self._missing(self._dates[self._dates > t])]
        work = partial(_train_packed, self._strategy, self._windows)
        results = parallel.each(work, dates, jobs=self._jobs, dask=self._dask, name=_training)
        try:
            for date, (kind, models) in zip(dates, results, strict=True):
                if kind == "error":  # raised here, it reads as if train had been called here
                    raise models
                yield date, unpack(models, self._strategy, _training(date)) if kind == "packed" else models
        finally:
            results.close()  # type: ignore[attr-defined]  # what runs elsewhere is no longer wanted


def _training(t: np.datetime64) -> str:
    return f"the training of {day(t)}"


def _train_packed(strategy: Strategy, windows: Windows, t: np.datetime64) -> tuple[str, Any]:
    """Train in a worker; return models packed as for the store, models as they are, or an error, and which it is."""
    windows = windows.up_to(t)  # made anew: on the way here arrays became writable
    try:
        with generators.kept():  # seeds a torch that train is the first to import, as the walk in one process does
            models = engine.train(strategy, windows(t, strategy.train_period), t)
    except QlstmError as error:
        return "error", error
    try:
        return "packed", pack(models, strategy)
    except StateError:  # of another library
        return "pickled", models
