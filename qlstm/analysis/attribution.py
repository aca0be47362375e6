"""How much each input moved a forecast away from that of a baseline: integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..stats.panel import whole

if TYPE_CHECKING:
    import torch

__all__ = ["Attribution", "integrated_gradients"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """The parts of each forecast.

    Parameters
    ----------
    parts : torch.Tensor
        The shape of the inputs: what each number added to the forecast.
    forecasts, base : torch.Tensor
        Shape (sample,), and one number: forecasts of the inputs and of the baseline. Parts sum to their difference.
    gap : float
        The largest difference between such a sum and what it should be, over the larger of 1 and that.
    """

    parts: torch.Tensor
    forecasts: torch.Tensor
    base: torch.Tensor
    gap: float


def integrated_gradients(
    model: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    baseline: torch.Tensor,
    *,
    steps: int = 64,
    tolerance: float = 1e-4,
) -> Attribution:
    """Attribute forecasts to inputs by the gradient along the straight line from a baseline (Sundararajan, 2017).

    Parameters
    ----------
    model : callable
        ``model(inputs) -> (sample,)`` or ``(sample, 1)``. A module is put into evaluation mode for the time: dropout
        and batch statistics would make forecasts depend on other things than their inputs.
    inputs : torch.Tensor
        Shape (sample, ...), floating point.
    baseline : torch.Tensor
        Shape of one sample: where nothing is known, usually the mean over the training data.
    steps : int
        Points on the line (Gauss–Legendre).
    tolerance : float
        The largest gap that is accepted.

    Raises
    ------
    DataError
        Shapes that do not fit, a forecast that depends on other samples' inputs or on none, or parts that miss the
        forecasts by more than the tolerance.

    Notes
    -----
    For a linear model the parts are ``w · (x - baseline)``.
    """
    import torch

    _check_shapes(inputs, baseline)
    nodes, shares = np.polynomial.legendre.leggauss(whole("steps", steps))
    away = inputs - baseline
    with _evaluating(model):
        with torch.no_grad():
            forecasts, base = _one_each(model(inputs), len(inputs)), _one_each(model(baseline[None]), 1)[0]
        gradients = torch.zeros_like(inputs)
        for node, share in zip((nodes + 1.0) / 2.0, shares / 2.0, strict=True):
            point = (baseline + float(node) * away).detach().requires_grad_(True)
            with torch.enable_grad():
                total = _one_each(model(point), len(inputs)).sum()
            gradients += float(share) * _gradient(total, point)
    parts = (gradients * away).detach()
    wanted = forecasts - base
    missed = (parts.reshape(len(parts), -1).sum(dim=1) - wanted).abs() / wanted.abs().clamp(min=1.0)
    gap = float(missed.max())
    if not gap <= tolerance:
        raise DataError(
            f"parts miss the forecast of sample {int(missed.argmax())} by {gap:.2g}; give more than {steps} steps"
        )
    return Attribution(parts, forecasts, base, gap)


def _check_shapes(inputs: torch.Tensor, baseline: torch.Tensor) -> None:
    if not inputs.is_floating_point() or inputs.ndim < 2 or not len(inputs):
        raise DataError(f"inputs must be floats of shape (sample, ...), got {inputs.dtype}, {tuple(inputs.shape)}")
    if baseline.shape != inputs.shape[1:]:
        raise DataError(f"the baseline must have shape {tuple(inputs.shape[1:])}, got {tuple(baseline.shape)}")


def _one_each(output: torch.Tensor, samples: int) -> torch.Tensor:
    if output.shape not in ((samples,), (samples, 1)):
        shown = tuple(output.shape)
        raise DataError(f"the model must give one number per sample, got shape {shown} for {samples}; pick the step")
    return output.reshape(samples)


def _gradient(total: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    import torch

    if not total.requires_grad:
        raise DataError("forecasts have no gradient with respect to the inputs; the model must not detach them")
    return torch.autograd.grad(total, point)[0]


@contextmanager
def _evaluating(model: object) -> Iterator[None]:
    """Put a module, every part of it, into evaluation mode and back into what it was in."""
    import torch

    parts = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    modes = [part.training for part in parts]
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode
