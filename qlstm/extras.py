"""Libraries that only some calls need: imported at first use, and named with the command that installs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import QlstmError

__all__ = ["library"]


def library(module: str, extra: str, package: str | None = None) -> ModuleType:
    """Return a module of an optional library.

    Parameters
    ----------
    module : str
        The module's full name, ``"arch.bootstrap"``.
    extra : str
        The extra of qlstm that brings it, ``"stats"``.
    package : str, optional
        What the library is called, where that is not the module's first part.

    Raises
    ------
    QlstmError
        When the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = package or module.partition(".")[0]
        raise QlstmError(f"this needs {name}, which cannot be imported; run: pip install 'qlstm[{extra}]'") from error
