"""Fit one network per asset, plainly: a loop over assets, each from the same seed. Correct first."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
import xarray as xr
from torch import nn

from ..errors import DataError, StrategyError
from .optimizers import LBFGS, Optimizer

__all__ = ["Models", "fit", "one_thread"]

_log = logging.getLogger("qlstm.nn")


class Models(Mapping[str, nn.Module]):
    """Fitted networks by asset, in the order of the data they were fitted to."""

    def __init__(self, models: Mapping[str, nn.Module]) -> None:
        self._models = dict(models)

    def __getitem__(self, asset: str) -> nn.Module:
        return self._models[asset]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __repr__(self) -> str:
        kinds = sorted({type(model).__name__ for model in self._models.values()})
        return f"Models({len(self)} × {', '.join(kinds)}: {', '.join(self)})"


def fit(
    model: nn.Module | Callable[[], nn.Module],
    X: xr.DataArray,
    Y: xr.DataArray,
    *,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    optimizer: Optimizer | None = None,
    epochs: int = 1,
    seed: int = 42,
) -> Models:
    """Fit one network per asset; each sees its asset's whole history as one sequence and starts from the same seed.

    Parameters
    ----------
    model : nn.Module or callable
        A network ``(batch, time, feature) -> (batch, time)`` whose copies are re-initialised from `seed`, or a function
        that builds one.
    X : xr.DataArray
        Inputs, dims ``(time, asset, feature)`` or ``(time, asset)`` for one feature.
    Y : xr.DataArray
        Targets, dims ``(time, asset)``. A row with a NaN in X or Y is left out; the rows around it become neighbours.
    loss : callable, optional
        ``loss(output, target)`` of 1-d tensors; the mean squared error unless given.
    optimizer : Optimizer, optional
        ``LBFGS()`` unless given.
    epochs : int
        Optimiser steps, each on the whole sequence.
    seed : int
        Seeds torch before each network is built; the caller's generator is restored.

    Returns
    -------
    Models
        A mapping asset -> fitted network, in evaluation mode. An asset without a usable row, or whose loss became NaN,
        is left out and logged.

    Raises
    ------
    DataError
        When X and Y do not share their time and asset labels, or have other dims.
    """
    X, Y = _aligned(X, Y)
    loss = loss or nn.functional.mse_loss
    optimizer = optimizer or LBFGS()
    fitted: dict[str, nn.Module] = {}
    inputs = np.asarray(X.values, dtype=np.float32)  # (time, asset, feature)
    targets = np.asarray(Y.values, dtype=np.float32)  # (time, asset)
    with one_thread(), torch.random.fork_rng(devices=[]):
        for i, asset in enumerate(X["asset"].values):
            rows = np.isfinite(inputs[:, i]).all(axis=1) & np.isfinite(targets[:, i])
            if not rows.any():
                _log.warning("%s has no row with both inputs and target: no network fitted", asset)
                continue
            x = torch.from_numpy(inputs[rows, i][None])  # (1, time, feature)
            y = torch.from_numpy(targets[rows, i])  # (time,)
            network = _fit_one(_fresh(model, seed), x, y, loss, optimizer, epochs)
            if network is None:
                _log.warning("%s: the loss became NaN or infinite: no network fitted", asset)
            else:
                fitted[str(asset)] = network
    return Models(fitted)


def _aligned(X: xr.DataArray, Y: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    if "feature" not in X.dims:
        X = X.expand_dims(feature=1, axis=-1)
    if set(X.dims) != {"time", "asset", "feature"} or set(Y.dims) != {"time", "asset"}:
        raise DataError(f"fit wants X (time, asset, feature) and Y (time, asset), got {X.dims} and {Y.dims}")
    for dim in ("time", "asset"):
        if not X.get_index(dim).equals(Y.get_index(dim)):
            raise DataError(f"X and Y have different {dim} labels; reindex one like the other")
    return X.transpose("time", "asset", "feature"), Y.transpose("time", "asset")


def _fresh(model: nn.Module | Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a network with parameters drawn from `seed`."""
    torch.manual_seed(seed)
    if not isinstance(model, nn.Module):
        network = model()
        if not isinstance(network, nn.Module):
            raise StrategyError(f"fit: the model factory returned {type(network).__name__}, not an nn.Module")
        return network
    network = copy.deepcopy(model)
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise StrategyError(
                f"fit: {type(module).__name__} has parameters but no reset_parameters(); pass a function that builds it"
            )
    return network


def _fit_one(
    network: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    optimizer: Optimizer,
    epochs: int,
) -> nn.Module | None:
    """Fit one network to one sequence; None when its loss is no longer finite."""
    network.train()
    steps = optimizer.build(network.parameters())

    def closure() -> torch.Tensor:
        steps.zero_grad()
        value = loss(network(x)[0], y)
        value.backward()
        return value

    for _ in range(epochs):
        steps.step(closure)
    network.eval()
    finite = all(bool(torch.isfinite(p).all()) for p in network.parameters())
    return network.requires_grad_(False) if finite else None


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch at one thread: on networks this small a second one costs several times what it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
