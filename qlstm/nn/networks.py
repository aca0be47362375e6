"""Networks as ordinary torch modules: (batch, time, feature) in, (batch, time) out, zero initial state."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["LSTM"]


class LSTM(nn.Module):
    """A stack of LSTM cells with one linear output at every step.

    Parameters
    ----------
    input_dim : int
        Number of features.
    hidden : int
        Hidden units of each cell.
    layers : int
        Number of cells, each fed by the one below.

    Notes
    -----
    Hochreiter and Schmidhuber (1997) in the form of `torch.nn.LSTMCell`. Parameters are drawn cell by cell, bottom up,
    the linear output last, so a seed gives the weights that the same modules built by hand would have.
    """

    def __init__(self, input_dim: int = 1, hidden: int = 34, layers: int = 2) -> None:
        super().__init__()
        self.input_dim, self.hidden = input_dim, hidden
        widths = [input_dim] + [hidden] * (layers - 1)
        self.cells = nn.ModuleList(nn.LSTMCell(width, hidden) for width in widths)
        self.output = nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output at every step.

        Parameters
        ----------
        x : torch.Tensor
            ``(batch, time, feature)``.

        Returns
        -------
        torch.Tensor
            ``(batch, time)``.
        """
        zeros = x.new_zeros(x.shape[0], self.hidden)
        states = [(zeros, zeros)] * len(self.cells)
        outputs = []
        for x_t in x.unbind(1):  # (batch, feature)
            signal = x_t
            for i, cell in enumerate(self.cells):
                states[i] = cell(signal, states[i])
                signal = states[i][0]  # (batch, hidden)
            outputs.append(self.output(signal))  # (batch, 1)
        return torch.cat(outputs, dim=1)
