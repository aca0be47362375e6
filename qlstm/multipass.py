"""Many steps over given days: the engine's step folded over them, and what comes out booked by the contest's rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from . import contests, engine, generators, output, schedule, stats
from .cube import Windows, day
from .errors import StrategyError
from .progress import Progress
from .strategy import Memory, Strategy
from .weights import Rows

__all__ = ["WARM_UP", "Result", "walk"]

WARM_UP = np.timedelta64(60, "D")  # slippage needs 14 rows before the first trade; the contest loads 60 days


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

    def __iter__(self) -> Iterator[Any]:
        yield self.weights
        yield self.states if self.states else self.state


def walk(
    strategy: Strategy,
    windows: Windows,
    days: np.ndarray,
    *,
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
    rows = Rows(windows.traded.get_index("asset"), len(days))
    memory, states = Memory(), []
    passes = _daily if strategy.predict_each_day else _batched
    with generators.kept(), Progress(f"backtest {strategy.name}", len(days), show=progress) as bar:
        for done, weights, memory in passes(strategy, windows, days):
            for t, row in weights.items():
                rows.add(t, row)
            if collect_all_states:
                states.append(memory.state)
            bar.advance(done)
    if not rows.times:
        raise StrategyError(f"{strategy.where}: predict returned no weights from {day(days[0])} to {day(days[-1])}")
    return _book(strategy, windows, rows, days, memory, states, analyze)


_Pass = tuple[int, dict[np.datetime64, xr.DataArray], Memory]  # days done, their weights, the memory after them


def _daily(strategy: Strategy, windows: Windows, days: np.ndarray) -> Iterator[_Pass]:
    memory = Memory()
    for t in days:
        weights, memory = engine.step(strategy, memory, windows, t)
        yield 1, {t: weights}, memory


def _batched(strategy: Strategy, windows: Windows, days: np.ndarray) -> Iterator[_Pass]:
    memory = Memory()
    for block in schedule.blocks(days, strategy.retrain_interval):
        weights, memory = engine.batch(strategy, memory, windows, block)
        yield len(block), {t: weights.sel(time=t) for t in weights["time"].values}, memory


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
    since = windows.traded["time"].values >= raw["time"].values[0] - WARM_UP
    data = windows.traded.isel(time=slice(int(np.argmax(since)), None)).rename(strategy.rules.name)
    weights = output.clean(raw, data, strategy.rules.name, report=notes).rename(strategy.rules.name)
    table = stats.calc_stat(data, weights) if analyze else None
    if table is not None:
        notes += _booking_notes(data, weights, table)
    return Result(weights, raw, memory, states, table, strategy, notes)


def _booking_notes(data: xr.DataArray, weights: xr.DataArray, table: xr.DataArray) -> list[str]:
    """Say so when keeping the value of assets that stopped trading would change the equity."""
    contest = float(table.sel(field="equity").values[-1])
    hold = float((1 + stats.calc_relative_return(data, weights, locked="hold")).prod())
    if np.isclose(contest, hold, rtol=1e-6):
        return []
    return [
        f"equity {contest:.4f} is the contest's own booking, which values an asset without a price at its last open; "
        f"keeping the last close (locked='hold') gives {hold:.4f}"
    ]
