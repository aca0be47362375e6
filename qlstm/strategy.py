"""A strategy: two pure functions and a few periods; what crosses from day to day; loading one from its file."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from . import constants as file_constants
from . import contests, schedule
from .errors import StrategyError, near

__all__ = ["Memory", "Strategy", "as_strategy", "load_strategy"]

_NAME = re.compile(r"[\w&+=-][\w .&+=-]*")  # what every file system takes as one folder's name
_MEANINGS = {"models", "data", "state"}  # an argument of this name means this, whatever its place


@dataclass(frozen=True)
class Memory:
    """Everything that crosses from one day to the next.

    Parameters
    ----------
    trained_at : np.datetime64 or None
        The day the models were trained, ``datetime64[ns]``; None when there are none yet.
    models : object
        What train returned.
    state : object
        What the last predict returned beside its weights.
    """

    trained_at: np.datetime64 | None = None
    models: Any = None
    state: Any = None


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """Two pure functions over a cube and the rules they run by. Periods are calendar days.

    Parameters
    ----------
    predict : callable
        With `train`: ``predict(models, data)`` or ``predict(models, data, state)``; without: ``predict(data)`` or
        ``predict(data, state)``. The data end today. A stateless function returns weights, a stateful one
        ``(weights, state)``; state is None on the first day.
    train : callable, optional
        ``train(data) -> models``; the data end at the training day.
    contest : str or Contest
        The competition whose rules apply.
    name : str, optional
        Defaults to the stem of the file the strategy is loaded from, else to the name of `predict`.
    train_period, lookback_period : int
        Calendar days of data that train and predict see.
    retrain_interval : int or Schedule
        Calendar days from one training to the next, or a schedule such as `schedule.month_end()`.
    retrain_interval_after_submit : int or Schedule, optional
        The same for the daily single pass, where it differs.
    predict_each_day : bool
        False hands predict all days of a retrain interval at once, as in the established toolbox's batch mode.
    seed : int
        Seeds the generators of random, numpy and torch before every call, together with the day.
    features : callable, optional
        ``features(cube) -> extra fields``, pure and causal: computed once over the whole history instead of per window.
    dump, load : callable, optional
        Models of other libraries to plain values and arrays, and back; needed to keep them in a state file.
    constants : mapping of str to object
        What stands in for constants of the strategy's file, or was given to the function that made it. Part of
        `code_hash`; `load_strategy` fills it in.

    Raises
    ------
    StrategyError
        When a function takes the wrong arguments or a period is not a positive whole number.
    ContestError
        When the contest is unknown.
    """

    predict: Callable[..., Any]
    train: Callable[[Any], Any] | None = None
    contest: str | contests.Contest = "stocks_nasdaq100"
    name: str | None = None
    train_period: int = 4 * 365
    lookback_period: int = 365
    retrain_interval: schedule.Interval = 365
    retrain_interval_after_submit: schedule.Interval | None = None
    predict_each_day: bool = True
    seed: int = 42
    features: Callable[[Any], Any] | None = None
    dump: Callable[[Any], Any] | None = None
    load: Callable[[Any], Any] | None = None
    constants: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "contest", contests.get(self.contest))
        if self.name is None:
            object.__setattr__(self, "name", _default_name(self.predict))
        for period in ("train_period", "lookback_period", "retrain_interval", "retrain_interval_after_submit"):
            days = getattr(self, period)
            scheduled = period.startswith("retrain") and isinstance(days, schedule.Schedule)
            if not (scheduled or (days is None and period.endswith("submit")) or _is_positive(days)):
                other = " or a schedule such as qlstm.schedule.month_end()" if period.startswith("retrain") else ""
                got = f"the function {days.__name__}: call it" if inspect.isfunction(days) else repr(days)
                raise StrategyError(f"{self.where}: {period} must be a positive whole number of days{other}, got {got}")
        if not _NAME.fullmatch(str(self.name)):
            raise StrategyError(f"a strategy's name is the name of its folder too, so it cannot be {self.name!r}")
        if not isinstance(self.seed, (int, np.integer)):
            raise StrategyError(f"{self.where}: seed must be a whole number, got {self.seed!r}")
        if self.train is not None:
            _check_arguments(self, "train", self.train, ("data",))
        _check_arguments(self, "predict", self.predict, self.predict_arguments[:-1])
        for role, argument in (("features", "cube"), ("dump", "models"), ("load", "plain")):
            if getattr(self, role) is not None:
                _check_arguments(self, role, getattr(self, role), (argument,))

    @property
    def rules(self) -> contests.Contest:
        """The contest's record."""
        return contests.get(self.contest)

    @property
    def namespace(self) -> Mapping[str, Any]:
        """The globals of the file that `predict` was written in."""
        return getattr(inspect.unwrap(self.predict), "__globals__", {})

    @cached_property
    def where(self) -> str:
        """How messages call it: name and file."""
        return self._called("")

    def where_in(self, error: BaseException) -> str:
        """Return `where` with the last line of the file, or of a notebook's cells, that led to an error."""
        return self._called(_line_in(error, self.namespace))

    def _called(self, line: str) -> str:
        file = self.namespace.get("__file__")
        name = f"strategy {self.name} ({_shorten(file)}{line})" if file else f"strategy {self.name}{line}"
        return name + "".join(f", {constant}={value!r}" for constant, value in self.constants.items())

    @property
    def code_hash(self) -> str:
        """SHA-256 of the file the strategy was written in, or of its functions' byte code where there is none."""
        digest = hashlib.sha256()
        file = self.namespace.get("__file__")
        if file and Path(file).is_file():
            digest.update(Path(file).read_bytes())
        else:
            for function in (self.train, self.predict, self.features):
                code = getattr(function, "__code__", None)
                digest.update(_code_bytes(code) if code else b"-")
        if self.constants:
            digest.update(repr(sorted(self.constants.items())).encode())
        return digest.hexdigest()

    @cached_property
    def predict_arguments(self) -> tuple[str, ...]:
        """The arguments `predict` may take; the last one, state, is optional."""
        return ("data", "state") if self.train is None else ("models", "data", "state")

    @cached_property
    def is_stateful(self) -> bool:
        """Whether `predict` takes the state, and so returns ``(weights, state)``."""
        place = len(self.predict_arguments) - 1
        arguments = _positional(self.predict)
        if len(arguments) <= place:
            return False
        # An optional extra argument that is not called state is the user's own setting.
        return bool(arguments[place].default is inspect.Parameter.empty or arguments[place].name == "state")


