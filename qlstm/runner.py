"""One step from disk: yesterday's memory is read, today decided, weights and memory saved together. The daily run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from . import engine, files, generators, output, schedule, state
from .cube import Cubes, Windows, day
from .errors import DataError, StateError
from .multipass import WARM_UP
from .progress import Progress
from .state import codec
from .state.store import STATE_FILE
from .strategy import Memory, Strategy
from .weights import Rows

__all__ = ["RunResult", "run"]

_CONTEST_FILES = {
    "OUTPUT_PATH": "fractions.nc.gz",
    "IN_STATE_PATH": "state.in.pickle.gz",
    "OUT_STATE_PATH": "state.out.pickle.gz",
}


@dataclass(frozen=True)
class RunResult:
    """What one daily run decided.

    Parameters
    ----------
    weights : xr.DataArray
        Dims ``(time, asset)``, one row: cleaned by the contest's rules, what was written for the contest.
    raw : xr.DataArray
        The same as predicted.
    memory : Memory
        What was saved.
    date : np.datetime64
        The day decided; its open comes next.
    folder : Path
        Where weights and memory were saved.
    caught_up : list of np.datetime64
        The missing days that were run first, in order.
    notes : list of str
        What the contest's rules changed, and whether days are missing.
    """

    weights: xr.DataArray
    raw: xr.DataArray
    memory: Memory
    date: np.datetime64
    folder: Path
    caught_up: list[np.datetime64] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def state(self) -> Any:
        """The state after this day."""
        return self.memory.state


def run(
    strategy: Strategy,
    data: Cubes,
    state_dir: str | Path = "state",
    date: Any = None,
    catch_up: bool = False,
    window: Callable[[Any, np.datetime64, int], Any] | None = None,
    copy_windows: bool = False,
    progress: bool = True,
) -> RunResult:
    """Run a strategy for one day, with memory from the day before, and save weights and memory together.

    The newest generation before `date` is the parent, so running a day again starts from the same memory and gives the
    same bytes. Models are trained anew by `retrain_interval_after_submit` where it is set, else by `retrain_interval`,
    counted from the day they were trained.

    Parameters
    ----------
    strategy : Strategy
        What to run; its name is the name of its folder below `state_dir`.
    data : xr.DataArray or mapping
        The cube, or several by name, up to `date` or beyond; later rows are not looked at.
    state_dir : str or Path
        Holds one folder per strategy.
    date : date-like, optional
        The day to decide; the data's last one unless given.
    catch_up : bool
        Run each trading day after the newest generation first, in order.
    window, copy_windows
        As for `qlstm.backtest_ml`.
    progress : bool
        Show progress when catching up takes over two seconds.

    Returns
    -------
    RunResult

    Environment
    -----------
    OUTPUT_PATH receives the contest's file; IN_STATE_PATH, if set, replaces the newest generation as the parent (a
    missing file is a first day); OUT_STATE_PATH receives a copy of the state file. On a contest's server, which sets
    SUBMISSION_ID, those that are not set have the contest's own defaults: fractions.nc.gz, state.in.pickle.gz (where
    it exists) and state.out.pickle.gz in the working directory.

    Raises
    ------
    DataError
        When the data are not cubes or lack the day.
    StrategyError
        When train or predict fails.
    StateError
        When the saved state is damaged, cannot be trusted, or another process is writing. Nothing is changed then.
    """
    daily = replace(strategy, retrain_interval=strategy.retrain_interval_after_submit or strategy.retrain_interval)
    windows = Windows(data, window, copy_windows)
    today = _today(windows, date)
    store = state.Store(Path(state_dir) / str(strategy.name))
    with store.lock(), generators.kept():
        windows = engine.prepare(daily, windows.up_to(today))
        memory, since, parent, notes = _yesterday(daily, store, today)
        missing = _between(windows.times, since, today)
        days = [*missing, today] if catch_up else [today]
        with Progress(f"run {strategy.name}", len(days), show=progress) as bar:
            for t in days:
                result = _run_day(daily, windows, store, t, memory, parent)
                memory, parent = result.memory, t
                notes += [note if t == today else f"{day(t)}: {note}" for note in result.notes]
                bar.advance()
    result = replace(result, notes=notes)
    if catch_up:
        return replace(result, caught_up=missing)
    if missing:
        result.notes.append(
            f"{len(missing)} trading days since {day(since)} were not run, first {day(missing[0])}; "
            "--catch-up runs them in order"
        )
    return result


def _today(windows: Windows, date: Any) -> np.datetime64:
    times = windows.times
    if date is None:
        return np.datetime64(times[-1])
    t = schedule.as_time(date)
    if t not in times:
        raise DataError(f"the data have no row for {day(t)}; they run {day(times[0])} to {day(times[-1])}")
    return t


def _between(times: np.ndarray, since: np.datetime64 | None, today: np.datetime64) -> list[np.datetime64]:
    """Return the trading days after the parent's and before today; none when the parent's day is not known."""
    return [] if since is None else list(times[(times > since) & (times < today)])


def _yesterday(
    strategy: Strategy, store: state.Store, today: np.datetime64
) -> tuple[Memory, np.datetime64 | None, np.datetime64 | None, list[str]]:
    """Return the memory to start from, its day, that day where it is a generation of the store, and notes on it."""
    given = os.environ.get("IN_STATE_PATH")
    if not given and os.environ.get("SUBMISSION_ID") and Path(_CONTEST_FILES["IN_STATE_PATH"]).exists():
        given = _CONTEST_FILES["IN_STATE_PATH"]
    if given:
        return _given(strategy, Path(given), today)
    newest = store.newest(before=today)
    if newest is None:
        return Memory(), None, None, []
    memory = store.read(newest, strategy)
    return memory, newest, newest, _code_notes(strategy, store.path(newest) / STATE_FILE)


def _given(
    strategy: Strategy, path: Path, today: np.datetime64
) -> tuple[Memory, np.datetime64 | None, np.datetime64 | None, list[str]]:
    """Return the same from a file that the contest hands over."""
    memory = state.read(path, strategy)
    if memory is None:
        return Memory(), None, None, []
    as_of = codec.header(path.read_bytes(), str(path)).get("as_of")
    since = schedule.as_time(as_of) if as_of else None
    if since is not None and since >= today:
        raise StateError(f"{path} is of {day(since)}, not before {day(today)}; give the state of the day before")
    if memory.trained_at is not None and memory.trained_at > today:
        raise StateError(f"{path} holds models trained on {day(memory.trained_at)}, after {day(today)}")
    return memory, since, None, _code_notes(strategy, path)


def _code_notes(strategy: Strategy, path: Path) -> list[str]:
    """Say so when the memory comes from other code: an edited strategy, or another one of the same name."""
    written_by = codec.header(path.read_bytes(), str(path)).get("code_sha256")
    if written_by in (None, strategy.code_hash):
        return []
    return [f"{path} was written by other code than {strategy.where} has now; is it still the same strategy?"]


def _run_day(
    strategy: Strategy,
    windows: Windows,
    store: state.Store,
    t: np.datetime64,
    memory: Memory,
    parent: np.datetime64 | None,
) -> RunResult:
    """Decide day t and commit it."""
    row, memory = engine.step(strategy, memory, windows, t)
    rows = Rows(windows.traded.get_index("asset"), 1)
    rows.add(t, row)
    raw, notes = rows.weights(), rows.notes()
    since = windows.traded.sel(time=slice(t - WARM_UP, t)).rename(strategy.rules.name)
    weights = output.clean(raw, since, strategy.rules.name, report=notes).rename(strategy.rules.name)
    content = output.to_bytes(weights)
    folder = store.commit(t, memory, content, strategy=strategy, parent=parent)
    _hand_over(folder, content)
    return RunResult(weights, raw, memory, t, folder, notes=notes)


def _hand_over(folder: Path, content: bytes) -> None:
    """Copy what the contest's server asks for to where it asks for it."""
    contents = {"OUTPUT_PATH": content, "OUT_STATE_PATH": (folder / STATE_FILE).read_bytes()}
    submitted = bool(os.environ.get("SUBMISSION_ID"))
    paths = {name: os.environ.get(name) or (_CONTEST_FILES[name] if submitted else None) for name in contents}
    files.write_files({Path(path): contents[name] for name, path in paths.items() if path})
