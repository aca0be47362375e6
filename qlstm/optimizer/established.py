"""The established toolbox's search: a function of data and arguments, every combination or random ones, scored."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from .. import parallel, stats, ta
from ..errors import QlstmError
from ..progress import Progress
from ..weights import of

__all__ = [
    "ArgumentSets",
    "fast_stats_function",
    "full_range_args_generator",
    "optimize_strategy",
    "random_range_args_generator",
    "standard_stats_function",
    "standard_stats_to_weight",
]

Arguments = dict[str, Any]
_WORST = float("-inf")


class ArgumentSets:
    """Sets of arguments to try, with a length, so that progress can be shown; can be gone through more than once."""

    def __init__(self, sets: Iterable[Arguments]) -> None:
        self._sets = list(sets)

    def __len__(self) -> int:
        return len(self._sets)

    def __iter__(self) -> Iterator[Arguments]:
        return iter(self._sets)


def full_range_args_generator(**ranges: Sequence[Any]) -> ArgumentSets:
    """Return every combination of the values given for each argument; the last argument varies fastest."""
    return ArgumentSets(dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values()))


def random_range_args_generator(iterations: int, seed: int = 42, **ranges: Sequence[Any]) -> ArgumentSets:
    """Return `iterations` random combinations, drawn with `seed` (the established toolbox's are not repeatable).

    Raises
    ------
    QlstmError
        When `seed` is no whole number but, say, the range of an argument of that name.
    """
    if not isinstance(seed, (int, np.integer)):
        raise QlstmError(f"seed must be a whole number, got {seed!r}; call the strategy's argument something else")
    random = np.random.default_rng(seed)
    draw = {name: random.integers(len(values), size=iterations) for name, values in ranges.items()}
    return ArgumentSets({name: ranges[name][int(draw[name][i])] for name in ranges} for i in range(iterations))


def standard_stats_function(data: xr.DataArray, output: xr.DataArray) -> dict[str, float]:
    """Return the last row of `qlstm.stats.calc_stat` over the contest's in-sample period, field -> value."""
    start = stats.get_default_is_start_date_for_type(str(data.name))
    table = stats.calc_stat(data, of(output).sel(time=slice(start, None)))
    return {str(field): float(value) for field, value in zip(table["field"].values, table.values[-1], strict=True)}


def fast_stats_function(data: xr.DataArray, output: xr.DataArray) -> dict[str, float]:
    """Return rough daily figures of weights, quickly; use `standard_stats_function` for figures to rely on.

    These are the established toolbox's: returns count from close to close, are weighted by the size of the position a
    second time, cost 5 % of the 14-day average true range per share traded, and are not annualised. Days on which a
    return is infinite (a price of 0) are left out.

    Parameters
    ----------
    data : xr.DataArray
        A cube, dims ``(field, time, asset)``.
    output : xr.DataArray
        Weights, dims ``(time, asset)``.

    Returns
    -------
    dict
        ``sharpe_ratio`` (NaN where the volatility is 0), ``mean_return`` (geometric, per row) and ``volatility``
        (population, per row).
    """
    high, low, close = (data.sel(field=name, drop=True) for name in ("high", "low", "close"))
    price = close.dropna("time", how="all").fillna(0.0)
    before, held = price.shift(time=1), of(output).shift(time=1)
    with np.errstate(all="ignore"):  # prices of 0 are meant to give infinities here
        earned = (price - before) * held / before
        traded = abs(output / price - held / before)
        book = ((earned - 0.05 * ta.atr(high, low, close, 14) * traded) * abs(output)).sum("asset").values
        book = book[np.isfinite(book)]
        mean = float(np.exp(np.log1p(book).mean()) - 1)
    volatility = float(book.std())
    sharpe = mean / volatility if volatility else math.nan
    return {"sharpe_ratio": sharpe, "mean_return": mean, "volatility": volatility}


def standard_stats_to_weight(stat: dict[str, float]) -> float:
    """Return what an optimisation makes large: the Sharpe ratio, minus infinity where there is none."""
    sharpe = stat.get("sharpe_ratio", _WORST)
    return sharpe if math.isfinite(sharpe) else _WORST


def optimize_strategy(
    data: xr.DataArray,
    output_function: Callable[..., xr.DataArray],
    argument_generator: Iterable[Arguments],
    stats_function: Callable[[xr.DataArray, xr.DataArray], dict[str, float]] | None = None,
    stats_to_weight: Callable[[dict[str, float]], float] | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Score every set of arguments and return all of them with the best.

    The best of many tries is best partly by luck; how many were tried is part of the result.

    Parameters
    ----------
    data : xr.DataArray
        A cube.
    output_function : callable
        ``output_function(data, **arguments) -> weights (time, asset)``.
    argument_generator : iterable of dict
        From `full_range_args_generator` or `random_range_args_generator`.
    stats_function, stats_to_weight : callable, optional
        `standard_stats_function` and `standard_stats_to_weight` unless given.
    workers : int
        Processes; -1 means one for each core.

    Returns
    -------
    dict
        ``iterations``: a list of ``{args, result, weight, exception}`` in the order of the generator, and
        ``best_iteration``, the first of those with the largest weight; NaN counts as minus infinity.

    Raises
    ------
    QlstmError
        When there is nothing to try, every try failed (the first failure is the cause), or a worker was killed.
    """
    sets = list(argument_generator)
    if not sets:
        raise QlstmError("nothing to optimise: the argument generator is empty")
    score = stats_function or standard_stats_function, stats_to_weight or standard_stats_to_weight
    work = partial(_try, data, output_function, *score)
    iterations = []
    with Progress("optimize", len(sets), unit="tries") as bar:
        for iteration in parallel.each(work, sets, jobs=workers):
            iterations.append(iteration)
            bar.advance()
    if all(iteration["exception"] for iteration in iterations):
        failed = iterations[0]
        raise QlstmError(f"every try failed, the first with {failed['args']}: {failed['exception']!r}") from failed[
            "exception"
        ]
    return {"iterations": iterations, "best_iteration": max(iterations, key=_rank)}


def _rank(iteration: dict[str, Any]) -> float:
    weight: float = iteration["weight"]
    return _WORST if math.isnan(weight) else weight  # nothing is larger than NaN, so the first one would stay the best


def _try(
    data: xr.DataArray,
    output_function: Callable[..., xr.DataArray],
    stats_function: Callable[[xr.DataArray, xr.DataArray], dict[str, float]],
    stats_to_weight: Callable[[dict[str, float]], float],
    arguments: Arguments,
) -> dict[str, Any]:
    """Score one set of arguments; a failure is part of the record, not the end of the search."""
    try:
        result = stats_function(data, output_function(data, **arguments))
        return {"args": arguments, "result": result, "weight": stats_to_weight(result), "exception": None}
    except Exception as error:  # the user's function may raise anything
        return {"args": arguments, "result": None, "weight": _WORST, "exception": error}
