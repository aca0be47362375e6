"""Epochs of minibatches: how one network for all assets learns, when it stops, and which epoch was best."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import StrategyError
from .descent import DIVERGED, Deadline, Watch
from .lockstep import Lockstep
from .networks import LSTM, is_fusable
from .optimizers import Optimizer
from .prototypes import trainable
from .sequences import Sequences
from .slopes import Loss, scalar

__all__ = ["Learner", "Outputs", "Plateau", "last_outputs", "slices"]

Outputs = Callable[[torch.Tensor], torch.Tensor]
"""Last outputs ``(batch,)`` of windows ``(batch, time, feature)``."""


@dataclass(frozen=True)
class Plateau:
    """Lower the learning rate where the loss no longer falls; arguments of torch's ReduceLROnPlateau.

    Parameters
    ----------
    factor : float
        What the rate is multiplied by.
    patience, cooldown : int
        Epochs without a lower loss before, and epochs of rest after.
    """

    factor: float = 0.3
    patience: int = 10
    cooldown: int = 3


@contextmanager
def last_outputs(network: nn.Module) -> Iterator[Outputs]:
    """Give the fastest way to a network's last outputs."""
    if isinstance(network, LSTM) and is_fusable(network):
        with Lockstep(network) as lockstep:
            yield lockstep
    else:
        yield lambda x: _last(network, x)


def _last(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return the outputs ``(batch,)`` for the last rows of windows.

    Raises
    ------
    StrategyError
        When the network returns another shape.
    """
    output = network(x)
    if isinstance(output, torch.Tensor) and output.shape == x.shape[:2]:
        return output[:, -1]
    if isinstance(output, torch.Tensor) and output.shape == x.shape[:1]:
        return output
    got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    raise StrategyError(
        f"the network returned {got} for an input of shape {tuple(x.shape)}; it must return (batch, time) or (batch,), "
        f"here {tuple(x.shape[:2])} or {tuple(x.shape[:1])}"
    )


def slices(n: int, size: int) -> Iterator[slice]:
    """Return the slices of `size` places that cover n, in order."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


class Learner:
    """A network on its way through the epochs.

    Parameters
    ----------
    network : nn.Module
        What learns, moved in place.
    outputs : callable
        Its `last_outputs`.
    loss : callable
        ``loss(output, target)`` of 1-d tensors, returning one number.
    optimizer : Optimizer
        How it learns.
    plateau : Plateau, optional
        When the learning rate is lowered.
    patience : int
        Epochs without a lower loss in validation after which it stops.

    Attributes
    ----------
    history : list of dict
        As in `qlstm.nn.Pooled`.
    """

    def __init__(
        self,
        network: nn.Module,
        outputs: Outputs,
        loss: Loss,
        optimizer: Optimizer,
        plateau: Plateau | None,
        patience: int,
    ) -> None:
        self._network, self._outputs, self._loss = network, outputs, loss
        self._optimizer = optimizer.build(trainable(network))
        self._schedule: Any = None
        if plateau is not None:
            self._schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(self._optimizer, **asdict(plateau))
        self._watch = Watch(patience)
        self._device = trainable(network)[0].device
        self.history: list[dict[str, float]] = []

    def run(
        self,
        train: Sequences,
        late: Sequences | None,
        batch: int,
        epochs: int,
        rng: np.random.Generator,
        deadline: Deadline,
    ) -> bool:
        """Go through the epochs; leave the network at its best; tell whether the deadline came first."""
        cut = False
        for _ in range(epochs):
            learned = self._epoch(train, batch, rng, deadline)
            held_out = None if learned is None else self._held_out(late, batch, deadline)
            cut = held_out is None
            if learned is None or held_out is None or self._ends(learned, held_out, late is not None):
                break
        if self._watch.kept is not None:
            self._network.load_state_dict(self._watch.kept)
        elif not all(bool(torch.isfinite(p).all()) for p in trainable(self._network)):
            raise StrategyError(DIVERGED)
        return cut

    def _epoch(self, train: Sequences, batch: int, rng: np.random.Generator, deadline: Deadline) -> float | None:
        """Pass over the data once; return the mean loss, None when time ran out."""
        self._network.train()
        total = 0.0
        for some in np.array_split(train.epoch(rng), math.ceil(len(train) / batch)):
            if deadline.is_over():
                return None
            x, y = self._tensors(train, some)

            def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
                self._optimizer.zero_grad()
                value = scalar(self._loss, self._outputs(x), y)
                value.backward()
                return value.detach()

            total += float(self._optimizer.step(closure)) * len(some)
        return total / len(train)

    def _ends(self, learned: float, held_out: float, validated: bool) -> bool:
        """Note one epoch; tell whether it was the last."""
        self.history.append({"train": learned, "late": held_out, "lr": self._optimizer.param_groups[0]["lr"]})
        told = held_out if validated else learned
        if not math.isfinite(told):
            if self._watch.kept is None:
                raise StrategyError(DIVERGED)
            return True
        if self._schedule is not None:
            self._schedule.step(told)
        # Without validation there is no best epoch, only a last one.
        return validated and self._watch.sees(held_out, copy.deepcopy(self._network.state_dict()))

    def _held_out(self, late: Sequences | None, batch: int, deadline: Deadline) -> float | None:
        """Return the mean loss in validation, NaN where there is none, None when time ran out."""
        if late is None:
            return math.nan
        self._network.eval()
        total = 0.0
        with torch.no_grad():
            for some in slices(len(late), batch):
                if deadline.is_over():
                    return None
                x, y = self._tensors(late, some)
                total += float(scalar(self._loss, self._outputs(x), y)) * len(y)
        return total / len(late)

    def _tensors(self, sequences: Sequences, some: Any) -> tuple[torch.Tensor, torch.Tensor]:
        parts = sequences.inputs(some), sequences.targets(some)
        x, y = (torch.from_numpy(part).to(self._device) for part in parts)
        return x, y
