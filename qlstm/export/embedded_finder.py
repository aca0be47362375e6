"""Imports modules from sources held in memory."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import CodeType
from typing import Any

__all__ = ["Embedded", "install"]


class Embedded(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds modules in a dictionary, full name -> source."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return how to import `name`, None where it is not held."""
        if name in self.sources:
            return importlib.util.spec_from_loader(name, self, origin="this file", is_package=self.is_package(name))
        if name.startswith("qlstm.") and "qlstm" in self.sources:
            raise ModuleNotFoundError(f"{name} was not exported: nothing imports it by its name", name=name)
        return None

    def is_package(self, name: str) -> bool:
        """Return whether modules lie inside `name`."""
        return any(other.startswith(name + ".") for other in self.sources)

    def get_source(self, name: str) -> str:
        """Return the source; tracebacks show it."""
        return self.sources[name]

    def get_code(self, name: str) -> CodeType:
        """Return the compiled source."""
        file = name.replace(".", "/") + ("/__init__.py" if self.is_package(name) else ".py")
        return compile(self.sources[name], file, "exec", dont_inherit=True)


def install(sources: Mapping[str, str], fallbacks: Mapping[str, str]) -> None:
    """Import from `sources` before, and from `fallbacks` after everything that is installed."""
    for name in [name for name in sys.modules if name in sources]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "Embedded"]
    sys.meta_path.insert(0, Embedded(sources))
    sys.meta_path.append(Embedded(fallbacks))
