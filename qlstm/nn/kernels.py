"""A stack of LSTM cells with a linear output, forward and backward, as numba loops over one model's rows.

The parameters are one vector in the order of `torch.nn.LSTMCell`, but each weight matrix is transposed, ``(inputs,
4 * hidden)``: then every inner loop, forward and backward, runs over the ``4 * hidden`` contiguous gate outputs, and
one core reaches about the rate of a matrix product. The rows of several sequences follow each other; `starts` tells
where each begins, with the number of rows as its last entry. A model's sums are always added in the same order,
whatever is computed beside it.

Array sizes below: N rows, I inputs, H hidden units, G = 4 * H gates in torch's order (in, forget, cell, out), L layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compilation import vectorised

__all__ = ["backward", "forward", "gather", "score"]


# exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln(2) / 2; a degree-7 Taylor polynomial is exact to half a float32
# ulp there. Adding 1.5 * 2^23 rounds to an integer that then sits in the low bits, which a shift moves to the exponent.
_LOWEST, _HIGHEST = np.float32(-87.0), np.float32(88.0)
_PER_LN2 = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUNDER = np.float32(12582912.0)
_ROUNDER_BITS, _EXPONENT_BIAS, _MANTISSA_BITS = np.int32(0x4B400000), np.int32(127), np.int32(23)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(c) for c in (1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040))
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


@vectorised
def _logistic(x: Any, subtracted: Any) -> Any:
    """Return ``(exp(x) - subtracted) / (exp(x) + 1)``, exact in the relative sense also where exp(x) is near 1."""
    x = min(max(x, _LOWEST), _HIGHEST)
    shifted = np.float32(x * _PER_LN2 + _ROUNDER)
    n = shifted - _ROUNDER
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    p = r + r * r * p  # exp(r) - 1
    scale = np.int32((shifted.view(np.int32) - _ROUNDER_BITS + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)
    return (scale * p + (scale - subtracted)) / (scale * p + (scale + _ONE))


@vectorised
def _constants(hidden: int) -> Any:
    """Return what makes `_logistic` the activation of all four gates: ``(2, G)``, factors and what is subtracted."""
    constants = np.zeros((2, 4 * hidden), np.float32)
    for o in range(4 * hidden):  # 1 and 0 make the logistic function, 2 and 1 the cell's hyperbolic tangent
        is_tanh = 2 * hidden <= o < 3 * hidden
        constants[0, o] = _TWO if is_tanh else _ONE
        constants[1, o] = _ONE if is_tanh else _ZERO
    return constants


@vectorised
def _add_product(a: Any, w: Any, out: Any) -> None:
    """Add ``a @ w`` to `out`: a ``(K,)``, w ``(K, G)``, out ``(G,)``; eight rows of w at a time."""
    j = 0
    while j + 8 <= a.size:
        a0, a1, a2, a3, a4, a5, a6, a7 = a[j], a[j + 1], a[j + 2], a[j + 3], a[j + 4], a[j + 5], a[j + 6], a[j + 7]
        for o in range(out.size):
            low = a0 * w[j, o] + a1 * w[j + 1, o] + a2 * w[j + 2, o] + a3 * w[j + 3, o]
            high = a4 * w[j + 4, o] + a5 * w[j + 5, o] + a6 * w[j + 6, o] + a7 * w[j + 7, o]
            out[o] += low + high
        j += 8
    while j < a.size:
        a0 = a[j]
        for o in range(out.size):
            out[o] += a0 * w[j, o]
        j += 1


@vectorised
def _dots(d: Any, w: Any, out: Any) -> None:
    """Set `out` to ``w @ d``: d ``(G,)``, w ``(K, G)``, out ``(K,)``; four rows of w at a time."""
    j = 0
    while j + 4 <= out.size:
        s0 = s1 = s2 = s3 = _ZERO
        for o in range(d.size):
            s0 += d[o] * w[j, o]
            s1 += d[o] * w[j + 1, o]
            s2 += d[o] * w[j + 2, o]
            s3 += d[o] * w[j + 3, o]
        out[j], out[j + 1], out[j + 2], out[j + 3] = s0, s1, s2, s3
        j += 4
    while j < out.size:
        s0 = _ZERO
        for o in range(d.size):
            s0 += d[o] * w[j, o]
        out[j] = s0
        j += 1


@vectorised
def _add_outer(a: Any, d: Any, out: Any) -> None:
    """Add ``a.T @ d`` to `out` ``(K, G)``: a ``(N, K)``, d ``(N, G)``; eight rows at a time."""
    t = 0
    while t + 8 <= d.shape[0]:
        for j in range(out.shape[0]):
            a0, a1, a2, a3 = a[t, j], a[t + 1, j], a[t + 2, j], a[t + 3, j]
            a4, a5, a6, a7 = a[t + 4, j], a[t + 5, j], a[t + 6, j], a[t + 7, j]
            for o in range(out.shape[1]):
                low = a0 * d[t, o] + a1 * d[t + 1, o] + a2 * d[t + 2, o] + a3 * d[t + 3, o]
                high = a4 * d[t + 4, o] + a5 * d[t + 5, o] + a6 * d[t + 6, o] + a7 * d[t + 7, o]
                out[j, o] += low + high
        t += 8
    while t < d.shape[0]:
        for j in range(out.shape[0]):
            a0 = a[t, j]
            for o in range(out.shape[1]):
                out[j, o] += a0 * d[t, o]
        t += 1


@vectorised
def _step(gates: Any, cells: Any, squashed: Any, hidden: Any, t: int, first: bool, constants: Any) -> None:
    """Turn the gates' inputs of row t into their activations, the cell's content, its squashed form and its output."""
    n = hidden.shape[1]
    for o in range(4 * n):
        gates[t, o] = _logistic(constants[0, o] * gates[t, o], constants[1, o])
    for j in range(n):
        kept = _ZERO if first else gates[t, n + j] * cells[t - 1, j]
        c = kept + gates[t, j] * gates[t, 2 * n + j]
        cells[t, j] = c
        squashed[t, j] = _logistic(_TWO * c, _ONE)
        hidden[t, j] = gates[t, 3 * n + j] * squashed[t, j]


@vectorised
def _step_back(gates: Any, cells: Any, squashed: Any, d_hidden: Any, carried: Any, t: int, first: bool) -> None:
    """Turn the gates' activations of row t into the loss's slopes by the gates' inputs; `carried` ``(2, H)``."""
    n = d_hidden.shape[1]
    for j in range(n):
        i, f, g, o = gates[t, j], gates[t, n + j], gates[t, 2 * n + j], gates[t, 3 * n + j]
        tanh_c = squashed[t, j]
        before = _ZERO if first else cells[t - 1, j]
        dh = d_hidden[t, j] + carried[0, j]
        dc = carried[1, j] + dh * o * (_ONE - tanh_c * tanh_c)
        gates[t, j] = dc * g * (i * (_ONE - i))
        gates[t, n + j] = dc * before * (f * (_ONE - f))
        gates[t, 2 * n + j] = dc * i * (_ONE - g * g)
        gates[t, 3 * n + j] = dh * tanh_c * (o * (_ONE - o))
        carried[1, j] = dc * f


