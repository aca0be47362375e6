"""One network for all assets, learned from windows in minibatches: what it takes, and what it scores."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from ..errors import DataError, StrategyError
from . import observers
from .batches import one_thread
from .descent import DIVERGED, Deadline, Watch
from .devices import in_use, place
from .lockstep import Lockstep
from .networks import LSTM, is_fusable
from .optimizers import Adam, Optimizer
from .prototypes import Model, fresh, trainable
from .sequences import Sequences
from .slopes import Loss, scalar

__all__ = ["Plateau", "Pooled", "fit_pooled", "predict_pooled"]

_log = logging.getLogger("qlstm.nn")

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


@dataclass(frozen=True)
class Pooled:
    """What `fit_pooled` returns.

    Attributes
    ----------
    network : nn.Module
        In evaluation mode, its parameters fixed: those of the epoch that was best in validation.
    history : list of dict
        Per epoch: ``train`` and ``late``, mean losses (`late` NaN without validation), and ``lr``. The loss of training
        is that of the epoch's batches as they came, dropout included.
    cut : bool
        Whether the budget ended it.
    """

    network: nn.Module
    history: list[dict[str, float]] = field(default_factory=list)
    cut: bool = False


def fit_pooled(
    model: Model,
    train: Sequences,
    late: Sequences | None = None,
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    batch: int = 512,
    epochs: int = 10,
    patience: int = 10,
    plateau: Plateau | None = None,
    seed: int = 42,
    device: str = "auto",
    budget_s: float | None = None,
) -> Pooled:
    """Fit one network on windows of many assets; its output at the last row is what learns.

    Parameters
    ----------
    model : nn.Module or callable
        A network ``(batch, time, feature) -> (batch, time)`` or ``(batch,)``, whose copy is drawn anew from `seed`, or
        a function that builds one.
    train : Sequences
        What it learns from. Each epoch passes over as many samples, every day alike, see `Sequences.epoch`.
    late : Sequences, optional
        What tells when to stop, and which epoch was best: usually the second part of ``Sequences.split``.
    loss : callable, optional
        ``loss(output, target)`` of 1-d tensors, returning one number, a mean over samples; the mean squared error
        unless given.
    optimizer : Optimizer, optional
        ``Adam()`` unless given.
    batch : int
        Samples in a step; an epoch is cut into batches of as nearly the same size as can be.
    epochs : int
        At most so many.
    patience : int
        Epochs without a lower loss on `late` after which it stops.
    plateau : Plateau, optional
        Lowers the learning rate by the loss on `late`, or in training where there is no `late`.
    seed : int
        Seeds parameters, batches and dropout; the caller's generators are left alone.
    device : {"auto", "cpu", "cuda"}
        Where; "auto" is a GPU where torch finds one, except for a plain `LSTM`, whose kernels run on the CPU.
    budget_s : float, optional
        Wall-clock seconds after which the best so far is returned. What is cut depends on the machine's speed.

    Returns
    -------
    Pooled
        The network and how it came about.

    Raises
    ------
    DataError
        No sample to learn from, or other features or lengths in `late`.
    StrategyError
        A setting out of range, a network or a loss that returns another shape, a loss that became NaN.

    Notes
    -----
    A plain `LSTM` on the CPU goes through `qlstm.nn.lockstep`, over the threads numba may use; anything else through
    torch, in one thread. Either way equal calls give equal bits, in whatever order the data hold the assets.
    """
    if min(batch, epochs, patience) < 1:
        raise StrategyError(f"batch, epochs and patience must be at least 1: {batch}, {epochs}, {patience}")
    _check(train, late)
    observers.notify("fit", model=model, X=train.X, Y=train.Y, groups=None)
    deadline = Deadline(budget_s)
    with torch.random.fork_rng(in_use()):
        where = place(device, gains=not is_fusable(fresh(model, seed)))
    with one_thread(), torch.random.fork_rng(in_use()), torch.enable_grad():
        network = fresh(model, seed).to(where)
        with _outputs(network) as outputs:
            course = _Course(network, outputs, loss or nn.functional.mse_loss, optimizer or Adam(), plateau, patience)
            rng = np.random.default_rng(seed)
            cut = course.run(train, late, batch, epochs, rng, deadline)
    if cut:
        _log.warning("the budget of %g s cut the fit short, after %d epochs", budget_s, len(course.history))
    return Pooled(network.cpu().eval().requires_grad_(False), course.history, cut)


def predict_pooled(network: nn.Module, sequences: Sequences, batch: int = 512) -> xr.DataArray:
    """Run a network over windows and label its last outputs.

    Parameters
    ----------
    network : nn.Module
        Of `fit_pooled`.
    sequences : Sequences
        Made with or without targets.
    batch : int
        Windows at a time; does not change the scores.

    Returns
    -------
    xr.DataArray
        Scores, dims ``(time, asset)``, NaN where no window ends.

    Raises
    ------
    StrategyError
        When the network returns another shape.
    """
    observers.notify("predict", models={"pooled": network}, X=sequences.X)
    scores = np.empty(len(sequences), np.float32)
    with one_thread(), torch.inference_mode(), _outputs(network) as outputs:
        for some in _slices(len(sequences), batch):
            scores[some] = outputs(torch.from_numpy(sequences.inputs(some))).numpy()
    return sequences.table(scores)


def _check(train: Sequences, late: Sequences | None) -> None:
    if not len(train):
        raise DataError(f"there is no complete sequence of {train.length} rows to learn from; give more data")
    if late is None:
        return
    if not len(late):
        raise DataError(f"there is no complete sequence of {late.length} rows to validate on; give more data")
    if (train.length, train.features) != (late.length, late.features):
        raise DataError(
            f"sequences to learn from are ({train.length}, {train.features}), those to validate on ({late.length}, "
            f"{late.features}) rows and features; make them alike"
        )


@contextmanager
def _outputs(network: nn.Module) -> Iterator[Outputs]:
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


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


class _Course:
    """A network on its way through the epochs."""

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
            for some in _slices(len(late), batch):
                if deadline.is_over():
                    return None
                x, y = self._tensors(late, some)
                total += float(scalar(self._loss, self._outputs(x), y)) * len(y)
        return total / len(late)

    def _tensors(self, sequences: Sequences, some: Any) -> tuple[torch.Tensor, torch.Tensor]:
        parts = sequences.inputs(some), sequences.targets(some)
        x, y = (torch.from_numpy(part).to(self._device) for part in parts)
        return x, y
