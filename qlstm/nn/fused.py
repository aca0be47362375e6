"""Models of `qlstm.nn.LSTM` through the kernels, one model per thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from torch import nn

from ..errors import QlstmError, StrategyError
from .compilation import aligned
from .descent import DIVERGED, Course, Outcome, Plan
from .kernels import backward, forward
from .lbfgs import room_for
from .networks import LSTM, is_fusable, pack, unpack
from .optimizers import LBFGS
from .prototypes import Model, fresh, trainable, twin
from .samples import Rows, Sample, Source
from .slopes import Slopes, slopes_of

__all__ = ["checked_fusable", "fit_fused"]


def fit_fused(model: Model, samples: Source, plan: Plan) -> Iterator[tuple[str, Outcome]]:
    """Fit each model with the kernels, over the threads that numba may use.

    Parameters
    ----------
    model : nn.Module or callable
        An `LSTM`, or what builds one.
    samples : Source
        What the models learn from.
    plan : Plan
        How.

    Yields
    ------
    tuple of str and Outcome
        In the order of `samples`.

    Raises
    ------
    StrategyError
        When the network is not a plain `LSTM`.
    """
    fitter = _Fitter(checked_fusable(fresh(model, plan.seed)), plan)

    def one(name: str) -> tuple[str, Outcome]:
        if plan.deadline.is_over():
            return name, Outcome(failure=plan.spent)
        try:
            return name, fitter(samples[name])
        except QlstmError as error:
            return name, Outcome(failure=str(error))

    threads = min(numba.config.NUMBA_NUM_THREADS, len(samples))  # type: ignore[attr-defined]
    if threads < 2:
        yield from map(one, samples)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(one, samples)


def checked_fusable(network: nn.Module) -> LSTM:
    """Return a network that the kernels can stand for; raise StrategyError for any other."""
    if is_fusable(network) and isinstance(network, LSTM):
        return network
    raise StrategyError(
        f"fit: mode 'fused' is for qlstm.nn.LSTM as it comes, not {type(network).__name__}; use mode='auto'"
    )


class _Fitter:
    """Fits one model after the other from the same start; safe in threads."""

    def __init__(self, network: LSTM, plan: Plan) -> None:
        self._network, self._plan = network, plan
        self._start = pack(network)
        self._shapes = [parameter.shape for parameter in trainable(network)]
        self._slopes = slopes_of(plan.loss)
        self._local = threading.local()

    def __call__(self, sample: Sample) -> Outcome:
        """Fit one model."""
        plan = self._plan
        train = _Objective(sample.train, self._network, self._slopes)
        late = _Objective(sample.late, self._network, self._slopes) if sample.late else None
        theta = aligned(self._start.size)
        theta[:] = self._start
        course = Course(theta, plan, late is not None, self._room(theta.size))
        while course.wants:
            if plan.deadline.is_over():
                course.stop()
            elif course.wants == "gradient":
                course.take(train(course.theta))
            elif late:
                course.take(late.loss(course.theta))
        best = course.best()
        if best is None:
            return Outcome(failure=DIVERGED)
        return Outcome(twin(self._network, unpack(best, self._shapes)), cut=course.cut)

    def _room(self, size: int) -> np.ndarray | None:
        """Return this thread's room for curvature pairs: touching fresh memory for every model costs a tenth of it."""
        if not isinstance(self._plan.optimizer, LBFGS):
            return None
        if not hasattr(self._local, "room"):
            self._local.room = room_for(size, self._plan.optimizer, self._plan.epochs)
        room: np.ndarray = self._local.room
        return room


class _Objective:
    """One model's loss and gradient as functions of its parameter vector."""

    def __init__(self, rows: Rows, network: LSTM, slopes: Slopes) -> None:
        n, layers, hidden = len(rows.y), len(network.cells), network.hidden
        self._rows, self._slopes_of = rows, slopes
        self._gates, self._rest = aligned(layers, n, 4 * hidden), aligned(layers, 3, n, hidden)
        self._output, self._d_hidden = aligned(n), aligned(n + 2, hidden)
        self._no_d_x = aligned(0, rows.x.shape[1])
        self._gradient = aligned(sum(p.numel() for p in network.parameters()))

    def _run(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        rows = self._rows
        forward(theta, rows.x, rows.starts, self._gates, self._rest, self._output, 0)
        if rows.counted is None:
            return self._slopes_of(self._output, rows.y)
        return self._slopes_of(self._output[rows.counted], rows.y[rows.counted])

    def loss(self, theta: np.ndarray) -> float:
        """Return the loss alone."""
        return self._run(theta)[0]

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient ``(P,)``, which the next call overwrites."""
        loss, slopes = self._run(theta)
        rows = self._rows
        backward(
            theta, rows.x, rows.starts, self._gates, self._rest, slopes, self._d_hidden, self._no_d_x, self._gradient
        )
        return loss, self._gradient