@vectorised
def _layer(theta: Any, inputs: int, hidden: int, layer: int) -> Any:
    """Return one cell's weights from below ``(I, G)``, from the day before ``(H, G)`` and biases ``(2, G)``: views."""
    n = 4 * hidden
    width = inputs if layer == 0 else hidden
    at = 0 if layer == 0 else n * (inputs + hidden + 2) + (layer - 1) * n * (2 * hidden + 2)
    middle, end = at + width * n, at + (width + hidden) * n
    w_in = theta[at:middle].reshape((width, n))
    return w_in, theta[middle:end].reshape((hidden, n)), theta[end : end + 2 * n].reshape((2, n))


@vectorised
def forward(theta: Any, x: Any, starts: Any, gates: Any, rest: Any, output: Any, given: int) -> None:
    """Run a model over its rows.

    Parameters
    ----------
    theta : np.ndarray
        ``(P,)`` float32, the parameters.
    x : np.ndarray
        ``(N, I)`` float32, the inputs, one sequence after the other.
    starts : np.ndarray
        ``(sequences + 1,)`` int64, the first row of each sequence, then N.
    gates, rest : np.ndarray
        ``(L, N, G)`` and ``(L, 3, N, H)`` float32, overwritten: what `backward` needs.
    output : np.ndarray
        ``(N,)`` float32, overwritten with the linear output.
    given : int
        0, or 1 where the cells and outputs of each sequence's first row are in `rest` already, to go on from.
    """
    # One long function instead of one per layer: what calls it would be optimised, for seconds, once more.
    hidden, layers = rest.shape[3], rest.shape[0]
    constants = _constants(hidden)
    signal = x
    for layer in range(layers):
        w_in, w_back, biases = _layer(theta, x.shape[1], hidden, layer)
        inner, cells, squashed, outputs = gates[layer], rest[layer, 0], rest[layer, 1], rest[layer, 2]
        for t in range(x.shape[0]):  # in a sweep of its own, so that one matrix at a time is in the fastest cache
            for o in range(4 * hidden):
                inner[t, o] = biases[0, o] + biases[1, o]
            _add_product(signal[t], w_in, inner[t])
        for s in range(starts.size - 1):
            for t in range(starts[s] + given, starts[s + 1]):
                if t > starts[s]:
                    _add_product(outputs[t - 1], w_back, inner[t])
                _step(inner, cells, squashed, outputs, t, t == starts[s], constants)
        signal = outputs
    head = theta.size - hidden - 1
    for t in range(x.shape[0]):
        total = theta[head + hidden]
        for j in range(hidden):
            total += theta[head + j] * signal[t, j]
        output[t] = total


