"""The bytes of a tensor inside a pickle, read by their fixed layout: torch's own loader would run a second pickle.

``torch.storage._load_from_bytes`` is called with what ``torch.save`` writes in its legacy form: five pickles of a few
opcodes each (a magic number, a version, sizes of C types, what the storage is, its key), the count of values as eight
bytes, and the values. Each pickle is compared opcode by opcode with what torch writes; anything else is refused.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
from typing import Any

import numpy as np

from .makers import RefusedError

__all__ = ["Storage", "tensor_values"]

_MAGIC = 0x1950A86A20F9469CFC6C
_MEMO = {"PROTO", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_MOST_STEPS = 60
_DTYPES = {
    "BFloat16Storage": ("bfloat16", "<i2"),  # numpy lacks it: its bits
    "BoolStorage": ("bool", "|b1"),
    "ByteStorage": ("uint8", "|u1"),
    "CharStorage": ("int8", "|i1"),
    "ComplexDoubleStorage": ("complex128", "<c16"),
    "ComplexFloatStorage": ("complex64", "<c8"),
    "DoubleStorage": ("float64", "<f8"),
    "FloatStorage": ("float32", "<f4"),
    "HalfStorage": ("float16", "<f2"),
    "IntStorage": ("int32", "<i4"),
    "LongStorage": ("int64", "<i8"),
    "ShortStorage": ("int16", "<i2"),
}
_SIZES = [
    *["EMPTY_DICT", "MARK", "protocol_version", 1001, "little_endian", "NEWTRUE", "type_sizes"],
    *["EMPTY_DICT", "MARK", "short", 2, "int", 4, "long", 4, "SETITEMS", "SETITEMS", "STOP"],
]


class Storage:
    """The values that tensors are views of.

    Parameters
    ----------
    content : bytes
        What ``torch.storage._load_from_bytes`` is called with.

    Raises
    ------
    RefusedError
        When they are not laid out as torch lays them out.
    """

    __slots__ = ("dtype", "values")

    def __init__(self, content: object) -> None:
        try:
            self.dtype, self.values = _parse(content)
        except (ValueError, TypeError, IndexError) as error:
            raise RefusedError(f"torch.storage._load_from_bytes of {error}") from error


def _parse(content: object) -> tuple[str, np.ndarray]:
    """Return torch's name of the type, and the values."""
    if not isinstance(content, (bytes, bytearray)):
        raise ValueError("something that is no bytes")
    file = io.BytesIO(content)
    if [_steps(file) for _ in range(3)] != [[_MAGIC, "STOP"], [1001, "STOP"], _SIZES]:
        raise ValueError("bytes that do not start as a storage does")
    mark, word, kind, key, _, count, *end = _steps(file)
    if (mark, word) != ("MARK", "storage") or end != ["NONE", "TUPLE", "BINPERSID", "STOP"]:
        raise ValueError("a storage that is described in an unknown form")
    if _steps(file) != ["EMPTY_LIST", key, "APPEND", "STOP"]:
        raise ValueError("a storage with other keys than its own")
    module, _, name = str(kind).partition(" ")
    if module != "torch" or name not in _DTYPES:
        raise ValueError(f"a storage of type {kind!s:.40}")
    dtype, code = _DTYPES[name]
    return dtype, _values(file.read(), count, np.dtype(code))


def _steps(file: io.BytesIO) -> list[Any]:
    """Return the next pickle as its opcodes: their argument where they have one, else their name; memos left out."""
    steps: list[Any] = []
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name not in _MEMO:
            steps.append(opcode.name if argument is None else argument)
        if len(steps) > _MOST_STEPS:
            raise ValueError("a storage with a long description")
    return steps


def _values(rest: bytes, count: object, dtype: np.dtype) -> np.ndarray:
    """Return the values after the pickles, after checking that there are as many as was said."""
    if type(count) is not int or rest[:8] != struct.pack("<q", count) or len(rest) != 8 + count * dtype.itemsize:
        raise ValueError(f"a storage of {len(rest) - 8} bytes where {count} values of {dtype} belong")
    return np.frombuffer(rest, dtype, offset=8)


def tensor_values(storage: Storage, offset: object, shape: object, strides: object) -> np.ndarray:
    """Return a tensor's values as a contiguous array of its own.

    Raises
    ------
    ValueError
        When the tensor would reach beyond its storage or hold more values than it.
    """
    if not (isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 32):
        raise ValueError(f"a tensor of shape {shape!r:.60} and strides {strides!r:.60}")
    if type(offset) is not int or not all(type(n) is int and 0 <= n < 2**48 for n in (offset, *shape, *strides)):
        raise ValueError(f"a tensor of shape {shape!r:.60} and strides {strides!r:.60} from {offset!r:.20}")
    available = storage.values.size
    last = offset + sum(max(n - 1, 0) * stride for n, stride in zip(shape, strides, strict=True))
    if math.prod(shape) > available or (math.prod(shape) and last >= available):
        raise ValueError(f"a tensor of shape {shape} beyond its storage of {available} values")
    if not math.prod(shape):
        return np.zeros(shape, storage.values.dtype)
    steps = [stride * storage.values.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(storage.values[offset:], shape, steps, writeable=False)
    return np.array(view, order="C")
