"""A search over a strategy's constants: each set of them is backtested over the same days, and every trial is kept."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from .. import backtester, constants, dates, fingerprint, parallel, stats
from ..cube import Cubes, Windows
from ..dates import day
from ..errors import DataError, QlstmError, StrategyError
from ..progress import Progress
from ..significance import TrackRecord
from ..strategy import Strategy, load_strategy
from .established import standard_stats_to_weight
from .found import TRACK, Score, Search, score_of, spelt, why_none
from .proposals import Method, Space, count, rounds
from .trials import Record, Setting, Trial, key, told

__all__ = ["search"]

_ROWS_ONLY = {"relative_return", "underwater"}  # figures of one day, which say nothing of the whole


def search(
    strategy: str | Path | Callable[..., Strategy],
    data: Cubes,
    space: Space,
    *,
    start_date: Any,
    end_date: Any = None,
    method: Method = "grid",
    trials: int | None = None,
    score: Score = standard_stats_to_weight,
    record: str | Path | None = None,
    seed: int = 42,
    jobs: int = 1,
    dask: str | None = None,
    storage: Any = None,
    progress: bool = True,
) -> Search:
    """Backtest a strategy with many sets of constants, keep every trial, and name the best.

    The best of many is the best partly by luck. Keep days after `end_date` back and look at the best there, once;
    `Search.deflated` says what its Sharpe ratio is worth, given how many were tried.

    Parameters
    ----------
    strategy : str, Path or callable
        A strategy file, whose module-level constants are varied, or a function ``make(**arguments) -> Strategy``.
    data : xr.DataArray or mapping of str to xr.DataArray
        As for `qlstm.backtest`. No trial sees a row after `end_date`.
    space : mapping of str to sequence or Range
        Values of each constant: numbers, text, True, False or None; or a `Range` to draw from.
    start_date, end_date : date-like
        First and last day of every backtest, the same for all; without `end_date` the data's last.
    method : {"grid", "random", "optuna"}
        See `proposals.rounds`. "optuna" needs ``pip install 'qlstm[tune]'``.
    trials : int, optional
        Sets to draw; a grid has its own number.
    score : callable
        ``score(figures) -> float`` of the statistics at the end: the contest's Sharpe ratio by default. A trial
        without a finite score never wins.
    record : str or Path, optional
        A file of JSON lines that each trial is added to. What it already holds is not run again, and counts.
    seed : int
        Of the draws; the strategy's own seed is part of the strategy.
    jobs, dask : int, str
        Where trials run, as for `qlstm.parallel.each`; the result does not depend on it.
    storage : optional
        A storage of optuna, or its URL, for a copy of the study that optuna's own tools can show.
    progress : bool
        Show progress when it takes over two seconds.

    Returns
    -------
    Search

    Raises
    ------
    StrategyError
        When the strategy cannot be loaded or lacks a constant.
    QlstmError
        When the space or method makes no sense, the record is of another strategy, data or period, a worker or
        cluster is lost (what was recorded stays), or every trial failed. A trial that fails is on record as failed,
        and no error.
    """
    windows = Windows(data)
    days = dates.period(windows.times, dates.as_time(start_date, "start date"), end_date, 1, 0)
    windows = windows.up_to(days[-1])
    make, setting = _prepare(strategy, list(space), record or storage, windows.data, (day(days[0]), day(days[-1])))
    scores: dict[str, float] = {}  # what the next round is asked by
    study = (storage, f"{setting.strategy} {setting.code[:8]} {setting.data[:8]}")
    proposed = rounds(space, method, trials, seed, lambda arguments: scores[key(arguments)], study)
    work = partial(_try, windows.data, setting, seed)
    with (
        Record.opened(setting, record) as book,
        Progress("optimize", count(space, method, trials), "trials", progress) as bar,
    ):
        for asked in proposed:
            fresh = {key(arguments): arguments for arguments in asked if key(arguments) not in book.trials}
            bar.advance(len(asked) - len(fresh))
            prepared = ((arguments, _made(make, arguments)) for arguments in fresh.values())
            for trial in parallel.each(work, prepared, jobs=jobs, dask=dask, name=_name) if fresh else ():
                book.add(trial)
                bar.advance()
            scores |= {name: score_of(trial, score) for name, trial in book.trials.items()}
        found = Search(setting, tuple(book.trials.values()), score)
    if all(trial.error is not None for trial in found.trials):
        raise QlstmError(why_none(found.trials))
    return found


def _prepare(
    strategy: str | Path | Callable[..., Strategy], names: list[str], kept: Any, data: Any, period: tuple[str, str]
) -> tuple[Callable[..., Strategy], Setting]:
    """Return what makes a strategy of arguments, and the setting; fingerprints only where something is kept."""
    if isinstance(strategy, (str, Path)):
        base = load_strategy(strategy)
        tree = ast.parse(Path(strategy).read_bytes())
        constants.replace(tree, dict.fromkeys(names), str(strategy))  # a name it lacks ends the search, not each trial
        make: Callable[..., Strategy] = partial(load_strategy, strategy)
        title, code = str(base.name), partial(fingerprint.of_strategy, base)
    elif callable(strategy) and not isinstance(strategy, Strategy):
        _check_factory(strategy, names)
        make = strategy
        title, code = getattr(strategy, "__name__", type(strategy).__name__), partial(fingerprint.of_function, strategy)
    else:
        raise StrategyError(
            f"search needs the strategy's file or a function that makes it of arguments, got {type(strategy).__name__}"
        )
    if kept is None:
        return make, Setting(title, "", "", *period)
    return make, Setting(title, code(), fingerprint.of_data(data), *period)


def _check_factory(make: Callable[..., Strategy], names: list[str]) -> None:
    try:
        inspect.signature(make).bind(**dict.fromkeys(names))
    except TypeError as error:
        name = getattr(make, "__name__", type(make).__name__)
        raise StrategyError(f"{name} cannot be called with {', '.join(names)}: {error}") from error


def _made(make: Callable[..., Strategy], arguments: dict[str, Any]) -> Strategy | str:
    """Return the strategy of some arguments, or why there is none."""
    try:
        made = make(**arguments)
        if not isinstance(made, Strategy):
            raise StrategyError(f"it returned a {type(made).__name__}, not a Strategy")
        return dataclasses.replace(made, constants=arguments)
    except Exception as error:  # the user's code may raise anything
        return told(error)


_Prepared = tuple[dict[str, Any], Strategy | str]  # arguments, and the strategy they make or why they make none


def _name(item: _Prepared) -> str:
    return f"trial {spelt(item[0])}"


def _try(data: Any, setting: Setting, seed: int, item: _Prepared) -> Trial:
    """Backtest one set of arguments; a failure is part of the record, not the end of the search."""
    arguments, strategy = item
    began = time.monotonic()
    figures: dict[str, float] = {}
    error = strategy if isinstance(strategy, str) else None
    if isinstance(strategy, Strategy):
        try:
            figures = _figures(strategy, data, setting)
        except Exception as raised:  # the user's code may raise anything
            error = told(raised)
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    return Trial(arguments, figures, error, round(time.monotonic() - began, 3), ended, seed)


def _figures(strategy: Strategy, data: Any, setting: Setting) -> dict[str, float]:
    result = backtester.backtest(
        strategy=strategy, data=data, start_date=setting.start, end_date=setting.end, build_plots=False, progress=False
    )
    assert result.stats is not None
    last = result.stats.isel(time=-1)
    figures = {str(name): float(last.sel(field=name)) for name in last["field"].values if name not in _ROWS_ONLY}
    figures["points_per_year"] = float(stats.calc_avg_points_per_year(result.weights, result.contest))
    returns = result.stats.sel(field="relative_return", time=slice(result.weights["time"].values[0], None))
    try:
        track = dataclasses.astuple(TrackRecord.of(returns.values))
    except DataError:  # too few days, or never a position
        track = (math.nan, len(returns), math.nan, math.nan)
    return figures | dict(zip(TRACK, map(float, track), strict=True))
