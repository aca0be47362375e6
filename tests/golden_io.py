"""Reading the recorded results of the reference toolbox: cases, their arguments, and what came out.

A container (`inputs.npz.xz`, `outputs.npz.xz`) holds labelled objects, each under a key K as several plain arrays:

    K            the values: float64, int64, bool, or text
    K|kind       array (xr.DataArray), nd (np.ndarray), frame, series (pandas) or scalar
    K|dims       names of the dims of an array, in order
    K|c.<dim>    labels of a dim: nanoseconds since 1970 for time, text for others
    K|s.time     a time that is a scalar coordinate
    K|name       name of an array, '' for none
    K|valid      which cells to compare; elsewhere the reference reads memory it has not written

An argument in `index.json` is plain JSON, or a dict whose first key says what it stands for: see `argument`.
"""

import copy
import io
import json
import lzma
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

GOLDEN = Path(__file__).parent / "golden"


@cache
def index() -> dict:
    """Return the cases and tables."""
    return json.loads((GOLDEN / "index.json").read_text())


@cache
def container(name: str) -> dict[str, np.ndarray]:
    """Return every array of ``inputs`` or ``outputs``."""
    packed = (GOLDEN / f"{name}.npz.xz").read_bytes()
    with np.load(io.BytesIO(lzma.decompress(packed))) as arrays:
        return dict(arrays)


def labels(values: np.ndarray, dim: str) -> np.ndarray:
    """Return the labels of a dim in the types that users have."""
    if dim == "time" and values.dtype.kind == "i":
        return values.astype("datetime64[ns]")
    return values.astype(object) if values.dtype.kind == "U" else values


def stored(name: str, key: str) -> object:
    """Return the object under a key of a container."""
    arrays = container(name)
    values, kind = arrays[key].copy(), str(arrays[f"{key}|kind"])
    if kind == "nd":
        return values
    if kind == "scalar":
        return values.item() if values.shape == () else values
    if kind in ("series", "frame"):
        times = pd.DatetimeIndex(labels(arrays[f"{key}|c.time"], "time"))
        if kind == "series":
            return pd.Series(values, index=times)
        return pd.DataFrame(values, index=times, columns=[str(asset) for asset in arrays[f"{key}|c.asset"]])
    dims = [str(dim) for dim in arrays[f"{key}|dims"]]
    coords = {dim: labels(arrays[f"{key}|c.{dim}"], dim) for dim in dims if f"{key}|c.{dim}" in arrays}
    if f"{key}|s.time" in arrays:
        coords["time"] = arrays[f"{key}|s.time"].astype("datetime64[ns]")
    return xr.DataArray(values, dims=dims, coords=coords, name=str(arrays[f"{key}|name"]) or None)


def valid(key: str) -> np.ndarray | None:
    """Return which cells of an output to compare, None for all."""
    return container("outputs").get(f"{key}|valid")


def argument(encoded: object, function: callable) -> object:
    """Return what an argument of a case stands for; `function` finds a function by its dotted name."""
    if not isinstance(encoded, dict):
        return encoded
    what = next(iter(encoded))
    if what == "$in":
        return _input(encoded)
    if what == "$ma":
        average, period = function(f"ta.{encoded['$ma'][0]}"), encoded["$ma"][1]
        return lambda series: average(series, period)
    if what == "$np":
        return np.array(encoded["$np"], dtype=float)
    if what == "$int":
        return np.array(encoded["$int"])
    if what == "$time":
        return stored("inputs", encoded["$time"]).time
    if what == "$table":
        return copy.deepcopy(index()["tables"][encoded["$table"]])
    if any(str(key).startswith("$") for key in encoded):
        raise ValueError(f"unknown argument {encoded}")
    return encoded


def _input(encoded: dict) -> object:
    """Return an input array, in the form that the case asks for."""
    found = stored("inputs", encoded["$in"])
    if "field" in encoded:
        found = found.sel(field=encoded["field"])
    form = encoded.get("form")
    if form == "pandas":
        found = found.transpose("time", "asset").to_pandas()
    elif form == "numpy":
        found = found.transpose("asset", "time").values.copy()
    elif form == "asset_time":
        found = found.transpose("asset", "time")
    if "astype" in encoded:
        found = found.astype(encoded["astype"])
    if "rename" in encoded:
        found.name = encoded["rename"]
    return found[encoded["coord"]].values if "coord" in encoded else found
