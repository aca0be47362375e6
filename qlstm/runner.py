"""One step from disk: yesterday's memory is read, today decided, weights and memory saved together. The daily run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from . import dates, engine, files, generators, imprint, precautions, state
from .cube import Cubes, Windows
from .dates import day
from .decision import Decision, decide
from .errors import DataError, StateError
from .handover import CONTEST_FILES, given, wanted
from .progress import Progress
from .state.store import STATE_FILE, WEIGHTS_FILE
from .strategy import Memory, Strategy, as_strategy

__all__ = ["CONTEST_FILES", "RunResult", "run"]

_SHOWN = 3  # missing days listed in a sentence


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
        What the contest's rules changed, what is not as it was on the day before, and which days are missing.
    parent : np.datetime64 or None
        The day whose memory the run started from, before it caught up; None on a first day.
    retrained : bool
        Whether the models were trained on `date`.
    repeated : bool
        Whether the store had that day already.
    missing : list of np.datetime64
        The trading days between `parent` and `date` that were not run.
    changes : dict
        What has changed since `parent`, a sentence each: some of ``code``, ``versions``, ``contest``, ``data``.
    files : list of Path
        What was written for `date`; in a dry run, what would be.
    dry_run : bool
        Whether nothing was written.
    """

    weights: xr.DataArray
    raw: xr.DataArray
    memory: Memory
    date: np.datetime64
    folder: Path
    caught_up: list[np.datetime64] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parent: np.datetime64 | None = None
    retrained: bool = False
    repeated: bool = False
    missing: list[np.datetime64] = field(default_factory=list)
    changes: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    dry_run: bool = False

    @property
    def state(self) -> Any:
        """The state after this day."""
        return self.memory.state

    @property
    def positions(self) -> dict[str, float]:
        """What `weights` hold: asset -> share of capital, largest first, zeros left out."""
        row = self.weights.values[0]
        largest = np.argsort(-np.abs(row), kind="stable")
        return {str(self.weights["asset"].values[i]): float(row[i]) for i in largest if row[i] != 0}

    def to_dict(self) -> dict[str, Any]:
        """Return everything but `raw` and `memory` in terms of JSON; `docs/daily.md` has the keys."""
        trained = self.memory.trained_at
        return {
            "date": day(self.date),
            "parent": None if self.parent is None else day(self.parent),
            "retrained": self.retrained,
            "trained_at": None if trained is None else day(trained),
            "repeated": self.repeated,
            "dry_run": self.dry_run,
            "weights": self.positions,
            "missing": [day(t) for t in self.missing],
            "caught_up": [day(t) for t in self.caught_up],
            "changes": self.changes,
            "notes": self.notes,
            "folder": str(self.folder),
            "files": [str(path) for path in self.files],
        }


