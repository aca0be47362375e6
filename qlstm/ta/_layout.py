"""Kernels that move values: missing ones out of the way and back, and time to where loops want it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel

__all__ = ["Firsts", "Rows", "pack", "survey", "transpose", "unpack"]

Rows = NDArray[np.float64]  # (asset, time), C-contiguous; NaN means not observed
Firsts = NDArray[np.int64]  # (asset,): where each row's first observation is


@kernel
def survey(x: Rows, first: Firsts) -> bool:
    """Raise `first` to the first observation of each row; return whether a row has gaps between observations."""
    n = x.shape[1]
    gaps = False
    for i in range(x.shape[0]):
        missing = 0
        for t in range(n):  # a count, not an early exit: this compiles to SIMD
            missing += x[i, t] != x[i, t]
        if missing:
            begin, end = 0, n
            while begin < n and x[i, begin] != x[i, begin]:
                begin += 1
            while end > begin and x[i, end - 1] != x[i, end - 1]:
                end -= 1
            first[i] = max(first[i], begin)
            gaps |= missing > n - (end - begin)
    return gaps


@kernel
def pack(x: Rows, mask: NDArray[np.bool_], out: Rows) -> None:
    """Move the values of each row that are not masked to the front; NaN behind them."""
    for i in range(x.shape[0]):
        k = 0
        for t in range(x.shape[1]):
            out[i, k] = x[i, t]
            k += not mask[i, t]
        out[i, k:] = np.nan


@kernel
def unpack(out: Rows, mask: NDArray[np.bool_]) -> None:
    """Move packed values back, in place, to where the mask is False; NaN where it is True."""
    for i in range(out.shape[0]):
        k = out.shape[1] - mask[i].sum()
        for t in range(out.shape[1] - 1, -1, -1):
            k -= not mask[i, t]
            out[i, t] = np.nan if mask[i, t] else out[i, k]


@kernel
def transpose(source: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    """Write the transpose of `source` into `target`, eight columns (one cache line) at a time."""
    rows, columns = source.shape
    for j in range(0, columns, 8):
        if j + 8 <= columns:
            for t in range(rows):
                for i in range(8):  # a constant, so that it is unrolled
                    target[j + i, t] = source[t, j + i]
        else:
            for t in range(rows):
                for i in range(j, columns):
                    target[i, t] = source[t, i]
