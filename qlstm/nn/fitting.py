"""Fit one network per asset, or per group of assets, from labelled data: the front door to the ways of fitting."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import xarray as xr
from torch import nn

from ..ahead import put_off
from ..errors import StrategyError
from . import observers
from .batches import Fit
from .descent import Deadline, Plan, Validation
from .models import Models
from .optimizers import LBFGS, Optimizer
from .prototypes import Model
from .samples import Samples
from .slopes import Loss

__all__ = ["fit"]


def fit(
    model: Model,
    X: xr.DataArray,
    Y: xr.DataArray,
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    epochs: int = 1,
    seed: int = 42,
    groups: Mapping[str, str] | str | None = None,
    validation: Validation | float | None = None,
    mode: str = "auto",
    device: str = "auto",
    budget_s: float | None = None,
) -> Models:
    """Fit one network per asset; each sees its asset's whole history as one sequence and starts from the same seed.

    Parameters
    ----------
    model : nn.Module or callable
        A network ``(batch, time, feature) -> (batch, time)`` whose copies are drawn anew from `seed`, or a function
        that builds one, the same at each call.
    X : xr.DataArray
        Inputs, dims ``(time, asset, feature)`` or ``(time, asset)`` for one feature.
    Y : xr.DataArray
        Targets, dims ``(time, asset)``. A row with a NaN in X or Y is left out; the rows around it become neighbours.
    loss : callable, optional
        ``loss(output, target)`` of 1-d tensors, returning one number; the mean squared error unless given.
    optimizer : Optimizer, optional
        ``LBFGS()`` unless given.
    epochs : int
        Optimiser steps, each on all rows.
    seed : int
        Seeds torch before each network is drawn; the caller's generator is restored.
    groups : mapping of str to str, or str, optional
        Asset -> group, to fit one network per group on the sequences of all its assets; one name for one network in
        all. An asset that the mapping lacks is left out.
    validation : Validation or float, optional
        Early stopping on the latest rows of each sequence; a number is their share. It wants several `epochs`: with
        one there is nothing to stop and no epoch to choose.
    mode : {"auto", "loop", "stacked", "fused"}
        The way: plain torch, one model after the other; many models stacked by ``torch.func``; or the kernels of
        `LSTM`. "auto" takes the one that suits the model, whatever else is fitted.
    device : {"auto", "cpu", "cuda"}
        Where; "auto" is a GPU where torch finds one and the way has a batched form there, else the CPU. There the
        kernels want the package numba-cuda; without it "cuda" goes the stacked way, and "auto" keeps `LSTM` on the CPU.
    budget_s : float, optional
        Wall-clock seconds after which what is being fitted stops where it is and nothing new is begun. What is cut
        depends on the machine's speed: the one setting that gives up exact repeatability.

    Returns
    -------
    Models
        A mapping asset (or group) -> fitted network, in evaluation mode. Its `failures` name each asset without a
        network and why (no complete row, an infinite value, a loss that became NaN or is no single number, an output of
        another shape, no time left), its `cut` those that the budget stopped; both are logged.

    Raises
    ------
    DataError
        When X and Y do not share their time and asset labels, or have other dims.
    StrategyError
        When the model cannot be copied, drawn anew or is not float32, or a setting makes no sense.

    Notes
    -----
    A model's numbers do not depend on what else is fitted, in which order, or over how many threads; the CPU and a GPU
    round differently. A backtest that
    trains ahead therefore puts fits without a budget off, and carries out those of many retrain dates in one batch;
    `Models` says what can be asked of it until then.
    """
    observers.notify("fit", model=model, X=X, Y=Y, groups=groups)
    if epochs < 1:
        raise StrategyError(f"fit: epochs is {epochs}; give at least 1")
    held_out = Validation(validation) if isinstance(validation, (int, float)) else validation
    if held_out is not None and epochs == 1:
        raise StrategyError("fit: validation has nothing to stop or choose in one epoch; give epochs, say epochs=50")
    plan = Plan(
        _as_it_is(loss) or nn.functional.mse_loss, optimizer or LBFGS(), epochs, seed, held_out, Deadline(budget_s)
    )  # fmt: skip
    samples = Samples(X, Y, groups, held_out)
    job = Fit(_as_it_is(model), samples, plan, mode, device)
    # What a budget cuts depends on when it runs, so it runs where it was asked for.
    if budget_s is not None or not put_off(job):
        Fit.solve([job])
    return job.models


def _as_it_is(function: Any) -> Any:
    """Return a function with what it encloses as it is now: a fit may be put off until that has changed."""
    cells = getattr(function, "__closure__", None)
    if not isinstance(function, types.FunctionType) or not cells:
        return function
    held = tuple(types.CellType(cell.cell_contents) for cell in cells)
    made = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, held)
    made.__kwdefaults__ = function.__kwdefaults__
    return made
