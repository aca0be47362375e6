"""What stands in for numba where a server lacks it: kernels run as plain Python, with the same rules for zero and NaN.

Networks, whose kernels would take hours, then go through torch. The log says it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy

__all__ = ["config", "njit"]

config = SimpleNamespace(NUMBA_NUM_THREADS=1, DISABLE_JIT=True)

sys.stderr.write(
    "qlstm: THIS SERVER HAS NO NUMBA: indicators run as plain Python, networks in torch; slower, equal to rounding\n"
)


def njit(**_: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that leaves a function as it is, but for divisions by zero, which give infinity or NaN."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*arguments: Any) -> Any:
            with numpy.errstate(all="ignore"):
                return function(*arguments)

        return run

    return decorate
