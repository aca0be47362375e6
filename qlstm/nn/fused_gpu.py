"""Models of `qlstm.nn.LSTM` through the kernels on a GPU: a chunk of models at once, each on its own course."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numba import cuda
from numba.core.errors import NumbaPerformanceWarning
from torch import nn

from ..errors import QlstmError
from .descent import Outcome, Plan
from .fused import checked_fusable
from .kernels_gpu import backward, forward, mean_square, shared_bytes, threads_for
from .lbfgs import room_for
from .networks import LSTM, pack, unpack
from .optimizers import LBFGS
from .prototypes import Model, fresh, trainable, twin
from .samples import Rows, Sample, Source
from .slopes import Loss, is_mean_square, slopes_of
from .together import fit_together

__all__ = ["fit_on_gpu"]

_CHUNK = 2**31
"""Bytes, on either side, that the models of a chunk may take together."""


def fit_on_gpu(model: Model, samples: Source, plan: Plan) -> Iterator[tuple[str, Outcome]]:
    """Fit models with the kernels of the GPU; optimisers run on the CPU, over the threads that numba may use.

    Parameters
    ----------
    model : nn.Module or callable
        An `LSTM`, or what builds one.
    samples : Source
        What the models learn from. As many as fit into a fixed amount of memory go at a time.
    plan : Plan
        How.

    Yields
    ------
    tuple of str and Outcome
        As they are done, in no order that means anything.

    Raises
    ------
    StrategyError
        When the network is not a plain `LSTM`.
    """
    network = checked_fusable(fresh(model, plan.seed))
    start, shapes = pack(network), [parameter.shape for parameter in trainable(network)]
    rooms: list[np.ndarray | None] = []
    chunk: list[Sample] = []

    def rebuilt(theta: np.ndarray) -> nn.Module:
        return twin(network, unpack(theta, shapes))

    def fitted() -> Iterator[tuple[str, Outcome]]:
        while isinstance(plan.optimizer, LBFGS) and len(rooms) < len(chunk):
            rooms.append(room_for(start.size, plan.optimizer, plan.epochs))
        yield from fit_together(
            chunk, start, plan, lambda rows: _Batch(rows, network, plan.loss), rebuilt, rooms, pool.map
        )
        chunk.clear()

    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:  # type: ignore[attr-defined]
        taken = 0
        for name in samples:
            try:
                sample = samples[name]
            except QlstmError as error:
                yield name, Outcome(failure=str(error))
                continue
            needed = _nbytes(sample, network, plan)
            if chunk and taken + needed > _CHUNK:
                yield from fitted()
                taken = 0
            chunk.append(sample)
            taken += needed
        if chunk:
            yield from fitted()


def _nbytes(sample: Sample, network: LSTM, plan: Plan) -> int:
    """Return what one model takes, of the larger of the two memories."""
    size = sum(p.numel() for p in network.parameters())
    pairs = 0
    if isinstance(plan.optimizer, LBFGS):
        pairs = 1 + min(plan.optimizer.history_size, plan.optimizer.max_iter * plan.epochs)
    rows = len(sample.train.y) + (len(sample.late.y) if sample.late else 0)
    on_gpu = 6 * size + rows * (network.input_dim + 8 * network.hidden * len(network.cells))
    return 4 * max(on_gpu, size * (2 * pairs + 5))


class _Batch:
    """Losses and gradients of the models of a chunk, on the GPU: an `Objective`."""

    def __init__(self, rows: list[Rows], network: LSTM, loss: Loss) -> None:
        layers, hidden = len(network.cells), network.hidden
        self._grid = threads_for(hidden), 0, shared_bytes(hidden)  # threads, stream, shared memory
        self.failures: dict[int, str] = {}
        self._rows = rows
        self._ends = np.cumsum([0] + [len(r.y) for r in rows])  # (models + 1,)
        n, size = int(self._ends[-1]), sum(p.numel() for p in network.parameters())
        sequences = [r.starts[:-1] + first for r, first in zip(rows, self._ends, strict=False)]
        self._starts = cuda.to_device(np.concatenate([*sequences, [n]]).astype(np.int64))
        self._spans = cuda.to_device(np.cumsum([0] + [len(s) for s in sequences]).astype(np.int64))
        self._x = cuda.to_device(np.concatenate([r.x for r in rows]))
        self._gates = cuda.device_array((layers, n, 4 * hidden), np.float32)
        self._rest = cuda.device_array((layers, 3, n, hidden), np.float32)
        self._above = cuda.device_array((n, hidden), np.float32)
        self._output, self._slopes = (cuda.device_array(n, np.float32) for _ in range(2))
        self._turned, self._gradients = (cuda.device_array((len(rows), size), np.float32) for _ in range(2))
        self._slopes_of = None if is_mean_square(loss) else slopes_of(loss)
        self._y = cuda.to_device(np.concatenate([r.y for r in rows]))
        self._shares = cuda.to_device(np.concatenate([_shares(r) for r in rows]))
        self._losses = cuda.device_array(len(rows), np.float32)

    def __call__(self, thetas: np.ndarray, wanted: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return losses ``(wanted,)`` and gradients ``(wanted, P)``."""
        which, theta = self._run(thetas, wanted)
        losses = self._judged(which, wanted)
        self._launch(
            backward, which, theta, self._x, self._starts, self._spans, self._gates, self._rest, self._slopes,
            self._above, self._turned, self._gradients,
        )  # fmt: skip
        return losses, self._gradients[: len(wanted)].copy_to_host()

    def losses(self, thetas: np.ndarray, wanted: list[int]) -> np.ndarray:
        """Return losses ``(wanted,)``."""
        return self._judged(self._run(thetas, wanted)[0], wanted)

    def _run(self, thetas: np.ndarray, wanted: list[int]) -> tuple[Any, Any]:
        """Compute the outputs; return places and parameters of the wanted models, on the device."""
        which, theta = cuda.to_device(np.array(wanted, np.int64)), cuda.to_device(thetas[wanted])
        self._launch(
            forward, which, theta, self._x, self._starts, self._spans, self._gates, self._rest, self._output
        )  # fmt: skip
        return which, theta

    def _judged(self, which: Any, wanted: list[int]) -> np.ndarray:
        """Return losses ``(wanted,)``; leave their slopes by the outputs on the device."""
        if self._slopes_of is None:
            self._launch(
                mean_square, which, self._starts, self._spans, self._output, self._y, self._shares, self._losses,
                self._slopes,
            )  # fmt: skip
            losses: np.ndarray = self._losses[: len(wanted)].copy_to_host()
            return losses
        output, slopes = self._output.copy_to_host(), np.zeros(int(self._ends[-1]), np.float32)
        spans = list(pairwise(self._ends))
        losses = np.array([self._judge(i, output[slice(*spans[i])], slopes[slice(*spans[i])]) for i in wanted])
        self._slopes.copy_to_device(slopes)
        return losses

    def _judge(self, i: int, output: np.ndarray, slopes: np.ndarray) -> float:
        """Return the user's loss of one model, NaN where it is none; write its slopes."""
        assert self._slopes_of is not None
        rows = self._rows[i]
        counted = slice(None) if rows.counted is None else rows.counted
        try:
            loss, slopes[counted] = self._slopes_of(output[counted], rows.y[counted])
        except QlstmError as error:
            self.failures[i] = str(error)
            return float("nan")
        return loss

    def _launch(self, kernel: Any, which: Any, *arrays: Any) -> None:
        with warnings.catch_warnings():
            # A few models cannot fill a GPU, of which numba would warn at every launch.
            warnings.simplefilter("ignore", NumbaPerformanceWarning)
            kernel[(len(which), *self._grid)](which, *arrays)


def _shares(rows: Rows) -> np.ndarray:
    """Return what each row counts in a mean ``(N,)``."""
    counted = np.ones(len(rows.y), bool) if rows.counted is None else rows.counted
    return counted.astype(np.float32) / np.float32(counted.sum())