def _code_bytes(code: types.CodeType) -> bytes:
    """Return what a function does, as bytes: its instructions, names and constants, nested functions included."""
    constants = (_code_bytes(c) if isinstance(c, types.CodeType) else repr(c).encode() for c in code.co_consts)
    return b"".join([code.co_code, repr(code.co_names).encode(), *constants])


def _default_name(predict: object) -> str:
    return str(getattr(predict, "__name__", "strategy")).strip("<>")  # a lambda calls itself <lambda>


def _is_positive(days: object) -> bool:
    return isinstance(days, (int, np.integer)) and not isinstance(days, bool) and bool(days > 0)


def _shorten(file: str) -> str:
    """Return a path relative to the working directory when it lies below it."""
    try:
        return str(Path(file).resolve().relative_to(Path.cwd()))
    except ValueError:
        return file


def _positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]


def _check_arguments(strategy: Strategy, role: str, function: object, wanted: tuple[str, ...]) -> None:
    """Check a user's function when it is registered, not in the middle of a long run."""
    if not callable(function):
        raise StrategyError(f"{strategy.where}: {role} must be a function, got {type(function).__name__}")
    try:
        arguments = _positional(function)
        variadic = any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # a builtin without a signature: the first call will tell
        return
    required = [p.name for p in arguments if p.default is inspect.Parameter.empty]
    full = (*wanted, "state") if role == "predict" else wanted
    named = zip(arguments, full, strict=False) if role in ("train", "predict") else ()  # one argument has one place
    misplaced = any(p.name in _MEANINGS and p.name != name for p, name in named)
    if not misplaced and len(required) <= len(full) and (variadic or len(arguments) >= len(wanted)):
        return
    form = f"{role}({', '.join(wanted)})"
    if role == "predict":
        form += f" or {role}({', '.join(full)})"
    raise StrategyError(
        f"{strategy.where}: {role}({', '.join(p.name for p in arguments)}) takes the wrong arguments; write {form}"
    )


