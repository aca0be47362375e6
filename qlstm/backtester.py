"""Many steps: walk forward over the days of a backtest, with the state threaded through, and book the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from . import engine, graph, output, schedule, stats
from .cube import Cubes, Windows
from .errors import DataError, OutputError, StrategyError
from .progress import Progress
from .strategy import Memory, Strategy
from .weights import Rows

__all__ = ["Result", "backtest", "backtest_ml", "walk"]

_WARM_UP = np.timedelta64(60, "D")  # slippage needs 14 rows before the first trade; the contest loads 60 days
_TODAY_SLACK = 10  # days; a loader called for N days may count them from a holiday


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
    def contest(self) -> Any:
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
    with engine.generators_kept(), Progress(f"backtest {strategy.name}", len(days), show=progress) as bar:
        for done, weights, memory in passes(strategy, windows, days):
            for t, row in weights.items():
                rows.add(t, row)
            if collect_all_states:
                states.append(memory.state)
            bar.advance(done)
    if not rows.times:
        raise StrategyError(f"{strategy.where}: predict returned no weights from {days[0]} to {days[-1]}")
    return _book(strategy, windows, rows, memory, states, analyze)


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


def _book(strategy: Strategy, windows: Windows, rows: Rows, memory: Memory, states: list[Any], analyze: bool) -> Result:
    raw = rows.weights()
    notes = rows.notes()
    since = windows.traded["time"].values >= raw["time"].values[0] - _WARM_UP
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


def _load(
    load_data: Callable[[int], Any] | None, data: Cubes | None, start: Any, history: int, test_period: int
) -> Cubes:
    """Return the data, from `data` or by asking `load_data` for enough calendar days."""
    if (data is None) == (load_data is None):
        raise DataError("give either data= (a cube) or load_data= (a function of a number of days)")
    if load_data is None:
        assert data is not None
        return data
    tested = test_period
    if start is not None:
        tested = int((np.datetime64("now") - schedule.as_time(start, "start date")) / np.timedelta64(1, "D"))
    loaded = load_data(tested + history + int(_WARM_UP / np.timedelta64(1, "D")) + _TODAY_SLACK)
    return loaded[0] if isinstance(loaded, tuple) else loaded


def backtest_ml(
    *,
    train: Callable[[Any], Any],
    predict: Callable[..., Any],
    data: Cubes | None = None,
    load_data: Callable[[int], Any] | None = None,
    train_period: int = 4 * 365,
    retrain_interval: int = 365,
    retrain_interval_after_submit: int | None = None,
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
    retrain_interval : int
        Days from one training to the next.
    retrain_interval_after_submit : int, optional
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
    progress: bool = True,
) -> Result:
    """Backtest a function of the data, or a `Strategy` with its own periods and contest.

    Parameters
    ----------
    strategy : callable or Strategy
        ``strategy(data) -> weights`` or ``strategy(data, state) -> (weights, state)``, or a `Strategy`, whose own
        contest and periods then count instead of `competition_type` and `lookback_period`.
    step : int
        Predict every `step`-th day only.

    The other parameters, the return value and the errors are those of `backtest_ml`.
    """
    if not isinstance(strategy, Strategy):
        strategy = Strategy(predict=strategy, contest=competition_type, lookback_period=lookback_period)
    if step < 1:
        raise DataError(f"step must be at least 1 day, got {step}")
    history = max(strategy.lookback_period, strategy.train_period if strategy.train is not None else 0)
    windows = engine.prepare(strategy, _load(load_data, data, start_date, history, test_period), window, copy_windows)
    days = schedule.period(windows.times, start_date, end_date, test_period, history)
    windows = windows.up_to(days[-1])
    result = walk(
        strategy, windows, days[::step], collect_all_states=collect_all_states, analyze=analyze, progress=progress
    )
    if check_correlation:
        result.notes.append("correlation with other submissions was not checked: only the contest's server can")
    if build_plots and graph.in_notebook() and result.stats is not None:
        try:
            graph.make_major_plots(result.stats, result.weights).show()
        except OutputError as error:
            result.notes.append(str(error))
    return result
