"""Rolling sums and moments in one pass, without the cancellation of add-and-subtract windows.

A window of `size` rows is cut at the multiples of `size` into the tail of one block and the head of the next. Heads are
accumulated forwards, tails backwards, and one merge gives each window: three operations a row for any size, nothing is
ever subtracted, so neither a spike nor an infinity that has left the window leaves a trace in it.
"""

from __future__ import annotations

import numpy as np

from .._jit import kernel

__all__ = ["rolling_moments", "rolling_sums"]


@kernel
def _block_sums(values: np.ndarray, size: int, min_count: int, out: np.ndarray) -> None:
    rows, columns = values.shape
    tail = np.zeros((size + 1, columns))
    tail_count = np.zeros((size + 1, columns))
    head = np.zeros(columns)
    head_count = np.zeros(columns)
    for t in range(rows):
        place = t % size
        if place == 0:
            if t > 0:
                for k in range(size - 1, -1, -1):
                    for a in range(columns):
                        x = values[t - size + k, a]
                        known = x == x
                        tail[k, a] = tail[k + 1, a] + (x if known else 0.0)
                        tail_count[k, a] = tail_count[k + 1, a] + (1.0 if known else 0.0)
            head[:] = 0.0
            head_count[:] = 0.0
        for a in range(columns):
            x = values[t, a]
            known = x == x
            head[a] += x if known else 0.0
            head_count[a] += 1.0 if known else 0.0
            enough = tail_count[place + 1, a] + head_count[a] >= min_count
            out[t, a] = tail[place + 1, a] + head[a] if enough else np.nan


@kernel
def _block_moments(values: np.ndarray, size: int, min_count: int, mean: np.ndarray, std: np.ndarray) -> None:
    rows, columns = values.shape
    tail = np.zeros((3, size + 1, columns))  # count, mean, sum of squared deviations
    head = np.zeros((3, columns))
    for t in range(rows):
        place = t % size
        if place == 0:
            if t > 0:
                for k in range(size - 1, -1, -1):
                    for a in range(columns):
                        x = values[t - size + k, a]
                        n, m, q = tail[0, k + 1, a], tail[1, k + 1, a], tail[2, k + 1, a]
                        if x == x:
                            n += 1.0
                            delta = x - m
                            m += delta / n
                            q += delta * (x - m)
                        tail[0, k, a], tail[1, k, a], tail[2, k, a] = n, m, q
            head[:] = 0.0
        for a in range(columns):
            x = values[t, a]
            n, m, q = head[0, a], head[1, a], head[2, a]
            if x == x:
                n += 1.0
                delta = x - m
                m += delta / n
                q += delta * (x - m)
                head[0, a], head[1, a], head[2, a] = n, m, q
            # Chan, Golub and LeVeque (1979): the moments of two disjoint parts merge exactly.
            before = tail[0, place + 1, a]
            total = n + before
            if total < min_count or total == 0.0:
                mean[t, a] = std[t, a] = np.nan
            else:
                delta = tail[1, place + 1, a] - m
                mean[t, a] = m + delta * before / total
                std[t, a] = np.sqrt((q + tail[2, place + 1, a] + delta * delta * n * before / total) / total)


def _columns(values: np.ndarray) -> np.ndarray:
    """Return `values` as a C-ordered float64 matrix with one column per series."""
    return np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.float64)


def rolling_sums(values: np.ndarray, size: int, min_count: int = 1) -> np.ndarray:
    """Return the sum over the last `size` rows, NaN skipped.

    Parameters
    ----------
    values : np.ndarray
        Shape ``(time,)`` or ``(time, series)``.
    size : int
        Rows in a window, at least 1; windows at the start hold the rows there are.
    min_count : int
        Fewer valid values than this give NaN.

    Returns
    -------
    np.ndarray
        Float64, the shape of `values`.
    """
    matrix = _columns(values)
    out = np.empty_like(matrix)
    _block_sums(matrix, max(1, min(size, len(matrix))), min_count, out)
    return out.reshape(values.shape)


def rolling_moments(values: np.ndarray, size: int, min_count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and population standard deviation (ddof 0) over the last `size` rows, NaN skipped.

    Parameters and shapes are those of `rolling_sums`. A window of equal values has a deviation of exactly 0.
    """
    matrix = _columns(values)
    mean, std = np.empty_like(matrix), np.empty_like(matrix)
    _block_moments(matrix, max(1, min(size, len(matrix))), min_count, mean, std)
    return mean.reshape(values.shape), std.reshape(values.shape)