def as_strategy(value: object) -> Strategy:
    """Return `value`, which must be a strategy.

    Raises
    ------
    StrategyError
        When it is something else; for a file's name it says how to load it.
    """
    if isinstance(value, Strategy):
        return value
    hint = f'; load it first: qlstm.load_strategy("{value}")' if isinstance(value, (str, Path)) else ""
    raise StrategyError(f"strategy must be a qlstm.Strategy, got {type(value).__name__}{hint}")


def load_strategy(path: str | Path, /, **constants: Any) -> Strategy:
    """Load the one strategy that a file defines at module level, if need be with other values of its constants.

    Parameters
    ----------
    path : str or Path
        A Python file. Its folder is appended to the import path, so that it can import modules beside it.
    **constants
        Values in place of those that the file assigns to these names at module level.

    Returns
    -------
    Strategy
        Named after the file unless it names itself.

    Raises
    ------
    StrategyError
        When the file does not exist, does not compile, fails while it runs, lacks one of the constants, or defines no
        strategy or more than one.
    """
    file = Path(path)
    module = _run(file, constants)
    found = {id(value): (name, value) for name, value in vars(module).items() if isinstance(value, Strategy)}
    if not found:
        raise StrategyError(
            f"{file} defines no strategy; add a line: strategy = qlstm.Strategy(train=..., predict=...)"
        )
    if len(found) > 1:
        raise StrategyError(
            f"{file} defines {len(found)} strategies ({', '.join(n for n, _ in found.values())}); keep one"
        )
    ((_, strategy),) = found.values()
    named = strategy.name != _default_name(strategy.predict)
    return dataclasses.replace(strategy, name=strategy.name if named else file.stem, constants=constants)


def _run(file: Path, constants: Mapping[str, Any]) -> types.ModuleType:
    """Execute a strategy file as a module of its own."""
    import cloudpickle  # deferred: contests' servers, where exported strategies run, lack it

    try:
        tree = ast.parse(file.read_bytes(), str(file))
        file_constants.replace(tree, constants, str(file))
        code = compile(tree, str(file), "exec")
    except OSError as error:
        raise StrategyError(f"cannot read strategy file {file}: {error.strerror or error}") from error
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise StrategyError(f"{file}{f', line {line}' if line else ''}: {getattr(error, 'msg', error)}") from error
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that a strategy file never shadows an installed package
    module = types.ModuleType(f"qlstm_strategy_{file.stem}")
    module.__file__ = str(file.resolve())
    setattr(module, file_constants.REPLACED, constants)
    sys.modules[module.__name__] = module  # classes of the file can then be found by name
    cloudpickle.register_pickle_by_value(module)  # other processes cannot import it, so its code travels
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        text = f"{type(error).__name__}: {error}{_option(error)}"
        raise StrategyError(f"{file}{_line_in(error, vars(module))}: {text}") from error
    return module


def _option(error: BaseException) -> str:
    """Return the nearest setting where `Strategy` was given one that it lacks."""
    said = re.match(r"Strategy.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    return near(said[1], [one.name for one in dataclasses.fields(Strategy)]) if said else ""


def _line_in(error: BaseException, namespace: Mapping[str, Any]) -> str:
    """Return the last line on the error's traceback of code with these globals, as text."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is namespace:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""
