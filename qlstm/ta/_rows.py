"""Building blocks on rows: C-contiguous float64 arrays of shape (asset, time), in which NaN means not observed.

Every block treats each row as if its missing values had been cut out: a window of p holds p observations, results sit
where observations are, and a missing value stays missing. Indicators are sums of these blocks and of numpy's
element-wise functions, written once for one tile of rows; `_apply` feeds them tile by tile. Inputs are never written
to; what a block returns is the caller's to overwrite.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _daily, _dispersion, _kernels
from ._layout import Rows, pack, survey, unpack

__all__ = [
    "Scratch",
    "blank",
    "change",
    "each",
    "ema",
    "highest",
    "lowest",
    "roc",
    "run",
    "scratch",
    "shift",
    "sma",
    "std",
    "together",
    "true_range",
    "wilder_ma",
]


_WIDEST = 1 << 62  # what an int64 holds


class Scratch(threading.local):
    """The arrays that one tile's steps take, kept per thread so that the next tile's steps take the same.

    Memory fresh from the system costs 1.4 ns per element at its first touch, as much as a kernel: too much to ask for
    it at every step of every tile. Outside of a ``with`` block, steps get arrays of their own.
    """

    def __init__(self) -> None:
        self._arrays: list[Rows] | None = None
        self._taken = 0

    def __enter__(self) -> Scratch:
        """Keep what is taken from now on for reuse."""
        self._arrays, self._taken = [], 0
        return self

    def __exit__(self, *_: object) -> None:
        """Give all of it back to the system."""
        self._arrays = None

    def rewind(self) -> None:
        """Begin a new tile: whatever was taken may be taken again."""
        self._taken = 0

    def take(self, shape: tuple[int, ...]) -> Rows:
        """Return an uninitialised array."""
        if self._arrays is None:
            return np.empty(shape)
        k, self._taken = self._taken, self._taken + 1
        if k == len(self._arrays):
            self._arrays.append(np.empty(shape))
        elif self._arrays[k].shape[0] < shape[0] or self._arrays[k].shape[1:] != shape[1:]:
            self._arrays[k] = np.empty(shape)
        return self._arrays[k][: shape[0]]


scratch = Scratch()


def blank(like: Rows) -> Rows:
    """Return an uninitialised array of the shape of `like`."""
    return scratch.take(like.shape)


def run(kernel: Callable[..., None], *inputs: Rows, args: tuple[Any, ...] = (), out: Rows | None = None) -> Rows:
    """Run a kernel over the observations of rows: where all `inputs` are present, if there are several.

    Parameters
    ----------
    kernel : callable
        From `_kernels` or `_dispersion`; called as ``kernel(*inputs, out, first, *args)``.
    inputs : Rows
        Of one shape; not changed.
    args : tuple
        Further arguments of the kernel: numbers or arrays. Whole ones are windows and lags.
    out : Rows, optional
        Where to write, none of the inputs.

    Returns
    -------
    Rows
        `out`: NaN wherever an input is.
    """
    if out is None:
        out = blank(inputs[0])
    args = _clamped(kernel, args, inputs[0].shape[1])
    first = np.zeros(len(out), np.int64)
    gaps = False
    for rows in inputs:
        gaps |= survey(rows, first)
    if gaps:
        mask = np.isnan(inputs[0])
        for rows in inputs[1:]:
            mask |= np.isnan(rows)
        first[:] = 0
        kernel(*[_packed(rows, mask) for rows in inputs], out, first, *args)
        unpack(out, mask)
    else:
        kernel(*inputs, out, first, *args)
    return out


def _clamped(kernel: Callable[..., None], args: tuple[Any, ...], times: int) -> tuple[Any, ...]:
    """Return arguments with windows no longer than what no row fills: kernels take memory and time by the window."""
    clamped = args
    for k, value in enumerate(args):  # a loop, because nearly always there is nothing to do
        if type(value) is int and not -times <= value <= times:
            # The span of `ema` is no window: with a short warm-up it may be longer than the row.
            most = _WIDEST if kernel is _kernels.ema and k == 0 else times + 1
            clamped = (*clamped[:k], max(min(value, most), -most), *clamped[k + 1 :])
    return clamped


def _packed(rows: Rows, mask: NDArray[np.bool_]) -> Rows:
    packed = blank(rows)
    pack(rows, mask, packed)
    return packed


def each(kernel: Callable[..., None], *inputs: Rows) -> Rows:
    """Run a kernel of `_daily`, which looks at one day at a time and so need not know what is missing."""
    out = blank(inputs[0])
    kernel(*inputs, out)
    return out


def together(*rows: Rows) -> tuple[Rows, ...]:
    """Return rows that are NaN wherever one of them is."""
    missing = np.isnan(rows[0])
    for one in rows[1:]:
        missing |= np.isnan(one)
    return tuple(np.where(missing, np.nan, one) for one in rows) if missing.any() else rows


def shift(x: Rows, periods: int) -> Rows:
    """Return the value `periods` observations earlier."""
    return run(_kernels.shift, x, args=(periods,))


def change(x: Rows, periods: int = 1) -> Rows:
    """Return the difference to the value `periods` observations earlier."""
    return run(_kernels.change, x, args=(periods,))


def roc(x: Rows, periods: int, scale: float = 100.0) -> Rows:
    """Return the change over `periods` observations, in percent or (scale 1.0) as a share."""
    return run(_kernels.roc, x, args=(periods, scale))


def sma(x: Rows, periods: int) -> Rows:
    """Return the mean of the last `periods` observations."""
    return run(_kernels.sma, x, args=(periods,))


def ema(x: Rows, periods: int, warm: int | None = None) -> Rows:
    """Return the exponential mean that starts from the plain mean of `warm` (by default `periods`) observations."""
    return run(_kernels.ema, x, args=(periods, periods if warm is None else warm))


def wilder_ma(x: Rows, periods: int, warm: int | None = None) -> Rows:
    """Return the exponential mean that steps 1 / `periods` of the way."""
    return ema(x, 2 * periods - 1, periods if warm is None else warm)


def std(x: Rows, periods: int, late: bool = False) -> Rows:
    """Return the population standard deviation of the last `periods` observations."""
    return run(_dispersion.variance, x, args=(periods, int(late), 0.5))


def highest(x: Rows, periods: int) -> Rows:
    """Return the highest of the last `periods` observations."""
    return run(_dispersion.extreme, x, args=(periods, 1.0))


def lowest(x: Rows, periods: int) -> Rows:
    """Return the lowest of the last `periods` observations."""
    return run(_dispersion.extreme, x, args=(periods, -1.0))


def true_range(high: Rows, low: Rows, close: Rows) -> Rows:
    """Return the day's range, stretched to the close before."""
    return each(_daily.stretch, high, low, close)
