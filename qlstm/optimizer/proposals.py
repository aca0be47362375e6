"""Which arguments a search tries next: all combinations, random ones, or those that optuna's sampler makes of the past.

They come in rounds: the sets of one are all tried before the next is asked for. How many a round has never depends on
how many workers there are, so neither does the search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import QlstmError, near
from ..extras import library
from .established import full_range_args_generator
from .trials import key

__all__ = ["Arguments", "Method", "Range", "Rounds", "Space", "count", "rounds"]

Method = Literal["grid", "optuna", "random"]
_METHODS = ["grid", "optuna", "random"]
Arguments = dict[str, Any]
Rounds = Iterator[list[Arguments]]
_ROUND = 8  # sets that optuna is asked for at once; more would learn less, fewer would leave workers idle
_PATIENCE = 100  # draws in a row that may bring nothing new before a space counts as tried out


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, ends included: whole ones where both are whole.

    Parameters
    ----------
    low, high : int or float
        Finite, `low` below `high`.
    log : bool
        As many from 1 to 10 as from 10 to 100; `low` is above 0 then.

    Raises
    ------
    QlstmError
        When the bounds are none.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (_is_number(self.low) and _is_number(self.high) and self.low < self.high):
            raise QlstmError(f"a range needs two finite numbers, the lower first, got {self.low!r} and {self.high!r}")
        if self.log and self.low <= 0:
            raise QlstmError(f"a logarithmic range must begin above 0, got {self.low!r}")

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, share: float) -> float:
        """Return the number below which `share` (0 to 1) of the range lies."""
        low, high = (self.low, self.high + 1) if self.is_whole else (self.low, self.high)
        value = math.exp(math.log(low) + share * math.log(high / low)) if self.log else low + share * (high - low)
        return min(self.high, int(value) if self.is_whole else max(self.low, value))


Space = Mapping[str, Range | Sequence[Any]]
"""What each argument may be."""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_argument(value: Any) -> bool:
    return value is None or isinstance(value, (str, bool)) or _is_number(value)


def _checked(space: Space) -> dict[str, Range | list[Any]]:
    """Return a space of ranges and lists of plain values."""
    if not space:
        raise QlstmError("nothing to search: the space is empty; give it names and values")
    found: dict[str, Range | list[Any]] = {}
    for name, values in space.items():
        if isinstance(values, Range):
            found[name] = values
            continue
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise QlstmError(f"{name} must be a list of values or a Range, got {values!r}")
        listed = [value.item() if isinstance(value, np.generic) else value for value in values]
        if not listed:
            raise QlstmError(f"{name} has no value to try")
        for value in listed:
            if not _is_argument(value):
                raise QlstmError(f"{name} can be a finite number, text, True, False or None, not {value!r}")
        found[name] = listed
    return found


def rounds(
    space: Space,
    method: Method,
    trials: int | None,
    seed: int,
    score: Callable[[Arguments], float],
    study: tuple[Any, str] = (None, ""),
) -> Rounds:
    """Return the rounds of a method.

    Parameters
    ----------
    space : mapping of str to Range or sequence
        What each argument may be.
    method : {"grid", "random", "optuna"}
        Every combination, the last argument varying fastest; random ones, each once; or optuna's default sampler,
        which after ten random ones tries what resembles the best so far.
    trials : int, optional
        How many sets a method that draws them draws.
    seed : int
        Of the draws. The same seed draws the same sets; random ones of more trials begin with those of fewer.
    score : callable
        What came of a set of an earlier round: the higher the better, minus infinity for a failure.
    study : (storage, name)
        A storage of optuna, or its URL, and the name under which it gets a copy, in place of one of that name.

    Raises
    ------
    QlstmError
        When the method is unknown, or the space or the number of trials is not for it.
    """
    known = _checked(space)
    if method not in _METHODS:
        raise QlstmError(f"no method {method!r}{near(str(method), _METHODS)}")
    if study[0] is not None and method != "optuna":
        raise QlstmError(f"only the method 'optuna' has a storage, not {method!r}")
    if method == "grid":
        return _grid(_listed(known, trials))
    if trials is None or trials < 1:
        raise QlstmError(f"method {method!r} draws sets without end; say how many with trials=, got {trials!r}")
    return _random(known, trials, seed) if method == "random" else _optuna(known, trials, seed, score, study)


def count(space: Space, method: Method, trials: int | None) -> int:
    """Return how many sets will be proposed at most."""
    if method == "grid":
        return math.prod(1 if isinstance(values, Range) else len(values) for values in space.values())
    return trials or 0


def _listed(space: dict[str, Range | list[Any]], trials: int | None) -> dict[str, list[Any]]:
    if trials is not None:
        raise QlstmError("a grid tries every combination; leave trials out, or draw some with method='random'")
    found: dict[str, list[Any]] = {}
    for name, values in space.items():
        if isinstance(values, Range):
            raise QlstmError(f"a grid needs the values of {name} one by one, not a range, which is for random")
        found[name] = values
    return found


def _grid(space: dict[str, list[Any]]) -> Rounds:
    yield list(full_range_args_generator(**space))


def _random(space: dict[str, Range | list[Any]], trials: int, seed: int) -> Rounds:
    """Draw sets, each once; fewer where the space has no more."""
    random = np.random.default_rng(seed)
    found: dict[str, Arguments] = {}
    misses = 0
    while len(found) < trials and misses < _PATIENCE:
        shares = random.random(len(space))
        drawn = {name: _at(values, share) for (name, values), share in zip(space.items(), shares, strict=True)}
        misses = misses + 1 if key(drawn) in found else 0
        found.setdefault(key(drawn), drawn)
    yield list(found.values())


def _at(values: Range | list[Any], share: float) -> Any:
    return values.draw(share) if isinstance(values, Range) else values[int(share * len(values))]


def _optuna(
    space: dict[str, Range | list[Any]],
    trials: int,
    seed: int,
    score: Callable[[Arguments], float],
    study: tuple[Any, str],
) -> Rounds:
    """Ask optuna round by round. The same seed and scores give the same sets, so a search resumed goes the same way."""
    optuna = library("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, name = study
    if storage is not None and name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    sampler = optuna.samplers.TPESampler(seed=seed)
    past = optuna.create_study(direction="maximize", sampler=sampler, storage=storage, study_name=name or None)
    distributions = {name: _distribution(optuna, values) for name, values in space.items()}
    for first in range(0, trials, _ROUND):
        asked = [past.ask(distributions) for _ in range(min(_ROUND, trials - first))]
        yield [trial.params for trial in asked]
        for trial in asked:
            past.tell(trial, score(trial.params))


def _distribution(optuna: Any, values: Range | list[Any]) -> Any:
    if not isinstance(values, Range):
        return optuna.distributions.CategoricalDistribution(values)
    kind = optuna.distributions.IntDistribution if values.is_whole else optuna.distributions.FloatDistribution
    return kind(values.low, values.high, log=values.log)
