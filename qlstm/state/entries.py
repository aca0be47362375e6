"""Described values as entries of a tree that people read: kinds, shapes, dates, the largest weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .plain import KIND

__all__ = ["Entry", "Model", "entry_of", "networks_in", "parameters_of", "short_date"]

_MOST_INSIDE = 30
_MOST_LABELS = 12


@dataclass(frozen=True)
class Model:
    """One network.

    Parameters
    ----------
    key : str
        Its key in the models, mostly an asset; empty when train returned a single network.
    kind : str
        Its class.
    parameters : int
        How many numbers it learned; shared ones count once.
    norm : float, optional
        The root of the sum of their squares; None for types that numpy lacks.
    shapes : tuple of (str, tuple of int)
        Name and shape of each parameter, as in ``named_parameters()``.
    """

    key: str
    kind: str
    parameters: int
    norm: float | None = None
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Entry:
    """One value of a state, and what is inside it.

    Parameters
    ----------
    place : str
        Where it is: ``state['previous_weights']``.
    kind : str
        Its class.
    text : str
        A short value in words; empty for what has a shape.
    shape : tuple of int, optional
        Lengths; of a dictionary or list, how many items.
    dims : tuple of str
        Names of the dimensions, where they have any.
    dtype : str, optional
        numpy's name of the values' type.
    dates : tuple of str, optional
        First and last date along the dates it is labelled with.
    largest : tuple of (str, float)
        Of numbers labelled by asset, the last row's largest by absolute value, at most 12; zeros are left out.
    held : int, optional
        How many of that row are not zero.
    inside : tuple of Entry
        What it contains, at most 30.
    """

    place: str
    kind: str
    text: str = ""
    shape: tuple[int, ...] | None = None
    dims: tuple[str, ...] = ()
    dtype: str | None = None
    dates: tuple[str, str] | None = None
    largest: tuple[tuple[str, float], ...] = ()
    held: int | None = None
    inside: tuple[Entry, ...] = ()


def short_date(time: np.datetime64) -> str:
    """Return a date, with the time of day only where there is one."""
    text = str(time.astype("datetime64[s]"))
    return text.removesuffix("T00:00:00")


def _kind(plain: object) -> str:
    return str(plain[KIND]) if isinstance(plain, dict) and KIND in plain else type(plain).__name__


def networks_in(models: Any) -> Iterator[Model]:
    """Yield the networks of described models, when that is what they are; nothing otherwise."""
    if _kind(models) == "module":
        yield _model("", models)
        return
    items = models["items"] if _kind(models) == "models" else list(models.items()) if _kind(models) == "dict" else []
    if all(_kind(model) == "module" for _, model in items):
        for key, model in items:
            yield _model(_label(key), model)


def _model(key: str, described: dict[str, Any]) -> Model:
    learned = list(parameters_of(described))
    squares = [_square(parameter) for _, parameter in learned]
    norm = None if None in squares else float(np.sqrt(sum(filter(None, squares))))
    shapes = tuple((name, tuple(parameter["values"].shape)) for name, parameter in learned)
    kind = described["class"].removeprefix("strategy:").replace(":", ".")
    return Model(key, kind, sum(parameter["values"].size for _, parameter in learned), norm, shapes)


def parameters_of(described: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and description of each parameter of a described network, shared ones once."""
    if "same" in described:
        return
    for name, parameter in described["parameters"].items():
        if parameter is not None and "values" in parameter:
            yield f"{path}{name}", parameter
    for name, inner in described["modules"].items():
        if inner is not None:
            yield from parameters_of(inner, f"{path}{name}.")


