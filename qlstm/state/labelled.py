"""pandas and xarray objects in plain terms, and back.

Each is a dictionary of its parts, tagged by `qlstm.state.plain`: values as numpy arrays, labels as described indexes.
What is kept: values, dtypes, dims, coordinates with the type of their index (`freq` included), names and attrs. What is
not: ``encoding`` (it is about files), flags, and whether values were lazy. pandas and xarray are imported only where
their objects are met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["DESCRIBERS", "REBUILDERS", "Unfit", "Walk"]

Plain = dict[str, Any]


class Unfit(Exception):  # noqa: N818 -- caught by the walk, which names the place and raises StateError
    """An object of a kind that is kept in general, but not in this form; the text says which and what to do."""


class Walk(Protocol):
    """The walk over nested values that calls the functions here for what it meets."""

    def inner(self, value: Any, place: str) -> Any:
        """Describe, or rebuild, a value inside the current one; `place` is what errors append to the path."""


def _describe_timestamp(value: Any, walk: Walk) -> Plain:
    return {"value": walk.inner(value.asm8, ".value"), "tz": _zone(value.tz)}


def _rebuild_timestamp(parts: Plain, walk: Walk) -> Any:
    import pandas as pd

    return _localize(pd.Timestamp(walk.inner(parts["value"], ".value")), parts["tz"])


def _describe_timedelta(value: Any, walk: Walk) -> Plain:
    return {"value": walk.inner(value.asm8, ".value")}


def _rebuild_timedelta(parts: Plain, walk: Walk) -> Any:
    import pandas as pd

    return pd.Timedelta(walk.inner(parts["value"], ".value"))


def _rebuild_nat(parts: Plain, walk: Walk) -> Any:
    import pandas as pd

    return pd.NaT


def _zone(tz: Any) -> str | None:
    return None if tz is None else str(tz)


def _localize(value: Any, tz: str | None) -> Any:
    return value if tz is None else value.tz_localize("UTC").tz_convert(tz)


def _describe_labels(labels: Any, walk: Walk) -> Plain:
    """Describe the values of an index or a series."""
    import pandas as pd

    dtype = labels.dtype
    if isinstance(dtype, np.dtype):
        return {"values": walk.inner(np.asarray(labels), ".values")}
    if isinstance(dtype, pd.DatetimeTZDtype):
        utc = pd.DatetimeIndex(labels).tz_convert("UTC").tz_localize(None)
        return {"values": walk.inner(np.asarray(utc), ".values"), "tz": str(dtype.tz)}
    if isinstance(dtype, pd.StringDtype):
        values = [None if missing else str(item) for item, missing in zip(labels, pd.isna(labels), strict=True)]
        return {"values": values, "strings": dtype.storage, "missing": "NA" if dtype.na_value is pd.NA else "nan"}
    raise Unfit(f"values of dtype {dtype} cannot be saved; convert them with .astype(object) or to a numpy dtype")


def _rebuild_labels(parts: Plain, walk: Walk) -> Any:
    import pandas as pd

    if "strings" not in parts:
        values = walk.inner(parts["values"], ".values")
        return pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(parts["tz"]).array if "tz" in parts else values
    if parts["missing"] == "NA":
        dtype = pd.StringDtype(parts["strings"])
    else:
        # pyarrow is optional: where it is the default it is found, elsewhere its strings become Python's.
        storage = None if parts["strings"] == "pyarrow" else parts["strings"]
        dtype = pd.StringDtype(storage, na_value=np.nan)
    return pd.array(parts["values"], dtype=dtype)


def _describe_index(index: Any, walk: Walk) -> Plain:
    import pandas as pd

    kind = type(index)
    name = walk.inner(index.name, ".name")
    if kind is pd.RangeIndex:
        return {"type": "RangeIndex", "range": (index.start, index.stop, index.step), "name": name}
    if kind is pd.MultiIndex:
        levels = [walk.inner(level, f".levels[{i}]") for i, level in enumerate(index.levels)]
        codes = [np.asarray(code) for code in index.codes]
        return {
            "type": "MultiIndex",
            "levels": levels,
            "codes": codes,
            "names": walk.inner(list(index.names), ".names"),
        }
    if kind not in (pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex):
        raise Unfit(f"a {kind.__name__} cannot be saved; convert it with .astype(object) or pd.Index(list(...))")
    parts = _describe_labels(index, walk)
    freq = getattr(index, "freqstr", None)
    return {"type": kind.__name__, **parts, "name": name} | ({"freq": freq} if freq else {})


def _rebuild_index(parts: Plain, walk: Walk) -> pd.Index:
    import pandas as pd

    kind = parts["type"]
    if kind == "RangeIndex":
        start, stop, step = parts["range"]
        return pd.RangeIndex(start, stop, step, name=walk.inner(parts["name"], ".name"))
    if kind == "MultiIndex":
        levels = [walk.inner(level, ".levels") for level in parts["levels"]]
        return pd.MultiIndex(levels, parts["codes"], names=walk.inner(parts["names"], ".names"), verify_integrity=True)
    name = walk.inner(parts["name"], ".name")
    values = _rebuild_labels(parts, walk)
    kinds: dict[str, Any] = {"DatetimeIndex": pd.DatetimeIndex, "TimedeltaIndex": pd.TimedeltaIndex}
    if kind in kinds:
        return kinds[kind](values, freq=parts.get("freq"), name=name)
    return pd.Index(values, dtype=values.dtype, name=name)


def _describe_series(series: Any, walk: Walk) -> Plain:
    return {
        **_describe_labels(series, walk),
        "index": walk.inner(series.index, ".index"),
        "name": walk.inner(series.name, ".name"),
        "attrs": walk.inner(series.attrs, ".attrs"),
    }


def _rebuild_series(parts: Plain, walk: Walk) -> pd.Series:
    import pandas as pd

    values, index = _rebuild_labels(parts, walk), walk.inner(parts["index"], ".index")
    series = pd.Series(values, index=index, dtype=values.dtype, name=walk.inner(parts["name"], ".name"))
    series.attrs = walk.inner(parts["attrs"], ".attrs")
    return series


def _describe_frame(frame: Any, walk: Walk) -> Plain:
    return {
        "columns": walk.inner(frame.columns, ".columns"),
        "index": walk.inner(frame.index, ".index"),
        "data": [_describe_labels(frame.iloc[:, i], walk) for i in range(frame.shape[1])],
        "attrs": walk.inner(frame.attrs, ".attrs"),
    }


def _rebuild_frame(parts: Plain, walk: Walk) -> pd.DataFrame:
    import pandas as pd

    index, columns = walk.inner(parts["index"], ".index"), walk.inner(parts["columns"], ".columns")
    data = [_rebuild_labels(column, walk) for column in parts["data"]]
    # Numbered first: labels may occur twice.
    frame = pd.DataFrame({i: pd.Series(v, index=index, dtype=v.dtype) for i, v in enumerate(data)}, index=index)
    frame.columns = columns
    frame.attrs = walk.inner(parts["attrs"], ".attrs")
    return frame


def _describe_variable(variable: Any, walk: Walk) -> Plain:
    if not isinstance(variable.dtype, np.dtype):
        raise Unfit(f"values of dtype {variable.dtype} cannot be saved; convert them to a numpy dtype")
    return {
        "dims": walk.inner(tuple(variable.dims), ".dims"),
        "values": walk.inner(np.asarray(variable.values), ".values"),
        "attrs": walk.inner(dict(variable.attrs), ".attrs"),
    }


def _rebuild_variable(parts: Plain, walk: Walk) -> xr.Variable:
    import xarray as xr

    dims, values = walk.inner(parts["dims"], ".dims"), walk.inner(parts["values"], ".values")
    return xr.Variable(dims, values, walk.inner(parts["attrs"], ".attrs"))


def _describe_coords(array: Any, walk: Walk) -> list[Any]:
    """Describe coordinates in their order: an indexed one by its pandas index and its dtype, another by its values."""
    import xarray as xr

    coords = []
    for name, variable in array.coords.variables.items():
        place = f".coords[{name!r}]"
        index = array.xindexes.get(name)
        if index is None:
            parts = _describe_variable(variable, walk)
        elif type(index) is xr.indexes.PandasIndex and isinstance(variable.dtype, np.dtype):
            attrs = walk.inner(dict(variable.attrs), f"{place}.attrs")
            parts = {"dims": tuple(variable.dims), "index": walk.inner(index.index, place), "attrs": attrs}
            parts["dtype"] = variable.dtype.str
        else:
            raise Unfit(f"coordinate {name!r} has a {type(index).__name__}, which cannot be saved; use reset_index")
        coords.append((walk.inner(name, place), parts))
    return coords


def _rebuild_coords(coords: list[Any], walk: Walk) -> xr.Coordinates:
    import xarray as xr

    variables: dict[Any, Any] = {}
    indexes: dict[Any, Any] = {}
    for described_name, parts in coords:
        name = walk.inner(described_name, ".coords")
        if "index" not in parts:
            variables[name] = _rebuild_variable(parts, walk)
            continue
        index = walk.inner(parts["index"], f".coords[{name!r}]")
        indexes[name] = xr.indexes.PandasIndex(index, parts["dims"][0], coord_dtype=np.dtype(parts["dtype"]))
        variables |= indexes[name].create_variables()
        variables[name].attrs = walk.inner(parts["attrs"], f".coords[{name!r}].attrs")
    return xr.Coordinates(variables, indexes=indexes)


def _describe_dataarray(array: Any, walk: Walk) -> Plain:
    parts = _describe_variable(array.variable, walk)
    return {**parts, "coords": _describe_coords(array, walk), "name": walk.inner(array.name, ".name")}


def _rebuild_dataarray(parts: Plain, walk: Walk) -> xr.DataArray:
    import xarray as xr

    variable, coords = _rebuild_variable(parts, walk), _rebuild_coords(parts["coords"], walk)
    name = walk.inner(parts["name"], ".name")
    return xr.DataArray(variable.data, coords, variable.dims, name=name, attrs=variable.attrs)


def _describe_dataset(dataset: Any, walk: Walk) -> Plain:
    variables = [
        (walk.inner(name, ".data_vars"), _describe_variable(array.variable, walk))
        for name, array in dataset.data_vars.items()
    ]
    attrs = walk.inner(dict(dataset.attrs), ".attrs")
    return {"variables": variables, "coords": _describe_coords(dataset, walk), "attrs": attrs}


def _rebuild_dataset(parts: Plain, walk: Walk) -> xr.Dataset:
    import xarray as xr

    variables = {walk.inner(name, ".data_vars"): _rebuild_variable(one, walk) for name, one in parts["variables"]}
    return xr.Dataset(variables, _rebuild_coords(parts["coords"], walk), walk.inner(parts["attrs"], ".attrs"))


DESCRIBERS: Mapping[str, tuple[str, Callable[[Any, Walk], Plain]]] = {
    "pandas.Timestamp": ("Timestamp", _describe_timestamp),
    "pandas.Timedelta": ("Timedelta", _describe_timedelta),
    "pandas.NaTType": ("NaT", lambda value, walk: {}),
    **{
        f"pandas.{name}": ("Index", _describe_index)
        for name in ("Index", "RangeIndex", "DatetimeIndex", "TimedeltaIndex", "MultiIndex")
    },
    "pandas.Series": ("Series", _describe_series),
    "pandas.DataFrame": ("DataFrame", _describe_frame),
    "xarray.DataArray": ("DataArray", _describe_dataarray),
    "xarray.Dataset": ("Dataset", _describe_dataset),
}
"""``"library.Class"`` -> (tag, describing function)."""

REBUILDERS: Mapping[str, Callable[[Plain, Walk], Any]] = {
    "Timestamp": _rebuild_timestamp,
    "Timedelta": _rebuild_timedelta,
    "NaT": _rebuild_nat,
    "Index": _rebuild_index,
    "Series": _rebuild_series,
    "DataFrame": _rebuild_frame,
    "DataArray": _rebuild_dataarray,
    "Dataset": _rebuild_dataset,
}
"""Tag -> rebuilding function."""
