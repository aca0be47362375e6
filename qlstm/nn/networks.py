"""Networks as ordinary torch modules: (batch, time, feature) in, (batch, time) out, zero initial state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import nn

from .compilation import aligned, is_compiled
from .kernels import backward, forward, gather
from .primitives import Primitives

__all__ = ["LSTM", "is_fusable", "pack", "step_by_step", "unpack"]

State = tuple[torch.Tensor, torch.Tensor]
"""Hidden units and cell contents of a stack of cells, each ``(layers, batch, hidden)``."""

_plain: ContextVar[bool] = ContextVar("plain", default=False)


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
    the linear output last, so a seed gives the weights that the same modules built by hand would have. In float32 on
    the CPU a whole sequence is one operation, forward and backward; it can be differentiated once. Anything else (other
    types or devices, hooks, `torch.func`, or inside `step_by_step`) goes cell by cell in torch's own operations.
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
        if _fits(x, self.input_dim) and _is_ordinary() and is_fusable(self):
            return _Sequence.apply(x, self.hidden, *self.parameters())
        with Primitives() if torch._C._are_functorch_transforms_active() else nullcontext():
            return self.advance(x)[0]

    def advance(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Go on from a state: what a strategy carries from day to day in place of the whole past.

        Parameters
        ----------
        x : torch.Tensor
            ``(batch, time, feature)``, the rows after those that led to the state.
        state : tuple of torch.Tensor, optional
            Hidden units and cell contents, each ``(layers, batch, hidden)``; zeros unless given.

        Returns
        -------
        tuple
            The output ``(batch, time)``, and the state after the last row. Rows one by one give what all at once do,
            to float32's rounding.
        """
        zeros = x.new_zeros(len(self.cells), x.shape[0], self.hidden)
        h, c = (list(part.unbind()) for part in state or (zeros, zeros))
        outputs = []
        for x_t in x.unbind(1):  # (batch, feature)
            signal = x_t
            for i, cell in enumerate(self.cells):
                h[i], c[i] = cell(signal, (h[i], c[i]))
                signal = h[i]  # (batch, hidden)
            outputs.append(self.output(signal))  # (batch, 1)
        return torch.cat(outputs, dim=1), (torch.stack(h), torch.stack(c))


class _Sequence(torch.autograd.Function):
    """The stack of cells over whole sequences: `qlstm.nn.kernels` under torch's differentiation."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, hidden: int, *parameters: torch.Tensor) -> torch.Tensor:
        batch, time, features = x.shape
        rows = x.detach().contiguous().view(batch * time, features).numpy()  # (N, I)
        starts = np.arange(0, batch * time + 1, time)
        layers = len(parameters) // 4
        gates = aligned(layers, batch * time, 4 * hidden)
        rest = aligned(layers, 3, batch * time, hidden)
        output = np.empty(batch * time, np.float32)
        theta = _vector(parameters, features, hidden)
        forward(theta, rows, starts, gates, rest, output, 0)
        ctx.arrays, ctx.shapes = (theta, rows, starts, gates, rest), [p.shape for p in parameters]
        return torch.from_numpy(output).view(batch, time)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        theta, rows, starts, gates, rest = ctx.arrays
        n, hidden = len(rows), rest.shape[3]
        gradient, d_rows = aligned(theta.size), aligned(n + 2, hidden)
        d_x = aligned(n if ctx.needs_input_grad[0] else 0, rows.shape[1])
        slopes = d_output.detach().contiguous().view(-1).numpy()
        inner = aligned(*gates.shape)
        inner[:] = gates  # overwritten by slopes, while a second backward through the same graph would need it again
        backward(theta, rows, starts, inner, rest, slopes, d_rows, d_x, gradient)
        wanted = torch.from_numpy(d_x).view(*d_output.shape, -1) if ctx.needs_input_grad[0] else None
        return wanted, None, *unpack(gradient, ctx.shapes)


@contextmanager
def step_by_step() -> Iterator[None]:
    """Have every `LSTM` go cell by cell in torch's own operations: the plain form that the fast one is held against."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def _fits(x: torch.Tensor, features: int) -> bool:
    plain = type(x) is torch.Tensor and x.dtype == torch.float32 and x.device.type == "cpu"
    return plain and x.ndim == 3 and x.shape[2] == features and x.numel() > 0


def _is_ordinary() -> bool:
    """Tell whether operations are simply carried out: not traced, transformed or asked to be plain."""
    return not (_plain.get() or torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling())


def is_fusable(network: nn.Module) -> bool:
    """Tell whether a network is a plain `LSTM` in float32 on the CPU, as it was made, and kernels compile."""
    if not is_compiled() or type(network) is not LSTM or not _is_bare(network) or len(network._modules) != 2:
        return False
    cells, output, width = network.cells, network.output, network.input_dim
    for cell in cells:
        if type(cell) is not nn.LSTMCell or not _is_bare(cell) or not cell.bias:
            return False
        if cell.weight_ih.shape != (4 * network.hidden, width) or cell.weight_hh.shape[1] != network.hidden:
            return False
        width = network.hidden
    if type(output) is not nn.Linear or not _is_bare(output) or output.weight.shape != (1, width):
        return False
    parameters = list(network.parameters())
    return len(parameters) == 4 * len(cells) + 2 and all(
        p.dtype == torch.float32 and p.device.type == "cpu" for p in parameters
    )


def _is_bare(module: nn.Module) -> bool:
    """Tell whether nothing but the class's own forward happens when a module is called."""
    hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
    return not (hooked or module._backward_pre_hooks or "forward" in module.__dict__)


def pack(network: LSTM) -> np.ndarray:
    """Return a network's parameters as the vector of `qlstm.nn.kernels`.

    Parameters
    ----------
    network : LSTM
        One that `is_fusable`.

    Returns
    -------
    np.ndarray
        ``(P,)`` float32, a copy.
    """
    return _vector(tuple(network.parameters()), network.input_dim, network.hidden)


def _vector(parameters: tuple[torch.Tensor, ...], features: int, hidden: int) -> np.ndarray:
    theta = aligned(sum(p.numel() for p in parameters))
    gather(tuple(p.detach().reshape(-1).numpy() for p in parameters), features, hidden, True, theta)
    return theta


def unpack(theta: np.ndarray, shapes: list[torch.Size]) -> list[torch.Tensor]:
    """Return the parameters that a vector of `qlstm.nn.kernels` holds.

    Parameters
    ----------
    theta : np.ndarray
        ``(P,)`` float32.
    shapes : list of torch.Size
        The parameters' shapes, in order.

    Returns
    -------
    list of torch.Tensor
        Copies, contiguous, in torch's layout.
    """
    tensors, at = [], 0
    for shape in shapes:
        values = theta[at : at + shape.numel()]
        at += shape.numel()
        values = values.reshape(shape[::-1]).T if len(shape) == 2 else values
        tensors.append(torch.from_numpy(np.array(values, order="C")))
    return tensors
