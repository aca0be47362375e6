"""One day on a contest's server: data from its toolbox, memory from the file it hands over, weights and memory back.

This is what an exported file runs. The day itself is `qlstm.decision.decide`, as in `qlstm run`, so the weights are the
same. A server must get weights every day, so a state file that cannot be used does not stop it: the day starts as a
first day does, and the log says so in capitals.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from . import dates, engine, files, generators, schedule
from .cube import Windows, as_cube
from .dates import calendar_days, day
from .decision import Decision, decide
from .errors import DataError, StateError, StrategyError
from .handover import CONTEST_FILES
from .state import codec
from .strategy import Memory, Strategy

__all__ = ["main"]

_LONGEST_GAP = 10  # trading days; deciding more of them again might not end within a server's time limit
_SLACK = 90  # calendar days of data before the windows: 60 for the contest's cleaning, 30 for such a gap


@dataclass(frozen=True)
class _Parent:
    """What the day starts from: the file handed over, its memory, and the day it is of; empty on a first day."""

    content: bytes = b""
    memory: Memory = field(default_factory=Memory)
    as_of: np.datetime64 | None = None
    is_own: bool = True  # False where another program wrote the file


def main(strategy: Strategy) -> Decision:
    """Decide the newest day of the server's data, and write weights and state to where the server reads them.

    Days that were missed since the state's own day are decided first, up to ten of them.

    Parameters
    ----------
    strategy : Strategy
        What to run.

    Returns
    -------
    Decision
        What was decided.

    Environment
    -----------
    IN_STATE_PATH, OUT_STATE_PATH and OUTPUT_PATH; `qlstm.handover.CONTEST_FILES` has their defaults.

    Raises
    ------
    DataError
        When the toolbox is missing, or its data are not a cube.
    StrategyError
        When train or predict fails.
    StateError
        When the new memory cannot be saved.
    OutputError
        When a file cannot be written.
    """
    daily = replace(strategy, retrain_interval=strategy.retrain_interval_after_submit or strategy.retrain_interval)
    with generators.kept():
        windows = engine.prepare(daily, Windows(_load(daily)))
        today = np.datetime64(windows.times[-1])
        parent = _parent(daily, _path("IN_STATE_PATH"), today)
        decision, parent = _decide(daily, windows, parent)
    state = parent.content if parent.as_of == today else _state(daily, decision, parent)
    # Both are safe on the disk before the toolbox writes the weights anew, with the server's own names of assets.
    files.write_files({_path("OUTPUT_PATH"): decision.content, _path("OUT_STATE_PATH"): state})
    _toolbox("output").write(decision.weights)
    _report(decision)
    return decision


def _say(line: str) -> None:
    sys.stderr.write(f"qlstm: {line}\n")


def _report(decision: Decision) -> None:
    for note in decision.notes:
        _say(f"note: {note}")
    held, trained = int((decision.weights.values != 0).sum()), decision.memory.trained_at
    _say(
        f"{day(decision.date)}: {held} positions, {'never trained' if trained is None else f'trained {day(trained)}'}; "
        f"weights in {_path('OUTPUT_PATH')}, state in {_path('OUT_STATE_PATH')}"
    )


def _toolbox(module: str) -> Any:
    """Return a module of the server's toolbox."""
    try:
        return importlib.import_module(f"qnt.{module}")
    except ImportError as error:
        raise DataError(
            f"cannot import qnt.{module} ({error}); this file is for a contest's server, which has the toolbox qnt"
        ) from error


def _path(name: str) -> Path:
    return Path(os.environ.get(name) or CONTEST_FILES[name])


