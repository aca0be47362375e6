"""The bytes inside a state file: a pickle that holds builtins and numpy arrays only, written and read as data.

Writing emits protocol 4 and names three things beside the builtins that have opcodes of their own: ``numpy.ndarray``
(called with shape, dtype and buffer), ``numpy.datetime64`` and ``builtins.bytearray`` (so that arrays come back
writable). All three exist under these names in every numpy, so any Python reads the file with `pickle.load`.

Reading never lets a pickle reach code. `qlstm.state.opcodes.scan` first walks the opcodes: each name must be in an
exact table, opcodes that find classes by other routes are refused, and depth, length and memo are bounded. Then an
unpickler resolves the names in the table not to what they name but to makers of this module, which check their
arguments: a real ``numpy.ndarray`` called with dtype object and a buffer of the attacker's choice reads raw memory.
"""

from __future__ import annotations

import datetime
import io
import math
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import StateCorruptError, StateError, StateForeignError
from .opcodes import MAX_DEPTH, scan

__all__ = ["dumps", "loads"]

_PLAIN_KINDS = "biufcmMUS"
_ATOMS = {
    *(type(None), bool, int, float, complex, str, bytes, bytearray),
    *(datetime.datetime, datetime.date, datetime.timedelta),
}
_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    struct.error,
)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=4)
        # No memo: otherwise two equal strings that happen to be one object would change the bytes.
        self.fast = True

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.ndarray and value.dtype.kind in _PLAIN_KINDS:
            return np.ndarray, (value.shape, value.dtype.str, bytearray(value.tobytes()))
        if type(value) is np.datetime64:
            unit, count = np.datetime_data(value.dtype)
            return np.datetime64, (int(value.astype(np.int64)), (unit, count))
        if value is np.ndarray or value is np.datetime64 or value is bytearray or type(value) is bytearray:
            return NotImplemented
        raise StateError(
            f"a state file holds no {type(value).__module__}.{type(value).__qualname__}; describe it first"
        )


def dumps(plain: object) -> bytes:
    """Return the pickle of plain values: equal values give equal bytes.

    Parameters
    ----------
    plain : object
        What `qlstm.state.plain.describe` returns: None, bool, int, float, str, bytes, list, tuple, dict, numpy arrays
        without objects and ``np.datetime64``.

    Raises
    ------
    StateError
        When it holds anything else.
    """
    file = io.BytesIO()
    _Pickler(file).dump(plain)
    return file.getvalue()


class _Maker:
    """What a name in a pickle resolves to: callable, and closed to every attribute that a pickle might set."""

    __slots__ = ("_make",)
    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be set")

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)


