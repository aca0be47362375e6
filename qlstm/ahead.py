"""Work put off: inside `collecting`, `qlstm.nn.fit` only notes what is to be fitted, and all of it is done together.

A strategy's `train` is pure, so the backtester may call it for many retrain dates before the first of their models is
needed. This module is where the two meet: neither the engine nor the networks know of each other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Job", "collecting", "put_off", "solve"]


class Job(ABC):
    """Work that was put off."""

    room: int
    """Bytes that it holds, or will hold when it is done."""

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether it has been done."""

    @property
    @abstractmethod
    def misled(self) -> bool:
        """Whether somebody looked before it was done and saw what it then was not, so that they must look again."""

    @classmethod
    @abstractmethod
    def solve(cls, jobs: Sequence[Job]) -> None:
        """Do these jobs of this class, as one batch where they are alike."""


_jobs: ContextVar[list[Job] | None] = ContextVar("jobs", default=None)


@contextmanager
def collecting() -> Iterator[list[Job]]:
    """Have work inside the block put off; gives the list that it is noted in."""
    jobs: list[Job] = []
    token = _jobs.set(jobs)
    try:
        yield jobs
    finally:
        _jobs.reset(token)


def put_off(job: Job) -> bool:
    """Note a job for later; False, and nothing noted, where nobody collects."""
    jobs = _jobs.get()
    if jobs is None:
        return False
    jobs.append(job)
    return True


def solve(jobs: Iterable[Job]) -> None:
    """Do all jobs that are not done, those of one class together."""
    kinds: dict[type[Job], list[Job]] = {}
    for job in jobs:
        if not job.is_done:
            kinds.setdefault(type(job), []).append(job)
    for kind, alike in kinds.items():
        kind.solve(alike)
