"""Scores from fitted networks, one asset at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn

from ..errors import DataError
from .fitting import one_thread

__all__ = ["predict"]


def predict(models: Mapping[str, nn.Module], X: xr.DataArray) -> xr.DataArray:
    """Run each asset's network over its rows, from a zero state at the first of them.

    Parameters
    ----------
    models : mapping of str to nn.Module
        Networks by asset, from `fit`.
    X : xr.DataArray
        Inputs, dims ``(time, asset, feature)`` or ``(time, asset)`` for one feature; other assets are not looked at.

    Returns
    -------
    xr.DataArray
        Scores, dims ``(time, asset)``, over the assets of `models`; NaN where an input is NaN (the row is left out).

    Raises
    ------
    DataError
        When an asset of `models` is not in X.
    """
    if "feature" not in X.dims:
        X = X.expand_dims(feature=1, axis=-1)
    X = X.transpose("time", "asset", "feature")
    assets = list(models)
    places = X.get_index("asset").get_indexer(pd.Index(assets))
    if (places < 0).any():
        raise DataError(f"predict: no inputs for asset {assets[int(np.argmin(places))]}, which has a network")
    inputs = np.asarray(X.values, dtype=np.float32)
    scores = np.full((X.sizes["time"], len(assets)), np.nan)
    with one_thread(), torch.inference_mode():
        for i, (place, network) in enumerate(zip(places, models.values(), strict=True)):
            rows = np.isfinite(inputs[:, place]).all(axis=1)
            if rows.any():
                scores[rows, i] = network(torch.from_numpy(inputs[rows, place][None]))[0].numpy()
    return xr.DataArray(scores, dims=("time", "asset"), coords={"time": X["time"].values, "asset": assets})
