"""Settings of optimisers: plain frozen dataclasses, so that a strategy can name one without importing torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["LBFGS", "SGD", "Adagrad", "Adam", "Optimizer", "RMSprop", "Rprop"]


@dataclass(frozen=True)
class Optimizer:
    """Base of the settings; each subclass is named after the class in `torch.optim` whose arguments it holds."""

    lr: float

    def build(self, parameters: Iterable[Any]) -> Any:
        """Return the `torch.optim` optimiser over `parameters`."""
        import torch

        return getattr(torch.optim, type(self).__name__)(parameters, **asdict(self))


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS on the whole batch; one epoch is up to `max_iter` iterations without line search."""

    lr: float = 1.0
    max_iter: int = 20
    history_size: int = 100
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015)."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012)."""

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent on the whole batch."""

    lr: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False


@dataclass(frozen=True)
class Rprop(Optimizer):
    """Resilient propagation (Riedmiller and Braun, 1993): the signs of the gradient alone."""

    lr: float = 1e-2
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011)."""

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
