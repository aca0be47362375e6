"""One way to compile a kernel: lazily, without the GIL, cached on disk where the disk allows it.

A cache folder that is read-only, missing or damaged costs one warning and a compilation per process, never a result:
numba itself refuses to compile at all where it finds no folder, and stops at the first call where a file is damaged.
"""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache

__all__ = ["kernel"]

# What unpickling a truncated or altered index, or touching a folder that is gone, has been seen to raise.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.PickleError,
)


@functools.cache
def _warn_once() -> None:
    """Say that kernels are compiled anew in this process (the cache on this function keeps it to once)."""
    warnings.warn(
        "numba's cache folder cannot be used, so kernels are compiled anew in each process; set NUMBA_CACHE_DIR to "
        "a folder that can be written, or delete the damaged one",
        RuntimeWarning,
        stacklevel=2,
    )


class _ForgivingCache(FunctionCache):
    """numba's disk cache, which turns itself off where numba's own would raise."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code for a signature, or None to have it compiled."""
        try:
            return super().load_overload(sig, target_context)
        except _DAMAGE:
            return self._give_up()

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write the compiled code of a signature."""
        try:
            super().save_overload(sig, data)
        except _DAMAGE:
            self._give_up()

    def _give_up(self) -> None:
        self.disable()
        _warn_once()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function of arrays and numbers with numba at its first call.

    Without the GIL, so that threads can share the work, with the rules of IEEE 754 (no fast-math: a NaN stays a NaN
    and sums are added in the order written), division by zero giving infinity or NaN as in numpy.

    Parameters
    ----------
    function : callable
        A function that numba can compile; it may call other kernels of the same file only, because numba looks for
        changes in that file alone when it decides whether cached code is still good.

    Returns
    -------
    numba dispatcher
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    try:
        # `njit(cache=True)` would do the same with numba's own cache, which raises where this one gives up.
        dispatcher._cache = _ForgivingCache(function)  # type: ignore[attr-defined]
    except RuntimeError:  # numba found no folder it may write
        _warn_once()
    return dispatcher
