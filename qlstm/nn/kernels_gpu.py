"""The kernels of `qlstm.nn.kernels` for a GPU: many models at once, one block of threads per model.

Parameters are laid out as there, so that threads side by side, which hold gates side by side, read weights side by
side. A model's numbers are computed by its block alone, every sum by one thread in a fixed order and nothing added
atomically: they do not depend on what else is computed, nor on how many threads a block has.

The rows of all models follow each other. Array sizes: M models on the device of which K are wanted, S sequences, N
rows, I inputs, H hidden units, G = 4 * H gates in torch's order (in, forget, cell, out), L layers, P parameters.

What all kernels take:

=======  ====================  ===================================================================================
wanted   ``(K,)`` int64        the models to compute, one per block
thetas   ``(K, P)`` float32    their parameters
x        ``(N, I)`` float32    inputs
starts   ``(S + 1,)`` int64    the first row of each sequence, then N
spans    ``(M + 1,)`` int64    the first sequence of each model, then S
gates    ``(L, N, G)``         activations of the gates; `backward` leaves the slopes by the gates' inputs there
rest     ``(L, 3, N, H)``      contents of the cells, their squashed form, and the hidden units
=======  ====================  ===================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda as numba_cuda
from numba import float32

__all__ = ["backward", "forward", "mean_square", "shared_bytes", "threads_for"]

cuda: Any = numba_cuda  # whose intrinsics are typed as what implements them
_MOST_THREADS = 256  # as many as have registers on every GPU, however many the compiler gives to each
_WARP = 32
_SHARED = 9  # floats of a block's shared memory per hidden unit
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)  # Python's own floats would make doubles of all


def threads_for(hidden: int) -> int:
    """Return how many threads a block has: one per gate, in whole warps."""
    return min(_MOST_THREADS, -(-4 * hidden // _WARP) * _WARP)


def shared_bytes(hidden: int) -> int:
    """Return the shared memory of a block."""
    return 4 * _SHARED * hidden


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile a kernel at its first launch; keep it for later processes where numba finds a folder."""
    try:
        return cuda.jit(cache=True)(function)
    except RuntimeError:  # no folder that numba may write
        return cuda.jit(function)


@cuda.jit(device=True)
def _activation(x: Any, is_tanh: bool) -> Any:
    """Return the hyperbolic tangent, or the logistic function in a form that cannot overflow."""
    if is_tanh:
        return float32(math.tanh(x))
    small = float32(math.exp(-abs(x)))
    return (_ONE if x >= _ZERO else small) / (_ONE + small) if x == x else x


@cuda.jit(device=True)
def _place(inputs: int, hidden: int, layer: int) -> Any:
    """Return where in the parameters a cell's weights from below begin, those from the day before, and its biases."""
    n = 4 * hidden
    width = inputs if layer == 0 else hidden
    at = 0 if layer == 0 else n * (inputs + hidden + 2) + (layer - 1) * n * (2 * hidden + 2)
    return at, at + width * n, at + (width + hidden) * n


@cuda.jit(device=True)
def _project(theta: Any, signal: Any, at: int, biases: int, gates: Any, start: int, stop: int) -> None:
    """Set the gates' inputs of all rows, as far as they come from below."""
    n = gates.shape[1]
    for e in range(cuda.threadIdx.x, (stop - start) * n, cuda.blockDim.x):
        t, o = start + e // n, e % n
        total = theta[biases + o] + theta[biases + n + o]
        for j in range(signal.shape[1]):
            total += signal[t, j] * theta[at + j * n + o]
        gates[t, o] = total


