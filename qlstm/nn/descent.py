"""How one model's parameters move: epochs, the best so far, when to stop; the same for every way of fitting."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StrategyError
from .optimizers import LBFGS, Optimizer

if TYPE_CHECKING:
    from torch import nn

    from .slopes import Loss

__all__ = ["DIVERGED", "Course", "Deadline", "Outcome", "Plan", "Validation", "Watch"]

DIVERGED = "the loss became NaN or infinite: no network fitted"


@dataclass(frozen=True)
class Validation:
    """Early stopping on the latest rows of each sequence, which the model then does not learn from.

    Parameters
    ----------
    fraction : float
        Share of the rows held out, between 0 and 1; at least one row of every sequence of two.
    patience : int
        Epochs without a lower loss there after which the fit stops; the network returned is the best one there.
    """

    fraction: float = 0.2
    patience: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1 or self.patience < 1:
            raise StrategyError(
                f"validation wants a fraction between 0 and 1 and a patience of at least 1, got {self.fraction} and "
                f"{self.patience}"
            )


class Deadline:
    """A wall-clock budget in seconds, None for no end."""

    def __init__(self, budget_s: float | None) -> None:
        if budget_s is not None and not budget_s >= 0:
            raise StrategyError(f"budget_s is {budget_s}; give seconds, at least 0, or None for no end")
        self.budget_s = budget_s
        self._end = math.inf if budget_s is None else time.monotonic() + budget_s

    def is_over(self) -> bool:
        """Tell whether the budget is spent."""
        return self._end != math.inf and time.monotonic() >= self._end


@dataclass(frozen=True)
class Plan:
    """How to fit: what `qlstm.nn.fit` was told."""

    loss: Loss
    optimizer: Optimizer
    epochs: int
    seed: int
    validation: Validation | None
    deadline: Deadline

    @property
    def spent(self) -> str:
        """Why a model was not even begun."""
        return f"the budget of {self.deadline.budget_s:g} s was spent before its turn"


@dataclass(frozen=True)
class Outcome:
    """What became of one model: a network, perhaps cut short, or why there is none."""

    network: nn.Module | None = None
    failure: str = ""
    cut: bool = False


@dataclass
class Watch:
    """The best parameters by their loss on the held-out rows."""

    patience: int
    best: float = math.inf
    waited: int = 0
    kept: Any = field(default=None)

    def sees(self, loss: float, parameters: Any) -> bool:
        """Take one epoch's held-out loss and (a copy of) its parameters; tell whether to stop."""
        if loss < self.best:
            self.best, self.waited, self.kept = loss, 0, parameters
        else:
            self.waited += 1
        return self.waited >= self.patience


class Course:
    """One model's way through all its epochs: asks for losses, moves its own parameters, remembers the best.

    Parameters
    ----------
    theta : np.ndarray
        ``(P,)`` float32, where it starts; moved in place.
    plan : Plan
        Optimiser, epochs and what to watch.
    held_out : bool
        Whether there are held-out rows.
    room : np.ndarray, optional
        Working memory, of `qlstm.nn.lbfgs.room_for`.

    Attributes
    ----------
    wants : str
        "gradient" when it waits for ``(loss, gradient (P,) float32)`` at `theta`, "loss" when it waits for the loss on
        the held-out rows, "" when it is over.
    cut : bool
        Whether it was stopped before it was over.
    """

    def __init__(self, theta: np.ndarray, plan: Plan, held_out: bool, room: np.ndarray | None = None) -> None:
        self.theta, self.cut = theta, False
        self._watch = Watch(plan.validation.patience) if plan.validation and held_out else None
        self._steps = _steps(theta, plan, self._watch, room)
        self._loss = 0.0
        self.wants = next(self._steps)

    def take(self, answer: Any) -> None:
        """Go on with what was wanted, to the next wish."""
        if self.wants == "gradient":
            self._loss = answer[0]
        try:
            self.wants = self._steps.send(answer)
        except StopIteration:
            self.wants = ""

    def stop(self) -> None:
        """End it here."""
        self.wants, self.cut = "", True

    def best(self) -> np.ndarray | None:
        """Return the best parameters so far, None when they or the loss are no longer finite."""
        theta = self.theta if self._watch is None or self._watch.kept is None else self._watch.kept
        return theta if math.isfinite(self._loss) and np.isfinite(theta).all() else None


def _steps(theta: np.ndarray, plan: Plan, watch: Watch | None, room: np.ndarray | None) -> Generator[str, Any, None]:
    epoch = _quasi_newton(theta, plan, room) if isinstance(plan.optimizer, LBFGS) else _stepwise(theta, plan)
    for _ in range(plan.epochs):
        yield from epoch()
        if watch is not None and watch.sees((yield "loss"), theta.copy()):
            return


def _quasi_newton(theta: np.ndarray, plan: Plan, room: np.ndarray | None) -> Any:
    from .lbfgs import Memory, minimise

    assert isinstance(plan.optimizer, LBFGS)
    memory = Memory(theta.size, plan.optimizer, plan.epochs, room)
    return lambda: minimise(theta, memory)


def _stepwise(theta: np.ndarray, plan: Plan) -> Any:
    """Return the epoch of an optimiser that treats every parameter alike: torch's own, over one vector."""
    import torch

    vector = torch.nn.Parameter(torch.from_numpy(theta))  # shares theta's memory
    optimizer = plan.optimizer.build([vector])

    def epoch() -> Generator[str, Any, None]:
        _, gradient = yield "gradient"
        vector.grad = torch.from_numpy(gradient)
        optimizer.step()

    return epoch
