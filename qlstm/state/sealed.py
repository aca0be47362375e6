"""Plain values behind their SHA-256, for files that only qlstm itself reads again: stored models, checkpoints.

A state file is made to travel, so it is compressed, carries metadata and is read back once before it is written. These
files are made in the middle of a computation and hold thousands of networks of one form, so they have to be quick: the
form is written once, and of each network only the bytes of its arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..errors import StateCorruptError
from . import payload
from .makers import PLAIN_KINDS
from .payload import KIND

__all__ = ["seal", "unseal"]

_DIGEST = 32  # bytes of a SHA-256
_NETWORK = "module"  # as `qlstm.state.plain` describes one
_FORMED = "formed"  # a network: form, the number of its form, and arrays, their bytes
_ARRAY = "array"  # in a form: dtype and shape


def seal(plain: Any) -> bytes:
    """Return plain values, as `qlstm.state.plain.describe` gives them, as bytes; equal values give equal bytes.

    Raises
    ------
    StateError
        When they are not plain.
    """
    forms: dict[bytes, int] = {}

    def formed(network: dict[str, Any]) -> Any:
        arrays: list[bytes] = []
        form = _form(network, arrays)
        number = forms.setdefault(payload.dumps(form), len(forms))
        return {KIND: _FORMED, "form": number, "arrays": b"".join(arrays)}

    values = _replaced(plain, _NETWORK, formed)
    content = payload.dumps((list(forms), values))
    return hashlib.sha256(content).digest() + content


def unseal(sealed: bytes, what: str) -> Any:
    """Return what was sealed; `what` is what errors call it. Runs no code that the bytes could bring.

    Raises
    ------
    StateCorruptError
        When the bytes are damaged.
    StateForeignError
        When they are no plain values.
    """
    digest, content = sealed[:_DIGEST], sealed[_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise StateCorruptError(f"{what} is damaged: its content is not what its checksum says")
    found = payload.loads(content, what)
    try:
        forms = [payload.loads(form, what) for form in found[0]]
        return _replaced(found[1], _FORMED, lambda parts: _filled(forms[parts["form"]], parts["arrays"]))
    except (LookupError, TypeError, ValueError) as error:
        raise StateCorruptError(f"{what} is damaged: {error!r}") from error


def _replaced(value: Any, kind: str, make: Callable[[dict[str, Any]], Any]) -> Any:
    """Return a value with what is described as `kind` replaced."""
    if type(value) is dict:
        if value.get(KIND) == kind:
            return make(value)
        return {key: _replaced(item, kind, make) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_replaced(item, kind, make) for item in value])
    return value


def _form(value: Any, arrays: list[bytes]) -> Any:
    """Return a description with dtype and shape in place of its arrays, whose bytes go to `arrays`."""
    if type(value) is np.ndarray:
        arrays.append(value.tobytes())
        return {KIND: _ARRAY, "dtype": value.dtype.str, "shape": value.shape}
    if type(value) is dict:
        return {key: _form(item, arrays) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_form(item, arrays) for item in value])
    return value


def _filled(form: Any, arrays: bytes) -> Any:
    """Return a form with its arrays; the inverse of `_form`."""
    at = 0

    def fill(value: Any) -> Any:
        nonlocal at
        if type(value) is dict:
            if value.get(KIND) != _ARRAY:
                return {key: fill(item) for key, item in value.items()}
            dtype, shape = np.dtype(value["dtype"]), value["shape"]
            if dtype.kind not in PLAIN_KINDS or min(shape, default=0) < 0:
                raise ValueError(f"no array of {dtype} and shape {shape}")
            if prod(shape) == 0:
                return np.empty(shape, dtype)
            array = np.frombuffer(arrays, dtype, prod(shape), at).reshape(shape)
            at += array.nbytes
            return array  # what is rebuilt from it copies
        if type(value) in (list, tuple):
            return type(value)([fill(item) for item in value])
        return value

    return fill(form)
