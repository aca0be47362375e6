"""Ready networks with an output at every row that no later row can reach: (batch, time, feature) to (batch, time)."""

from __future__ import annotations

import torch
from torch import nn

from .attention import CausalAttention, Positions
from .blocks import Memory, State

__all__ = ["Recurrent", "Transformer"]


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