def run(
    strategy: Strategy,
    data: Cubes,
    state_dir: str | Path = "state",
    date: Any = None,
    catch_up: bool = False,
    window: Callable[[Any, np.datetime64, int], Any] | None = None,
    copy_windows: bool = False,
    progress: bool = True,
    *,
    skip_gap: bool = True,
    strict: bool = False,
    allow_changes: bool = False,
    dry_run: bool = False,
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
    skip_gap : bool
        Go on over missing days, with a note. A contest's server and a study call this function for the days they
        choose, so here that is the default; the command line, which a scheduler calls, refuses unless told
        ``--skip-gap``.
    strict : bool
        Refuse, instead of noting it, that code, libraries, contest or past data are not as on the parent's day.
    allow_changes : bool
        Go on, with a note, where the parent was decided by the rules of another contest.
    dry_run : bool
        Decide the day and check that it could be saved, but write nothing: no file, no folder, no lock.

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
        When train or predict fails, or `strategy` is the name of a file.
    StateError
        When the saved state is damaged, cannot be trusted, is of another contest, or of a day too early, or another
        process is writing. Nothing is changed then.
    StateChangedError
        When `strict` finds a change.
    """
    strategy = as_strategy(strategy)
    daily = replace(strategy, retrain_interval=strategy.retrain_interval_after_submit or strategy.retrain_interval)
    loaded = Windows(data, window, copy_windows)
    today = _today(loaded, date)
    loaded = loaded.up_to(today)
    store = state.Store(Path(state_dir) / str(strategy.name))
    with nullcontext() if dry_run else store.lock(), generators.kept():
        parent = precautions.find(daily, store, today, given())
        missing = _between(loaded.times, parent.since, today)
        gap = _gap(missing, parent.since) if missing and not catch_up else ""
        if gap and not skip_gap:
            raise StateError(f"{gap}; --skip-gap (skip_gap=True) goes on without them")
        windows = engine.prepare(daily, loaded)
        changes = precautions.changes(daily, parent, loaded.data, windows, store)
        precautions.refuse(changes, strict=strict, allow_changes=allow_changes)
        repeated, days = today in store.dates(), [*missing, today] if catch_up else [today]
        save = _rehearse if dry_run else _save
        last, notes = _decide(
            daily, windows, days, parent, lambda *made: save(store, daily, loaded.data, *made), progress
        )
    folder = store.path(today)
    return RunResult(
        weights=last.weights,
        raw=last.raw,
        memory=last.memory,
        date=today,
        folder=folder,
        caught_up=days[:-1],
        notes=[*changes.values(), *notes, *([gap] if gap else [])],
        parent=parent.since,
        retrained=last.retrained,
        repeated=repeated,
        missing=[] if catch_up else missing,
        changes=changes,
        files=[folder / STATE_FILE, folder / WEIGHTS_FILE, *wanted().values()],
        dry_run=dry_run,
    )


def _today(windows: Windows, date: Any) -> np.datetime64:
    times = windows.times
    if date is None:
        return np.datetime64(times[-1])
    t = dates.as_time(date)
    if t not in times:
        before = times[times < t]
        hint = f"; the trading day before is {day(before[-1])}" if len(before) else ""
        hint = "; get newer data first" if t > times[-1] else hint
        raise DataError(f"the data have no row for {day(t)}; they run {day(times[0])} to {day(times[-1])}{hint}")
    return t


def _between(times: np.ndarray, since: np.datetime64 | None, today: np.datetime64) -> list[np.datetime64]:
    """Return the trading days after the parent's and before today; none when the parent's day is not known."""
    return [] if since is None else list(times[(times > since) & (times < today)])


def _gap(missing: list[np.datetime64], since: np.datetime64 | None) -> str:
    count = len(missing)
    more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
    return (
        f"{count} trading day{'s' * (count > 1)} since {day(since)} {'were' if count > 1 else 'was'} not run: "
        f"{', '.join(map(day, missing[:_SHOWN]))}{more}; --catch-up (catch_up=True) runs them in order"
    )


def _decide(
    strategy: Strategy,
    windows: Windows,
    days: list[np.datetime64],
    parent: precautions.Parent,
    save: Callable[[Decision, np.datetime64 | None], None],
    progress: bool,
) -> tuple[Decision, list[str]]:
    """Decide and save each day from the one before; return the last decision, and the notes on all."""
    memory, before, notes = parent.memory, parent.generation, []
    with Progress(f"run {strategy.name}", len(days), show=progress) as bar:
        for t in days:
            decision = decide(strategy, windows, t, memory)
            save(decision, before)
            memory, before = decision.memory, t
            notes += [note if t == days[-1] else f"{day(t)}: {note}" for note in decision.notes]
            bar.advance()
    return decision, notes


def _save(
    store: state.Store, strategy: Strategy, data: Cubes, decision: Decision, parent: np.datetime64 | None
) -> None:
    """Commit a day, and copy what the contest's server asks for to where it asks for it."""
    folder = store.commit(*_parts(strategy, data, decision, parent))
    contents = {"OUTPUT_PATH": decision.content, "OUT_STATE_PATH": (folder / STATE_FILE).read_bytes()}
    files.write_files({path: contents[name] for name, path in wanted().items()})


def _rehearse(
    store: state.Store, strategy: Strategy, data: Cubes, decision: Decision, parent: np.datetime64 | None
) -> None:
    """Raise what committing a day would raise, but for the disk's own faults; write nothing."""
    # A parent that was only rehearsed itself is on no disk; the day is a new one then, whatever its parent's hash.
    kept = parent if parent in store.dates() else None
    store.is_new(decision.date, store.pack(*_parts(strategy, data, decision, kept)))


def _parts(strategy: Strategy, data: Cubes, decision: Decision, parent: np.datetime64 | None) -> tuple[Any, ...]:
    """Return what a generation is made of, as `Store.commit` takes it."""
    seen = imprint.take(data, decision.date, strategy.lookback_period)
    return decision.date, decision.memory, decision.content, strategy, parent, seen
