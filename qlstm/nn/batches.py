"""Calls of `fit` as jobs: carried out at once, or put off and carried out with all others that are alike.

A model's numbers do not depend on what is fitted beside it, so a batch over retrain dates gives the bits of one call
after the other.
"""

from __future__ import annotations

import gc
import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..ahead import Job
from ..errors import StrategyError
from .descent import Outcome, Plan
from .devices import has_kernels, in_use, place
from .fused import checked_fusable, fit_fused
from .loop import fit_loop
from .models import Models
from .networks import LSTM, is_fusable
from .prototypes import Model, copy_of, fresh, trainable
from .samples import Joined, Samples, Source
from .slopes import is_mean_square
from .stacked import check_stackable, fit_stacked, is_stackable

__all__ = ["Fit", "one_thread"]

_log = logging.getLogger("qlstm.nn")
_MODELS_BETWEEN = 256  # until those fitted are set aside


class Fit(Job):
    """One call of `fit`: checked when it is made, carried out by `solve`.

    Parameters
    ----------
    model : nn.Module or callable
        What is fitted.
    samples : Samples
        What the models learn from.
    plan : Plan
        How.
    mode, device : str
        The way asked for, and where.

    Attributes
    ----------
    models : Models
        What the call returns; settled by `solve`.

    Raises
    ------
    StrategyError
        When the model cannot be drawn, or cannot go the way that was asked for.
    """

    def __init__(self, model: Model, samples: Samples, plan: Plan, mode: str, device: str) -> None:
        with _undisturbed():
            network = fresh(model, plan.seed)
            self._mode, self._device = _way(network, samples, plan, mode, device)
        # A module is kept as it is now: the caller may go on with theirs.
        self._model = network if isinstance(model, nn.Module) else model
        self._network, self._samples, self._plan = network, samples, plan
        names = samples.usable()
        self._promised = len(names)
        self.models = Models.to_come(names, samples.groups, lambda: Fit.solve([self]))
        self.room = 4 * sum(p.numel() for p in trainable(network)) * len(samples) + samples.nbytes

    @property
    def is_done(self) -> bool:
        """Whether the models are there."""
        return self.models.is_settled

    @property
    def misled(self) -> bool:
        """Whether somebody asked for the names before it was known that one of them has no network."""
        return self.models.looked_at and len(self.models) < self._promised

    def _key(self) -> list[Any]:
        """Return what is equal for calls that can be carried out as one."""
        plan = self._plan
        loss = "mean square" if is_mean_square(plan.loss) else plan.loss
        try:
            start: Any = pickle.dumps(self._network)
        except Exception:  # whatever a user's module cannot be pickled for, it then stands alone
            start = object()
        kind = [self._mode, self._device, self._samples.features, bool(self._samples.groups)]
        return [*kind, loss, plan.optimizer, plan.epochs, plan.seed, plan.validation, plan.deadline.budget_s, start]

    def _settle(self, outcomes: dict[str, Outcome]) -> None:
        """Hand over what was fitted; log what was not."""
        failures = {name: outcome.failure for name, outcome in outcomes.items() if outcome.network is None}
        cut = tuple(name for name, outcome in outcomes.items() if outcome.cut)
        for name, failure in failures.items():
            _log.warning("%s", failure if failure.startswith(name) else f"{name}: {failure}")
        if cut:
            _log.warning("the budget of %g s cut the fit of %s short", self._plan.deadline.budget_s, ", ".join(cut))
        networks = {name: outcome.network for name, outcome in outcomes.items() if outcome.network is not None}
        self.models.settle(networks, failures, cut)

    @classmethod
    def solve(cls, jobs: Sequence[Job]) -> None:
        """Carry out calls, alike ones in one batch."""
        batches: list[tuple[list[Any], list[Fit]]] = []
        for job in jobs:
            assert isinstance(job, Fit)
            key = job._key() if len(jobs) > 1 else []
            alike = next((fits for known, fits in batches if known == key), None)
            if alike is None:
                batches.append((key, alike := []))
            alike.append(job)
        for _, fits in batches:
            _carry_out(fits)


