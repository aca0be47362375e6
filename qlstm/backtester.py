"""Backtests: load the data, choose the days, walk forward over them. The arguments are the established toolbox's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import dates, engine, generators, graph, schedule
from .checkpoint import Checkpoint
from .cube import Cubes, Windows
from .dates import calendar_days, day
from .errors import DataError, OutputError
from .modelstore import ModelStore
from .multipass import Result, walk
from .strategy import Strategy, as_strategy
from .training import Trainer

__all__ = ["Result", "backtest", "backtest_ml"]

_SCANT = 10  # a note says so when windows leave less than one in so many days
_GAP = np.timedelta64(7, "D")  # without trading, at most: what data may begin later and end earlier unnoticed
_SLACK = 10  # days; a loader called for N days may count them from a holiday


def _days_to_load(start: Any, end: Any, test_period: int) -> int:
    """Return how many days before today a test begins; a loader counts them from its newest day."""
    now = np.datetime64("now", "ns")
    last = now if end is None else min(dates.as_time(end, "end date"), now)
    first = last - calendar_days(test_period) if start is None else dates.as_time(start, "start date")
    return int((now - first) / np.timedelta64(1, "D")) + _SLACK


def _load(load_data: Callable[[int], Any] | None, data: Cubes | None, days: int) -> Cubes:
    """Return the data, from `data` or by asking `load_data` for enough calendar days."""
    if (data is None) == (load_data is None):
        raise DataError("give either data= (a cube) or load_data= (a function of a number of days)")
    if isinstance(data, (str, Path)):
        raise DataError(f'data must be a cube; qlstm.data.load("{data}") reads one')
    if load_data is None:
        assert data is not None
        return data
    loaded = load_data(days + int(dates.WARM_UP / np.timedelta64(1, "D")))
    return loaded[0] if isinstance(loaded, tuple) else loaded


def _remarks(times: np.ndarray, days: np.ndarray, wanted: np.ndarray, history: int, end: Any) -> list[str]:
    """Return in words where the data are too short for what was asked."""
    said = []
    if len(days) < len(wanted) / _SCANT:
        said.append(
            f"windows of {history} calendar days leave {len(days)} of {len(wanted)} days to predict; "
            "an earlier start (start_date, --start) begins with shorter windows"
        )
    full = times[0] + calendar_days(history)
    if days[0] + _GAP < full:
        said.append(f"data begin {day(times[0])}: windows before {day(full)} hold less than {history} calendar days")
    if end is not None and dates.as_time(end) > times[-1] + _GAP:
        said.append(f"data end {day(times[-1])}, before the end date {day(dates.as_time(end))}")
    return said


def backtest_ml(
    *,
    train: Callable[[Any], Any],
    predict: Callable[..., Any],
    data: Cubes | None = None,
    load_data: Callable[[int], Any] | None = None,
    train_period: int = 4 * 365,
    retrain_interval: schedule.Interval = 365,
    retrain_interval_after_submit: schedule.Interval | None = None,
    predict_each_day: bool = False,
    competition_type: str = "stocks_nasdaq100",
    lookback_period: int = 365,
    test_period: int = 365 * 15,
    start_date: Any = None,
    end_date: Any = None,
    window: Callable[[Any, np.datetime64, int], Any] | None = None,
    analyze: bool = True,
    build_plots: bool = True,
    collect_all_states: bool = False,
    check_correlation: bool = False,
    copy_windows: bool = False,
    seed: int = 42,
    models_dir: str | Path | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    jobs: int = 1,
    dask: str | None = None,
    progress: bool = True,
) -> Result:
    """Backtest a strategy that trains: walk forward, retrain on an interval, predict each day. Periods: calendar days.

    Parameters
    ----------
    train : callable
        ``train(data) -> models``, called once per retrain date with data that end that day.
    predict : callable
        ``predict(models, data) -> weights`` or ``predict(models, data, state) -> (weights, state)``.
    data : xr.DataArray or mapping
        The cube, dims ``(field, time, asset)``; or several by name, of which the first is traded.
    load_data : callable
        ``load_data(days)`` returning such data (or data and a time axis), instead of `data`.
    train_period, lookback_period : int
        Days of data that train and predict see, up to and including the day itself.
    retrain_interval : int or Schedule
        Days from one training to the next, or a `qlstm.schedule`.
    retrain_interval_after_submit : int or Schedule, optional
        Kept for the daily single pass (`qlstm.run`); a backtest does not use it.
    predict_each_day : bool
        False predicts a whole retrain interval at once, from rows up to its end, and compares some days with the same
        window cut at that day.
    competition_type : str
        The contest whose rules apply.
    test_period : int
        Days to test when there is no `start_date`.
    start_date, end_date : date-like
        First and last day. Data after `end_date` are never touched.
    window : callable, optional
        ``window(data, t, days)`` cuts the data instead of the standard window.
    analyze : bool
        Calculate statistics.
    build_plots : bool
        In a notebook, show the equity and its drawdown.
    collect_all_states : bool
        Keep the state after each predict in ``Result.states``.
    check_correlation : bool
        Needs the contest's own server: True adds a note that it was not done.
    copy_windows : bool
        Hand out copies instead of read-only views, for functions that write into their data.
    seed : int
        Seeds the random generators, with the day, before every call.
    models_dir : str or Path, optional
        Folder that keeps trained models: what was trained there on the same code, data and settings is not trained
        again. Processes may share it.
    checkpoint : str or Path, optional
        File that holds, every few seconds, what has been done. It stays when the run is over; remove it then.
    resume : bool
        Go on from `checkpoint` where it is of the same code, data and settings; the result is that of a run that was
        never interrupted.
    jobs : int
        Processes on this machine for trainings of libraries other than `qlstm.nn`, which uses all cores by itself.
    dask : str, optional
        Address of a Dask scheduler (``"tcp://host:8786"``), which then does every training.
    progress : bool
        Show progress when it takes over two seconds.

    Returns
    -------
    Result
        Unpacks as ``(weights, state)``.

    Raises
    ------
    DataError
        The data are not cubes, or no day is left to predict.
    StrategyError
        A function fails, returns something unusable, or looks ahead in batch mode.
    QlstmError
        A worker or the cluster is lost; names the training day.
    """
    strategy = Strategy(
        train=train,
        predict=predict,
        contest=competition_type,
        train_period=train_period,
        lookback_period=lookback_period,
        retrain_interval=retrain_interval,
        retrain_interval_after_submit=retrain_interval_after_submit,
        predict_each_day=predict_each_day,
        seed=seed,
    )
    return backtest(
        strategy=strategy,
        data=data,
        load_data=load_data,
        test_period=test_period,
        start_date=start_date,
        end_date=end_date,
        window=window,
        analyze=analyze,
        build_plots=build_plots,
        collect_all_states=collect_all_states,
        check_correlation=check_correlation,
        copy_windows=copy_windows,
        models_dir=models_dir,
        checkpoint=checkpoint,
        resume=resume,
        jobs=jobs,
        dask=dask,
        progress=progress,
    )


def backtest(
    *,
    strategy: Strategy | Callable[..., Any],
    data: Cubes | None = None,
    load_data: Callable[[int], Any] | None = None,
    competition_type: str = "stocks_nasdaq100",
    lookback_period: int = 365,
    test_period: int = 365 * 15,
    start_date: Any = None,
    end_date: Any = None,
    window: Callable[[Any, np.datetime64, int], Any] | None = None,
    step: int = 1,
    analyze: bool = True,
    build_plots: bool = True,
    collect_all_states: bool = False,
    check_correlation: bool = False,
    copy_windows: bool = False,
    models_dir: str | Path | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    jobs: int = 1,
    dask: str | None = None,
    progress: bool = True,
) -> Result:
    """Backtest a function of the data, or a `Strategy` with its own periods and contest.

    Parameters
    ----------
    strategy : callable or Strategy
        ``strategy(data) -> weights`` or ``strategy(data, state) -> (weights, state)``, or a `Strategy`, whose own
        contest and periods then count instead of `competition_type` and `lookback_period`.
    step : int
        Predict every `step`-th day only. The contest's rules give the days between no positions, so ``Result.weights``
        is flat there; ``Result.raw`` has the predicted days alone.

    The other parameters, the return value and the errors are those of `backtest_ml`.
    """
    if callable(strategy):
        strategy = Strategy(predict=strategy, contest=competition_type, lookback_period=lookback_period)
    strategy = as_strategy(strategy)
    if step < 1:
        raise DataError(f"step must be at least 1 day, got {step}")
    history = max(strategy.lookback_period, strategy.train_period if strategy.train is not None else 0)
    tested = _days_to_load(start_date, end_date, test_period)
    windows = Windows(_load(load_data, data, tested + history), window, copy_windows)
    days = dates.period(windows.times, start_date, end_date, test_period, history)
    wanted = dates.period(windows.times, start_date, end_date, test_period, 0)
    remarks = _remarks(windows.times, days, wanted, history, end_date)
    if resume and checkpoint is None:
        raise DataError("resume needs checkpoint=, the file that the interrupted run wrote")
    with generators.kept():
        windows = engine.prepare(strategy, windows.up_to(days[-1]))
        days, how = days[::step], (window, collect_all_states)
        store = ModelStore(models_dir, strategy) if models_dir and strategy.train is not None else None
        result = walk(
            strategy,
            windows,
            days,
            trainer=Trainer(strategy, windows, days, store, jobs, dask),
            checkpoint=None if checkpoint is None else Checkpoint(checkpoint, strategy, windows, days, how),
            resume=resume,
            collect_all_states=collect_all_states,
            analyze=analyze,
            progress=progress,
        )
    result.notes.extend(remarks)
    if check_correlation:
        result.notes.append("correlation with other submissions was not checked: only the contest's server can")
    if build_plots and graph.in_notebook() and result.stats is not None:
        try:
            graph.make_major_plots(result.stats, result.weights).show()
        except OutputError as error:
            result.notes.append(str(error))
    return result
