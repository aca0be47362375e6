"""One model after the other in plain torch: the reference for every faster way, and the way for any module."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ..errors import QlstmError
from .descent import DIVERGED, Outcome, Plan, Watch
from .networks import step_by_step
from .prototypes import Model, fresh, outputs, trainable
from .samples import Rows, Sample, Source
from .slopes import scalar

__all__ = ["fit_loop"]


class _OutOfTimeError(Exception):
    """Leaves an optimiser's step; the parameters stay where they are."""


def fit_loop(model: Model, samples: Source, plan: Plan, device: torch.device) -> Iterator[tuple[str, Outcome]]:
    """Fit each model with torch's own optimiser, through torch's own operations.

    Parameters
    ----------
    model : nn.Module or callable
        What is fitted.
    samples : Source
        What the models learn from.
    plan : Plan
        How.
    device : torch.device
        Where.

    Yields
    ------
    tuple of str and Outcome
        In the order of `samples`.
    """
    for name in samples:
        if plan.deadline.is_over():
            yield name, Outcome(failure=plan.spent)
            continue
        try:
            sample = samples[name]
            with step_by_step():
                outcome = _fit_one(fresh(model, plan.seed).to(device), sample, plan)
        except QlstmError as error:
            outcome = Outcome(failure=str(error))
        yield name, outcome


def _fit_one(network: nn.Module, sample: Sample, plan: Plan) -> Outcome:
    train, late = _Tensors(sample.train, network), sample.late and _Tensors(sample.late, network)
    watch = Watch(plan.validation.patience) if plan.validation and late else None
    optimizer = plan.optimizer.build(trainable(network))
    value, cut = torch.zeros(()), False

    def closure() -> torch.Tensor:
        nonlocal value
        if plan.deadline.is_over():
            raise _OutOfTimeError
        optimizer.zero_grad()
        value = scalar(plan.loss, outputs(network, train.x, train.starts), train.y)
        value.backward()
        return value

    try:
        for _ in range(plan.epochs):
            optimizer.step(closure)
            if watch and late and watch.sees(_held_out_loss(network, late, plan), copy.deepcopy(network.state_dict())):
                break
    except _OutOfTimeError:
        cut = True
    if watch and watch.kept is not None:
        network.load_state_dict(watch.kept)
    if not bool(torch.isfinite(value)) or not all(bool(torch.isfinite(p).all()) for p in trainable(network)):
        return Outcome(failure=DIVERGED)
    return Outcome(network.cpu().eval().requires_grad_(False), cut=cut)


class _Tensors:
    """Rows as tensors where the network is."""

    def __init__(self, rows: Rows, network: nn.Module) -> None:
        device = trainable(network)[0].device
        self.x, self.y = torch.from_numpy(rows.x).to(device), torch.from_numpy(rows.y).to(device)
        self.starts = rows.starts.tolist()
        counted = np.ones(len(rows.y), bool) if rows.counted is None else rows.counted
        self.counted = torch.from_numpy(counted).to(device)


def _held_out_loss(network: nn.Module, late: _Tensors, plan: Plan) -> float:
    network.eval()
    with torch.no_grad():
        output = outputs(network, late.x, late.starts)
        value = float(scalar(plan.loss, output[late.counted], late.y[late.counted]))
    network.train()
    return value