def _square(parameter: dict[str, Any]) -> float | None:
    """Return the sum of a parameter's squares; None where numpy lacks its type."""
    values = parameter["values"]
    if parameter["dtype"] == "bfloat16":  # kept as its bits, the upper half of a float32's
        values = (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if values.dtype.kind not in "fc" or parameter["dtype"].startswith("float8"):
        return None
    return float(np.sum(np.square(np.abs(values), dtype=np.float64)))


def _label(label: object) -> str:
    if isinstance(label, np.datetime64):
        return short_date(label)
    return label if isinstance(label, str) else repr(label)


def entry_of(plain: Any, place: str) -> Entry:
    """Return the entry of a described value."""
    kind = _kind(plain)
    if isinstance(plain, dict) and KIND in plain:
        return _SHOW.get(kind, _show_parts)(plain, place)
    if isinstance(plain, dict):
        return _show_items(list(plain.items()), place, kind)
    if isinstance(plain, (list, tuple, set, frozenset)):
        if all(isinstance(item, (str, int, float, type(None))) for item in plain):
            return Entry(place, kind, _shorten(repr(plain)), (len(plain),))
        return _show_items(list(enumerate(plain)), place, kind)
    if isinstance(plain, np.ndarray):
        return Entry(place, "array", shape=plain.shape, dtype=str(plain.dtype), dates=_span(plain))
    return Entry(place, kind, _shorten(_label(plain) if isinstance(plain, np.datetime64) else repr(plain)))


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _show_items(items: list[tuple[Any, Any]], place: str, kind: str) -> Entry:
    inside = tuple(entry_of(item, f"{place}[{_shorten(repr(key))}]") for key, item in items[:_MOST_INSIDE])
    return Entry(place, kind, shape=(len(items),), inside=inside)


def _show_parts(parts: dict[str, Any], place: str) -> Entry:
    """Show a kind that has no form of its own by its short parts."""
    short = [str(v) for k, v in parts.items() if k != KIND and isinstance(v, (str, int, float, np.datetime64))]
    return Entry(place, parts[KIND], _shorten(" ".join(short)))


def _show_scalar(parts: dict[str, Any], place: str) -> Entry:
    value = parts["value"]
    text = _label(value[()]) if value.dtype.kind == "M" else str(value[()])
    return Entry(place, str(value.dtype), _shorten(text))


def _show_moment(parts: dict[str, Any], place: str) -> Entry:
    return Entry(
        place, parts[KIND], " ".join(filter(None, [_show_scalar(parts["value"], place).text, parts.get("tz")]))
    )


def _show_set(parts: dict[str, Any], place: str) -> Entry:
    entry = entry_of(parts["items"], place)
    return Entry(place, parts[KIND], entry.text, entry.shape, inside=entry.inside)


def _show_tensor(parts: dict[str, Any], place: str) -> Entry:
    return Entry(place, parts[KIND], shape=parts["values"].shape, dtype=parts["dtype"])


def _show_network(parts: dict[str, Any], place: str) -> Entry:
    model = _model("", parts)
    return Entry(place, model.kind, f"{model.parameters:,} parameters")


def _labels(index: dict[str, Any]) -> Any:
    """Return the labels of a described index as something that can be numbered."""
    if "range" in index:
        return range(*index["range"])
    return _values(index["values"]) if "values" in index else []


def _values(values: Any) -> Any:
    return values["items"] if isinstance(values, dict) else values


def _span(labels: Any) -> tuple[str, str] | None:
    """Return the first and last of dates, None of anything else."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind != "M" or not labels.size:
        return None
    return short_date(labels.min()), short_date(labels.max())


def _show_dataarray(parts: dict[str, Any], place: str) -> Entry:
    labels = {name: _labels(one["index"]) for name, one in parts["coords"] if "index" in one}
    spans = [span for span in map(_span, labels.values()) if span]
    values = parts["values"]
    shape, dtype = (values["shape"], "object") if isinstance(values, dict) else (values.shape, str(values.dtype))
    held: int | None = None
    largest: tuple[tuple[str, float], ...] = ()
    if (
        set(parts["dims"]) in ({"asset"}, {"time", "asset"})
        and "asset" in labels
        and dtype.startswith("float")
        and all(shape)
    ):
        row = values if len(shape) == 1 else np.moveaxis(values, parts["dims"].index("asset"), 1)[-1]
        held, largest = _largest(row, labels["asset"])
    dates = spans[0] if spans else None
    return Entry(place, "DataArray", "", shape, tuple(map(_label, parts["dims"])), dtype, dates, largest, held)


def _largest(row: np.ndarray, labels: Any) -> tuple[int, tuple[tuple[str, float], ...]]:
    """Return how many entries of a row are not zero, and the largest of them with their labels."""
    sizes = np.where(np.isfinite(row), np.abs(row), 0.0)
    order = np.argsort(-sizes, kind="stable")[:_MOST_LABELS]
    return int((sizes > 0).sum()), tuple((_label(labels[i]), float(row[i])) for i in order if sizes[i] > 0)


def _show_dataset(parts: dict[str, Any], place: str) -> Entry:
    arrays = [(name, {**one, "coords": parts["coords"], KIND: "DataArray"}) for name, one in parts["variables"]]
    return _show_items(arrays, place, "Dataset")


def _show_series(parts: dict[str, Any], place: str) -> Entry:
    values = _values(parts["values"])
    dtype = str(values.dtype) if isinstance(values, np.ndarray) else "object"
    labels = _labels(parts["index"]) if "index" in parts else values
    return Entry(place, parts.get("type", parts[KIND]), "", (len(values),), dtype=dtype, dates=_span(labels))


def _show_index(parts: dict[str, Any], place: str) -> Entry:
    if "values" in parts:
        return _show_series(parts, place)
    length = len(parts["codes"][0]) if "codes" in parts else len(_labels(parts))
    return Entry(place, parts["type"], shape=(length,))


def _show_frame(parts: dict[str, Any], place: str) -> Entry:
    labels = _labels(parts["index"])
    columns = _shorten(", ".join(map(_label, list(_labels(parts["columns"]))[:_MOST_LABELS])))
    return Entry(place, "DataFrame", columns, (len(labels), len(parts["data"])), dates=_span(labels))


_SHOW: Mapping[str, Callable[[dict[str, Any], str], Entry]] = {
    "dict": lambda parts, place: _show_items(parts["items"], place, "dict"),
    "models": lambda parts, place: _show_items(parts["items"], place, "Models"),
    "dumped": lambda parts, place: entry_of(parts["value"], place),
    "set": _show_set,
    "frozenset": _show_set,
    "scalar": _show_scalar,
    "Timestamp": _show_moment,
    "Timedelta": _show_moment,
    "objects": lambda parts, place: Entry(place, "array", shape=parts["shape"], dtype="object"),
    "tensor": _show_tensor,
    "parameter": _show_tensor,
    "module": _show_network,
    "Index": _show_index,
    "Series": _show_series,
    "DataFrame": _show_frame,
    "DataArray": _show_dataarray,
    "Dataset": _show_dataset,
}
