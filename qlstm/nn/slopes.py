"""The loss of one model: a user's callable, held to what it must return, with its slopes by the outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import StrategyError
from .compilation import vectorised

__all__ = ["Loss", "Slopes", "is_mean_square", "scalar", "slopes_of"]

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""``loss(output, target)`` of 1-d tensors, returning one number."""

Slopes = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
"""A function of output and target ``(rows,)`` float32 that returns the loss and its slopes by the output."""


def is_mean_square(loss: Loss) -> bool:
    """Tell whether a loss is torch's mean squared error, as a function or as a module."""
    return loss is nn.functional.mse_loss or (type(loss) is nn.MSELoss and loss.reduction == "mean")


def scalar(loss: Loss, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the loss.

    Parameters
    ----------
    loss : callable
        The user's.
    output, target : torch.Tensor
        ``(rows,)``.

    Raises
    ------
    StrategyError
        When it is not a tensor of one number.
    """
    value = loss(output, target)
    if not isinstance(value, torch.Tensor):
        raise StrategyError(f"the loss returned a {type(value).__name__}; return a tensor of one number")
    if value.ndim:
        raise StrategyError(f"the loss returned a tensor of shape {tuple(value.shape)}; end it with .mean() or .sum()")
    return value


def slopes_of(loss: Loss) -> Slopes:
    """Return a loss as what the kernels need of it."""
    if is_mean_square(loss):
        return _mean_square
    lock = threading.Lock()  # a user's callable need not be safe in threads

    def value_and_slopes(output: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        with lock, torch.enable_grad():
            leaf = torch.from_numpy(output).requires_grad_(True)
            value = scalar(loss, leaf, torch.from_numpy(target))
            (slopes,) = torch.autograd.grad(value, leaf, allow_unused=True)
            number = float(value.detach())
        return number, np.zeros_like(output) if slopes is None else slopes.contiguous().numpy()

    return value_and_slopes


def _mean_square(output: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    slopes = np.empty_like(output)
    return float(_errors(output, target, slopes)), slopes


@vectorised
def _errors(output: Any, target: Any, slopes: Any) -> Any:
    """Write twice the mean's share of each error; return the mean of their squares."""
    total = np.float32(0.0)
    share = np.float32(2.0) / np.float32(output.size)
    for i in range(output.size):
        error = output[i] - target[i]
        slopes[i] = error * share
        total += error * error
    return total / np.float32(output.size)
