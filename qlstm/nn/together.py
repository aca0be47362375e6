"""Models side by side: one objective answers for all of them, and each moves on its own course to its own end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from torch import nn

from .descent import DIVERGED, Course, Outcome, Plan
from .samples import Rows, Sample

__all__ = ["Each", "Objective", "fit_together"]

Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""``map``, or one that works on several threads."""


class Objective(Protocol):
    """Losses and gradients of models, as functions of their parameters ``(models, P)`` float32.

    `wanted` holds the places of those that are asked for; answers come in its order. A model whose loss could not be
    computed has a NaN there, and the reason in `failures`, by its place.
    """

    failures: dict[int, str]

    def __call__(self, thetas: np.ndarray, wanted: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return losses ``(wanted,)`` and gradients ``(wanted, P)``."""
        ...

    def losses(self, thetas: np.ndarray, wanted: list[int]) -> np.ndarray:
        """Return losses ``(wanted,)``, the networks in evaluation mode."""
        ...


def fit_together(
    samples: list[Sample],
    start: np.ndarray,
    plan: Plan,
    objective: Callable[[list[Rows]], Objective],
    rebuilt: Callable[[np.ndarray], nn.Module],
    rooms: Sequence[np.ndarray | None] = (),
    each: Each = map,
) -> Iterator[tuple[str, Outcome]]:
    """Fit models side by side.

    Parameters
    ----------
    samples : list of Sample
        What each learns from.
    start : np.ndarray
        ``(P,)`` float32, where all start.
    plan : Plan
        How.
    objective : callable
        Makes the objective of these rows, one entry per model.
    rebuilt : callable
        Makes a network of parameters ``(P,)``.
    rooms : sequence, optional
        Working memory for each course, see `Course`.
    each : callable, optional
        How courses take their answers: ``map`` unless given.

    Yields
    ------
    tuple of str and Outcome
        In the order of `samples`.
    """
    if plan.deadline.is_over():
        yield from ((sample.name, Outcome(failure=plan.spent)) for sample in samples)
        return
    train = objective([sample.train for sample in samples])
    # A model without held-out rows never asks for its loss on them.
    held_out = any(sample.late for sample in samples)
    late = objective([sample.late or sample.train for sample in samples]) if held_out else train
    thetas = np.tile(start, (len(samples), 1))  # (models, P)
    rooms = rooms or [None] * len(samples)
    courses = [
        Course(theta, plan, sample.late is not None, room)
        for theta, sample, room in zip(thetas, samples, rooms, strict=False)
    ]
    _drive(courses, thetas, train, late, plan, each)
    reasons = late.failures | train.failures
    for i, (sample, course) in enumerate(zip(samples, courses, strict=True)):
        best = course.best()
        if best is None:
            yield sample.name, Outcome(failure=reasons.get(i, DIVERGED))
        else:
            yield sample.name, Outcome(rebuilt(best), cut=course.cut)


def _drive(
    courses: list[Course], thetas: np.ndarray, train: Objective, late: Objective, plan: Plan, each: Each
) -> None:  # fmt: skip
    """Answer every course's wishes, all alike ones in one sweep, until none is left."""
    while wishes := {course.wants for course in courses} - {""}:
        if plan.deadline.is_over():
            for course in courses:
                if course.wants:
                    course.stop()
            return
        wish = "gradient" if "gradient" in wishes else "loss"
        wanted = [i for i, course in enumerate(courses) if course.wants == wish]
        answers: Iterable[Any]
        if wish == "gradient":
            losses, gradients = train(thetas, wanted)
            answers = zip(losses.tolist(), gradients, strict=True)
        else:
            answers = late.losses(thetas, wanted).tolist()
        pairs = zip((courses[i] for i in wanted), answers, strict=True)
        for _ in each(lambda pair: pair[0].take(pair[1]), pairs):
            pass
