"""Losses to choose from: frozen settings that are called as ``loss(output, target)`` and list the terms they sum.

A term whose slope by the outputs is zero everywhere does not train; it only moves the number that is reported. The
originals of the sign-aware losses count wrong signs, and a count is such a term; their smooth forms replace it by one
that tends to the count as `temperature` goes to 0, and has a slope everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch.nn import functional

__all__ = ["BCE", "MSE", "Criterion", "Huber", "HuberWithSignPenalty", "MSEWithSignPenalty", "SignErrorRatio"]

Terms = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Criterion(ABC):
    """Base of the losses: the sum of its terms, each one number."""

    @abstractmethod
    def terms(self, output: torch.Tensor, target: torch.Tensor) -> Terms:
        """Return each term by name, for outputs and targets of one shape."""

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss, a tensor of one number."""
        return torch.stack(list(self.terms(output, target).values())).sum()


@dataclass(frozen=True)
class BCE(Criterion):
    """Binary cross entropy of targets 0 and 1.

    Parameters
    ----------
    logits : bool
        Whether outputs are logits, as of a network that ends in a linear layer; False for probabilities.
    """

    logits: bool = True

    def terms(self, output: torch.Tensor, target: torch.Tensor) -> Terms:
        """Return the one term."""
        entropy = functional.binary_cross_entropy_with_logits if self.logits else functional.binary_cross_entropy
        return {"cross entropy": entropy(output, target)}


@dataclass(frozen=True)
class MSE(Criterion):
    """Mean squared error."""

    def terms(self, output: torch.Tensor, target: torch.Tensor) -> Terms:
        """Return the one term."""
        return {"squared error": functional.mse_loss(output, target)}


@dataclass(frozen=True)
class Huber(Criterion):
    """Huber's loss (1964): half the square of errors up to `delta`, linear beyond."""

    delta: float = 1.0

    def terms(self, output: torch.Tensor, target: torch.Tensor) -> Terms:
        """Return the one term."""
        return {"huber": functional.huber_loss(output, target, delta=self.delta)}


@dataclass(frozen=True)
class MSEWithSignPenalty(Criterion):
    """Mean squared error, and `weight` times the mean size of outputs with the wrong sign.

    Parameters
    ----------
    weight : float
        Of the penalty.
    smooth : bool
        A penalty without a kink at 0, that also pulls outputs which are barely right.
    temperature : float
        In units of the output: how far from 0 the smooth form differs from the original.
    """

    weight: float = 2.0
    smooth: bool = False
    temperature: float = 0.1

    def terms(self, output: torch.Tensor, target: torch.Tensor) -> Terms:
        """Return both terms."""
        if self.smooth:
            wrong = self.temperature * functional.softplus(-output * target.sign() / self.temperature)
        else:
            wrong = _wrong(output, target) * output.abs()
        return {"squared error": functional.mse_loss(output, target), "sign": self.weight * wrong.mean()}


@dataclass(frozen=True)
class _ShareOfWrongSigns(Criterion):
    """A loss of sizes, and `weight` times the share of outputs with the wrong sign.

    Parameters
    ----------
    weight : float
        Of the penalty.
    smooth : bool
        The penalty as a logistic function of the output, which trains; the original's share of wrong signs does not.
    temperature : float
        In units of the output: how far from 0 the smooth form differs from the original.
    """

    weight: float = 2.0
    smooth: bool = False
    temperature: float = 0.1

    def _sign(self, output: torch.Tensor, target: torch.Tensor) -> Terms:
        wrong = torch.sigmoid(-output * target.sign() / self.temperature) if self.smooth else _wrong(output, target)
        return {"sign": self.weight * wrong.mean()}


@dataclass(frozen=True)
class HuberWithSignPenalty(_ShareOfWrongSigns):
    """Huber's loss with a delta of 1, and `weight` times the share of outputs with the wrong sign.

    `weight`, `smooth` and `temperature` as for `MSEWithSignPenalty`; the smooth share is a logistic function of the
    output.
    """

    def terms(self, output: torch.Tensor, target: torch.Tensor) -> Terms:
        """Return both terms."""
        return {"huber": functional.huber_loss(output, target)} | self._sign(output, target)


@dataclass(frozen=True)
class SignErrorRatio(_ShareOfWrongSigns):
    """Half the mean squared error, and `weight` times the share of outputs with the wrong sign.

    `weight`, `smooth` and `temperature` as for `HuberWithSignPenalty`.
    """

    def terms(self, output: torch.Tensor, target: torch.Tensor) -> Terms:
        """Return both terms."""
        return {"squared error": 0.5 * functional.mse_loss(output, target)} | self._sign(output, target)


def _wrong(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return 1 where signs differ, else 0; a zero has a sign of its own."""
    return (output.sign() != target.sign()).to(output.dtype)
