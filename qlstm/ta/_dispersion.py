"""Bare loops over rows, continued: how a window is spread, and in which order. See `_kernels` for the rules."""

from __future__ import annotations

import numpy as np

from .._jit import kernel
from ._layout import Firsts, Rows

__all__ = ["covariance", "extreme", "mean_deviation", "pivot", "rank", "variance"]


# --- moments --------------------------------------------------------------------------------------------------------


@kernel
def variance(x: Rows, out: Rows, first: Firsts, periods: int, late: int, power: float) -> None:
    """Variance (power 1.0) or deviation (0.5) of the last `periods` observations, the first one `late` of them late."""
    n = x.shape[1]
    share = 1.0 / periods
    older, newer = np.empty((2, periods)), np.empty((2, periods))  # sums of deviations from the anchor and of squares
    for i in range(x.shape[0]):
        older[:] = 0.0
        for start in range(first[i], n, periods):
            block, result = x[i, start : start + periods], out[i, start : start + periods]
            anchor, next_anchor = block[0], x[i, min(start + periods, n - 1)]
            head = head_square = tail = tail_square = 0.0
            for j in range(block.size):
                value = block[j] - anchor
                head += value
                head_square += value * value
                total = head + older[0, j]
                result[j] = (head_square + older[1, j] - total * total * share) * share
                back = np.uint64(block.size - 1 - j)
                newer[0, back], newer[1, back] = tail, tail_square
                value = block[back] - next_anchor
                tail += value
                tail_square += value * value
            older, newer = newer, older
        for t in range(n):
            square = 0.0 if out[i, t] < 0.0 else out[i, t]  # rounding may leave -1e-20
            out[i, t] = square if power == 1.0 else np.sqrt(square)
        out[i, : first[i] + periods - 1 + late] = np.nan


@kernel
def covariance(x: Rows, y: Rows, out: Rows, first: Firsts, periods: int, late: int) -> None:
    """Covariance over the last `periods` observations, the first result `late` observations late."""
    n = x.shape[1]
    share = 1.0 / periods
    older, newer = np.empty((3, periods)), np.empty((3, periods))  # sums of deviations of x, of y, of their products
    for i in range(x.shape[0]):
        older[:] = 0.0
        for start in range(first[i], n, periods):
            end, following = min(start + periods, n), min(start + periods, n - 1)
            a, b, result = x[i, start:end], y[i, start:end], out[i, start:end]
            anchor_a, anchor_b, next_a, next_b = a[0], b[0], x[i, following], y[i, following]
            head_a = head_b = head_ab = tail_a = tail_b = tail_ab = 0.0
            for j in range(result.size):
                da, db = a[j] - anchor_a, b[j] - anchor_b
                head_a, head_b, head_ab = head_a + da, head_b + db, head_ab + da * db
                result[j] = (head_ab + older[2, j] - (head_a + older[0, j]) * (head_b + older[1, j]) * share) * share
                back = np.uint64(result.size - 1 - j)
                newer[0, back], newer[1, back], newer[2, back] = tail_a, tail_b, tail_ab
                da, db = a[back] - next_a, b[back] - next_b
                tail_a, tail_b, tail_ab = tail_a + da, tail_b + db, tail_ab + da * db
            older, newer = newer, older
        out[i, : first[i] + periods - 1 + late] = np.nan


@kernel
def mean_deviation(x: Rows, out: Rows, first: Firsts, periods: int) -> None:
    """Mean absolute distance of the last `periods` observations from their mean."""
    n = x.shape[1]
    share = 1.0 / periods
    for i in range(x.shape[0]):
        begin = min(first[i] + periods - 1, n)
        newest, result = x[i, begin:], out[i, begin:]
        mean = np.zeros(result.size)  # relative to the newest, so that a constant window gives exactly 0
        result[:] = 0.0
        for k in range(periods):  # day by day, so that the inner loops compile to SIMD
            value = x[i, begin - k : n - k]
            for t in range(result.size):
                mean[t] += (value[t] - newest[t]) * share
        for k in range(periods):
            value = x[i, begin - k : n - k]
            for t in range(result.size):
                result[t] += abs(value[t] - newest[t] - mean[t]) * share
        out[i, :begin] = np.nan


# --- order ----------------------------------------------------------------------------------------------------------


@kernel
def extreme(x: Rows, out: Rows, first: Firsts, periods: int, sign: float) -> None:
    """Highest (sign 1.0) or lowest (sign -1.0) of the last `periods` observations."""
    n = x.shape[1]
    if periods > n:
        out[:] = np.nan
        return
    buffers = np.empty((2, n))
    for i in range(x.shape[0]):
        # Of windows twice as long at every step, because the extreme of two that overlap is the extreme of both. All of
        # a step's comparisons are independent, so they compile to SIMD: 0.9 ns per value for a window of 20, where
        # blocks with a head and a tail take 1.5.
        found, length, side = x[i], 1, 0
        while length < periods:
            more = min(length, periods - length)
            newer, older = found[more:], found[: found.size - more]
            both = buffers[side, : newer.size]
            for t in range(both.size):  # written so that NaN, which begins where a series stopped, wins
                a, b = newer[t], older[t]
                both[t] = a if (sign * a >= sign * b) | (a != a) else b
            found, length, side = both, length + more, 1 - side
        out[i, : periods - 1] = np.nan
        out[i, periods - 1 :] = found


@kernel
def rank(x: Rows, out: Rows, first: Firsts, periods: int) -> None:
    """Share of the other `periods` - 1 observations that are below the newest, ties counting half."""
    n = x.shape[1]
    for i in range(x.shape[0]):
        begin = min(first[i] + periods - 1, n)
        out[i, :begin] = np.nan
        for t in range(begin, n):
            window, newest = x[i, t - periods + 1 : t], x[i, t]
            halves = 0
            for k in range(window.size):
                halves += (window[k] < newest) + (window[k] <= newest)
            out[i, t] = halves / (2.0 * window.size) if newest == newest else np.nan


@kernel
def pivot(x: Rows, out: Rows, first: Firsts, periods: int, sign: float) -> None:
    """1.0 where the observation `periods` ago is above (sign -1.0: below) the `periods` on either side, else 0.0."""
    n = x.shape[1]
    for i in range(x.shape[0]):
        begin = min(first[i] + 2 * periods, n)
        out[i, :begin] = np.nan
        for t in range(begin, n):
            window = x[i, t - 2 * periods : t + 1]
            middle = sign * window[periods]
            k = 0
            while k <= 2 * periods and (k == periods or sign * window[k] < middle):
                k += 1
            out[i, t] = (1.0 if k > 2 * periods else 0.0) if x[i, t] == x[i, t] else np.nan
