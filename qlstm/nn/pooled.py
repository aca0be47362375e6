"""One network for all assets, learned from windows in minibatches: what it takes, and what it scores."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr
from torch import nn

from ..errors import DataError, StrategyError
from . import observers
from .batches import one_thread
from .descent import Deadline
from .devices import in_use, place
from .epochs import Learner, Plateau, last_outputs, slices
from .networks import is_fusable
from .optimizers import Adam, Optimizer
from .prototypes import Model, fresh
from .sequences import Sequences
from .slopes import Loss

__all__ = ["Pooled", "fit_pooled", "predict_pooled"]

_log = logging.getLogger("qlstm.nn")


@dataclass(frozen=True)
class Pooled:
    """What `fit_pooled` returns.

    Attributes
    ----------
    network : nn.Module
        In evaluation mode, its parameters fixed: those of the epoch that was best in validation.
    history : list of dict
        Per epoch: ``train`` and ``late``, mean losses (`late` NaN without validation), and ``lr``. The loss of training
        is that of the epoch's batches as they came, dropout included.
    cut : bool
        Whether the budget ended it.
    """

    network: nn.Module
    history: list[dict[str, float]] = field(default_factory=list)
    cut: bool = False


def fit_pooled(
    model: Model,
    train: Sequences,
    late: Sequences | None = None,
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    batch: int = 512,
    epochs: int = 10,
    patience: int = 10,
    plateau: Plateau | None = None,
    seed: int = 42,
    device: str = "auto",
    budget_s: float | None = None,
) -> Pooled:
    """Fit one network on windows of many assets; its output at the last row is what learns.

    Parameters
    ----------
    model : nn.Module or callable
        A network ``(batch, time, feature) -> (batch, time)`` or ``(batch,)``, whose copy is drawn anew from `seed`, or
        a function that builds one.
    train : Sequences
        What it learns from. Each epoch passes over as many samples, every day alike, see `Sequences.epoch`.
    late : Sequences, optional
        What tells when to stop, and which epoch was best: usually the second part of ``Sequences.split``.
    loss : callable, optional
        ``loss(output, target)`` of 1-d tensors, returning one number, a mean over samples; the mean squared error
        unless given.
    optimizer : Optimizer, optional
        ``Adam()`` unless given.
    batch : int
        Samples in a step; an epoch is cut into batches of as nearly the same size as can be.
    epochs : int
        At most so many.
    patience : int
        Epochs without a lower loss on `late` after which it stops.
    plateau : Plateau, optional
        Lowers the learning rate by the loss on `late`, or in training where there is no `late`.
    seed : int
        Seeds parameters, batches and dropout; the caller's generators are left alone.
    device : {"auto", "cpu", "cuda"}
        Where; "auto" is a GPU where torch finds one, except for a plain `LSTM`, whose kernels run on the CPU.
    budget_s : float, optional
        Wall-clock seconds after which the best so far is returned. What is cut depends on the machine's speed.

    Returns
    -------
    Pooled
        The network and how it came about.

    Raises
    ------
    DataError
        No sample to learn from, or other features or lengths in `late`.
    StrategyError
        A setting out of range, a network or a loss that returns another shape, a loss that became NaN.

    Notes
    -----
    A plain `LSTM` on the CPU goes through `qlstm.nn.lockstep`, over the threads numba may use; anything else through
    torch, in one thread. Either way equal calls give equal bits, in whatever order the data hold the assets.
    """
    if min(batch, epochs, patience) < 1:
        raise StrategyError(f"batch, epochs and patience must be at least 1: {batch}, {epochs}, {patience}")
    _check(train, late)
    observers.notify("fit", model=model, X=train.X, Y=train.Y, groups=None)
    deadline = Deadline(budget_s)
    with torch.random.fork_rng(in_use()):
        where = place(device, gains=not is_fusable(fresh(model, seed)))
    with one_thread(), torch.random.fork_rng(in_use()), torch.enable_grad():
        network = fresh(model, seed).to(where)
        with last_outputs(network) as outputs:
            learner = Learner(network, outputs, loss or nn.functional.mse_loss, optimizer or Adam(), plateau, patience)
            rng = np.random.default_rng(seed)
            cut = learner.run(train, late, batch, epochs, rng, deadline)
    if cut:
        _log.warning("the budget of %g s cut the fit short, after %d epochs", budget_s, len(learner.history))
    return Pooled(network.cpu().eval().requires_grad_(False), learner.history, cut)


def predict_pooled(network: nn.Module, sequences: Sequences, batch: int = 512) -> xr.DataArray:
    """Run a network over windows and label its last outputs.

    Parameters
    ----------
    network : nn.Module
        Of `fit_pooled`.
    sequences : Sequences
        Made with or without targets.
    batch : int
        Windows at a time; does not change the scores.

    Returns
    -------
    xr.DataArray
        Scores, dims ``(time, asset)``, NaN where no window ends.

    Raises
    ------
    StrategyError
        When the network returns another shape.
    """
    observers.notify("predict", models={"pooled": network}, X=sequences.X)
    scores = np.empty(len(sequences), np.float32)
    with one_thread(), torch.inference_mode(), last_outputs(network) as outputs:
        for some in slices(len(sequences), batch):
            scores[some] = outputs(torch.from_numpy(sequences.inputs(some))).numpy()
    return sequences.table(scores)


def _check(train: Sequences, late: Sequences | None) -> None:
    if not len(train):
        raise DataError(f"there is no complete sequence of {train.length} rows to learn from; give more data")
    if late is None:
        return
    if not len(late):
        raise DataError(f"there is no complete sequence of {late.length} rows to validate on; give more data")
    if (train.length, train.features) != (late.length, late.features):
        raise DataError(
            f"sequences to learn from are ({train.length}, {train.features}), those to validate on ({late.length}, "
            f"{late.features}) rows and features; make them alike"
        )
