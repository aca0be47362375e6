"""Bare loops that look at one day at a time: what several of numpy's passes over memory would do, done in one.

`_rows.each` calls them as ``kernel(*inputs, out)`` with arrays of shape (asset, time). NaN in an input gives NaN. Those
that carry something from day to day step over missing values by themselves.
"""

from __future__ import annotations

import numpy as np

from .._jit import kernel
from ._layout import Rows

__all__ = [
    "cumulate",
    "distance",
    "dominant",
    "flow",
    "gain",
    "loss",
    "place",
    "placed",
    "sided",
    "standardize",
    "strength",
    "stretch",
    "triple",
]


@kernel
def gain(step: Rows, out: Rows) -> None:
    """Positive part."""
    for i in range(step.shape[0]):
        for t in range(step.shape[1]):
            out[i, t] = 0.0 if step[i, t] <= 0.0 else step[i, t]


@kernel
def loss(step: Rows, out: Rows) -> None:
    """Negative part, as a positive number."""
    for i in range(step.shape[0]):
        for t in range(step.shape[1]):
            out[i, t] = 0.0 if step[i, t] >= 0.0 else -step[i, t]


@kernel
def strength(gains: Rows, losses: Rows, out: Rows) -> None:
    """Share of gains in gains and losses, in percent."""
    for i in range(gains.shape[0]):
        for t in range(gains.shape[1]):
            out[i, t] = 100.0 * (gains[i, t] / (gains[i, t] + losses[i, t]))


@kernel
def _span(h: float, l: float, before: float, c: float) -> float:
    span = (h if h > before else before) - (l if l < before else before)
    return span if (h == h) & (l == l) & (before == before) & (c == c) else np.nan


@kernel
def stretch(high: Rows, low: Rows, close: Rows, out: Rows) -> None:
    """Distance from low to high when both are stretched to the close before."""
    n = high.shape[1]
    for i in range(high.shape[0]):
        h, l, c, result = high[i], low[i], close[i], out[i]
        missing = 0
        for t in range(n):
            missing += c[t] != c[t]
        result[:1] = np.nan
        if missing:
            before = np.nan
            for t in range(n):
                result[t] = _span(h[t], l[t], before, c[t])
                before = c[t] if c[t] == c[t] else before
        else:  # nothing is carried over, so this compiles to SIMD
            for t in range(1, n):
                result[t] = _span(h[t], l[t], c[t - 1], c[t])


@kernel
def dominant(move: Rows, opposite: Rows, out: Rows) -> None:
    """Move where it is positive and larger than the opposite one, else 0; NaN only where the move itself is missing."""
    for i in range(move.shape[0]):
        for t in range(move.shape[1]):
            m = move[i, t]
            out[i, t] = m if (m != m) | ((m > opposite[i, t]) & (m > 0.0)) else 0.0


@kernel
def distance(x: Rows, level: Rows, out: Rows) -> None:
    """Distance to a level as a share of it."""
    for i in range(x.shape[0]):
        for t in range(x.shape[1]):
            out[i, t] = x[i, t] / level[i, t] - 1.0


@kernel
def standardize(x: Rows, mean: Rows, deviation: Rows, out: Rows) -> None:
    """Distance to a mean in standard deviations."""
    for i in range(x.shape[0]):
        for t in range(x.shape[1]):
            out[i, t] = (x[i, t] - mean[i, t]) / deviation[i, t]


@kernel
def place(close: Rows, low: Rows, high: Rows, out: Rows) -> None:
    """Place of the close between low and high, in percent; NaN without a range."""
    for i in range(close.shape[0]):
        for t in range(close.shape[1]):
            width = high[i, t] - low[i, t]
            out[i, t] = 100.0 * ((close[i, t] - low[i, t]) / width) if width > 0.0 else np.nan


@kernel
def sided(volume: Rows, step: Rows, out: Rows) -> None:
    """Volume, with the sign of the price's step."""
    for i in range(volume.shape[0]):
        for t in range(volume.shape[1]):
            s = step[i, t]
            side = 1.0 if s > 0.0 else (-1.0 if s < 0.0 else 0.0 * s)
            out[i, t] = side * volume[i, t]


@kernel
def flow(numerator: Rows, volume: Rows, high: Rows, low: Rows, out: Rows) -> None:
    """Volume times a price difference as a share of the day's range; NaN without a range."""
    for i in range(volume.shape[0]):
        for t in range(volume.shape[1]):
            width = high[i, t] - low[i, t]
            out[i, t] = volume[i, t] * numerator[i, t] / width if width != 0.0 else np.nan


@kernel
def placed(high: Rows, low: Rows, close: Rows, volume: Rows, out: Rows) -> None:
    """Volume times the close's place in the day, from 1 at the high to -1 at the low; NaN without a range."""
    for i in range(volume.shape[0]):
        for t in range(volume.shape[1]):
            h, l, c = high[i, t], low[i, t], close[i, t]
            out[i, t] = volume[i, t] * ((c - l) - (h - c)) / (h - l) if h != l else np.nan


@kernel
def cumulate(x: Rows, out: Rows) -> None:
    """Sum of all observations so far."""
    for i in range(x.shape[0]):
        total = 0.0
        for t in range(x.shape[1]):
            value = x[i, t]
            total += value if value == value else 0.0
            out[i, t] = total if value == value else np.nan


@kernel
def triple(once: Rows, twice: Rows, thrice: Rows, out: Rows) -> None:
    """Mulloy's combination of an average applied once, twice and three times."""
    for i in range(once.shape[0]):
        for t in range(once.shape[1]):
            out[i, t] = 3.0 * (once[i, t] - twice[i, t]) + thrice[i, t]
