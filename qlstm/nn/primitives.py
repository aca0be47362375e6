"""Recurrent cells and layers in operations that torch.func can stack: torch has no batching rule for its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from ..errors import StrategyError

__all__ = ["Primitives"]

State = tuple[torch.Tensor, ...]
Weights = tuple[torch.Tensor, torch.Tensor | None]  # of the recurrent product: matrix and bias


def _lstm(projected: torch.Tensor, state: State, back: Weights) -> State:
    h, c = state
    i, f, g, o = (projected + linear(h, *back)).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru(projected: torch.Tensor, state: State, back: Weights) -> State:
    r, z, n = projected.chunk(3, -1)
    r_back, z_back, n_back = linear(state[0], *back).chunk(3, -1)
    z = torch.sigmoid(z + z_back)
    n = torch.tanh(n + torch.sigmoid(r + r_back) * n_back)
    return ((1 - z) * n + z * state[0],)


def _rnn_tanh(projected: torch.Tensor, state: State, back: Weights) -> State:
    return (torch.tanh(projected + linear(state[0], *back)),)


def _rnn_relu(projected: torch.Tensor, state: State, back: Weights) -> State:
    return (torch.relu(projected + linear(state[0], *back)),)


Step = Callable[[torch.Tensor, State, Weights], State]
_STEPS: dict[str, Step] = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _rnn_tanh, "rnn_relu": _rnn_relu}


def _cell(step: Step) -> Callable[..., Any]:
    """Return what replaces torch's function of one cell, with its arguments."""

    def cell(x: Any, state: Any, w_in: Any, w_back: Any, b_in: Any = None, b_back: Any = None) -> Any:
        state = state if isinstance(state, (tuple, list)) else (state,)
        after = step(linear(x, w_in, b_in), tuple(state), (w_back, b_back))
        return after if len(after) > 1 else after[0]

    return cell


def _layers(step: Step) -> Callable[..., Any]:
    """Return what replaces torch's function of a stack of layers over a sequence, with its arguments."""

    def layers(
        x: Any, state: Any, weights: Any, bias: bool, n: int, dropout: float, train: bool, both: bool, batch_first: bool
    ) -> Any:
        state = tuple(state) if isinstance(state, (tuple, list)) else (state,)
        ways = 2 if both else 1
        each = len(weights) // (n * ways)
        if (dropout and train) or each != (4 if bias else 2):
            raise StrategyError("dropout between layers and projections cannot be stacked")
        signal = x.transpose(0, 1) if batch_first else x  # (time, batch, feature)
        last = []
        for layer in range(n):
            swept = []
            for way in range(ways):
                k = layer * ways + way
                own = weights[k * each : (k + 1) * each]
                outputs, after = _sweep(step, signal, tuple(part[k] for part in state), own, backwards=way == 1)
                swept.append(outputs)
                last.append(after)
            signal = swept[0] if ways == 1 else torch.cat(swept, -1)
        ends = [torch.stack(parts) for parts in zip(*last, strict=True)]  # each (layers * ways, batch, hidden)
        return (signal.transpose(0, 1) if batch_first else signal, *ends)

    return layers


def _sweep(step: Step, signal: Any, state: State, own: Any, backwards: bool) -> tuple[torch.Tensor, State]:
    """Run one layer one way over ``(time, batch, feature)``; return its outputs and last state."""
    b_in, b_back = (own[2], own[3]) if len(own) == 4 else (None, None)
    projected: Iterable[torch.Tensor] = linear(signal, own[0], b_in).unbind(0)
    outputs = []
    for x_t in reversed(list(projected)) if backwards else projected:
        state = step(x_t, state, (own[1], b_back))
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if backwards else outputs), state


_REPLACED: dict[str, Callable[..., Any]] = {f"{name}_cell": _cell(step) for name, step in _STEPS.items()} | {
    name: _layers(step) for name, step in _STEPS.items()
}


class Primitives(TorchFunctionMode):
    """Inside it torch's recurrent cells and layers are carried out in products and elementwise functions."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out one torch function, or what stands for it."""
        name = getattr(func, "__name__", "")
        # A packed sequence comes with its batch sizes, a tensor, in second place: that is left to torch.
        if name in _REPLACED and not kwargs and not (name in _STEPS and isinstance(args[3], (list, tuple))):
            return _REPLACED[name](*args)
        return func(*args, **(kwargs or {}))
