"""Scalers: what `fit` measures, and what `transform` and `inverse` do with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from ..cube import locate
from ..errors import DataError, near
from .kinds import BY_NAME, KINDS, POWERS, UNCENTRED

__all__ = ["Columns", "Scaler", "fit", "fit_labels", "inverse", "transform"]

Columns = Mapping[str | tuple[str, ...], str]
"""Which features are scaled how: a regular expression for whole names, or a tuple of names -> one of `KINDS`."""

Scaler = dict[str, Any]
"""What `fit` returns: per, assets (empty when pooled) and features, name -> kind, unit, power, shift and scale."""

_LEAST = 2  # values from which a spread can be told


def fit(X: xr.DataArray, columns: Columns, *, per: Literal["asset", "pooled"]) -> Scaler:
    """Measure the scale of each feature on training rows.

    Parameters
    ----------
    X : xr.DataArray
        Dims ``(time, asset, feature)``, training rows only; NaN is left out.
    columns : mapping
        Regular expression for a whole name, or tuple of names -> one of `KINDS`. Every feature must be covered, by one
        rule. Not changed.
    per : {"asset", "pooled"}
        Whether each asset has a scale of its own, or all have one.

    Returns
    -------
    dict
        For `transform` and `inverse`. Where a feature is constant its scale counts as 1; where it has fewer than two
        values there is none, and it becomes NaN.

    Raises
    ------
    DataError
        A feature that no rule or more than one covers, a name that is no feature, an unknown kind, an infinite value,
        or a value not above 0 in log-returns.
    """
    if per not in ("asset", "pooled"):
        raise DataError(f"scaling: per is {per!r}; choose 'asset' or 'pooled'")
    X = _ordered(X)
    names = [str(name) for name in X["feature"].values]
    kinds = _covered(names, columns)
    features = {name: _fitted(_matrix(X, name, kinds[name]), kinds[name], per == "pooled") for name in names}
    assets = [] if per == "pooled" else [str(asset) for asset in X["asset"].values]
    return {"per": per, "assets": assets, "features": features}


def fit_labels(Y: xr.DataArray, kind: str = "size", *, per: Literal["asset", "pooled"]) -> Scaler:
    """Measure the scale of labels, which keep their sign: a label that is centred says "above average", not "rises".

    Parameters
    ----------
    Y : xr.DataArray
        Dims ``(time, asset)``, training rows only.
    kind : {"size", "none"}
        Divided by its root mean square, or left alone.
    per : {"asset", "pooled"}
        As for `fit`.

    Returns
    -------
    dict
        For `transform` and `inverse`, which take Y as it is.

    Raises
    ------
    DataError
        As `fit`, and for every kind that moves 0.
    """
    if kind not in UNCENTRED:
        raise DataError(f"labels are not scaled by {kind!r}, which moves 0 and so changes signs; use 'size' or 'none'")
    return fit(Y.expand_dims(feature=["label"]), {("label",): kind}, per=per)


def transform(scaler: Scaler, X: xr.DataArray) -> xr.DataArray:
    """Apply a scaler; each row depends on itself, in log-returns also on the last value before it.

    Parameters
    ----------
    scaler : dict
        Of `fit` or `fit_labels`.
    X : xr.DataArray
        Dims ``(time, asset, feature)``, or ``(time, asset)`` for labels; the features that were fitted. Assets that
        were not become NaN where each has a scale of its own.

    Returns
    -------
    xr.DataArray
        Of the shape of X, float64.

    Raises
    ------
    DataError
        Other features than were fitted, or values as for `fit`.
    """
    X, shape = _known(scaler, X)
    out = X.astype(np.float64)
    for name, fitted in scaler["features"].items():
        unit, power, shift, scale = _parameters(scaler, fitted, X)
        mapped = BY_NAME[fitted["kind"]].apply(_matrix(X, name, fitted["kind"]) / unit, power)
        out.loc[{"feature": name}] = (mapped - shift) / scale
    return _shaped(out, shape)


def inverse(scaler: Scaler, X: xr.DataArray, levels: xr.DataArray | None = None) -> xr.DataArray:
    """Undo `transform`, to 1e-9 of each value.

    Parameters
    ----------
    scaler : dict
        Of `fit` or `fit_labels`.
    X : xr.DataArray
        What `transform` returned, or forecasts in its units.
    levels : xr.DataArray, optional
        Dims ``(asset, feature)``: for log-returns the value before the first return, from which they are summed up.

    Returns
    -------
    xr.DataArray
        Of the shape of X. A log-return column is NaN where it has no return, so in its first row.

    Raises
    ------
    DataError
        Other features than were fitted, or log-returns without levels.
    """
    X, shape = _known(scaler, X)
    out = X.astype(np.float64)
    for name, fitted in scaler["features"].items():
        unit, power, shift, scale = _parameters(scaler, fitted, X)
        mapped = out.sel(feature=name).values * scale + shift
        if fitted["kind"] == "log-returns":
            out.loc[{"feature": name}] = _levels(mapped, levels, name, X)
        else:
            out.loc[{"feature": name}] = BY_NAME[fitted["kind"]].undo(mapped, power) * unit
    return _shaped(out, shape)


def _ordered(X: xr.DataArray) -> xr.DataArray:
    """Return X in the order (time, asset, feature), its labels known to be unique."""
    if set(X.dims) != {"time", "asset", "feature"}:
        raise DataError(f"scaling wants dims (time, asset, feature), got {X.dims}")
    for dim in ("asset", "feature"):
        index = X.get_index(dim)
        if not index.is_unique:
            raise DataError(f"scaling: {dim} {index[index.duplicated()][0]} comes twice; drop one of them")
    return X.transpose("time", "asset", "feature")


def _covered(names: list[str], columns: Columns) -> dict[str, str]:
    """Return feature -> kind."""
    rules: dict[str, list[str]] = {name: [] for name in names}
    for pattern, kind in columns.items():
        if kind not in BY_NAME:
            raise DataError(f"scaling: unknown kind {kind!r} for {pattern!r}{near(str(kind), list(KINDS))}")
        for name in _matched(pattern, names):
            rules[name].append(kind)
    for name, kinds in rules.items():
        if len(kinds) != 1:
            fault = "no rule" if not kinds else "more than one rule"
            raise DataError(f"scaling: {fault} covers feature {name!r}; each wants exactly one, be it 'none'")
    return {name: kinds[0] for name, kinds in rules.items()}


def _matched(pattern: str | tuple[str, ...], names: list[str]) -> list[str]:
    if isinstance(pattern, str):
        return [name for name in names if re.fullmatch(pattern, name)]
    for name in pattern:
        if name not in names:
            raise DataError(f"scaling: there is no feature {name!r}{near(name, names)}")
    return list(pattern)


def _matrix(X: xr.DataArray, name: str, kind: str) -> np.ndarray:
    """Return one feature as float64 (time, asset), its values known to be what the kind can take."""
    column = X.sel(feature=name, drop=True)
    values = column.values.astype(np.float64)
    if np.isinf(values).any():
        raise DataError(f"scaling: feature {name!r} is infinite at {locate(column, np.isinf(values))}; use NaN")
    if kind == "log-returns" and (values <= 0).any():
        raise DataError(f"scaling: feature {name!r} has no logarithm at {locate(column, values <= 0)}; use NaN")
    return values


def _fitted(values: np.ndarray, kind: str, pooled: bool) -> dict[str, Any]:
    """Return kind, unit, power, shift and scale of one feature, each an array of one number or of one per asset."""
    unit, power = np.ones((2, 1 if pooled else values.shape[1]))
    if kind == "yeo-johnson":
        # In units near 1: the powers of large numbers that hardly differ cannot be told apart in floating point.
        unit = np.array([_unit(x) for x in _samples(values, pooled)])
        power = np.array([_best_power(x) for x in _samples(values / unit, pooled)])
    mapped = BY_NAME[kind].apply(values / unit, power)
    found = np.full((len(unit), 2), np.nan)
    for i, x in enumerate(_samples(mapped, pooled)):
        if len(x) >= _LEAST:
            found[i] = BY_NAME[kind].measure(x)
    shift, scale = found.T.copy()
    return {"kind": kind, "unit": unit, "power": power, "shift": shift, "scale": np.where(scale == 0.0, 1.0, scale)}


def _samples(values: np.ndarray, pooled: bool) -> list[np.ndarray]:
    """Return what each scale is measured on: finite values of all assets in one, or by asset."""
    columns = [values.ravel()] if pooled else list(values.T)
    return [np.sort(column[np.isfinite(column)]) for column in columns]  # in one order, whatever the assets' is


def _unit(x: np.ndarray) -> float:
    """Return the root mean square, 1 where there is none."""
    return BY_NAME["size"].measure(x)[1] or 1.0 if len(x) else 1.0


def _best_power(x: np.ndarray) -> float:
    """Return the power of greatest likelihood; 1, which changes nothing, where it cannot be told."""
    if len(x) < _LEAST or not np.ptp(x):
        return 1.0
    return float(np.clip(stats.yeojohnson_normmax(x), *POWERS))


def _known(scaler: Scaler, X: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return X in the usual order, and X as it was."""
    labels = "feature" not in X.dims and list(scaler["features"]) == ["label"]
    ordered = _ordered(X.expand_dims(feature=["label"]) if labels else X)
    names = {str(name) for name in ordered["feature"].values}
    if odd := sorted(names ^ scaler["features"].keys()):
        where = "was not fitted" if odd[0] in names else "was fitted, but is not there"
        raise DataError(f"scaling: feature {odd[0]!r} {where}; give the features of the fit")
    return ordered, X


def _shaped(out: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    out = out if "feature" in like.dims else out.isel(feature=0, drop=True)
    return out.transpose(*like.dims)


def _parameters(scaler: Scaler, fitted: dict[str, Any], X: xr.DataArray) -> list[np.ndarray]:
    """Return unit, power, shift and scale, each (asset,) for the assets of X or of one number."""
    numbers = [fitted[name] for name in ("unit", "power", "shift", "scale")]
    if scaler["per"] == "pooled":
        return numbers
    places = pd.Index(scaler["assets"]).get_indexer(pd.Index([str(asset) for asset in X["asset"].values]))
    return [np.where(places < 0, np.nan, values[places]) for values in numbers]


def _levels(returns: np.ndarray, levels: xr.DataArray | None, name: str, X: xr.DataArray) -> np.ndarray:
    if levels is None:
        raise DataError(f"scaling: feature {name!r} holds log-returns; give levels, the value before the first of them")
    start = levels.sel(feature=name, drop=True).reindex(asset=X["asset"]).values.astype(np.float64)
    known = np.isfinite(returns)
    grown = start * np.exp(np.cumsum(np.where(known, returns, 0.0), axis=0))
    return np.where(known, grown, np.nan)
