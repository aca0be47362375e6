"""pandas objects as their own pickles hold them, in the plain terms of `qlstm.state.labelled`.

The pickles name private classes and functions, which move between versions; each spelling here is one that a released
version writes. pandas is not imported: what stands here knows the parts and where they belong.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .makers import Held, Maker, Stored, StoredArray, held
from .payload import KIND, Finisher

__all__ = ["PANDAS"]

Plain = dict[str, Any]


class _Index(Stored):
    """What ``_new_Index(class, parts)`` makes."""

    __slots__ = ("kind", "parts")

    def __init__(self, kind: Any, parts: Any) -> None:
        self.kind, self.parts = kind.reference, dict(parts)

    def finished(self, walk: Finisher) -> Plain:
        parts, name = self.parts, walk.finish(self.parts.get("name"))
        if self.kind == "RangeIndex":
            start, stop, step = (int(parts[key]) for key in ("start", "stop", "step"))
            return {KIND: "Index", "type": "RangeIndex", "range": (start, stop, step), "name": name}
        if self.kind == "MultiIndex":
            levels, codes, names = (walk.finish(list(parts[key])) for key in ("levels", "codes", "names"))
            return {KIND: "Index", "type": "MultiIndex", "levels": levels, "codes": codes, "names": names}
        labels = _labels(parts["data"], walk)
        freq = {} if parts.get("freq") is None else {"freq": _freq(parts["freq"])}
        return {KIND: "Index", "type": self.kind, **labels, "name": name, **freq}


def _freq(offset: Any) -> str:
    if not isinstance(offset, Held) or offset.reference not in _OFFSETS:
        raise ValueError("an index with an unknown freq")
    return f"{int(offset.arguments[0])}{_OFFSETS[offset.reference]}"


_OFFSETS = {"Day": "D", "Hour": "h", "Minute": "min", "Second": "s"}


def _labels(data: Any, walk: Finisher) -> Plain:
    """Return the values of an index or a column, as `qlstm.state.labelled` describes them."""
    reference = data.reference if isinstance(data, Held) else ""
    plain = _array(data)
    if plain is not None:
        return {"values": plain}
    if reference == "ArrowStringArray":
        dtype = data.state["_dtype"]
        _, missing = dtype.arguments if len(dtype.arguments) == 2 else (None, None)
        return {"values": _arrow(data.state["_pa_array"]), "strings": "pyarrow", "missing": _missing(missing)}
    if reference in ("DatetimeArray", "TimedeltaArray", "StringArray"):
        dtype, values = _backed(data)
        if reference == "StringArray":
            return {"values": list(values.tolist()), "strings": "python", "missing": "nan"}
        if isinstance(dtype, Held):
            return {"values": values, "tz": _zone(dtype.state["tz"])}
        return {"values": values}
    raise ValueError(f"labels held as {type(data).__name__}")


def _array(one: Any) -> np.ndarray | None:
    """Return an array as protocol 5 or earlier ones build it; None of anything else."""
    return one if isinstance(one, np.ndarray) else one.array if isinstance(one, StoredArray) else None


def _backed(data: Held) -> tuple[Any, np.ndarray]:
    """Return dtype and values of an array that pandas keeps in a numpy one; their order changed between versions."""
    first, second = data.state[:2]
    dtype, array = (second, _array(first)) if _array(second) is None else (first, _array(second))
    if array is None:
        raise ValueError("an array without values")
    return dtype, array


def _unpickle_backed(kind: Any, checksum: Any, state: Any) -> Held:
    made = kind()
    made.state = state
    return made


def _missing(value: Any) -> str:
    return "nan" if isinstance(value, float) else "NA"


def _zone(tz: Any) -> str:
    if type(tz) is not datetime.timezone and tz != "UTC":
        raise ValueError("times in an unknown zone")
    return str(tz)


def _arrow(array: Any) -> list[str | None]:
    """Return the strings of a pyarrow array, or of one in chunks."""
    if not isinstance(array, Held) or array.reference not in ("array", "chunks"):
        raise ValueError("strings in an unknown form")
    if array.reference == "chunks":
        return [text for chunk in array.arguments[0] for text in _arrow(chunk)]
    (kind, length, _, offset, buffers, *_), *_ = array.arguments
    width = {"string": 4, "large_string": 8}[kind.arguments[0]]
    valid, offsets, content = (None if buffer is None else bytes(buffer.arguments[0]) for buffer in buffers)
    if type(length) is not int or type(offset) is not int or min(length, offset) < 0:
        raise ValueError("strings of an unknown number")
    ends = np.frombuffer(offsets or bytes(width), f"<i{width}")[offset : offset + length + 1]
    if len(ends) != length + 1 or ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > len(content or b""):
        raise ValueError("strings beyond their buffer")
    bits = None if valid is None else np.unpackbits(np.frombuffer(valid, "u1"), bitorder="little")[offset:]
    text = content or b""
    return [None if bits is not None and not bits[i] else text[ends[i] : ends[i + 1]].decode() for i in range(length)]


class _Series(Held):
    __slots__ = ()

    def finished(self, walk: Finisher) -> Plain:
        (index,), (values,), *_ = self.state["_mgr"].state
        return {
            KIND: "Series",
            **_labels(values, walk),
            "index": walk.finish(index),
            "name": walk.finish(self.state.get("_name")),
            "attrs": walk.finish(self.state.get("attrs", {})),
        }


class _Frame(Held):
    __slots__ = ()

    def finished(self, walk: Finisher) -> Plain:
        blocks, (columns, index) = self.state["_mgr"].arguments
        described = walk.finish(columns)
        data: dict[int, Plain] = {}
        for block in blocks:
            values, places, _ = block.arguments
            for i, place in enumerate(_places(places)):
                data[place] = _labels(_column(values, i), walk)
        return {
            KIND: "DataFrame",
            "columns": described,
            "index": walk.finish(index),
            "data": [data[i] for i in range(len(data))],
            "attrs": walk.finish(self.state.get("attrs", {})),
        }


def _places(places: Any) -> list[int]:
    """Return which columns a block holds."""
    listed = _array(places)
    if listed is not None:
        return [int(place) for place in listed]
    start, stop, step = places.arguments
    if not all(type(n) is int for n in (start, stop, step)) or not 0 <= start <= stop <= 10**6:
        raise ValueError("a block of columns at unknown places")
    return list(range(start, stop, step))


def _column(values: Any, i: int) -> Any:
    """Return the i-th column of a block."""
    plain = _array(values)
    if plain is not None:
        return plain[i] if plain.ndim == 2 else plain
    if isinstance(values, Held) and values.reference in ("DatetimeArray", "TimedeltaArray"):
        dtype, array = _backed(values)
        if array.ndim == 2:
            return _unpickle_backed(type(values), None, (dtype, array[i]))
    return values


class _Moment(Stored):
    """A Timestamp or a Timedelta."""

    __slots__ = ("kind", "tz", "value")

    def __init__(self, kind: str, code: str, value: Any, tz: Any = None) -> None:
        if type(value) is not int:
            raise ValueError(f"a {kind} of {value!r:.40}")
        self.kind, self.value, self.tz = kind, np.array(value, "i8").view(code), tz

    def finished(self, walk: Finisher) -> Plain:
        described = {KIND: self.kind, "value": {KIND: "scalar", "value": self.value}}
        return (
            {**described, "tz": None if self.tz is None else _zone(self.tz)} if self.kind == "Timestamp" else described
        )


_UNITS = {7: "s", 8: "ms", 9: "us", 10: "ns"}


def _timestamp(value: Any, freq: Any = None, tz: Any = None, unit: Any = 10) -> _Moment:
    return _Moment("Timestamp", f"M8[{_UNITS[unit]}]", value, tz)


def _timedelta(value: Any, unit: Any = 10) -> _Moment:
    return _Moment("Timedelta", f"m8[{_UNITS[unit]}]", value)


def _table() -> dict[tuple[str, str], Any]:
    """Return the names and what each resolves to."""
    makers: dict[tuple[str, str], Callable[..., Any]] = {
        ("datetime", "timezone"): datetime.timezone,
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"): _unpickle_backed,
        ("pandas._libs.tslibs.nattype", "_nat_unpickle"): lambda *arguments: {KIND: "NaT"},
        ("pandas._libs.tslibs.timedeltas", "_timedelta_unpickle"): _timedelta,
        ("pandas._libs.tslibs.timestamps", "Timestamp"): _timestamp,
        ("pandas._libs.tslibs.timestamps", "_unpickle_timestamp"): _timestamp,
        ("pandas.core.indexes.base", "_new_Index"): _Index,
        ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"): _Index,
        ("pandas.core.indexes.timedeltas", "_new_TimedeltaIndex"): _Index,
        ("pytz", "_UTC"): lambda: "UTC",
    }
    classes = {
        ("builtins", "slice"): held("slice"),
        ("__builtin__", "slice"): held("slice"),
        ("pandas", "NA"): held("NA"),
        ("pandas._libs.missing", "NA"): held("NA"),
        ("pandas._libs.internals", "_unpickle_block"): held("block"),
        ("pandas.core.internals.managers", "BlockManager"): held("BlockManager"),
        ("pandas.core.internals.managers", "SingleBlockManager"): held("SingleBlockManager"),
        ("pyarrow.lib", "_restore_array"): held("array"),
        ("pyarrow.lib", "chunked_array"): held("chunks"),
        ("pyarrow.lib", "py_buffer"): held("buffer"),
        ("pyarrow.lib", "type_for_alias"): held("type"),
    }
    for name, homes in _PANDAS_CLASSES.items():
        kind = {"Series": _Series, "DataFrame": _Frame}.get(name, Held)
        classes |= {(home, name): held(name, kind) for home in homes}
    classes |= {("pandas._libs.tslibs.offsets", name): held(name) for name in _OFFSETS}
    classes |= {("pandas.core.indexes.numeric", name): held("Index") for name in ("Int64Index", "Float64Index")}
    return {pair: Maker(make) for pair, make in makers.items()} | classes


# Before pandas 3 each class was pickled under the module that defines it, since then under a public name.
_PANDAS_CLASSES = {
    "Index": ("pandas", "pandas.core.indexes.base"),
    "RangeIndex": ("pandas", "pandas.core.indexes.range"),
    "DatetimeIndex": ("pandas", "pandas.core.indexes.datetimes"),
    "TimedeltaIndex": ("pandas", "pandas.core.indexes.timedeltas"),
    "MultiIndex": ("pandas", "pandas.core.indexes.multi"),
    "Series": ("pandas", "pandas.core.series"),
    "DataFrame": ("pandas", "pandas.core.frame"),
    "StringDtype": ("pandas", "pandas.core.arrays.string_"),
    "DatetimeTZDtype": ("pandas", "pandas.core.dtypes.dtypes"),
    "ArrowStringArray": ("pandas.arrays", "pandas.core.arrays.string_arrow"),
    "StringArray": ("pandas.arrays", "pandas.core.arrays.string_"),
    "DatetimeArray": ("pandas.arrays", "pandas.core.arrays.datetimes"),
    "TimedeltaArray": ("pandas.arrays", "pandas.core.arrays.timedeltas"),
}
PANDAS: Mapping[tuple[str, str], Any] = _table()
"""(module, name) -> what it resolves to."""
