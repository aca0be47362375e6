"""Bare loops over rows: one series per row, time running along it, observations in one unbroken run.

`_rows.run` calls them as ``kernel(*inputs, out, first, *args)`` with C-contiguous float64 arrays of shape (asset,
time). Row i is NaN before ``first[i]`` and may be NaN after its last observation, but not in between (`_rows.run` sees
to that), so no loop looks for missing values: what precedes ``first`` is filled, what follows the end turns NaN by
itself.

Sums over a window are never updated by subtraction, so nothing drifts. The row is cut into blocks of `periods`; a
window then is the tail of one block and the head of the next, each of which was only ever added to (van Herk, Pattern
Recognition Letters 13, 1992; Gil and Werman, IEEE PAMI 15, 1993). Values are taken relative to an anchor, the first
observation of the newer block, which every such window contains: a constant window gives exact zeros, and squares
cancel by no more than a factor of about `periods`. Head and tail are summed in one loop because the processor runs the
two chains of additions side by side, and the tail's index is unsigned because a signed one is tested at every access
for being one of Python's negative ones: 1.0 ns per value, where two loops take 2.2 and signed indices 1.25.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel
from ._layout import Firsts, Rows

__all__ = ["change", "ema", "lwma", "roc", "shift", "sma", "vwma", "wma"]


# --- changes --------------------------------------------------------------------------------------------------------


@kernel
def shift(x: Rows, out: Rows, first: Firsts, periods: int) -> None:
    """Value `periods` observations earlier (later where negative)."""
    n = x.shape[1]
    lag = min(max(periods, -n), n)
    begin, end = max(lag, 0), min(n + lag, n)
    for i in range(x.shape[0]):
        out[i, :begin] = np.nan
        out[i, begin:end] = x[i, begin - lag : end - lag]
        out[i, end:] = np.nan
        out[i, : first[i]] = np.nan
        t = n - 1
        while t >= 0 and x[i, t] != x[i, t]:  # behind the last observation, where an earlier value is none of its own
            out[i, t] = np.nan
            t -= 1


@kernel
def change(x: Rows, out: Rows, first: Firsts, periods: int) -> None:
    """Difference to the value `periods` observations earlier."""
    n = x.shape[1]
    lag = min(max(periods, -n), n)
    begin, end = max(lag, 0), min(n + lag, n)
    for i in range(x.shape[0]):
        now, then, result = x[i, begin:end], x[i, begin - lag : end - lag], out[i, begin:end]
        for t in range(result.size):
            result[t] = now[t] - then[t]
        out[i, :begin] = np.nan
        out[i, end:] = np.nan


@kernel
def roc(x: Rows, out: Rows, first: Firsts, periods: int, scale: float) -> None:
    """Change over `periods` observations, as a share of the earlier value times `scale`."""
    n = x.shape[1]
    lag = min(max(periods, -n), n)
    begin, end = max(lag, 0), min(n + lag, n)
    for i in range(x.shape[0]):
        now, then, result = x[i, begin:end], x[i, begin - lag : end - lag], out[i, begin:end]
        for t in range(result.size):
            result[t] = scale * (now[t] / then[t] - 1.0)
        out[i, :begin] = np.nan
        out[i, end:] = np.nan


# --- averages -------------------------------------------------------------------------------------------------------


@kernel
def ema(x: Rows, out: Rows, first: Firsts, periods: int, warm: int) -> None:
    """Plain mean of the first `warm` observations, then steps of 2 / (periods + 1) towards each newer one."""
    rows, n = x.shape
    step = 2.0 / (periods + 1.0)
    value, row = np.empty(8), np.empty(8, np.int64)
    # Eight rows at a time: each value waits for the one before it, so a single row leaves the processor idle (2.5 ns
    # per value; four rows 0.64, eight 0.45).
    for group in range(0, rows, 8):
        for k in range(8):
            row[k] = min(group + k, rows - 1)
        together = min(first[row].max() + warm, n)
        for k in range(8):
            i = row[k]
            begin = min(first[i] + warm, n)
            out[i, :begin] = np.nan
            value[k] = x[i, first[i] : begin].sum() / warm
            if first[i] + warm <= n:
                out[i, begin - 1] = value[k]
            for t in range(begin, together):
                value[k] += (x[i, t] - value[k]) * step
                out[i, t] = value[k]
        r0, r1, r2, r3, r4, r5, r6, r7 = row
        v0, v1, v2, v3, v4, v5, v6, v7 = value
        for t in range(together, n):
            v0 += (x[r0, t] - v0) * step
            v1 += (x[r1, t] - v1) * step
            v2 += (x[r2, t] - v2) * step
            v3 += (x[r3, t] - v3) * step
            v4 += (x[r4, t] - v4) * step
            v5 += (x[r5, t] - v5) * step
            v6 += (x[r6, t] - v6) * step
            v7 += (x[r7, t] - v7) * step
            out[r0, t], out[r1, t], out[r2, t], out[r3, t] = v0, v1, v2, v3
            out[r4, t], out[r5, t], out[r6, t], out[r7, t] = v4, v5, v6, v7


@kernel
def sma(x: Rows, out: Rows, first: Firsts, periods: int) -> None:
    """Plain mean of the last `periods` observations."""
    n = x.shape[1]
    share = 1.0 / periods
    older, newer = np.empty(periods), np.empty(periods)  # [j]: sum over the block behind offset j
    for i in range(x.shape[0]):
        older[:] = 0.0
        for start in range(first[i], n, periods):
            block, result = x[i, start : start + periods], out[i, start : start + periods]
            anchor, next_anchor = block[0], x[i, min(start + periods, n - 1)]
            head = tail = 0.0
            for j in range(block.size):
                head += block[j] - anchor
                result[j] = anchor + (head + older[j]) * share
                back = np.uint64(block.size - 1 - j)
                newer[back] = tail
                tail += block[back] - next_anchor
            older, newer = newer, older
        out[i, : first[i] + periods - 1] = np.nan


@kernel
def lwma(x: Rows, out: Rows, first: Firsts, periods: int) -> None:
    """Mean of the last `periods` observations weighted 1 (oldest) to `periods` (newest)."""
    n = x.shape[1]
    share = 2.0 / (periods * (periods + 1))
    older, newer = np.empty(periods), np.empty(periods)  # [j]: sum over the block behind j, weighted by the distance
    for i in range(x.shape[0]):
        older[:] = 0.0
        for start in range(first[i], n, periods):
            block, result = x[i, start : start + periods], out[i, start : start + periods]
            anchor, next_anchor = block[0], x[i, min(start + periods, n - 1)]
            head = aged = tail = weighted = 0.0
            for j in range(block.size):
                head += block[j] - anchor
                aged += head  # weighted 1 (newest) to j + 1: what is to be taken from a weight of periods + 1 each
                result[j] = anchor + (older[j] + (periods + 1) * head - aged) * share
                back = np.uint64(block.size - 1 - j)
                newer[back] = weighted
                tail += block[back] - next_anchor
                weighted += tail  # a step towards the past adds one to every weight behind it
            older, newer = newer, older
        out[i, : first[i] + periods - 1] = np.nan


@kernel
def wma(x: Rows, out: Rows, first: Firsts, weights: NDArray[np.float64]) -> None:
    """Mean of the last observations under any weights, the newest observation's first."""
    total = weights.sum()
    for i in range(x.shape[0]):
        begin = min(first[i] + weights.size - 1, x.shape[1])
        result = out[i, begin:]
        result[:] = 0.0
        for k in range(weights.size):  # weight by weight, so that the inner loop compiles to SIMD
            value = x[i, begin - k : x.shape[1] - k]
            for t in range(result.size):
                result[t] += weights[k] * value[t]
        for t in range(result.size):
            result[t] /= total
        out[i, :begin] = np.nan


@kernel
def vwma(x: Rows, volume: Rows, out: Rows, first: Firsts, periods: int) -> None:
    """Mean of the last `periods` observations of x weighted by volume."""
    n = x.shape[1]
    older, newer = np.empty((2, periods)), np.empty((2, periods))  # sums of value * volume and of volume
    for i in range(x.shape[0]):
        older[:] = 0.0
        for start in range(first[i], n, periods):
            end = min(start + periods, n)
            block, weight, result = x[i, start:end], volume[i, start:end], out[i, start:end]
            head = head_weight = tail = tail_weight = 0.0
            for j in range(block.size):
                head += block[j] * weight[j]
                head_weight += weight[j]
                result[j] = (head + older[0, j]) / (head_weight + older[1, j])
                back = np.uint64(block.size - 1 - j)
                newer[0, back], newer[1, back] = tail, tail_weight
                tail += block[back] * weight[back]
                tail_weight += weight[back]
            older, newer = newer, older
        out[i, : first[i] + periods - 1] = np.nan
