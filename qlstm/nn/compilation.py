"""Kernels full of sums and products, compiled to vector code, and memory that suits them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import config

from .._jit import kernel

__all__ = ["aligned", "is_compiled", "vectorised"]

_LINE = 64  # bytes of a cache line, and of the longest vector


def aligned(*shape: int) -> np.ndarray:
    """Return float32 memory, not set, that starts at a cache line.

    numpy's own starts anywhere, so that a vector straddles two lines: a matrix product then takes a third longer.
    """
    raw = np.empty(4 * math.prod(shape) + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + 4 * math.prod(shape)].view(np.float32).reshape(shape)


def is_compiled() -> bool:
    """Return whether kernels are compiled at all: not with NUMBA_DISABLE_JIT=1, nor on a server without numba."""
    return not config.DISABLE_JIT  # type: ignore[attr-defined]


def vectorised(function: Callable[..., Any]) -> Any:
    """Compile a kernel whose sums may be added lane by lane and whose products may be fused with additions.

    Without it no inner product becomes vector code. The order is settled when the kernel is compiled, so the same
    numbers still give the same result on one kind of processor; NaN and infinity keep their rules.

    Parameters
    ----------
    function : callable
        As for `qlstm._jit.kernel`.

    Returns
    -------
    numba dispatcher
    """
    dispatcher = kernel(function)
    if is_compiled():
        dispatcher.targetoptions["fastmath"] = {"contract", "reassoc"}
    return dispatcher
