"""Models of one form side by side: their parameters stacked, their losses and gradients in one sweep of torch.func."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap

from ..errors import QlstmError, StrategyError
from .descent import Outcome, Plan
from .networks import step_by_step
from .primitives import Primitives
from .prototypes import Model, fresh, outputs, trainable, twin
from .samples import Rows, Sample, Source
from .slopes import Loss, scalar
from .together import fit_together

__all__ = ["check_stackable", "fit_stacked", "is_stackable"]

# Always this many, copies of the first filling up: then no operation's shape depends on how many models there are. A
# multiple of twice torch's vector length, so that no model falls into the tail of an elementwise operation, which torch
# computes by other functions. A GPU takes as long for few as for many.
_STACKS = {"cpu": 32, "cuda": 1024}

_UNSTACKABLE = (IndexError, NotImplementedError, QlstmError, RuntimeError, TypeError, ValueError)


def fit_stacked(model: Model, samples: Source, plan: Plan, device: torch.device) -> Iterator[tuple[str, Outcome]]:
    """Fit models of equally long sequences side by side; each has its own optimiser and its own end.

    Parameters
    ----------
    model : nn.Module or callable
        What is fitted.
    samples : Source
        What the models learn from. Padding to a common length would change what a network sees, so only equal lengths
        stand side by side.
    plan : Plan
        How.
    device : torch.device
        Where.

    Yields
    ------
    tuple of str and Outcome
        As they are done, in no order that means anything.

    Raises
    ------
    StrategyError
        When the network cannot be stacked.
    """
    network = fresh(model, plan.seed).to(device)
    check_stackable(network, samples.features, plan.loss)
    waiting: dict[tuple[object, ...], list[Sample]] = {}
    for name in samples:
        try:
            sample = samples[name]
        except QlstmError as error:
            yield name, Outcome(failure=str(error))
            continue
        alike = waiting.setdefault(_form(sample), [])
        alike.append(sample)
        if len(alike) == _STACKS[device.type]:
            yield from _fit_alike(network, alike, plan)
            alike.clear()
    for alike in waiting.values():
        if alike:
            yield from _fit_alike(network, alike, plan)


def is_stackable(network: nn.Module, features: int, loss: Loss) -> bool:
    """Tell, by a trial on zeros, whether torch.func can stack a network with its loss."""
    return not _obstacle(network, features, loss)


def check_stackable(network: nn.Module, features: int, loss: Loss) -> None:
    """Raise StrategyError, with the reason, when torch.func cannot stack a network with its loss."""
    reason = _obstacle(network, features, loss)
    if reason:
        raise StrategyError(f"fit: {type(network).__name__} cannot be stacked ({reason}); use mode='loop'")


def _obstacle(network: nn.Module, features: int, loss: Loss) -> str:
    """Return why a network cannot be stacked, empty when it can."""
    rows = Rows(np.zeros((3, features), np.float32), np.zeros(3, np.float32), np.array([0, 3]))
    try:
        _Stack(network, [rows], loss)(np.zeros((1, sum(p.numel() for p in trainable(network))), np.float32), [0])
    except _UNSTACKABLE as error:
        return str(error).split("\n")[0]
    return ""


def _form(sample: Sample) -> tuple[object, ...]:
    """Return what must be equal for models to stand side by side."""
    late = None if sample.late is None else (tuple(sample.late.starts), sample.late.counted.tobytes())  # type: ignore[union-attr]
    return tuple(sample.train.starts), late


def _fit_alike(network: nn.Module, alike: list[Sample], plan: Plan) -> Iterator[tuple[str, Outcome]]:
    start = np.concatenate([p.detach().cpu().numpy().ravel() for p in trainable(network)])
    return fit_together(
        alike,
        start,
        plan,
        lambda rows: _Stack(network, rows, plan.loss),
        lambda theta: twin(network, _tensors(network, theta)).cpu(),
    )


def _tensors(network: nn.Module, theta: np.ndarray) -> list[torch.Tensor]:
    parameters = trainable(network)
    places = np.cumsum([0] + [p.numel() for p in parameters])
    return [
        torch.from_numpy(theta[a:b].copy()).view(p.shape)
        for (a, b), p in zip(pairwise(places), parameters, strict=True)
    ]


class _Stack:
    """Losses and gradients of the models of a stack, all of which are computed whoever is wanted: an `Objective`."""

    def __init__(self, network: nn.Module, rows: list[Rows], loss: Loss) -> None:
        # A copy: torch's recurrent layers keep what functional_call lent them, and could not be copied afterwards.
        self._network, self._loss = copy.deepcopy(network), loss
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self._shapes = {name: p.shape for name, p in named}
        self._device = named[0][1].device
        self._starts = rows[0].starts.tolist()
        counted = rows[0].counted
        self._counted = None if counted is None else torch.from_numpy(counted).to(self._device)
        self._places = [*range(len(rows)), *[0] * (_STACKS[self._device.type] - len(rows))]
        filled = [rows[i] for i in self._places]
        self._x = torch.from_numpy(np.stack([r.x for r in filled])).to(self._device)  # (stack, N, features)
        self._y = torch.from_numpy(np.stack([r.y for r in filled])).to(self._device)  # (stack, N)
        self.failures: dict[int, str] = {}

    def _value(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return one model's loss: theta ``(P,)``, x ``(N, features)``, y ``(N,)``."""
        parts = theta.split([shape.numel() for shape in self._shapes.values()])
        values = {
            name: part.view(shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }  # fmt: skip
        output = outputs(lambda sequence: functional_call(self._network, values, (sequence,)), x, self._starts)
        if self._counted is not None:
            output, y = output[self._counted], y[self._counted]
        return scalar(self._loss, output, y)

    def __call__(self, thetas: np.ndarray, wanted: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return losses ``(wanted,)`` and gradients ``(wanted, P)``."""
        with step_by_step(), Primitives():
            gradients, losses = vmap(grad_and_value(self._value))(self._placed(thetas), self._x, self._y)
        return losses.detach().cpu().numpy()[wanted], gradients.detach().cpu().contiguous().numpy()[wanted]

    def losses(self, thetas: np.ndarray, wanted: list[int]) -> np.ndarray:
        """Return losses ``(wanted,)``, the networks in evaluation mode."""
        self._network.eval()
        with step_by_step(), Primitives(), torch.no_grad():
            losses: np.ndarray = vmap(self._value)(self._placed(thetas), self._x, self._y).cpu().numpy()
        self._network.train()
        return losses[wanted]

    def _placed(self, thetas: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(thetas[self._places]).to(self._device)
