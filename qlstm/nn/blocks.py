"""Parts of networks to put together with `torch.nn.Sequential`.

A part takes ``(batch, time, feature)`` and returns ``(batch, time, hidden)``, or ``(batch, hidden)`` where it makes one
row of a window. What looks at a whole window (`Convolution`, `StepAttention`, `MeanStep`) sees rows after the one it is
at, so a network with one of these gives one output per window, never one per row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..errors import StrategyError, near

__all__ = [
    "MLP",
    "Concat",
    "Convolution",
    "FeatureAttention",
    "LastStep",
    "MeanStep",
    "Memory",
    "StepAttention",
]

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
_MEMORIES = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}

State = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


class MLP(nn.Module):
    """A perceptron with one linear output, for each row on its own.

    Parameters
    ----------
    input_dim : int
        Number of features.
    hidden : sequence of int
        Units of each hidden layer; none for a linear model.
    activation : {"tanh", "relu"}
        After each hidden layer.
    dropout : float
        Share of hidden units left out in training.
    norm : bool
        Batch normalisation in each hidden layer. A trained network's output of one sample does not depend on its batch
        either way; there is none on the output, which it would centre.
    """

    def __init__(
        self,
        input_dim: int,
        hidden: Sequence[int] = (32,),
        activation: str = "tanh",
        dropout: float = 0.0,
        norm: bool = False,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise StrategyError(f"unknown activation {activation!r}{near(activation, list(_ACTIVATIONS))}")
        layers: list[nn.Module] = []
        for below, above in zip((input_dim, *hidden), hidden, strict=False):
            layers += [nn.Linear(below, above), *([nn.BatchNorm1d(above)] if norm else []), _ACTIVATIONS[activation]()]
            layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1] if hidden else input_dim, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output ``(...)`` of x ``(..., feature)``: per row of a window, or one per sample."""
        return self.layers(x.reshape(-1, x.shape[-1])).reshape(x.shape[:-1])


class Memory(nn.Module):
    """A recurrent stack: (batch, time, feature) to (batch, time, hidden), each row from itself and those before it.

    Parameters
    ----------
    input_dim : int
        Number of features.
    hidden : int
        Units of each layer.
    layers : int
        Number of layers.
    kind : {"lstm", "gru", "rnn"}
        Hochreiter and Schmidhuber (1997), Cho and others (2014), Elman (1990).
    dropout : float
        Share of each layer's outputs left out in training, the last layer's too.
    """

    def __init__(self, input_dim: int, hidden: int, layers: int = 1, kind: str = "lstm", dropout: float = 0.0) -> None:
        super().__init__()
        if kind not in _MEMORIES:
            raise StrategyError(f"unknown kind of memory {kind!r}{near(kind, list(_MEMORIES))}")
        between = dropout if layers > 1 else 0.0
        self.stack = _MEMORIES[kind](input_dim, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the hidden units at every row, from a zero state."""
        return self.advance(x)[0]

    def advance(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Return the hidden units at every row, and the state after the last, going on from `state`."""
        units, state = self.stack(x, state)
        return self.dropout(units), state


class Convolution(nn.Module):
    """A convolution over time, both ways, and a rectifier: (batch, time, feature) to (batch, time, hidden).

    Parameters
    ----------
    input_dim : int
        Number of features.
    hidden : int
        Number of filters.
    kernel : int
        Rows a filter spans, odd; the window is filled up with zeros.
    """

    def __init__(self, input_dim: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise StrategyError(f"a filter spans {kernel} rows; give an odd number, so that it has a middle")
        self.filters = nn.Conv1d(input_dim, hidden, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rectified filters at every row."""
        return torch.relu(self.filters(x.transpose(1, 2))).transpose(1, 2)


class FeatureAttention(nn.Module):
    """Features weighted, in each row, by a softmax over linear functions of that row; the shape stays."""

    def __init__(self, input_dim: int) -> None:
        super().__init__()
        self.scores = nn.Linear(input_dim, input_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, time, feature)``."""
        return x * torch.softmax(self.scores(x), dim=-1)


class StepAttention(nn.Module):
    """One row of a window: the rows' sum, weighted by a softmax over time of a linear function of each."""

    def __init__(self, input_dim: int) -> None:
        super().__init__()
        self.scores = nn.Linear(input_dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, feature)``."""
        return (x * torch.softmax(self.scores(x), dim=1)).sum(dim=1)


class LastStep(nn.Module):
    """The last row of a window."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, feature)``."""
        return x[:, -1]


class MeanStep(nn.Module):
    """The mean row of a window."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, feature)``."""
        return x.mean(dim=1)


class Concat(nn.Module):
    """What several networks make of the same window, side by side: (batch, time, feature) to (batch, sum of hidden).

    Parameters
    ----------
    extractors : sequence of nn.Module
        Each ``(batch, time, feature) -> (batch, hidden)``.
    """

    def __init__(self, extractors: Sequence[nn.Module]) -> None:
        super().__init__()
        self.extractors = nn.ModuleList(extractors)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, sum of hidden)``."""
        return torch.cat([extractor(x) for extractor in self.extractors], dim=-1)
