"""What is audited: a strategy, its data and days, and what several checks share so that it is done once."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from .. import dates, engine, generators, schedule
from ..cube import Cubes, Windows, as_cube
from ..errors import DataError, StrategyError
from ..multipass import Result, walk
from ..strategy import Strategy, as_strategy, load_strategy
from .replay import Course, forward
from .watching import watching

__all__ = ["Subject", "is_plain", "made", "modules_kept"]

_BOOKED = 120  # trading days that are booked unless a first day is given: half a year shows what a contest would see
_SAMPLED = 6  # of them are replayed
_CUTS = 2
_LEFT = 3  # rows that must follow the last sampled day, to be made others
_FUNCTIONS = ("predict", "train", "features", "dump", "load", "constants", "name")
_LOADED = "qlstm_strategy_"
_NETWORKS = "qlstm.nn.models"  # by name: torch takes seconds, and not every strategy needs it
_OURS = __name__.partition(".")[0]
_LIBRARIES = ("builtins", "numpy", "pandas", "xarray", "torch", _OURS)


class Subject:
    """A strategy under audit.

    Parameters
    ----------
    strategy : Strategy
        What to check. Where it was loaded from a file, the file is run anew for each check, so none sees the globals
        another one left.
    cube : xr.DataArray or mapping of str to xr.DataArray
        Dims ``(field, time, asset)``; or several by name, of which the first is traded, for a strategy that takes them.
    start, end : date-like, optional
        First and last day to look at; the last 120 trading days unless given.
    thorough : bool
        Look at every day instead of a few.
    earlier : xr.DataArray, optional
        The traded cube as it was downloaded earlier.
    backtest : Result, optional
        A backtest of the strategy with these data, looked at in place of a book of the audited days.

    Attributes
    ----------
    data : xr.DataArray or dict of str to xr.DataArray
        What the strategy is given.
    cube : xr.DataArray
        The traded cube.

    Raises
    ------
    DataError
        When the data are no cubes, or leave no day to look at.
    """

    def __init__(
        self,
        strategy: Strategy,
        cube: Cubes,
        start: Any = None,
        end: Any = None,
        thorough: bool = False,
        earlier: xr.DataArray | None = None,
        backtest: Result | None = None,
    ) -> None:
        strategy = as_strategy(strategy)
        self.thorough, self._backtest = thorough, backtest
        whole = Windows(cube)
        self.data: Cubes = whole.data
        self.cube = whole.traded
        self.earlier = None if earlier is None else as_cube(earlier, what="the earlier data")
        history = max(strategy.lookback_period, strategy.train_period if strategy.train else 0)
        times = self.cube["time"].values
        days = dates.period(times, start, end, 365 * 100, history)
        if start is None and len(days) < 2 * _LEFT:  # windows a little short show faults too
            days = dates.period(times, start, end, 365 * 100, 0)[-min(_BOOKED, len(times) // 2) :]
        self.days: np.ndarray = days if thorough or start is not None else days[-_BOOKED:]
        if len(self.days) < 2 * _LEFT:
            raise DataError(f"only {len(self.days)} days to audit; give at least {2 * _LEFT}")
        self._blob = None if _file(strategy) else _pickled(strategy)
        # Each audit sees a retraining, however seldom the strategy trains.
        span = int((self.sampled[-1] - self.sampled[0]) / np.timedelta64(1, "D"))
        most = max(1, span // 2)
        own = strategy.retrain_interval
        self.strategy = dataclasses.replace(strategy, retrain_interval=min(own, most) if isinstance(own, int) else most)
        self.booked_as = strategy

    @cached_property
    def sampled(self) -> np.ndarray:
        """The days that are replayed: a few spread over the period, or all; some rows follow the last one."""
        behind = self.cube["time"].values[-_LEFT - 1]
        usable = self.days[self.days <= behind]
        if self.thorough or len(usable) <= _SAMPLED:
            return usable
        return usable[_spread(usable)]

    @property
    def cuts(self) -> np.ndarray:
        """The sampled days after which the future is made another one."""
        count = len(self.sampled)
        return self.sampled if self.thorough else self.sampled[[i * count // (2 * _CUTS) for i in (1, 2 * _CUTS - 1)]]

    @cached_property
    def training_days(self) -> np.ndarray:
        """The sampled days on which the strategy trains; empty without `train`."""
        if self.strategy.train is None:
            return self.sampled[:0]
        return np.array([block[0] for block in schedule.blocks(self.sampled, self.strategy.retrain_interval)])

    def of(self, strategy: Strategy) -> Subject:
        """Return a subject of the same data and days with other settings of the strategy, kept as they are."""
        other = object.__new__(Subject)
        shared = ("thorough", "data", "cube", "earlier", "days", "_blob")
        other.__dict__ = {name: self.__dict__[name] for name in shared}
        other.strategy, other.booked_as, other._backtest = strategy, strategy, None
        return other

    @property
    def file(self) -> Path | None:
        """The file the strategy was loaded from, if it was."""
        return _file(self.strategy)

    @property
    def recipe(self) -> tuple[str, Any, dict[str, Any], dict[str, Any]]:
        """How another process makes the strategy: kind, file or pickle, constants, settings; see `made`."""
        kept = [one.name for one in dataclasses.fields(Strategy) if one.name not in _FUNCTIONS]
        settings = {name: getattr(self.strategy, name) for name in kept}
        if self._blob is not None:
            return "pickle", self._blob, {}, settings
        return "file", str(self.file), dict(self.strategy.constants), settings

    def fresh(self) -> Strategy:
        """Return the strategy as a new process would have it: its file run anew, globals and all."""
        with watching(lambda what: None):  # what the file imports by name is then what tells of files
            return made(self.recipe)

    def windows(self, strategy: Strategy, data: Cubes | None = None) -> Windows:
        """Return windows over data (the subject's own unless given) with the strategy's features."""
        return engine.extend(strategy, Windows(self.data if data is None else data))

    @cached_property
    def course(self) -> Course:
        """A forward run over the sampled days, which the checks of look-ahead compare with."""
        strategy = self.fresh()
        with generators.kept():
            return forward(strategy, self.windows(strategy), self.sampled)

    @property
    def models(self) -> dict[np.datetime64, Any]:
        """Training day -> models of that run."""
        return {m.trained_at: m.models for _, m in self.course.before if m.trained_at is not None}

    @property
    def are_plain(self) -> bool:
        """Whether models hold no class of the strategy's own, which is another one when its file is run anew."""
        return all(map(is_plain, self.models.values()))

    @property
    def are_networks(self) -> bool:
        """Whether models are networks of `nn.fit` and nothing else: those of equal fits are equal."""
        return all(type(models).__module__ == _NETWORKS for models in self.models.values())

    @cached_property
    def book(self) -> Result:
        """A backtest over all audited days, by the strategy's own intervals, states included."""
        strategy = dataclasses.replace(self.fresh(), retrain_interval=self.booked_as.retrain_interval)
        with generators.kept():
            windows = engine.extend(strategy, Windows(self.data).up_to(self.days[-1]))
            if not strategy.predict_each_day:  # what batch mode lets through is another check's business
                strategy = dataclasses.replace(strategy, predict_each_day=True)
            return walk(strategy, windows, self.days, collect_all_states=True, progress=False)

    @property
    def decided(self) -> Result:
        """What was decided over all days that are known: the backtest that was handed over, or else the book."""
        return self.book if self._backtest is None else self._backtest

    @cached_property
    def traded(self) -> xr.DataArray:
        """The data of the days decided and of the two months before, which cleaning and booking look at."""
        times, days = self.cube["time"].values, self.decided.weights["time"].values
        inside = (times >= days[0] - dates.WARM_UP) & (times <= days[-1])
        return self.cube.isel(time=inside).rename(self.strategy.rules.name)


def _spread(days: np.ndarray) -> np.ndarray:
    """Return places of a few days, about equally far apart, of all weekdays and of either end of a month.

    A rule may look ahead on some of these alone: on Mondays, or on the last day of a month.
    """
    places = np.linspace(0, len(days) - 1, _SAMPLED).astype(int)
    room = (len(days) - 1) // (2 * _SAMPLED)  # so that they stay in order
    kinds = _kinds(days)
    seen = kinds[0] | kinds[-1]
    for i in range(1, _SAMPLED - 1):
        near = sorted(range(places[i] - room, places[i] + room + 1), key=lambda row: abs(row - places[i]))
        places[i] = max(near, key=lambda row: len(kinds[row] - seen))  # the nearest of those that add most
        seen |= kinds[places[i]]
    return places


def _kinds(days: np.ndarray) -> list[set[str]]:
    """Return of each day its weekday, and whether it begins or ends a month."""
    weekdays = (days.astype("datetime64[D]").astype(int) % 7).astype(str)
    turn = np.diff(days.astype("datetime64[M]")) > np.timedelta64(0, "M")
    starts, ends = np.append(False, turn), np.append(turn, False)
    return [
        {str(weekday), "starts" if start else "", "ends" if end else ""}
        for weekday, start, end in zip(weekdays, starts, ends, strict=True)
    ]


def _file(strategy: Strategy) -> Path | None:
    name = str(strategy.namespace.get("__name__", ""))
    return Path(strategy.namespace["__file__"]) if name.startswith(_LOADED) else None


def _pickled(strategy: Strategy) -> bytes:
    import cloudpickle  # deferred: only strategies without a file travel this way

    try:
        return cloudpickle.dumps(strategy)
    except (TypeError, ValueError, AttributeError, pickle.PicklingError) as error:
        raise StrategyError(f"{strategy.where} cannot be copied ({error}); put it in a file of its own") from error


def is_plain(models: Any) -> bool:
    """Tell whether models are of classes of libraries only, or fitted by `nn.fit`."""
    if type(models).__module__ == _NETWORKS:
        return True
    if isinstance(models, Mapping):
        return all(map(is_plain, models.values()))
    if isinstance(models, (list, tuple)):
        return all(map(is_plain, models))
    return type(models).__module__.partition(".")[0] in _LIBRARIES


def made(recipe: tuple[str, Any, dict[str, Any], dict[str, Any]]) -> Strategy:
    """Return the strategy that a `Subject.recipe` describes."""
    kind, source, constants, settings = recipe
    if kind == "file":
        for name in _beside(Path(source).parent):
            del sys.modules[name]
    strategy = load_strategy(source, **constants) if kind == "file" else pickle.loads(source)
    return dataclasses.replace(strategy, **settings)


def _beside(folder: Path) -> list[str]:
    """Return the names of the modules that lie in a strategy's folder: they may have globals of their own."""
    modules = [(name, module) for name, module in sys.modules.items() if isinstance(module, ModuleType)]
    return [name for name, module in modules if _lies_in(module, folder)]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    top = module.__name__.partition(".")[0]
    if top in ("__main__", _OURS) or top.startswith(_LOADED):
        return False
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is not None and folder in (Path(file).parent, Path(file).parent.parent)


@contextmanager
def modules_kept() -> Iterator[None]:
    """Put the modules back that strategies made anew have replaced: others still hold their classes."""
    before = dict(sys.modules)
    try:
        yield
    finally:
        sys.modules.update(before)
