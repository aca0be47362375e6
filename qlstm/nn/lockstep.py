"""`LSTM` over many equally long windows at once, of which only the last output counts: what pooled training needs.

`qlstm.nn.kernels` runs one sequence at a time, its inner loops over the gates. Here `WIDTH` windows go side by side and
the inner loops run over them, so weights are loaded once for all and every operation, the activations included, is full
vectors: about four times the samples per second, on windows of 240 rows and 25 hidden units.

Windows are cut into blocks of `WIDTH`, the last one filled up with zeros. A window's output therefore does not depend
on what else is in the batch, and gradients are added block by block in one order, whatever the number of threads.

Array sizes: T rows, I inputs, H hidden units, G = 4 * H gates in torch's order (in, forget, cell, out), B = WIDTH.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch

from .compilation import aligned, vectorised
from .networks import LSTM

__all__ = ["WIDTH", "Lockstep"]

WIDTH = 64
"""Windows side by side: more would not fit the fastest caches, fewer load weights too often."""

# The function of `qlstm.nn.kernels`, which explains it, once more: numba looks at one file only when it decides whether
# cached code is still good. A test holds the two equal.
_LOWEST, _HIGHEST = np.float32(-87.0), np.float32(88.0)
_PER_LN2 = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUNDER = np.float32(12582912.0)
_ROUNDER_BITS, _EXPONENT_BIAS, _MANTISSA_BITS = np.int32(0x4B400000), np.int32(127), np.int32(23)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(c) for c in (1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040))
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


@vectorised
def _logistic(x: Any, subtracted: Any) -> Any:
    """Return ``(exp(x) - subtracted) / (exp(x) + 1)``."""
    x = min(max(x, _LOWEST), _HIGHEST)
    shifted = np.float32(x * _PER_LN2 + _ROUNDER)
    n = shifted - _ROUNDER
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    p = r + r * r * p  # exp(r) - 1
    scale = np.int32((shifted.view(np.int32) - _ROUNDER_BITS + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)
    return (scale * p + (scale - subtracted)) / (scale * p + (scale + _ONE))


@vectorised
def _add_product(w: Any, a: Any, out: Any) -> None:
    """Add ``w @ a`` to `out`: w ``(O, J)``, a ``(J, B)``, out ``(O, B)``; two rows of w and four of a at a time."""
    for o in range(0, w.shape[0] - 1, 2):
        first, second = out[o], out[o + 1]
        j = 0
        while j + 4 <= w.shape[1]:
            f0, f1, f2, f3 = w[o, j], w[o, j + 1], w[o, j + 2], w[o, j + 3]
            s0, s1, s2, s3 = w[o + 1, j], w[o + 1, j + 1], w[o + 1, j + 2], w[o + 1, j + 3]
            a0, a1, a2, a3 = a[j], a[j + 1], a[j + 2], a[j + 3]
            for b in range(a.shape[1]):
                first[b] += f0 * a0[b] + f1 * a1[b] + f2 * a2[b] + f3 * a3[b]
                second[b] += s0 * a0[b] + s1 * a1[b] + s2 * a2[b] + s3 * a3[b]
            j += 4
        while j < w.shape[1]:
            for b in range(a.shape[1]):
                first[b] += w[o, j] * a[j, b]
                second[b] += w[o + 1, j] * a[j, b]
            j += 1
    if w.shape[0] % 2:
        o = w.shape[0] - 1
        for j in range(w.shape[1]):
            for b in range(a.shape[1]):
                out[o, b] += w[o, j] * a[j, b]


@vectorised
def _add_outer(d: Any, a: Any, out: Any) -> None:
    """Add ``d @ a.T`` to `out` ``(G, J)``: d ``(G, B)``, a ``(J, B)``; four rows of d at a time."""
    for o in range(0, d.shape[0], 4):
        d0, d1, d2, d3 = d[o], d[o + 1], d[o + 2], d[o + 3]
        for j in range(a.shape[0]):
            s0 = s1 = s2 = s3 = _ZERO
            row = a[j]
            for b in range(a.shape[1]):
                s0 += d0[b] * row[b]
                s1 += d1[b] * row[b]
                s2 += d2[b] * row[b]
                s3 += d3[b] * row[b]
            out[o, j] += s0
            out[o + 1, j] += s1
            out[o + 2, j] += s2
            out[o + 3, j] += s3


@vectorised
def _forward(w_in: Any, w_back: Any, bias: Any, x: Any, gates: Any, cells: Any, squashed: Any, hidden: Any) -> None:
    """Run one cell over T rows: x ``(T, I, B)``; gates ``(T, G, B)`` and the rest ``(T, H, B)`` are overwritten."""
    n, width = hidden.shape[1], x.shape[2]
    before = np.zeros((n, width), np.float32)  # the cells' content
    for t in range(x.shape[0]):
        g = gates[t]
        for o in range(4 * n):
            g[o] = bias[o]
        _add_product(w_in, x[t], g)
        if t:
            _add_product(w_back, hidden[t - 1], g)
        for j in range(n):
            i, f, c, o = g[j], g[n + j], g[2 * n + j], g[3 * n + j]
            last, now, tanh, out = before[j], cells[t, j], squashed[t, j], hidden[t, j]
            for b in range(width):
                i[b] = _logistic(i[b], _ZERO)
                f[b] = _logistic(f[b], _ZERO)
                c[b] = _logistic(_TWO * c[b], _ONE)
            for b in range(width):
                o[b] = _logistic(o[b], _ZERO)
                now[b] = f[b] * last[b] + i[b] * c[b]
                tanh[b] = _logistic(_TWO * now[b], _ONE)
                out[b] = o[b] * tanh[b]
        before = cells[t]


@vectorised
def _backward(
    w_in: Any, w_back: Any, x: Any, gates: Any, cells: Any, squashed: Any, hidden: Any, above: Any, below: Any,
    g_in: Any, g_back: Any, g_bias: Any,
) -> None:  # fmt: skip
    """Add one cell's slopes to ``g_*``, after `_forward` with the same arrays; gates are overwritten.

    Weights come transposed. `above` ``(S, H, B)`` holds the slopes by the outputs of the last S rows, those before them
    having none; `below` ``(T, I, B)``, overwritten, takes the slopes by x, or ``(0, I, B)`` where they are not wanted.
    """
    rows, n, width = hidden.shape
    carried, content = np.zeros((n, width), np.float32), np.zeros((n, width), np.float32)
    nothing = np.zeros((n, width), np.float32)
    for t in range(rows - 1, -1, -1):
        g, last = gates[t], cells[t - 1] if t else nothing
        given = t - (rows - above.shape[0])
        for j in range(n):
            i, f, c, o = g[j], g[n + j], g[2 * n + j], g[3 * n + j]
            tanh, was, dh, dc = squashed[t, j], last[j], carried[j], content[j]
            if given >= 0:
                for b in range(width):
                    dh[b] += above[given, j, b]
            for b in range(width):
                vi, vf, vc, vo, s = i[b], f[b], c[b], o[b], tanh[b]
                d = dc[b] + dh[b] * vo * (_ONE - s * s)
                i[b] = d * vc * (vi * (_ONE - vi))
                f[b] = d * was[b] * (vf * (_ONE - vf))
                c[b] = d * vi * (_ONE - vc * vc)
                o[b] = dh[b] * s * (vo * (_ONE - vo))
                dc[b] = d * vf
        for o in range(4 * n):
            total = _ZERO
            for b in range(width):
                total += g[o, b]
            g_bias[o] += total
        _add_outer(g, x[t], g_in)
        if t:
            _add_outer(g, hidden[t - 1], g_back)
            carried[:] = _ZERO
            _add_product(w_back, g, carried)
        if below.shape[0]:
            below[t] = _ZERO
            _add_product(w_in, g, below[t])


class Lockstep:
    """A network's last output over a batch of windows, and its slopes, over as many threads as numba may use.

    One call's memory serves the next, so a batch must be differentiated before the next is run; as a context manager
    it ends its threads.

    Parameters
    ----------
    network : LSTM
        One that `qlstm.nn.networks.is_fusable`.
    """

    def __init__(self, network: LSTM) -> None:
        self.network = network
        self._blocks: list[_Block] = []
        self._pool = ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]

    def __enter__(self) -> Lockstep:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last outputs ``(batch,)`` of x ``(batch, time, feature)``, float32 on the CPU."""
        hidden: torch.Tensor = _LastHidden.apply(x, self, *self.network.cells.parameters())
        head = self.network.output  # written out, because a matrix product rounds by the size of the batch
        return (hidden * head.weight[0]).sum(dim=1) + head.bias

    def each(self, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Return ``work(item)`` of all, in order, over the threads."""
        return list(self._pool.map(work, items))

    def blocks(self, x: np.ndarray) -> list[_Block]:
        """Return blocks that hold x ``(batch, time, feature)``."""
        n, rows, _ = x.shape
        if self._blocks and self._blocks[0].rows != rows:
            self._blocks = []
        starts = range(0, n, WIDTH)
        while len(self._blocks) < len(starts):
            self._blocks.append(_Block(self.network, rows))
        for block, start in zip(self._blocks, starts, strict=False):
            block.take(x[start : start + WIDTH])
        return self._blocks[: len(starts)]


class _LastHidden(torch.autograd.Function):
    """The last hidden units ``(batch, H)`` of a batch: the kernels under torch's differentiation."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, lockstep: Lockstep, *parameters: torch.Tensor) -> torch.Tensor:
        weights = [p.detach().numpy() for p in parameters]
        blocks = lockstep.blocks(x.detach().numpy())
        last = np.concatenate(lockstep.each(lambda block: block.forward(weights), blocks))
        ctx.held = lockstep, blocks, weights
        return torch.from_numpy(last[: len(x)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_last: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        lockstep, blocks, weights = ctx.held
        slopes = np.zeros((len(blocks) * WIDTH, d_last.shape[1]), np.float32)
        slopes[: len(d_last)] = d_last.numpy()
        jobs = list(zip(blocks, np.split(slopes, len(blocks)), strict=True))
        parts = lockstep.each(lambda job: job[0].backward(weights, job[1]), jobs)
        total = parts[0]
        for part in parts[1:]:  # in order, whichever was done first
            for sum_, term in zip(total, part, strict=True):
                sum_ += term
        return None, None, *(torch.from_numpy(sum_) for sum_ in total)


class _Block:
    """Memory for `WIDTH` windows, and the kernels over it, cell by cell."""

    def __init__(self, network: LSTM, rows: int) -> None:
        hidden, layers = network.hidden, len(network.cells)
        self.rows = rows
        self._x = aligned(rows, network.input_dim, WIDTH)
        self._gates = [aligned(rows, 4 * hidden, WIDTH) for _ in range(layers)]
        self._rest = [[aligned(rows, hidden, WIDTH) for _ in range(3)] for _ in range(layers)]
        # A cell's slopes by its inputs, which are those by the outputs of the cell below.
        self._below = [aligned(rows if layer else 0, hidden, WIDTH) for layer in range(layers)]

    def take(self, x: np.ndarray) -> None:
        """Take windows ``(at most WIDTH, rows, features)``; zeros for those that lack."""
        self._x[:, :, : len(x)] = x.transpose(1, 2, 0)
        self._x[:, :, len(x) :] = 0.0

    def forward(self, weights: list[np.ndarray]) -> np.ndarray:
        """Return the last hidden units ``(WIDTH, H)``."""
        signal = self._x
        for layer, (gates, rest) in enumerate(zip(self._gates, self._rest, strict=True)):
            w_in, w_back, b_in, b_back = weights[4 * layer : 4 * layer + 4]
            _forward(w_in, w_back, b_in + b_back, signal, gates, *rest)
            signal = rest[2]
        return np.ascontiguousarray(signal[-1].T)

    def backward(self, weights: list[np.ndarray], d_last: np.ndarray) -> list[np.ndarray]:
        """Return the slopes by each of `weights`, from those by the last hidden units ``(WIDTH, H)``."""
        slopes = [np.zeros_like(w) for w in weights]
        above = np.ascontiguousarray(d_last.T)[np.newaxis]
        for layer in range(len(self._gates) - 1, -1, -1):
            w_in, w_back = (np.ascontiguousarray(w.T) for w in weights[4 * layer : 4 * layer + 2])
            g_in, g_back, g_bias, g_same = slopes[4 * layer : 4 * layer + 4]
            signal, below = self._rest[layer - 1][2] if layer else self._x, self._below[layer]
            _backward(
                w_in, w_back, signal, self._gates[layer], *self._rest[layer], above, below, g_in, g_back, g_bias
            )  # fmt: skip
            g_same[:] = g_bias
            above = below
        return slopes
