"""Where a fit runs: on the CPU, or on a GPU that torch finds."""

from __future__ import annotations

import torch

from ..errors import StrategyError

__all__ = ["has_kernels", "in_use", "place"]

_WIDEST = 1024  # hidden units for which the shared memory of a block of threads is enough on every GPU


def place(device: str, gains: bool = True) -> torch.device:
    """Return where to compute.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        What the user asked for.
    gains : bool
        Whether the work has a form that suits a GPU; "auto" keeps any other on the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    StrategyError
        When it is none of the three, or "cuda" where torch finds no GPU.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise StrategyError(f"fit: device is {device!r}; choose 'auto', 'cpu' or 'cuda'")
    if device == "cuda" and not torch.cuda.is_available():
        raise StrategyError("fit: device is 'cuda', but torch finds no such device; use device='auto'")
    if device == "auto":
        device = "cuda" if gains and torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.init()  # from here on its generators have a state that can be given back
    return torch.device(device)


def in_use() -> list[int]:
    """Return the GPUs whose generators seeding changes: none before torch has begun to use them."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []


def has_kernels(hidden: int) -> bool:
    """Return whether there is a GPU, numba compiles for it, and the kernels can hold so many hidden units."""
    if hidden > _WIDEST or not torch.cuda.is_available():
        return False
    try:
        from numba import cuda
    except ImportError:  # the target is a package of its own for newer versions of numba
        return False
    return bool(cuda.is_available())
