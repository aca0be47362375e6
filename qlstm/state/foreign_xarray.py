"""xarray objects as their own pickles hold them, in the plain terms of `qlstm.state.labelled`.

They are objects with slots, pickled as (None, parts). xarray is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .makers import Held, StoredArray, held
from .payload import KIND, Finisher

__all__ = ["XARRAY"]

Plain = dict[str, Any]


def _slots(one: Any, reference: str) -> Plain:
    """Return the parts of an object that has slots: its state is (None, parts)."""
    if not isinstance(one, Held) or one.reference != reference or one.arguments:
        raise ValueError(f"a {type(one).__name__} where a {reference} belongs")
    _, parts = one.state
    return dict(parts)


def _values(data: Any, walk: Finisher) -> Any:
    """Return the values of a variable: an array, or the index that stands for one."""
    if isinstance(data, Held) and data.reference == "PandasIndexingAdapter":
        index = walk.finish(_slots(data, "PandasIndexingAdapter")["array"])
        if "values" not in index:
            raise ValueError(f"a {index['type']} where values belong")
        values = index["values"]
        return np.array(values, dtype=object) if isinstance(values, list) else values
    if not isinstance(data, (StoredArray, np.ndarray)):
        raise ValueError(f"values held as {type(data).__name__}")
    return walk.finish(data)


def _variable(one: Any, walk: Finisher) -> Plain:
    parts = _slots(one, "Variable")
    return {
        "dims": walk.finish(tuple(parts["_dims"])),
        "values": _values(parts["_data"], walk),
        "attrs": walk.finish(dict(parts.get("_attrs") or {})),
    }


def _coords(variables: Mapping[Any, Any], indexes: Mapping[Any, Any], walk: Finisher) -> list[Any]:
    coords = []
    for name, one in variables.items():
        if name not in indexes:
            coords.append((walk.finish(name), _variable(one, walk)))
            continue
        variable, index = _slots(one, "Variable"), _slots(indexes[name], "PandasIndex")
        described = {
            "dims": walk.finish(tuple(variable["_dims"])),
            "index": walk.finish(index["index"]),
            "attrs": walk.finish(dict(variable.get("_attrs") or {})),
            "dtype": index["coord_dtype"].dtype.str,
        }
        coords.append((walk.finish(name), described))
    return coords


class _DataArray(Held):
    __slots__ = ()

    def finished(self, walk: Finisher) -> Plain:
        parts = _slots(self, "DataArray")
        described = _variable(parts["_variable"], walk)
        coords = _coords(parts["_coords"], parts["_indexes"], walk)
        return {KIND: "DataArray", **described, "coords": coords, "name": walk.finish(parts["_name"])}


class _Dataset(Held):
    __slots__ = ()

    def finished(self, walk: Finisher) -> Plain:
        parts = _slots(self, "Dataset")
        names, variables = parts["_coord_names"], parts["_variables"]
        return {
            KIND: "Dataset",
            "variables": [(walk.finish(k), _variable(v, walk)) for k, v in variables.items() if k not in names],
            "coords": _coords({k: v for k, v in variables.items() if k in names}, parts["_indexes"], walk),
            "attrs": walk.finish(dict(parts.get("_attrs") or {})),
        }


XARRAY: Mapping[tuple[str, str], Any] = {
    ("xarray.core.dataarray", "DataArray"): held("DataArray", _DataArray),
    ("xarray.core.dataset", "Dataset"): held("Dataset", _Dataset),
    ("xarray.core.indexes", "PandasIndex"): held("PandasIndex"),
    ("xarray.core.indexing", "PandasIndexingAdapter"): held("PandasIndexingAdapter"),
    ("xarray.core.variable", "IndexVariable"): held("Variable"),
    ("xarray.core.variable", "Variable"): held("Variable"),
}
"""(module, name) -> what it resolves to."""
