"""Experiments: any function of data and arguments over a grid of these, each set of them on record and run once.

A search backtests strategies; an experiment may be anything that ends in figures, such as the fit of a network. What a
figure depends on is its key: the function's code with the libraries' versions, the data, and the arguments, so that a
split is an argument too. One folder holds experiments of any number of functions and data, a record for each pair.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import fingerprint, generators, parallel
from ..errors import QlstmError
from ..progress import Progress
from .found import spelt, why_none
from .proposals import Arguments, Space, count, rounds
from .trials import Record, Setting, Trial, key, read, told

__all__ = ["experiment", "read_experiments"]

_CHOSEN_BY = "validation"
_SHOWN = 16  # characters of a hash
_DAY = np.datetime64("1970-01-01")  # of the seed: the same for every set of arguments


def experiment(
    run: Callable[..., Mapping[str, float]],
    data: Any,
    space: Space,
    *,
    folder: str | Path,
    jobs: int = 1,
    dask: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run a function with every combination of arguments that is not on record yet.

    Parameters
    ----------
    run : callable
        ``run(data, **arguments) -> figures``, a mapping of names to numbers. One is ``validation``, a loss by which the
        best is chosen: the smaller the better; where it is NaN or infinite, the experiment has failed. ``epochs``,
        where there is one, gives the seconds per epoch. The function must be pure; the global random generators are
        seeded for it.
    data : xr.DataArray or mapping of str to xr.DataArray
        What it is given.
    space : mapping of str to sequence
        Values of each argument: numbers, text, True, False or None. What a result depends on and does not vary is an
        argument with one value: the first day of the test, the share held out, a seed.
    folder : str or Path
        Where records are kept.
    jobs, dask : int, str
        Where experiments run, as for `qlstm.parallel.each`; the figures do not depend on it.
    progress : bool
        Show progress when it takes over two seconds.

    Returns
    -------
    pd.DataFrame
        The experiments of this grid, as `read_experiments` returns them.

    Raises
    ------
    StrategyError
        When the function depends on something that is no value; names it.
    QlstmError
        When the function has no name, the space makes no sense, the record is damaged or in use, or a worker is lost
        (what was recorded stays), or every experiment failed. One that fails is on record as failed, and no error.
    """
    name = getattr(run, "__name__", "")
    if not name.isidentifier():
        raise QlstmError(f"an experiment needs a function with a name to be found by, got {run!r}; use def")
    setting = Setting(name, fingerprint.of_function(run), fingerprint.of_data(data), "", "")
    (grid,) = rounds(space, "grid", None, 0, lambda arguments: 0.0)
    work = partial(_try, run, data)
    with (
        Record.opened(setting, _path(Path(folder), setting)) as book,
        Progress("experiment", count(space, "grid", None), "experiments", progress) as bar,
    ):
        fresh = [arguments for arguments in grid if key(arguments) not in book.trials]
        bar.advance(len(grid) - len(fresh))
        for trial in parallel.each(work, fresh, jobs=jobs, dask=dask, name=_name) if fresh else ():
            book.add(trial)
            bar.advance()
        trials = tuple(book.trials[key(arguments)] for arguments in grid)
    if all(trial.error is not None for trial in trials):
        raise QlstmError(why_none(trials))
    return _table([(setting, trial) for trial in trials])


def read_experiments(folder: str | Path) -> pd.DataFrame:
    """Return all experiments of a folder, finished grids or not; ``.to_csv(path, index=False)`` exports them.

    Parameters
    ----------
    folder : str or Path
        That of `experiment`.

    Returns
    -------
    pd.DataFrame
        A row for each, the best by validation first, failed ones last: ``key``, ``run`` (the function's name), the
        beginnings of the fingerprints of ``code`` and ``data``, arguments, figures, ``error``, ``seconds``,
        ``seconds_per_epoch``, and ``at``, when it ended. The best of many is the best partly by luck: look at its test
        once, beside all others.

    Raises
    ------
    QlstmError
        When there is no such folder, or a record cannot be read or is damaged.
    """
    if not Path(folder).is_dir():
        raise QlstmError(f"cannot read experiments: there is no folder {folder}")
    rows = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        setting, trials = read(path)
        rows += [(setting, trial) for trial in trials]
    return _table(rows)


def _path(folder: Path, setting: Setting) -> Path:
    return folder / f"{setting.strategy}-{_digest(setting.code, setting.data)}.jsonl"


def _digest(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:_SHOWN]


def _name(arguments: Arguments) -> str:
    return f"experiment {spelt(arguments)}"


def _try(run: Callable[..., Mapping[str, float]], data: Any, arguments: Arguments) -> Trial:
    """Run one set of arguments; a failure is part of the record, not the end of the grid."""
    began = time.monotonic()
    figures: dict[str, float] = {}
    error = None
    try:
        with generators.kept():
            generators.seed(0, _DAY)
            figures = _checked(run(data, **arguments))
    except Exception as raised:  # the user's code may raise anything
        error = told(raised)
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    return Trial(arguments, figures, error, round(time.monotonic() - began, 3), ended)


def _checked(figures: Any) -> dict[str, float]:
    if not isinstance(figures, Mapping) or _CHOSEN_BY not in figures:
        shown = list(figures) if isinstance(figures, Mapping) else type(figures).__name__
        raise QlstmError(f"the function returned {shown}; return a mapping of figures with {_CHOSEN_BY!r}, a loss")
    numbers = {str(name): float(value) for name, value in figures.items()}
    if not math.isfinite(numbers[_CHOSEN_BY]):
        raise QlstmError(f"{_CHOSEN_BY} is {numbers[_CHOSEN_BY]}, not a finite number: did the fit diverge?")
    return numbers


def _table(rows: list[tuple[Setting, Trial]]) -> pd.DataFrame:
    table = pd.DataFrame([_row(setting, trial) for setting, trial in rows])
    return table.sort_values(_CHOSEN_BY, kind="stable", na_position="last", ignore_index=True) if rows else table


def _row(setting: Setting, trial: Trial) -> dict[str, Any]:
    found = {"key": _digest(setting.code, setting.data, key(trial.arguments)), "run": setting.strategy}
    found |= {"code": setting.code[:_SHOWN], "data": setting.data[:_SHOWN]}
    epochs = trial.figures.get("epochs", math.nan)
    timing = {"seconds": trial.seconds, "seconds_per_epoch": trial.seconds / epochs if epochs else math.nan}
    figures = {_CHOSEN_BY: math.nan, **trial.figures}
    return {**found, **trial.arguments, **figures, "error": trial.error, **timing, "at": trial.at}
