"""What the names in a pickle resolve to in place of what they name: makers that check their arguments.

A real ``numpy.ndarray`` called with dtype object and a buffer of the attacker's choice reads raw memory, and a real
``bytearray`` called with a number reserves that much of it. Objects that a pickle builds in several steps are `Stored`
until the last pass of `qlstm.state.payload` turns them into plain values.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import StateForeignError

if TYPE_CHECKING:
    from .payload import Finisher

__all__ = [
    "PLAIN",
    "PLAIN_KINDS",
    "Held",
    "Maker",
    "Names",
    "RefusedError",
    "Stored",
    "StoredArray",
    "StoredDtype",
    "array_of",
    "held",
    "plain_dtype",
]

PLAIN_KINDS = "biufcmMUS"
"""numpy's kinds of dtypes that stand for themselves."""


class RefusedError(Exception):
    """An object that could be named but not trusted; the text says which, and `payload.loads` which file."""


class Names(Collection[tuple[str, str]], Protocol):
    """The exact (module, name) pairs that a pickle may use, and what each resolves to."""

    def __getitem__(self, pair: tuple[str, str]) -> Any:
        """Return a `Maker`, or a class of `Stored` objects."""


class Stored:
    """What stands for an object until the last pass: inert, whatever the pickle does with it."""

    __slots__ = ()

    def finished(self, walk: Finisher) -> Any:
        """Return the plain value it stands for.

        Raises
        ------
        ValueError, TypeError, LookupError, AttributeError
            When the pickle gave it parts that do not fit.
        """
        raise NotImplementedError


class Maker:
    """What a name in a pickle resolves to: callable, and closed to every attribute that a pickle might set."""

    __slots__ = ("_make",)
    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be set")

    def __call__(self, *arguments: Any) -> Any:
        """Return what a pickle gets that calls the name."""
        return self._make(*arguments)


class Held(Stored):
    """An object as pickles build it: its class, the arguments it was made with, its state."""

    __slots__ = ("arguments", "state")
    arguments: tuple[Any, ...]
    state: Any
    reference = ""

    def __new__(cls, *arguments: Any) -> Held:
        """Keep what the class was called with."""
        self = object.__new__(cls)
        self.arguments, self.state = arguments, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def finished(self, walk: Finisher) -> Any:
        """Refuse: a part that stands where a whole belongs."""
        raise ValueError(f"a {self.reference or type(self).__name__} by itself")


def held(reference: str, kind: type[Held] = Held) -> type[Held]:
    """Return the class that stands for another one."""
    return type(reference, (kind,), {"__slots__": (), "reference": reference})


class StoredDtype(Stored):
    """A dtype as other pickles build it: a name, then a state of which only byte order and date unit count."""

    __slots__ = ("dtype",)

    def __init__(self, code: object) -> None:
        # "O" is kept apart, since only an array of strings may have it.
        self.dtype = np.dtype(object) if code in ("O", "O8") else plain_dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if self.dtype.kind in "mM" and len(state) > 8:
            unit, count = state[8][1][:2]
            self.dtype = np.dtype(
                f"{self.dtype.str}[{int(count)}{str(unit, 'ascii') if type(unit) is bytes else unit}]"
            )
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)

    def finished(self, walk: Finisher) -> Any:
        """Refuse: a dtype alone is no plain value."""
        raise StateForeignError(f"{walk.what} is refused: it holds a dtype where a plain value belongs")


class StoredArray(Stored):
    """An array as other pickles build it: made empty, then given its state."""

    __slots__ = ("array",)

    def finished(self, walk: Finisher) -> np.ndarray:
        """Return the array."""
        return self.array

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.dtype.kind != "O":
            self.array = array_of(shape, dtype.dtype, content, bool(fortran))
            return
        if type(content) is not list or not {type(item) for item in content} <= {str, float, int, bool, type(None)}:
            raise ValueError("an array of objects that are not strings or numbers")
        array = np.empty(len(content), dtype=object)
        array[:] = content
        self.array = array.reshape(shape, order="F" if fortran else "C")


def plain_dtype(code: object) -> np.dtype:
    """Return the dtype of that code, of a kind that stands for itself.

    Raises
    ------
    ValueError
        When it is of another kind, such as objects.
    """
    if type(code) is not str or np.dtype(code).kind not in PLAIN_KINDS:
        raise ValueError(f"array dtype {code!r}")
    return np.dtype(code)


def array_of(shape: object, dtype: np.dtype, buffer: object, fortran: bool = False) -> np.ndarray:
    """Return a fresh writable array, after checking that its shape and its bytes agree."""
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"array shape {shape!r}")
    if not isinstance(buffer, (bytes, bytearray)) or dtype.kind not in PLAIN_KINDS:
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
    return array_of(shape, plain_dtype(code), buffer)


def _make_frombuffer(buffer: object, dtype: StoredDtype, shape: object, order: object) -> np.ndarray:
    """Arrays pickled with protocol 5."""
    return array_of(shape, dtype.dtype, buffer, order == "F")


def _make_scalar(dtype: StoredDtype, buffer: object) -> Any:
    return array_of((), dtype.dtype, buffer)[()]


def _make_bytearray(content: object = b"") -> bytearray:
    """Copy bytes; `bytearray` itself takes a number too and would reserve that much memory."""
    if not isinstance(content, (bytes, bytearray)):
        raise ValueError("a bytearray of something else than bytes")
    return bytearray(content)


def _make_bytes(text: object, encoding: object) -> bytes:
    """Bytes as protocol 2 writes them."""
    if type(text) is not str or encoding != "latin1":
        raise ValueError("bytes in another form than Latin-1 text")
    return text.encode("latin1")


def _makers() -> dict[tuple[str, str], Maker]:
    """Return the exact (module, name) pairs that a pickle may use, and what each resolves to here."""
    makers: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): _make_ndarray,
        ("numpy", "dtype"): lambda code, *flags: StoredDtype(code),
        ("numpy", "datetime64"): np.datetime64,
        ("builtins", "bytearray"): _make_bytearray,
        ("builtins", "bytes"): lambda: b"",  # empty ones in protocol 2
        ("builtins", "set"): set,
        ("builtins", "frozenset"): frozenset,
        ("builtins", "complex"): complex,
        ("_codecs", "encode"): _make_bytes,
        ("datetime", "datetime"): datetime.datetime,
        ("datetime", "date"): datetime.date,
        ("datetime", "timedelta"): datetime.timedelta,
    }
    for core in ("numpy.core", "numpy._core"):  # the second spelling since numpy 2
        makers[f"{core}.multiarray", "_reconstruct"] = lambda *arguments: StoredArray()
        makers[f"{core}.multiarray", "scalar"] = _make_scalar
        makers[f"{core}.numeric", "_frombuffer"] = _make_frombuffer
    old = {("__builtin__", name): make for (module, name), make in makers.items() if module == "builtins"}
    return {pair: Maker(make) for pair, make in (makers | old).items()}


PLAIN: Mapping[tuple[str, str], Maker] = _makers()
"""What `qlstm.state.payload.dumps` writes, and what any program writes for numpy arrays and builtins."""