def _carry_out(fits: list[Fit]) -> None:
    """Fit all models of calls that are alike."""
    first = fits[0]
    source: Source = Joined([fit._samples for fit in fits]) if len(fits) > 1 else first._samples
    outcomes: dict[str, Outcome] = {}
    with _undisturbed(), _networks_aside() as set_aside:
        for name, outcome in _start(first._mode, first._model, source, first._plan, first._device):
            outcomes[name] = outcome
            if len(outcomes) % _MODELS_BETWEEN == 0:
                set_aside()
    for i, fit in enumerate(fits):
        names = {name: f"{i}:{name}" if len(fits) > 1 else name for name in fit._samples}
        fit._settle({name: outcomes.pop(key) for name, key in names.items()})


def _start(
    mode: str, model: Model, samples: Source, plan: Plan, device: torch.device
) -> Iterator[tuple[str, Outcome]]:  # fmt: skip
    if mode != "fused":
        return (fit_stacked if mode == "stacked" else fit_loop)(model, samples, plan, device)
    if device.type == "cpu":
        return fit_fused(model, samples, plan)
    from .fused_gpu import fit_on_gpu  # numba's GPU target takes a while to import, and may not be there

    return fit_on_gpu(model, samples, plan)


def _way(
    network: nn.Module, samples: Samples, plan: Plan, mode: str, device: str
) -> tuple[str, torch.device]:  # fmt: skip
    """Return the way to go, and where, by the model and the machine alone; refuse one that the network cannot go."""
    if mode not in ("auto", "loop", "stacked", "fused"):
        raise StrategyError(f"fit: mode is {mode!r}; choose 'auto', 'loop', 'stacked' or 'fused'")
    if isinstance(network, LSTM) and network.input_dim != samples.features:
        wide = samples.features
        raise StrategyError(
            f"fit: LSTM(input_dim={network.input_dim}), but X has {wide} features a row; say input_dim={wide}"
        )
    fast = None if mode == "loop" else _fast_way(network, samples, plan, mode, device)
    return fast or ("loop", place(device, gains=False))


def _fast_way(
    network: nn.Module, samples: Samples, plan: Plan, mode: str, device: str
) -> tuple[str, torch.device] | None:  # fmt: skip
    """Return the way other than the loop, and where; None for "auto" where there is none or the loop is as fast."""
    try:
        there = copy_of(network)
    except StrategyError:  # the loop builds each network and copies none
        if mode != "auto":
            raise
        return None
    if mode in ("auto", "fused") and is_fusable(network):
        where = place(device, gains=_suits_gpu(network))
        if where.type == "cpu" or _suits_gpu(network):
            return "fused", where
        if mode == "fused":
            raise StrategyError(
                "fit: mode 'fused' on a GPU needs numba-cuda and at most 1024 hidden units; run: pip install "
                "numba-cuda[cu12], or use mode='stacked'"
            )
    if mode == "fused":
        checked_fusable(network)
    # Pooled sequences are rarely of equal lengths, so nothing would stand side by side.
    if mode == "auto" and samples.groups:
        return None
    where = place(device)
    there = there.to(where)
    if mode == "stacked":
        check_stackable(there, samples.features, plan.loss)
    elif _has_fast_layers(there, where) or not is_stackable(there, samples.features, plan.loss):
        return None
    return "stacked", where


def _has_fast_layers(network: nn.Module, where: torch.device) -> bool:
    """Tell whether a network has layers that torch runs over a whole sequence in one call: its LSTM, by oneDNN.

    A stack goes row by row. It halves the time where 32 models of 20 rows fill it, and takes six times as long for few
    long sequences.
    """
    fast = where.type == "cpu" and torch.backends.mkldnn.is_available()
    return fast and any(isinstance(module, nn.LSTM) for module in network.modules())


def _suits_gpu(network: nn.Module) -> bool:
    """Tell whether the GPU's kernels can stand for a network that the CPU's can stand for."""
    return isinstance(network, LSTM) and has_kernels(network.hidden)


@contextmanager
def _networks_aside() -> Iterator[Callable[[], object]]:
    """Yield what keeps all objects made so far out of the garbage collector's sight until the end.

    Thousands of networks are millions of objects, all in use: to look at them again and again cost a tenth of 4000
    fits.
    Nothing happens where the caller has set objects aside, since one cannot give back a part.
    """
    ours = gc.get_freeze_count() == 0
    set_aside = gc.freeze if ours else lambda: None
    set_aside()
    try:
        yield set_aside
    finally:
        if ours:
            gc.unfreeze()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Give the caller's generator and torch's settings back as they were."""
    with one_thread(), torch.random.fork_rng(in_use()), torch.enable_grad():
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch at one thread: on networks this small a second one costs several times what it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
