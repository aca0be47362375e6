"""Scores from fitted networks, one asset at a time: from a zero state, or going on from where the last day ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import xarray as xr
from torch import nn

from .._labels import labelled_like
from ..errors import DataError, StrategyError
from . import observers
from .batches import one_thread
from .carried import Carried, check_memory, checked, digest_of, row_by_row, state_of
from .kernels import score
from .networks import LSTM, is_fusable
from .samples import in_order

__all__ = ["advance", "predict"]


def predict(models: Mapping[str, nn.Module], X: xr.DataArray, groups: Mapping[str, str] | None = None) -> xr.DataArray:
    """Run each asset's network over its rows, from a zero state at the first of them.

    Parameters
    ----------
    models : mapping of str to nn.Module
        Networks by asset, from `fit`; or by group.
    X : xr.DataArray
        Inputs, dims ``(time, asset, feature)`` or ``(time, asset)`` for one feature; other assets are not looked at.
    groups : mapping of str to str, optional
        Asset -> group, where networks are by group; what `fit` was told unless given.

    Returns
    -------
    xr.DataArray
        Scores, dims ``(time, asset)``, over the assets that have a network; NaN where an input is not finite (the row
        is left out). An asset's scores do not depend on the other assets.

    Raises
    ------
    DataError
        When an asset that has a network is not in X.
    StrategyError
        When `models` is no mapping, or a network returns anything but ``(batch, time)``.

    Notes
    -----
    An `LSTM` goes through the kernels, which agree with its own forward bit for bit, and with the same cells in torch
    to float32's rounding (about 1e-6 for outputs near 1).
    """
    networks = _by_asset(models, groups)
    observers.notify("predict", models=models, X=X)
    X, inputs, finite = _inputs(X, list(networks))
    scores = np.full(finite.shape, np.nan, np.float32)
    with one_thread(), torch.inference_mode():
        for i, network in enumerate(networks.values()):
            if finite[i].all():
                _score(network, inputs[i], scores[i])
            elif finite[i].any():
                output = np.empty(int(finite[i].sum()), np.float32)
                _score(network, inputs[i, finite[i]], output)
                scores[i, finite[i]] = output
    return _labelled(scores.T.astype(float), X)


def advance(
    models: Mapping[str, nn.Module],
    X: xr.DataArray,
    carried: Carried | None = None,
    groups: Mapping[str, str] | None = None,
) -> tuple[xr.DataArray, Carried]:
    """Score the rows after those seen before, each network going on from the state it was left with.

    A strategy that keeps what this returns in its state remembers all rows since its models were trained, however short
    its window is, and does one row's work a day.

    Parameters
    ----------
    models : mapping of str to nn.Module
        Networks by asset or by group: `LSTM`, `Recurrent`, or any with their method ``advance``.
    X : xr.DataArray
        As for `predict`. It should reach back to the last row seen: that is how a missed day is noticed.
    carried : dict, optional
        What the call of the day before returned; what it holds for assets without a network is let go.
    groups : mapping of str to str, optional
        As for `predict`.

    Returns
    -------
    tuple
        Scores, dims ``(time, asset)``, NaN in rows seen before and where an input is not finite (the row is left out,
        the state stays); and what to carry on, for the assets that have a network.

        An asset starts at the first row of X, from a zero state, where nothing is carried for it, the network is
        another than then (it was trained anew), or X does not hold the last row seen.

    Raises
    ------
    DataError
        When an asset that has a network is not in X.
    StrategyError
        When `models` is no mapping, a network cannot go on from a state, or `carried` is not what a call returned.

    Notes
    -----
    For an `LSTM`, day by day gives the scores of `predict` over all rows at once, bit for bit.
    """
    networks, carried = _by_asset(models, groups), checked(carried)
    check_memory(networks)
    observers.notify("predict", models=models, X=X)
    X, inputs, finite = _inputs(X, list(networks))
    times = X.get_index("time")
    scores, kept = np.full(finite.shape, np.nan, np.float32), {}
    digests = {id(network): digest_of(network) for network in networks.values()}
    with one_thread(), torch.inference_mode():
        for i, (asset, network) in enumerate(networks.items()):
            entry, digest = carried.get(asset), digests[id(network)]
            state, rows = None, finite[i]
            if entry is not None and entry["network"] == digest and entry["time"] in times:
                state, rows = state_of(asset, network, entry, inputs.shape[2]), rows & (times > entry["time"])
            if rows.any():
                scores[i, rows], state = _go_on(network, inputs[i, rows], state)
            if state is not None:
                kept[asset] = {"time": times.values[-1], "network": digest, "state": state}
    return _labelled(scores.T.astype(float), X), kept


def _inputs(X: xr.DataArray, assets: list[str]) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """Return X of these assets, its values ``(asset, time, feature)`` in float32, and which rows of them are finite."""
    values, places = in_order(X), _places(X, assets)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and such a row is left out
        inputs = np.ascontiguousarray(values[places], dtype=np.float32)
    return X.isel(asset=places), inputs, np.logical_and.reduce(np.isfinite(inputs), axis=2)


def _by_asset(models: Mapping[str, nn.Module], groups: Mapping[str, str] | None) -> Mapping[str, nn.Module]:
    """Return asset -> network."""
    if not hasattr(models, "keys"):
        raise StrategyError(
            f"models is of type {type(models).__name__}, not networks by asset; give {{asset: network}}, or "
            "{'all': network} and groups={asset: 'all', ...}"
        )
    groups = groups or getattr(models, "groups", None)
    if not groups:
        return dict(models)
    return {asset: models[group] for asset, group in groups.items() if group in models}


def _places(X: xr.DataArray, assets: list[str]) -> slice | list[int]:
    """Return where the inputs of these assets are, in this order."""
    known = X.get_index("asset").tolist()
    if known == assets:
        return slice(None)
    at = {asset: place for place, asset in enumerate(known)}  # pandas' own search costs ten times as much
    missing = [asset for asset in assets if asset not in at]
    if missing:
        raise DataError(f"predict: no inputs for asset {missing[0]}, which has a network")
    return [at[asset] for asset in assets]


def _labelled(scores: np.ndarray, X: xr.DataArray) -> xr.DataArray:
    """Return scores ``(time, asset)`` under the labels of X: its indexes are shared, since new ones cost more."""
    like = X.isel(feature=0, drop=True) if "feature" in X.dims else X
    others = [name for name in like.coords if name not in like.dims]
    like = like.drop_vars(others) if others else like
    labelled = labelled_like(like if like.dims == ("time", "asset") else like.transpose("time", "asset"), scores)
    labelled.name, labelled.attrs = None, {}
    return labelled


def _score(network: Any, x: np.ndarray, output: np.ndarray) -> None:
    """Write a network's outputs ``(rows,)`` over x ``(rows, features)``."""
    parts = _parts_for(network, x)
    if parts is not None:
        score(parts, x, network.hidden, output, np.empty((2, len(parts) // 4, network.hidden), np.float32), 0)
        return
    got = network(torch.from_numpy(x[None]))
    if not isinstance(got, torch.Tensor) or got.shape != (1, len(x)):
        shape = tuple(got.shape) if isinstance(got, torch.Tensor) else type(got).__name__
        raise StrategyError(
            f"predict: {type(network).__name__} returned {shape} for {(1, *x.shape)}, not {(1, len(x))}"
        )
    output[:] = got[0].numpy()


def _go_on(network: Any, x: np.ndarray, state: Any) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return a network's outputs ``(rows,)`` over x ``(rows, features)``, and its state after the last."""
    parts = _parts_for(network, x)
    if parts is None:
        return row_by_row(network, x, state)
    given = int(state is not None)
    rows = np.concatenate([np.zeros((given, x.shape[1]), np.float32), x])  # the first stands for all rows before
    output, after = np.empty(len(rows), np.float32), np.empty((2, len(parts) // 4, network.hidden), np.float32)
    if state is not None:
        after[:] = state
    score(parts, rows, network.hidden, output, after, given)
    return output[given:], (after[0], after[1])


def _parts_for(network: nn.Module, x: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Return a network's parameters for the kernels, or None when it must go through torch."""
    return _parts(network) if type(network) is LSTM and x.shape[1] == network.input_dim else None


_views: WeakKeyDictionary[LSTM, tuple[list[int], tuple[np.ndarray, ...]]] = WeakKeyDictionary()


def _parts(network: LSTM) -> tuple[np.ndarray, ...] | None:
    """Return views of a network's parameters, each flat, or None when the kernels cannot stand for its forward.

    Views share the parameters' memory, so what is written there is seen; they are made anew when a parameter moved.
    """
    cells: Iterable[nn.Module] = network._modules["cells"]._modules.values()  # type: ignore[union-attr,assignment]
    modules = (*cells, network._modules["output"])
    # Reached past nn.Module's own lookups, which would cost more than the scores of one day.
    addresses = [p.data_ptr() for module in modules for p in module._parameters.values() if p is not None]  # type: ignore[union-attr]
    known = _views.get(network)
    if known is not None and known[0] == addresses:
        return known[1]
    if not is_fusable(network) or not all(p.is_contiguous() for p in network.parameters()):
        return None
    parts = tuple(p.detach().view(-1).numpy() for p in network.parameters())
    _views[network] = addresses, parts
    return parts
