"""The parts of a transformer: rows that know their place, and rows that look at each other."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from ..errors import StrategyError, near

__all__ = ["CausalAttention", "Positions", "SelfAttention"]

_POSITIONS = ["learned", "none", "sinusoidal"]


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


class SelfAttention(nn.Module):
    """One layer of a transformer, normalised first: each row attends to all rows of the window.

    Without `Positions` the rows are a set to it, in no order.

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

    _causal = False

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
        seen = functional.scaled_dot_product_attention(query, key, value, dropout_p=share, is_causal=self._causal)
        x = x + self.dropout(self.mix(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.inner(self.after(x)))


class CausalAttention(SelfAttention):
    """A `SelfAttention` in which each row attends to itself and to rows before it, so that no later row reaches it."""

    _causal = True
