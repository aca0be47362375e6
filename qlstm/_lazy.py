"""Names that are imported at first use, so that importing qlstm costs nothing it does not need."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["attribute"]


def attribute(package: str, homes: Mapping[str, str], name: str) -> Any:
    """Return `name` of `package` from the module that is its home, and keep it there for the next time.

    Parameters
    ----------
    package : str
        The importing package's ``__name__``.
    homes : mapping of str to str
        Name -> module inside the package. A name whose home bears the same name is that module itself.
    name : str
        The attribute asked for.

    Raises
    ------
    AttributeError
        When it has no home.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module = importlib.import_module(f"{package}.{homes[name]}")
    value = module if homes[name] == name else getattr(module, name)
    setattr(sys.modules[package], name, value)
    return value