class _StoredDtype:
    """A dtype as other pickles build it: a name, then a state of which only byte order and date unit count."""

    __slots__ = ("dtype",)

    def __init__(self, code: object) -> None:
        # "O" is kept apart, since only an array of strings may have it.
        self.dtype = np.dtype(object) if code in ("O", "O8") else _plain_dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if self.dtype.kind in "mM" and len(state) > 8:
            unit, count = state[8][1][:2]
            self.dtype = np.dtype(
                f"{self.dtype.str}[{int(count)}{str(unit, 'ascii') if type(unit) is bytes else unit}]"
            )
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _StoredArray:
    """An array as other pickles build it: made empty, then given its state; `_finish` turns it into a real one."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.dtype.kind != "O":
            self.array = _array(shape, dtype.dtype, content, bool(fortran))
            return
        if type(content) is not list or not {type(item) for item in content} <= {str, float, int, bool, type(None)}:
            raise ValueError("an array of objects that are not strings or numbers")
        array = np.empty(len(content), dtype=object)
        array[:] = content
        self.array = array.reshape(shape, order="F" if fortran else "C")


def _plain_dtype(code: object) -> np.dtype:
    if type(code) is not str or np.dtype(code).kind not in _PLAIN_KINDS:
        raise ValueError(f"array dtype {code!r}")
    return np.dtype(code)


def _array(shape: object, dtype: np.dtype, buffer: object, fortran: bool = False) -> np.ndarray:
    """Return a fresh writable array, after checking that its shape and its bytes agree."""
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"array shape {shape!r}")
    if not isinstance(buffer, (bytes, bytearray)) or dtype.kind not in _PLAIN_KINDS:
        raise ValueError(f"array dtype {dtype}")
    count = math.prod(shape)
    if len(buffer) != count * dtype.itemsize:
        raise ValueError(f"array of shape {shape} and dtype {dtype} with {len(buffer)} bytes")
    array = np.empty(count, dtype=dtype)
    if buffer:
        array.view(np.uint8)[:] = np.frombuffer(buffer, dtype=np.uint8)
    return array.reshape(shape, order="F" if fortran else "C")


def _make_ndarray(shape: object, code: object, buffer: object) -> np.ndarray:
    """`numpy.ndarray` as our own files call it."""
    return _array(shape, _plain_dtype(code), buffer)


def _make_frombuffer(buffer: object, dtype: _StoredDtype, shape: object, order: object) -> np.ndarray:
    """Arrays pickled with protocol 5."""
    return _array(shape, dtype.dtype, buffer, order == "F")


def _make_scalar(dtype: _StoredDtype, buffer: object) -> Any:
    return _array((), dtype.dtype, buffer)[()]


def _make_bytearray(content: object = b"") -> bytearray:
    """Copy bytes; `bytearray` itself takes a number too and would reserve that much memory."""
    if not isinstance(content, (bytes, bytearray)):
        raise ValueError("a bytearray of something else than bytes")
    return bytearray(content)


def _makers() -> dict[tuple[str, str], _Maker]:
    """Return the exact (module, name) pairs that a pickle may use, and what each resolves to here."""
    makers: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): _make_ndarray,
        ("numpy", "dtype"): lambda code, *flags: _StoredDtype(code),
        ("numpy", "datetime64"): np.datetime64,
        ("builtins", "bytearray"): _make_bytearray,
        ("builtins", "set"): set,
        ("builtins", "frozenset"): frozenset,
        ("builtins", "complex"): complex,
        ("datetime", "datetime"): datetime.datetime,
        ("datetime", "date"): datetime.date,
        ("datetime", "timedelta"): datetime.timedelta,
    }
    for core in ("numpy.core", "numpy._core"):  # the second spelling since numpy 2
        makers[f"{core}.multiarray", "_reconstruct"] = lambda *arguments: _StoredArray()
        makers[f"{core}.multiarray", "scalar"] = _make_scalar
        makers[f"{core}.numeric", "_frombuffer"] = _make_frombuffer
    return {pair: _Maker(make) for pair, make in makers.items()}


_MAKERS = _makers()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _MAKERS:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return _MAKERS[module, name]


class _Finisher:
    """The last pass: copies what was read, with real arrays for stored ones, and lets nothing but plain values out.

    Copying is counted: a small pickle may refer to one list so often that the copy never ends.
    """

    def __init__(self, what: str, steps: int) -> None:
        self.what = what
        self.left = 10 * steps + 10_000

    def finish(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            raise StateForeignError(f"{self.what} is refused: its values contain themselves or nest too deeply")
        if kind in _ATOMS or isinstance(value, np.generic):
            return value
        if kind is dict:
            return {self.finish(k, depth + 1): self.finish(v, depth + 1) for k, v in value.items()}
        if kind is list or kind is tuple or kind is set or kind is frozenset:
            return kind([self.finish(item, depth + 1) for item in value])
        if kind is np.ndarray:
            return value
        if kind is _StoredArray:
            return value.array
        raise StateForeignError(f"{self.what} is refused: it holds {_name(value)} where a plain value belongs")


def _name(value: Any) -> str:
    names = [".".join(pair) for pair, maker in _MAKERS.items() if maker is value]
    return names[0] if names else type(value).__name__.strip("_")


def loads(payload: bytes, what: str) -> Any:
    """Return the plain values that a pickle holds.

    Parameters
    ----------
    payload : bytes
        A pickle of any protocol, from any source.
    what : str
        What errors call the file: its path.

    Returns
    -------
    object
        Builtins, dates of the standard library, numpy arrays (writable, without objects other than strings and numbers)
        and numpy scalars.

    Raises
    ------
    StateForeignError
        When it asks for anything else; see `qlstm.state.opcodes.scan`.
    StateCorruptError
        When it is no pickle.
    """
    steps = scan(payload, _MAKERS, what)
    try:
        value = _Unpickler(io.BytesIO(payload)).load()
        return _Finisher(what, steps).finish(value)
    except _DAMAGE as error:
        raise StateCorruptError(f"{what} is damaged: its pickle cannot be read ({error})") from error
