"""Running a strategy the engine's way while looking over its shoulder: what it fits, scores, opens and decides."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from .. import ahead, engine, schedule
from ..cube import Cubes, Windows
from ..nn import observers
from ..strategy import Memory, Strategy
from ..weights import Rows
from .watching import What, watching

__all__ = ["Course", "Fit", "Opened", "Recorder", "Score", "decide", "fits_of", "forward", "traded", "turns"]


@dataclass(frozen=True, eq=False)
class Fit:
    """What `train` handed to `nn.fit` on day t: X (time, asset[, feature]) and Y (time, asset)."""

    t: np.datetime64
    X: xr.DataArray
    Y: xr.DataArray


@dataclass(frozen=True, eq=False)
class Score:
    """What was handed to `nn.predict` on day t: so many rows, to networks that remember rows before or not."""

    role: str
    t: np.datetime64
    rows: int
    recurrent: bool
    last: xr.DataArray


@dataclass(frozen=True)
class Opened:
    """What one of the functions looked at, or started, on day t."""

    role: str
    t: np.datetime64
    what: What


@dataclass
class Recorder:
    """Notes what the functions of a strategy do, without changing it."""

    fits: list[Fit] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    files: list[Opened] = field(default_factory=list)
    output: Any = None
    _role: str = ""
    _t: Any = None

    def wrap(self, strategy: Strategy) -> Strategy:
        """Return the strategy with functions that say when they are called, and on which day."""
        last = 0 if strategy.train is None else 1
        functions: dict[str, Any] = {"predict": self._named("predict", strategy.predict, last)}
        for role in ("train", "features"):
            if getattr(strategy, role) is not None:
                functions[role] = self._named(role, getattr(strategy, role), 0)
        return dataclasses.replace(strategy, **functions)

    def _named(self, role: str, function: Callable[..., Any], place: int) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*arguments: Any) -> Any:
            self._role, self._t = role, traded(arguments[place])["time"].values[-1]
            result = function(*arguments)
            if role == "predict":
                self.output = result[0] if isinstance(result, tuple) else result
            self._role = ""
            return result

        return called

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Look, as long as the block runs."""
        with observers.observing(self._observe), watching(self._opened):
            yield

    def _observe(self, event: str, arguments: dict[str, Any]) -> None:
        if event == "fit":
            self.fits.append(Fit(self._t, arguments["X"], arguments["Y"]))
        else:
            X = arguments["X"]
            last = X.isel(time=-1).copy()  # not a view, which would keep the whole window
            self.scores.append(Score(self._role, self._t, X.sizes["time"], _remembers(arguments["models"]), last))

    def _opened(self, what: What) -> None:
        if self._role:
            self.files.append(Opened(self._role, self._t, what))


def _remembers(models: Mapping[str, Any]) -> bool:
    from torch import nn  # deferred: there are no networks without it

    recurrent = (nn.RNNBase, nn.RNNCellBase)
    first = next(iter(models.values()), None)
    return isinstance(first, nn.Module) and any(isinstance(part, recurrent) for part in first.modules())


def traded(window: Cubes) -> xr.DataArray:
    """Return the traded cube of a window: the first, where there are several."""
    return next(iter(window.values())) if isinstance(window, Mapping) else window


def turns(strategy: Strategy, days: np.ndarray) -> list[list[np.ndarray]]:
    """Return the retrain blocks, each a list of the days that one predict decides: one, or all in batch mode."""
    blocks = list(schedule.blocks(days, strategy.retrain_interval))
    if strategy.predict_each_day:
        return [[block[i : i + 1] for i in range(len(block))] for block in blocks]
    return [[block] for block in blocks]


def decide(
    strategy: Strategy, recorder: Recorder, memory: Memory, windows: Windows, days: np.ndarray
) -> tuple[list[xr.DataArray], Memory]:
    """Return the weights (asset) of the days of one turn, and the memory after it; never trains."""
    if strategy.predict_each_day:
        row, memory = engine.step(strategy, memory, windows, days[0])
        return [row], memory
    block = next(schedule.blocks(windows.times[windows.times >= days[0]], strategy.retrain_interval, windows.times))
    span = schedule.reach(block, strategy.retrain_interval)
    whole = dataclasses.replace(strategy, lookback_period=strategy.lookback_period + span)
    _, memory = engine.step(whole, memory, windows, block[-1])
    return [recorder.output.sel(time=t, drop=True) for t in days], memory


@dataclass
class Course:
    """What a forward run gave.

    Attributes
    ----------
    weights : xr.DataArray
        Dims ``(time, asset)``, raw.
    before : list of (days, Memory)
        Each turn with the memory that it started from, models included.
    calls : Recorder
        What was seen.
    strategy : Strategy
        Whose models these are: those of one made anew are of other classes, where its file defines them.
    """

    weights: xr.DataArray
    before: list[tuple[np.ndarray, Memory]]
    calls: Recorder
    strategy: Strategy

    def memory_of(self, t: np.datetime64) -> tuple[np.ndarray, Memory]:
        """Return the turn that holds day t, and the memory before it."""
        return next((days, memory) for days, memory in self.before if t in days)


def forward(
    strategy: Strategy, windows: Windows, days: np.ndarray, models: Mapping[np.datetime64, Any] | None = None
) -> Course:
    """Train and predict over `days`, in order.

    Parameters
    ----------
    strategy : Strategy
        What to run.
    windows : Windows
        The data, from `engine.extend`.
    days : np.ndarray
        Ascending; they need not follow one another.
    models : mapping, optional
        Training day -> models, instead of training.
    """
    recorder = Recorder()
    wrapped = recorder.wrap(strategy)
    rows, before, memory = Rows(windows.traded.get_index("asset"), len(days)), [], Memory()
    with recorder.recording():
        for block in turns(strategy, days):
            t = block[0][0]
            if strategy.train is not None:
                trained = models[t] if models else engine.train(wrapped, windows(t, strategy.train_period), t)
                memory = Memory(t, trained, memory.state)
            for turn in block:
                before.append((turn, memory))
                decided, memory = decide(wrapped, recorder, memory, windows, turn)
                for day, row in zip(turn, decided, strict=True):
                    rows.add(day, row)
    return Course(rows.weights(), before, recorder, strategy)


def fits_of(strategy: Strategy, window: Cubes) -> list[Fit]:
    """Return what `train` hands to `nn.fit` for a window, without fitting where nobody asks for the networks."""
    recorder = Recorder()
    wrapped = recorder.wrap(strategy)
    with ahead.collecting(), recorder.recording():
        engine.train(wrapped, window, traded(window)["time"].values[-1])
    return recorder.fits
