"""Scores from fitted networks, one asset at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn

from ..errors import DataError, StrategyError
from . import observers
from .batches import one_thread
from .kernels import score
from .networks import LSTM, is_fusable
from .samples import in_order

__all__ = ["predict"]


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
        When a network returns anything but ``(batch, time)``.

    Notes
    -----
    An `LSTM` goes through the kernels, which agree with its own forward bit for bit, and with the same cells in torch
    to float32's rounding (about 1e-6 for outputs near 1).
    """
    observers.notify("predict", models=models, X=X)
    networks = _by_asset(models, groups)
    X = _of(X, list(networks))
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and such a row is left out
        inputs = np.ascontiguousarray(in_order(X), dtype=np.float32)  # (asset, time, feature)
    finite = np.logical_and.reduce(np.isfinite(inputs), axis=2)  # (asset, time)
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


def _by_asset(models: Mapping[str, nn.Module], groups: Mapping[str, str] | None) -> Mapping[str, nn.Module]:
    """Return asset -> network."""
    groups = groups or getattr(models, "groups", None)
    if not groups:
        return dict(models)
    return {asset: models[group] for asset, group in groups.items() if group in models}


def _of(X: xr.DataArray, assets: list[str]) -> xr.DataArray:
    """Return the inputs of these assets, in this order."""
    index = X.get_index("asset")
    if index.tolist() == assets:
        return X
    places = index.get_indexer(pd.Index(assets))
    if (places < 0).any():
        raise DataError(f"predict: no inputs for asset {assets[int(np.argmin(places))]}, which has a network")
    return X.isel(asset=places)


def _labelled(scores: np.ndarray, X: xr.DataArray) -> xr.DataArray:
    """Return scores ``(time, asset)`` under the labels of X: its indexes are shared, since new ones cost more."""
    like = X.isel(feature=0, drop=True) if "feature" in X.dims else X
    others = [name for name in like.coords if name not in like.dims]
    like = like.drop_vars(others) if others else like
    labelled = (like if like.dims == ("time", "asset") else like.transpose("time", "asset")).copy(False, scores)
    labelled.name, labelled.attrs = None, {}
    return labelled


def _score(network: nn.Module, x: np.ndarray, output: np.ndarray) -> None:
    """Write a network's outputs ``(rows,)`` over x ``(rows, features)``."""
    parts = _parts(network) if type(network) is LSTM and x.shape[1] == network.input_dim else None
    if parts is not None:
        score(parts, x, network.hidden, output)
        return
    got = network(torch.from_numpy(x[None]))
    if not isinstance(got, torch.Tensor) or got.shape != (1, len(x)):
        shape = tuple(got.shape) if isinstance(got, torch.Tensor) else type(got).__name__
        raise StrategyError(
            f"predict: {type(network).__name__} returned {shape} for {(1, *x.shape)}, not {(1, len(x))}"
        )
    output[:] = got[0].numpy()


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