@vectorised
def backward(
    theta: Any, x: Any, starts: Any, gates: Any, rest: Any, d_output: Any, d_hidden: Any, d_x: Any, gradient: Any
) -> None:
    """Set the gradient of the loss from its slopes by the outputs, after `forward` with the same arrays.

    Parameters
    ----------
    theta, x, starts, gates, rest : np.ndarray
        As of `forward`; `gates` is overwritten.
    d_output : np.ndarray
        ``(N,)`` float32, the loss's slopes by the outputs.
    d_hidden : np.ndarray
        ``(N + 2, H)`` float32, overwritten.
    d_x : np.ndarray
        ``(N, I)`` float32, overwritten with the slopes by the inputs, or ``(0, I)`` where they are not wanted.
    gradient : np.ndarray
        ``(P,)`` float32, overwritten with the slopes by the parameters.
    """
    n, hidden, layers = x.shape[0], rest.shape[3], rest.shape[0]
    slopes, carried = d_hidden[:n], d_hidden[n:]
    head = theta.size - hidden - 1
    gradient[:] = _ZERO
    for t in range(n):
        slope = d_output[t]
        gradient[head + hidden] += slope
        for j in range(hidden):
            gradient[head + j] += slope * rest[layers - 1, 2, t, j]
            slopes[t, j] = slope * theta[head + j]
    for layer in range(layers - 1, -1, -1):
        w_in, w_back, _ = _layer(theta, x.shape[1], hidden, layer)
        g_in, g_back, g_biases = _layer(gradient, x.shape[1], hidden, layer)
        inner, below, wanted = gates[layer], x, d_x
        if layer:
            below, wanted = rest[layer - 1, 2], slopes
        for s in range(starts.size - 1):
            start, stop = starts[s], starts[s + 1]
            carried[:] = _ZERO
            for t in range(stop - 1, start - 1, -1):
                _step_back(inner, rest[layer, 0], rest[layer, 1], slopes, carried, t, t == start)
                if t > start:
                    _dots(inner[t], w_back, carried[0])
            _add_outer(rest[layer, 2, start:stop], inner[start + 1 : stop], g_back)
        _add_outer(below, inner, g_in)
        for t in range(n):
            for o in range(4 * hidden):
                g_biases[0, o] += inner[t, o]
        g_biases[1] = g_biases[0]
        for t in range(wanted.shape[0]):
            _dots(inner[t], w_in, wanted[t])


@vectorised
def gather(parts: Any, inputs: int, hidden: int, recurs: bool, theta: Any) -> None:
    """Write parameters in torch's layout into a parameter vector.

    Parameters
    ----------
    parts : tuple of np.ndarray
        The parameters, each flat, in torch's order and layout.
    inputs, hidden : int
        Numbers of features and of hidden units.
    recurs : bool
        False leaves out the weights from the day before, which one row does not use.
    theta : np.ndarray
        ``(P,)`` float32, overwritten.
    """
    n, at = 4 * hidden, 0
    for p in range(len(parts)):
        part = parts[p]
        kind = p % 4  # of a cell's four: weights from below, from the day before, two biases
        if kind < 2 and p < len(parts) - 2:
            width = inputs if p == 0 else hidden
            if kind == 0 or recurs:
                for j in range(width):
                    for o in range(n):
                        theta[at + j * n + o] = part[o * width + j]
        else:
            for o in range(part.size):
                theta[at + o] = part[o]
        at += part.size


@vectorised
def score(parts: Any, x: Any, hidden: int, output: Any, state: Any, given: int) -> None:
    """Run a model over one sequence, straight from torch's parameters; the numbers are those of `forward`.

    Parameters
    ----------
    parts : tuple of np.ndarray
        As of `gather`.
    x : np.ndarray
        ``(N, I)`` float32, the inputs.
    hidden : int
        Hidden units.
    output : np.ndarray
        ``(N,)`` float32, overwritten.
    state : np.ndarray
        ``(2, L, H)`` float32, outputs and contents of the cells: overwritten with those after the last row.
    given : int
        1 to go on from `state`, which is that of the first row of x then; its inputs are not looked at. Else 0.
    """
    n, layers = x.shape[0], len(parts) // 4
    size = 0
    for p in range(len(parts)):
        size += parts[p].size
    theta = np.empty(size, np.float32)
    gather(parts, x.shape[1], hidden, n > 1, theta)
    starts = np.array([0, n])
    gates = np.empty((layers, n, 4 * hidden), np.float32)
    rest = np.empty((layers, 3, n, hidden), np.float32)
    if given:
        for layer in range(layers):
            rest[layer, 2, 0], rest[layer, 0, 0] = state[0, layer], state[1, layer]
    forward(theta, x, starts, gates, rest, output, given)
    for layer in range(layers):
        state[0, layer], state[1, layer] = rest[layer, 2, n - 1], rest[layer, 0, n - 1]