@cuda.jit(device=True)
def _recur(theta: Any, back: int, gates: Any, rest: Any, start: int, stop: int, shared: Any) -> None:
    """Run one cell over one sequence whose inputs are projected."""
    me, width, hidden = cuda.threadIdx.x, cuda.blockDim.x, rest.shape[2]
    n = 4 * hidden
    for t in range(start, stop):  # shared: gates of this row, then hidden units of the row before
        for o in range(me, n, width):
            total = gates[t, o]
            if t > start:
                for j in range(hidden):
                    total += shared[n + j] * theta[back + j * n + o]
            total = _activation(total, o // hidden == 2)
            gates[t, o] = total
            shared[o] = total
        cuda.syncthreads()
        for j in range(me, hidden, width):
            c = shared[j] * shared[2 * hidden + j]
            if t > start:
                c += shared[hidden + j] * rest[0, t - 1, j]
            squashed = _activation(c, True)
            rest[0, t, j], rest[1, t, j] = c, squashed
            rest[2, t, j] = shared[n + j] = shared[3 * hidden + j] * squashed
        cuda.syncthreads()


@_compiled
def forward(
    wanted: Any, thetas: Any, x: Any, starts: Any, spans: Any, gates: Any, rest: Any, output: Any
) -> None:  # fmt: skip
    """Run the wanted models over their rows; overwrite their rows of `output` ``(N,)`` float32, `gates` and `rest`."""
    theta, model = thetas[cuda.blockIdx.x], wanted[cuda.blockIdx.x]
    shared = cuda.shared.array(0, float32)
    layers, hidden = rest.shape[0], rest.shape[3]
    first, last = spans[model], spans[model + 1]
    start, stop = starts[first], starts[last]
    signal = x
    for layer in range(layers):
        at, back, biases = _place(x.shape[1], hidden, layer)
        _project(theta, signal, at, biases, gates[layer], start, stop)
        cuda.syncthreads()
        for s in range(first, last):
            _recur(theta, back, gates[layer], rest[layer], starts[s], starts[s + 1], shared)
        signal = rest[layer, 2]
    head = theta.size - hidden - 1
    for t in range(start + cuda.threadIdx.x, stop, cuda.blockDim.x):
        total = theta[head + hidden]
        for j in range(hidden):
            total += theta[head + j] * signal[t, j]
        output[t] = total


@_compiled
def mean_square(
    wanted: Any, starts: Any, spans: Any, output: Any, y: Any, shares: Any, losses: Any, slopes: Any
) -> None:  # fmt: skip
    """Set the wanted models' `losses` ``(K,)`` and their rows' `slopes` ``(N,)``: mean squared errors.

    y ``(N,)`` holds the targets, `shares` ``(N,)`` what a row counts: one by the number of its model's rows that count,
    or zero.
    """
    model = wanted[cuda.blockIdx.x]
    start, stop = starts[spans[model]], starts[spans[model + 1]]
    for t in range(start + cuda.threadIdx.x, stop, cuda.blockDim.x):
        slopes[t] = _TWO * shares[t] * (output[t] - y[t]) if shares[t] > _ZERO else _ZERO
    if cuda.threadIdx.x == 0:
        total = _ZERO
        for t in range(start, stop):
            if shares[t] > _ZERO:
                total += shares[t] * (output[t] - y[t]) * (output[t] - y[t])
        losses[cuda.blockIdx.x] = total


@cuda.jit(device=True)
def _head_back(theta: Any, hidden: Any, slopes: Any, start: int, stop: int, above: Any, gradient: Any) -> None:
    """Set the gradient of the linear output, and the slopes by the hidden units that it reads."""
    units = hidden.shape[1]
    head = theta.size - units - 1
    for j in range(cuda.threadIdx.x, units + 1, cuda.blockDim.x):
        total = _ZERO
        for t in range(start, stop):
            total += slopes[t] * (hidden[t, j] if j < units else _ONE)
        gradient[head + j] = total
    for e in range(cuda.threadIdx.x, (stop - start) * units, cuda.blockDim.x):
        t, j = start + e // units, e % units
        above[t, j] = slopes[t] * theta[head + j]


@cuda.jit(device=True)
def _turn(theta: Any, at: int, rows: int, columns: int, turned: Any) -> None:
    """Write one matrix of weights transposed, so that threads side by side read it side by side."""
    for e in range(cuda.threadIdx.x, rows * columns, cuda.blockDim.x):
        turned[at + e] = theta[at + (e % rows) * columns + e // rows]


@cuda.jit(device=True)
def _recur_back(turned: Any, back: int, gates: Any, rest: Any, above: Any, start: int, stop: int, shared: Any) -> None:
    """Turn one cell's activations over one sequence into the loss's slopes by the gates' inputs.

    shared: slopes of this row, then the quarters of the sums that go to the row before, then slopes by the contents.
    """
    me, width, hidden = cuda.threadIdx.x, cuda.blockDim.x, rest.shape[2]
    n = 4 * hidden
    for e in range(me, 5 * hidden, width):
        shared[n + e] = _ZERO
    cuda.syncthreads()
    for t in range(stop - 1, start - 1, -1):
        for j in range(me, hidden, width):
            i, f, g, o = gates[t, j], gates[t, hidden + j], gates[t, 2 * hidden + j], gates[t, 3 * hidden + j]
            tanh_c = rest[1, t, j]
            before = rest[0, t - 1, j] if t > start else _ZERO
            dh = above[t, j]
            for part in range(4):
                dh += shared[n + part * hidden + j]
            dc = shared[2 * n + j] + dh * o * (_ONE - tanh_c * tanh_c)
            shared[j] = dc * g * (i * (_ONE - i))
            shared[hidden + j] = dc * before * (f * (_ONE - f))
            shared[2 * hidden + j] = dc * i * (_ONE - g * g)
            shared[3 * hidden + j] = dh * tanh_c * (o * (_ONE - o))
            shared[2 * n + j] = dc * f
        cuda.syncthreads()
        for e in range(me, n, width):
            gates[t, e] = shared[e]
            first = e - e % hidden
            total = _ZERO
            for o in range(first, first + hidden):
                total += shared[o] * turned[back + o * hidden + e % hidden]
            shared[n + e] = total
        cuda.syncthreads()


@cuda.jit(device=True)
def _add_up(signal: Any, lag: int, slopes: Any, starts: Any, first: int, last: int, at: int, gradient: Any) -> None:
    """Set a matrix's gradient: slopes of each row times the signal `lag` rows before, within a sequence."""
    n = slopes.shape[1]
    for e in range(cuda.threadIdx.x, signal.shape[1] * n, cuda.blockDim.x):
        j, o = e // n, e % n
        total = _ZERO
        for s in range(first, last):
            for t in range(starts[s] + lag, starts[s + 1]):
                total += signal[t - lag, j] * slopes[t, o]
        gradient[at + e] = total


@cuda.jit(device=True)
def _add_biases(slopes: Any, biases: int, start: int, stop: int, gradient: Any) -> None:
    """Set the gradient of both biases, which is the same."""
    n = slopes.shape[1]
    for o in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        total = _ZERO
        for t in range(start, stop):
            total += slopes[t, o]
        gradient[biases + o] = gradient[biases + n + o] = total


@cuda.jit(device=True)
def _pass_down(turned: Any, at: int, slopes: Any, start: int, stop: int, above: Any) -> None:
    """Set the slopes by the hidden units of the cell below."""
    n, units = slopes.shape[1], above.shape[1]
    for e in range(cuda.threadIdx.x, (stop - start) * units, cuda.blockDim.x):
        t, j = start + e // units, e % units
        total = _ZERO
        for o in range(n):
            total += slopes[t, o] * turned[at + o * units + j]
        above[t, j] = total


@_compiled
def backward(
    wanted: Any, thetas: Any, x: Any, starts: Any, spans: Any, gates: Any, rest: Any, slopes: Any, above: Any,
    turned: Any, gradients: Any,
) -> None:  # fmt: skip
    """Set the wanted models' `gradients` ``(K, P)`` from the loss's `slopes` ``(N,)`` by the outputs, after `forward`.

    `above` ``(N, H)`` and `turned` ``(K, P)`` are working memory.
    """
    k = cuda.blockIdx.x
    theta, gradient, weights = thetas[k], gradients[k], turned[k]
    shared = cuda.shared.array(0, float32)
    layers, hidden, n = rest.shape[0], rest.shape[3], gates.shape[2]
    first, last = spans[wanted[k]], spans[wanted[k] + 1]
    start, stop = starts[first], starts[last]
    _head_back(theta, rest[layers - 1, 2], slopes, start, stop, above, gradient)
    for layer in range(layers - 1, -1, -1):
        at, back, biases = _place(x.shape[1], hidden, layer)
        signal = rest[layer - 1, 2] if layer else x
        _turn(theta, at, signal.shape[1], n, weights)
        _turn(theta, back, hidden, n, weights)
        cuda.syncthreads()
        for s in range(first, last):
            _recur_back(weights, back, gates[layer], rest[layer], above, starts[s], starts[s + 1], shared)
        _add_up(signal, 0, gates[layer], starts, first, last, at, gradient)
        _add_up(rest[layer, 2], 1, gates[layer], starts, first, last, back, gradient)
        _add_biases(gates[layer], biases, start, stop, gradient)
        if layer:
            _pass_down(weights, at, gates[layer], start, stop, above)
        cuda.syncthreads()
