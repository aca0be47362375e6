"""Bare loops that look at one day at a time: what several of numpy's passes over memory would do, done in one.

`_rows.each` calls them as ``kernel(*inputs, out)`` with arrays of shape (asset, time). NaN in an input gives NaN.
"""

from __future__ import annotations

import numpy as np

from .._jit import kernel
from ._layout import Rows

__all__ = ["dominant", "flow", "place", "positive", "sided", "strength", "stretch"]


@kernel
def positive(x: Rows, out: Rows) -> None:
    """Positive part."""
    for i in range(x.shape[0]):
        for t in range(x.shape[1]):
            out[i, t] = 0.0 if x[i, t] <= 0.0 else x[i, t]


@kernel
def strength(gains: Rows, losses: Rows, out: Rows) -> None:
    """Share of gains in gains and losses, in percent."""
    for i in range(gains.shape[0]):
        for t in range(gains.shape[1]):
            out[i, t] = 100.0 * (gains[i, t] / (gains[i, t] + losses[i, t]))


@kernel
def stretch(high: Rows, low: Rows, before: Rows, out: Rows) -> None:
    """Distance from low to high when both are stretched to the close before."""
    for i in range(high.shape[0]):
        for t in range(high.shape[1]):
            h, l, b = high[i, t], low[i, t], before[i, t]
            span = (h if h > b else b) - (l if l < b else b)
            out[i, t] = span if (h == h) & (l == l) & (b == b) else np.nan


@kernel
def dominant(move: Rows, opposite: Rows, out: Rows) -> None:
    """Move where it is positive and larger than the opposite one, else 0; NaN only where the move itself is missing."""
    for i in range(move.shape[0]):
        for t in range(move.shape[1]):
            m = move[i, t]
            out[i, t] = m if (m != m) | ((m > opposite[i, t]) & (m > 0.0)) else 0.0


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
