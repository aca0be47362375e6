"""A call of one of the user's functions: seeded, and what it raises told with function, day, line and likely cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from . import generators
from .dates import day
from .errors import QlstmError, StrategyError, listed, near
from .strategy import Strategy

__all__ = ["call"]


def call(strategy: Strategy, role: str, t: np.datetime64, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what one of a strategy's functions returns, called with the generators seeded for the day.

    Parameters
    ----------
    strategy : Strategy
        Whose function it is.
    role : str
        What errors call it: train, predict or features.
    t : np.datetime64
        The day it is called for.
    function : callable
        Called with `arguments`.

    Raises
    ------
    QlstmError
        Of the type raised, or StrategyError for all others, with the function's name, line and day.
    """
    generators.seed(strategy.seed, t)
    try:
        return function(*arguments)
    except QlstmError as error:
        raise type(error)(f"{strategy.where_in(error)}: {role} failed on {day(t)}: {error}") from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        explained = f"{type(error).__name__}: {_explained(error, arguments)}"
        if role == "predict" and "NoneType" in explained:
            explained += _of_none(strategy, arguments)
        raise StrategyError(f"{strategy.where_in(error)}: {role} failed on {day(t)}: {explained}") from error


def _explained(error: BaseException, arguments: tuple[Any, ...]) -> str:
    """Return an error's first line, with what to do about the mistakes that are made most."""
    text = (str(error).splitlines() or [""])[0]
    if "read-only" in text or "destination is a view" in text:
        return f"{text}; windows are read-only: data = data.copy(deep=True) first, or copy_windows=True from Python"
    missing = re.match(r"\W*(not all values found in index '(field|asset)')", text)
    cube = next((one for one in arguments if isinstance(one, xr.DataArray) and {"field", "time"} <= {*one.dims}), None)
    if missing is None or cube is None:
        return text
    labels = [str(label) for label in cube[missing[2]].values]
    if not isinstance(error.__cause__, KeyError):  # several were asked for, and xarray does not say which is wrong
        return f"{missing[1]}: the data have {listed(labels)}"
    wrong = error.__cause__.args[0]
    if str(wrong) in labels:
        return f"no {missing[2]} {wrong!r} in that selection, though the data have it"
    hint = near(str(wrong), labels)
    hint = hint if hint.endswith("?") else ";"  # it may be an array of the strategy's own that lacks it
    return f"no {missing[2]} {wrong!r}{hint} the data have {listed(labels)}"


def _of_none(strategy: Strategy, arguments: tuple[Any, ...]) -> str:
    """Return which argument of predict is None, and why."""
    if strategy.train is not None and arguments[0] is None:
        return "; train returned None, has it a return?"
    return "; the state is None on the first day" if strategy.is_stateful and arguments[-1] is None else ""
