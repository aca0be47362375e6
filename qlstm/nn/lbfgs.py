"""L-BFGS for one model at a time, step for step as `torch.optim.LBFGS` without line search.

The memory of curvature is one model's own: a memory shared over stacked models would mix their curvatures, and models
that are done would keep moving. Here each model has its own pairs, its own scale and its own stopping. The method asks
for a loss and a gradient by yielding, so one model can be driven alone and many side by side with the same code.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from .compilation import aligned, vectorised
from .optimizers import LBFGS

__all__ = ["Memory", "minimise", "room_for"]

_ZERO = np.float32(0.0)
_LEAST_CURVATURE = 1e-10  # below it a pair is not remembered, as in torch


@vectorised
def _dot(a: Any, b: Any) -> Any:
    """Return the product of a with as many entries of b."""
    total = _ZERO
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@vectorised
def _total(values: Any) -> Any:
    """Return the sum of the absolute values."""
    total = _ZERO
    for i in range(values.size):
        total += abs(values[i])
    return total


@vectorised
def _judge(pairs: Any, spare: int, gradient: Any, before: Any, direction: Any, length: Any) -> Any:
    """Write the last move and the change of gradient it brought; return their product and the change's square."""
    product = square = _ZERO
    step, change = pairs[spare, 0], pairs[spare, 1]
    for i in range(gradient.size):
        y = gradient[i] - before[i]
        s = direction[i] * length
        step[i], change[i] = s, y
        product += y * s
        square += y * y
    return product, square


@vectorised
def _add_and_dot(vector: Any, factor: Any, added: Any, other: Any) -> Any:
    """Add a multiple to a vector and return its product with another: one sweep through memory for both."""
    total = _ZERO
    for i in range(vector.size):
        value = vector[i] + factor * added[i]
        vector[i] = value
        total += value * other[i]
    return total


@vectorised
def _aim(pairs: Any, products: Any, newest: int, kept: int, scale: Any, gradient: Any, direction: Any) -> Any:
    """Set `direction` to minus the inverse Hessian, as remembered, times the gradient; return the slope along it.

    The two-loop recursion (Nocedal, 1980). Each sweep applies one pair and takes the product that the next one needs.
    """
    room = pairs.shape[0]
    factors = np.empty(kept, np.float32)
    for i in range(gradient.size):
        direction[i] = -gradient[i]
    total = _dot(direction, pairs[newest, 0])
    for k in range(kept):
        at = (newest - k) % room
        factors[k] = total / products[at]
        following = pairs[(at - 1) % room, 0] if k + 1 < kept else pairs[at, 1]
        total = _add_and_dot(direction, -factors[k], pairs[at, 1], following)
    for i in range(gradient.size):
        direction[i] *= scale
    total *= scale
    for k in range(kept - 1, -1, -1):
        at = (newest - k) % room
        factor = factors[k] - total / products[at]
        following = pairs[(at + 1) % room, 1] if k else gradient
        total = _add_and_dot(direction, factor, pairs[at, 0], following)
    return total if kept else _dot(direction, gradient)


@vectorised
def _learn_and_aim(
    pairs: Any, products: Any, newest: int, kept: int, scale: Any, gradient: Any, before: Any, direction: Any,
    length: Any,
) -> Any:  # fmt: skip
    """Remember the last move where the loss curves upwards along it, set the next direction.

    Returns the slope along the direction and the new `newest`, `kept` and `scale`.
    """
    room = pairs.shape[0]
    spare = (newest + 1) % room
    product, square = _judge(pairs, spare, gradient, before, direction, length)
    if product > _LEAST_CURVATURE:
        newest, kept, scale = spare, min(kept + 1, room - 1), product / square
        products[spare] = product
    before[:] = gradient
    return _aim(pairs, products, newest, kept, scale, gradient, direction), newest, kept, scale


@vectorised
def _move(x: Any, direction: Any, length: Any, tolerance: Any) -> Any:
    """Add `length` times the direction to x; return how many entries changed by more than the tolerance."""
    moved = 0
    for i in range(x.size):
        change = length * direction[i]
        x[i] += change
        moved += not abs(change) <= tolerance  # a NaN counts
    return moved


@vectorised
def _n_beyond(values: Any, tolerance: Any) -> Any:
    """Return how many entries are larger than the tolerance in size; a NaN counts."""
    beyond = 0
    for i in range(values.size):
        beyond += not abs(values[i]) <= tolerance
    return beyond


def room_for(size: int, settings: LBFGS, epochs: int) -> np.ndarray:
    """Return room for one descent: pairs of steps and changes of the gradient, ``(pairs, 2, size rounded up)``."""
    # One pair more than are remembered: the place of the pair that is not yet judged. Every row starts a cache line.
    return aligned(1 + min(settings.history_size, settings.max_iter * epochs), 2, -(-size // 16) * 16)


class Memory:
    """What one model's descent remembers from one iteration to the next, also over epochs.

    Parameters
    ----------
    size : int
        Number of parameters.
    settings : LBFGS
        The method's settings.
    epochs : int
        How often `minimise` will be called at most: no more pairs are held than can come.
    room : np.ndarray, optional
        Of `room_for`, to be used again when this descent is over.
    """

    def __init__(self, size: int, settings: LBFGS, epochs: int, room: np.ndarray | None = None) -> None:
        self.settings = settings
        self.room = room_for(size, settings, epochs) if room is None else room
        self.products = np.empty(len(self.room), np.float32)
        self.newest, self.kept = -1, 0
        self.gradient, self.direction = aligned(size), aligned(size)
        self.length, self.scale = _ZERO, np.float32(1.0)
        self.iterations = 0

    def aim(self, gradient: np.ndarray) -> float:
        """Set the direction and length of the next move; return the slope along it."""
        self.iterations += 1
        if self.iterations == 1:
            np.negative(gradient, out=self.direction)
            self.gradient[:] = gradient
            self.length = np.float32(min(1.0, 1.0 / _total(gradient)) * self.settings.lr)
            return float(_dot(gradient, self.direction))
        slope, self.newest, self.kept, scale = _learn_and_aim(
            self.room, self.products, self.newest, self.kept, self.scale, gradient, self.gradient, self.direction,
            self.length,
        )  # fmt: skip
        self.scale = np.float32(scale)  # numba hands out Python floats, for which it would compile once more
        self.length = np.float32(self.settings.lr)
        return float(slope)


def minimise(x: np.ndarray, memory: Memory) -> Generator[str, tuple[float, np.ndarray], None]:
    """Move x, in place, through up to `max_iter` iterations: one epoch.

    Parameters
    ----------
    x : np.ndarray
        ``(P,)`` float32, the parameters.
    memory : Memory
        The model's own.

    Yields
    ------
    str
        "gradient", when it wants the loss and its gradient ``(P,)`` float32 at x sent in.
    """
    settings = memory.settings
    most = settings.max_iter * 5 // 4  # evaluations, torch's default
    flat, still = np.float32(settings.tolerance_grad), np.float32(settings.tolerance_change)
    loss, gradient = yield "gradient"
    if not _n_beyond(gradient, flat):
        return
    for i in range(1, settings.max_iter + 1):
        before = loss
        if memory.aim(gradient) > -settings.tolerance_change:
            return
        moved = _move(x, memory.direction, memory.length, still)
        if i == settings.max_iter:
            return
        loss, gradient = yield "gradient"
        if i + 1 >= most or not _n_beyond(gradient, flat):
            return
        if not moved or abs(loss - before) < settings.tolerance_change:
            return
