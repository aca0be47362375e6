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
from .descent import DIVERGED, Course, Outcome, Plan
from .losses import Loss, scalar
from .networks import step_by_step
from .primitives import Primitives
from .prototypes import Model, fresh, outputs, trainable, twin
from .samples import Rows, Sample, Source

__all__ = ["check_stackable", "fit_stacked", "is_stackable"]

# Always this many, copies of the first filling up: then no operation's shape depends on how many models there are. A
# multiple of twice torch's vector length, so that no model falls into the tail of an elementwise operation, which torch
# computes by other functions.
_STACK = 32

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
        if len(alike) == _STACK:
            yield from _fit_together(network, alike, plan)
            alike.clear()
    for alike in waiting.values():
        yield from _fit_together(network, alike, plan)


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
        _Stack(network, [rows], loss)(np.zeros((_STACK, sum(p.numel() for p in trainable(network))), np.float32))
    except _UNSTACKABLE as error:
        return str(error).split("\n")[0]
    return ""


def _form(sample: Sample) -> tuple[object, ...]:
    """Return what must be equal for models to stand side by side."""
    late = None if sample.late is None else (tuple(sample.late.starts), sample.late.counted.tobytes())  # type: ignore[union-attr]
    return tuple(sample.train.starts), late


def _fit_together(network: nn.Module, samples: list[Sample], plan: Plan) -> Iterator[tuple[str, Outcome]]:
    if not samples:
        return
    if plan.deadline.is_over():
        yield from ((sample.name, Outcome(failure=plan.spent)) for sample in samples)
        return
    start = np.concatenate([p.detach().cpu().numpy().ravel() for p in trainable(network)])
    thetas = np.tile(start, (_STACK, 1))  # (stack, P)
    train = _Stack(network, [sample.train for sample in samples], plan.loss)
    held_out = [sample.late for sample in samples if sample.late is not None]
    late = _Stack(network, held_out, plan.loss) if held_out else None
    courses = [Course(theta, plan, late is not None) for theta in thetas[: len(samples)]]
    _run(courses, thetas, train, late, plan)
    for sample, course in zip(samples, courses, strict=True):
        best = course.best()
        if best is None:
            yield sample.name, Outcome(failure=DIVERGED)
        else:
            yield sample.name, Outcome(twin(network, _tensors(network, best)).cpu(), cut=course.cut)


def _run(courses: list[Course], thetas: np.ndarray, train: _Stack, late: _Stack | None, plan: Plan) -> None:
    """Answer every course's wishes, all alike ones in one sweep, until none is left."""
    while any(course.wants for course in courses):
        if plan.deadline.is_over():
            for course in courses:
                if course.wants:
                    course.stop()
        if any(course.wants == "gradient" for course in courses):
            losses, gradients = train(thetas)
            for course, loss, gradient in zip(courses, losses, gradients, strict=False):
                if course.wants == "gradient":
                    course.take((float(loss), gradient))
        elif late is not None:
            for course, loss in zip(courses, late.losses(thetas), strict=False):
                if course.wants == "loss":
                    course.take(float(loss))


def _tensors(network: nn.Module, theta: np.ndarray) -> list[torch.Tensor]:
    parameters = trainable(network)
    places = np.cumsum([0] + [p.numel() for p in parameters])
    return [
        torch.from_numpy(theta[a:b].copy()).view(p.shape)
        for (a, b), p in zip(pairwise(places), parameters, strict=True)
    ]


class _Stack:
    """Losses and gradients of the models of a stack, as functions of their parameters ``(stack, P)`` float32."""

    def __init__(self, network: nn.Module, rows: list[Rows], loss: Loss) -> None:
        # A copy: torch's recurrent layers keep what functional_call lent them, and could not be copied afterwards.
        self._network, self._loss = copy.deepcopy(network), loss
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        self._shapes = {name: p.shape for name, p in named}
        self._device = named[0][1].device
        self._starts = rows[0].starts.tolist()
        counted = rows[0].counted
        self._counted = None if counted is None else torch.from_numpy(counted).to(self._device)
        filled = rows + [rows[0]] * (_STACK - len(rows))
        self._x = torch.from_numpy(np.stack([r.x for r in filled])).to(self._device)  # (stack, N, features)
        self._y = torch.from_numpy(np.stack([r.y for r in filled])).to(self._device)  # (stack, N)

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

    def __call__(self, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return losses ``(stack,)`` and gradients ``(stack, P)``."""
        with step_by_step(), Primitives():
            gradients, losses = vmap(grad_and_value(self._value))(self._placed(thetas), self._x, self._y)
        return losses.detach().cpu().numpy(), gradients.detach().cpu().contiguous().numpy()

    def losses(self, thetas: np.ndarray) -> np.ndarray:
        """Return losses ``(stack,)``, the networks in evaluation mode."""
        self._network.eval()
        with step_by_step(), Primitives(), torch.no_grad():
            losses: np.ndarray = vmap(self._value)(self._placed(thetas), self._x, self._y).cpu().numpy()
        self._network.train()
        return losses

    def _placed(self, thetas: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(thetas).to(self._device)