def _load(strategy: Strategy) -> xr.DataArray:
    """Return the contest's newest data, with all the history that the windows (or the features) need."""
    longest = max(strategy.train_period if strategy.train else 0, strategy.lookback_period)
    for interval in (strategy.retrain_interval, strategy.retrain_interval_after_submit):
        if isinstance(interval, schedule.Schedule):
            longest = max(longest, interval.rows_needed * 7 // 5)  # five rows a week
    if strategy.features is None:
        history: dict[str, Any] = {"tail": longest + _SLACK}
    else:  # a feature may look back without end, so its first day must stay the same
        history = {"min_date": day(dates.as_time(strategy.rules.start) - calendar_days(longest))}
    loaded = _toolbox("data").load_data_by_type(strategy.rules.name, **history)
    cube = as_cube(loaded, what="what the toolbox loaded")
    return cube if cube.get_index("asset").is_monotonic_increasing else cube.sortby("asset")


def _parent(strategy: Strategy, path: Path, today: np.datetime64) -> _Parent:
    """Return what the server handed over; where that is nothing, or cannot be used, say so."""
    try:
        content = path.read_bytes()
        known = codec.header(content, str(path))
        memory = codec.decode(content, strategy, str(path))
    except FileNotFoundError:
        _say(f"THERE IS NO STATE FILE {path}: starting as on the first day; right only if this is the first")
        return _Parent()
    except (StateError, OSError) as error:
        return _lost(str(error))
    as_of = dates.as_time(known["as_of"]) if known.get("as_of") else None
    if known.get("strategy") not in (None, strategy.name):
        return _lost(f"{path} is the state of strategy {known['strategy']}, not of {strategy.name}")
    for date in (as_of, memory.trained_at):
        if date is not None and date > today:
            return _lost(f"{path} is of {day(date)}, but the data end {day(today)}")
    return _Parent(content, memory, as_of, known.get("strategy") == strategy.name)


def _lost(reason: str) -> _Parent:
    _say(f"THE STATE FILE CANNOT BE USED: {reason}")
    _say("STARTING AS ON THE FIRST DAY: what the strategy remembered is lost, weights are decided all the same")
    return _Parent()


def _decide(strategy: Strategy, windows: Windows, parent: _Parent) -> tuple[Decision, _Parent]:
    """Decide the days after the parent's; without a memory of another program's that the strategy fails on."""
    try:
        return _days(strategy, windows, parent), parent
    except StrategyError as error:
        if parent.is_own:
            _say(f"the server's data have the fields {', '.join(map(str, windows.traded['field'].values))}")
            raise
        first = _lost(f"another program wrote it, and it does not suit {strategy.name}: {error}")
        return _days(strategy, windows, first), first


def _days(strategy: Strategy, windows: Windows, parent: _Parent) -> Decision:
    memory = parent.memory
    for t in _missed(windows.times, parent.as_of):
        memory = decide(strategy, windows, t, memory).memory
    return decide(strategy, windows, windows.times[-1], memory)


def _missed(times: np.ndarray, as_of: np.datetime64 | None) -> np.ndarray:
    """Return the days to decide before today; say what is out of the ordinary about them."""
    today = times[-1]
    if as_of is None:
        return times[:0]
    if as_of == today:
        _say(
            f"THE STATE IS OF {day(today)}, the newest day of the data: that day was decided before; its weights are "
            "decided again with the memory after it, and may differ; the state is handed on as it is"
        )
    missed = times[(times > as_of) & (times < today)]
    if not len(missed):
        return missed
    _say(f"{len(missed)} TRADING DAYS WERE MISSED since {day(as_of)}, the day of the state, first {day(missed[0])}")
    if len(missed) > _LONGEST_GAP:
        _say(f"they are too many to decide now (above {_LONGEST_GAP}); the old memory is used as it is")
        return missed[:0]
    return missed


def _state(strategy: Strategy, decision: Decision, parent: _Parent) -> bytes:
    """Return the day's state file. The toolbox writes the weights' file, so their hash is not known."""
    hashed = hashlib.sha256(parent.content).hexdigest() if parent.content else None
    return codec.encode(decision.memory, strategy=strategy, as_of=decision.date, parent=hashed)
