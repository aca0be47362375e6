"""The bytes inside a state file: a pickle that holds builtins and numpy arrays only, written and read as data.

Writing emits protocol 4 and names three things beside the builtins that have opcodes of their own: ``numpy.ndarray``
(called with shape, dtype and buffer), ``numpy.datetime64`` and ``builtins.bytearray`` (so that arrays come back
writable). All three exist under these names in every numpy, so any Python reads the file with `pickle.load`.

Reading never lets a pickle reach code. `qlstm.state.opcodes.scan` first walks the opcodes: each name must be in an
exact table, opcodes that find classes by other routes are refused, and depth, length and memo are bounded. Then an
unpickler resolves the names in the table not to what they name but to makers of this module, which check their
arguments: a real ``numpy.ndarray`` called with dtype object and a buffer of the attacker's choice reads raw memory.
A last pass copies what was read and turns what makers have `Stored` into plain values. `qlstm.state.foreign` adds names
for the files of other programs, with makers of the same kind.
"""

from __future__ import annotations

import datetime
import io
import pickle
import struct
import warnings
from typing import Any

import numpy as np

from ..errors import StateCorruptError, StateError, StateForeignError
from .makers import PLAIN, PLAIN_KINDS, Names, RefusedError, Stored
from .opcodes import MAX_DEPTH, scan

__all__ = ["KIND", "Finisher", "dumps", "loads"]

KIND = "qlstm:kind"
"""The reserved key of dictionaries that describe something; `qlstm.state.plain` lists the kinds."""

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
        if type(value) is np.ndarray and value.dtype.kind in PLAIN_KINDS:
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


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, names: Names) -> None:
        super().__init__(file)
        self.names = names

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return self.names[module, name]


class Finisher:
    """The last pass: copies what was read, with plain values for stored ones, and lets nothing else out.

    Copying is counted: a small pickle may refer to one list so often that the copy never ends.

    Parameters
    ----------
    what : str
        What errors call the file: its path.
    steps : int
        Length of the pickle.
    """

    def __init__(self, what: str, steps: int) -> None:
        self.what = what
        self.left = 10 * steps + 10_000
        self.depth = 0
        self.met: dict[int, int] | None = None  # inside a network: what occurred before, by identity

    def finish(self, value: Any) -> Any:
        """Return a copy of `value` in plain terms.

        Raises
        ------
        StateForeignError
            When it contains itself, nests too deeply, or holds something that is no value.
        """
        self.left -= 1
        if self.left < 0 or self.depth > MAX_DEPTH:
            raise StateForeignError(f"{self.what} is refused: its values contain themselves or nest too deeply")
        kind = type(value)
        if kind in _ATOMS or isinstance(value, np.generic):
            return value
        self.depth += 1
        finished = self._inside(kind, value)
        self.depth -= 1
        return finished

    def _inside(self, kind: type, value: Any) -> Any:
        if kind is dict:
            return self._finish_dict([(self.finish(k), self.finish(v)) for k, v in value.items()])
        if kind is list or kind is tuple:
            return kind([self.finish(item) for item in value])
        if kind is set or kind is frozenset:
            items = [self.finish(item) for item in value]
            return {KIND: kind.__name__, "items": items} if any(map(_is_described, items)) else kind(items)
        if kind is np.ndarray:
            return value
        if isinstance(value, Stored):
            return value.finished(self)
        raise StateForeignError(f"{self.what} is refused: it holds {_name(value)} where a plain value belongs")

    def _finish_dict(self, items: list[tuple[Any, Any]]) -> dict[Any, Any]:
        if any(_is_described(key) for key, _ in items):
            return {KIND: "dict", "items": items}
        return dict(items)


def _is_described(value: object) -> bool:
    """Return whether a value that was hashable has become a description, which is not."""
    return isinstance(value, dict) or (isinstance(value, tuple) and any(map(_is_described, value)))


def _name(value: Any) -> str:
    names = [".".join(pair) for pair, maker in PLAIN.items() if maker is value]
    return names[0] if names else getattr(value, "__name__", type(value).__name__).strip("_")


def loads(payload: bytes, what: str, names: Names = PLAIN) -> Any:
    """Return the plain values that a pickle holds.

    Parameters
    ----------
    payload : bytes
        A pickle of any protocol, from any source.
    what : str
        What errors call the file: its path.
    names : Names
        What it may ask for; by default what `dumps` writes, and what any program writes for numpy arrays and builtins.

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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of a backslash in a name, and a warning may be an error
            steps = scan(payload, names, what)
            value = _Unpickler(io.BytesIO(payload), names).load()
        return Finisher(what, steps).finish(value)
    except RefusedError as error:
        raise StateForeignError(f"{what} holds objects that reading it would have to trust: {error}") from error
    except _DAMAGE as error:
        raise StateCorruptError(f"{what} is damaged: its pickle cannot be read ({error})") from error
