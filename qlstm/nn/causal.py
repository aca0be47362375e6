"""Ready networks with an output at every row that no later row can reach: (batch, time, feature) to (batch, time)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from ..errors import StrategyError, near
from .blocks import Memory, State

__all__ = ["CausalAttention", "Positions", "Recurrent", "Transformer"]

_POSITIONS = ["learned", "none", "sinusoidal"]


class Recurrent(nn.Module):
    """A stack of LSTM, GRU or plain recurrent layers, with dropout, and a linear output at every row.

    Parameters
    ----------
    input_dim, hidden, layers, kind, dropout
        As for `Memory`. Without dropout `qlstm.nn.LSTM` is the faster LSTM.
    """

    def __init__(
        self, input_dim: int = 1, hidden: int = 34, layers: int = 1, kind: str = "lstm", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.memory = Memory(input_dim, hidden, layers, kind, dropout)
        self.output = nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output at every row, from a zero state."""
        return self.advance(x)[0]

    def advance(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Go on from a state.

        Parameters
        ----------
        x : torch.Tensor
            ``(batch, time, feature)``, the rows after those that led to the state.
        state : torch.Tensor or tuple of torch.Tensor, optional
            As returned; zeros unless given.

        Returns
        -------
        tuple
            The output ``(batch, time)``, and the state after the last row: ``(layers, batch, hidden)``, two of these
            for an LSTM.
        """
        units, state = self.memory.advance(x, state)
        return self.output(units).squeeze(-1), state


class Positions(nn.Module):
    """Adds to each row what tells its place in the window.

    Parameters
    ----------
    hidden : int
        Width of a row.
    kind : {"sinusoidal", "learned", "none"}
        Sines and cosines of Vaswani and others (2017), a parameter per place, or nothing.
    longest : int
        Rows of the longest window, which only learned places need.
    """

    def __init__(self, hidden: int, kind: str = "sinusoidal", longest: int = 512) -> None:
        super().__init__()
        if kind not in _POSITIONS:
            raise StrategyError(f"unknown positions {kind!r}{near(kind, _POSITIONS)}")
        self.kind, self.hidden = kind, hidden
        self.places = nn.Embedding(longest, hidden) if kind == "learned" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, time, hidden)``."""
        if self.places is not None:
            if x.shape[1] > self.places.num_embeddings:
                raise StrategyError(
                    f"a window of {x.shape[1]} rows is longer than the {self.places.num_embeddings} places learned; "
                    "give Transformer(longest=)"
                )
            return x + self.places(torch.arange(x.shape[1], device=x.device))
        return x if self.kind == "none" else x + _waves(x.shape[1], self.hidden).to(x)


def _waves(rows: int, hidden: int) -> torch.Tensor:
    """Return sines and cosines ``(rows, hidden)`` of wavelengths from 2 pi to 10000 * 2 pi rows."""
    rates = torch.exp(torch.arange(0, hidden, 2) * (-math.log(10000.0) / hidden))
    angles = torch.arange(rows)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :hidden]


class CausalAttention(nn.Module):
    """One layer of a transformer, normalised first: each row attends to itself and to rows before it.

    The perceptron behind the attention is four times as wide as a row: at its own width it misses products of two rows
    in one fit of two.

    Parameters
    ----------
    hidden : int
        Width of a row, a multiple of `heads`.
    heads : int
        Number of attentions side by side.
    dropout : float
        Share of attention weights and of units left out in training.
    """

    def __init__(self, hidden: int, heads: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        if hidden % heads:
            raise StrategyError(f"{hidden} hidden units cannot be shared by {heads} heads; give a multiple")
        self.heads = heads
        self.before, self.after = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.projections, self.mix = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.inner = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.ReLU(), nn.Linear(4 * hidden, hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, time, hidden)``."""
        parts = self.projections(self.before(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        share = self.dropout.p if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, dropout_p=share, is_causal=True)
        x = x + self.dropout(self.mix(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.inner(self.after(x)))


class Transformer(nn.Module):
    """A causal transformer with a linear output at every row.

    Parameters
    ----------
    input_dim : int
        Number of features.
    hidden : int
        Width of a row inside, a multiple of `heads`.
    heads, layers : int
        Attentions side by side in a layer, and layers.
    positions : {"sinusoidal", "learned", "none"}
        What tells rows apart. Without it one layer sees the rows before as a set, in no order.
    longest : int
        Rows of the longest window, for learned positions.
    dropout : float
        Share of units left out in training.
    """

    def __init__(
        self,
        input_dim: int = 1,
        hidden: int = 32,
        heads: int = 2,
        layers: int = 1,
        positions: str = "sinusoidal",
        longest: int = 512,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.entry, self.positions = nn.Linear(input_dim, hidden), Positions(hidden, positions, longest)
        self.layers = nn.Sequential(*(CausalAttention(hidden, heads, dropout) for _ in range(layers)))
        self.output = nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output at every row."""
        return self.output(self.layers(self.positions(self.entry(x)))).squeeze(-1)
