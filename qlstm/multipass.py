"""Many steps over given days: the engine's step folded over them, and what comes out booked by the contest's rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr

from . import contests, dates, engine, generators, output, schedule, stats
from .checkpoint import Checkpoint
from .cube import Windows
from .dates import day
from .errors import StrategyError
from .forecast import Forecast, Pace
from .progress import Progress
from .strategy import Memory, Strategy
from .training import Trainer
from .weights import Rows

__all__ = ["Result", "walk"]

_WORTH_A_NOTE = 0.01  # of the equity
_SEEN = 10  # days after the first, which is slow to start, from which on what one takes is known


@dataclass(frozen=True)
class Result:
    """What a backtest produced; unpacks as ``(weights, state)``.

    Parameters
    ----------
    weights : xr.DataArray
        Dims ``(time, asset)``: cleaned by the contest's rules, what a contest sees.
    raw : xr.DataArray
        Dims ``(time, asset)``: as predicted, over the union of assets; an asset missing on a day has 0.
    memory : Memory
        Everything that would cross to the next day.
    states : list
        The state after each predict, when `collect_all_states` was asked for.
    stats : xr.DataArray or None
        Dims ``(time, field)``: `qlstm.stats.calc_stat` of `weights`.
    strategy : Strategy
        What was run; `contest` is the record of its rules.
    notes : list of str
        What a reader of the figures should know: weights changed by the contest's rules, NaN predictions counted as 0.
    """

    weights: xr.DataArray
    raw: xr.DataArray
    memory: Memory
    states: list[Any]
    stats: xr.DataArray | None
    strategy: Strategy
    notes: list[str] = field(default_factory=list)

    @property
    def state(self) -> Any:
        """The state after the last day."""
        return self.memory.state

    @property
    def contest(self) -> contests.Contest:
        """The record of the rules that `weights` obey."""
        return self.strategy.rules

    def __repr__(self) -> str:
        times = self.raw["time"].values
        sharpe = "" if self.stats is None else f", Sharpe ratio {float(self.stats.sel(field='sharpe_ratio')[-1]):.2f}"
        return f"<Result {self.strategy.name}: {day(times[0])} to {day(times[-1])}, {len(times)} days{sharpe}>"

    def __iter__(self) -> Iterator[Any]:
        yield self.weights
        yield self.states if self.states else self.state


def walk(
    strategy: Strategy,
    windows: Windows,
    days: np.ndarray,
    *,
    trainer: Trainer | None = None,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
    collect_all_states: bool = False,
    analyze: bool = True,
    progress: bool = True,
) -> Result:
    """Fold the engine's step over `days` and book what comes out.

    Parameters
    ----------
    strategy : Strategy
        What to run.
    windows : Windows
        The data, from `engine.prepare`, up to the last day that the result is to cover.
    days : np.ndarray
        The days to predict, ascending.
    trainer : Trainer, optional
        Gives the models; one without a store and other workers unless given.
    checkpoint : Checkpoint, optional
        Where to save now and then what has been done.
    resume : bool
        Go on from there.
    collect_all_states : bool
        Keep the state after each predict.
    analyze : bool
        Calculate statistics.
    progress : bool
        Show a bar when it takes over two seconds.

    Returns
    -------
    Result
    """
    trainer = trainer or Trainer(strategy, windows, days)
    course = _Course(strategy, windows, days, collect_all_states)
    bar = Progress(f"backtest {strategy.name}", len(days), show=progress, left_s=lambda: course.left_s(trainer))
    with generators.kept(), closing(trainer), bar:
        saved = checkpoint.load() if checkpoint and resume else None
        if saved is not None:
            course.restore(saved, trainer)
            bar.advance(course.done)
        course.run(trainer, checkpoint, bar)
    if not course.rows.times:
        raise StrategyError(f"{strategy.where}: predict returned no weights from {day(days[0])} to {day(days[-1])}")
    return _book(strategy, windows, course.rows, days, course.memory, course.states, analyze)


class _Course:
    """The walk from one day to the next: what has been booked, and the memory."""

    def __init__(self, strategy: Strategy, windows: Windows, days: np.ndarray, collect_all_states: bool) -> None:
        self._strategy, self._windows, self._days, self._collects = strategy, windows, days, collect_all_states
        self.rows = Rows(windows.traded.get_index("asset"), len(days))
        self.memory, self.done = Memory(), 0
        self.states: list[Any] = []
        self._warm: tuple[int, float] | None = None  # days done, and when (without trainings), after the first of them

    def run(self, trainer: Trainer, checkpoint: Checkpoint | None, bar: Progress) -> None:
        """Decide the days that are left."""
        forecast = Forecast(bar.title, self._strategy.rules)
        decide = self._one if self._strategy.predict_each_day else self._block
        while self.done < len(self._days):
            before = self.done
            self.memory = trainer.renew(self.memory, self._days[before])
            for t, row in decide():
                self.rows.add(t, row)
            if self._collects:
                self.states.append(self.memory.state)
            if trainer.total:
                bar.note = f"{trainer.loaded + trainer.trained} of {trainer.total} trainings"
            bar.advance(self.done - before)
            if checkpoint is not None and checkpoint.is_due:
                checkpoint.save(self._parts())
            self._warm = self._warm or (self.done, perf_counter() - trainer.seconds)
            pace = self._pace(trainer)
            for sentence in forecast.news(pace) if pace else ():
                bar.say(sentence)
        if checkpoint is not None:
            checkpoint.save(self._parts())

    def _one(self) -> list[tuple[np.datetime64, xr.DataArray]]:
        t = self._days[self.done]
        row, self.memory = engine.step(self._strategy, self.memory, self._windows, t)
        self.done += 1
        return [(t, row)]

    def _block(self) -> list[tuple[np.datetime64, xr.DataArray]]:
        interval, times = self._strategy.retrain_interval, self._windows.times
        block = next(schedule.blocks(self._days[self.done :], interval, times))
        weights, self.memory = engine.batch(self._strategy, self.memory, self._windows, block)
        self.done += len(block)
        return [(t, weights.sel(time=t)) for t in weights["time"].values]

    def _pace(self, trainer: Trainer) -> Pace | None:
        """Return what the days so far have shown, None while they are few."""
        since, started = self._warm or (self.done, 0.0)
        if self.done - since < _SEEN:
            return None
        day_s = (perf_counter() - trainer.seconds - started) / (self.done - since)
        trainings_left = trainer.left(self._days[self.done - 1])
        return Pace(trainer.first_s, trainer.each_s, trainings_left, day_s, len(self._days) - self.done)

    def left_s(self, trainer: Trainer) -> float | None:
        """Return the seconds to go, None while that is not known."""
        pace = self._pace(trainer)
        return None if pace is None else pace.left_s

    def _parts(self) -> dict[str, Any]:
        return {
            "done": self.done,
            "trained_at": self.memory.trained_at,
            "state": self.memory.state,
            "states": self.states,
            "rows": self.rows.parts(),
        }

    def restore(self, parts: dict[str, Any], trainer: Trainer) -> None:
        """Go back to where `_parts` was called."""
        self.done, trained_at, self.states = parts["done"], parts["trained_at"], parts["states"]
        self.rows.restore(parts["rows"])
        over = self.done == len(self._days)
        interval, times = self._strategy.retrain_interval, self._windows.times
        renewed = not over and schedule.due(self._days[self.done], trained_at, interval, times)
        models = None if self._strategy.train is None or renewed else trainer.models(trained_at)
        self.memory = Memory(trained_at, models, parts["state"])


def _book(
    strategy: Strategy,
    windows: Windows,
    rows: Rows,
    days: np.ndarray,
    memory: Memory,
    states: list[Any],
    analyze: bool,
) -> Result:
    raw, notes = rows.weights(), rows.notes()
    without = np.setdiff1d(days, raw["time"].values)
    if len(without):
        notes.append(f"predict returned no row for {len(without)} days, first {day(without[0])}")
    if not np.nan_to_num(raw.values).any():
        notes.append(
            "all weights are 0, on every day; where inputs take more rows than a window holds, give more calendar days "
            "(lookback_period)"
        )
    since = windows.traded["time"].values >= raw["time"].values[0] - dates.WARM_UP
    rules = strategy.rules
    data = windows.traded.isel(time=slice(int(np.argmax(since)), None)).rename(rules.name)
    weights = output.clean(raw, data, rules, report=notes).rename(rules.name)
    table = None
    if analyze:
        points = stats.calc_avg_points_per_year(data, rules)
        table = stats.calc_stat(data, weights, rules.slippage, points_per_year=points)
        notes += _booking_notes(data, weights, table, rules.slippage, points)
    return Result(weights, raw, memory, states, table, strategy, notes)


def _booking_notes(
    data: xr.DataArray, weights: xr.DataArray, table: xr.DataArray, slippage: float, points: float
) -> list[str]:
    """Say so when keeping the value of assets that stopped trading would change the equity by over 1 %."""
    contest = float(table.sel(field="equity").values[-1])
    returns = stats.calc_relative_return(data, weights, slippage, points_per_year=points, locked="hold")
    hold = float((1 + returns).prod())
    if np.isclose(hold, contest, rtol=_WORTH_A_NOTE):
        return []
    return [
        f"equity {contest:.4g} is the contest's own booking, which values an asset without a price at its last open; "
        f"keeping the last close (locked='hold') gives {hold:.4g}"
    ]
