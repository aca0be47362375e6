"""One way to compile a kernel where sources have no file of their own: lazily, in memory, for this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["kernel"]


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function of arrays and numbers at its first call, by the same rules as everywhere in qlstm.

    Parameters
    ----------
    function : callable
        A function that numba can compile.

    Returns
    -------
    numba dispatcher
    """
    return numba.njit(nogil=True, error_model="numpy")(function)
