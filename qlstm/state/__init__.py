"""Saved state: a file that any Python reads and whose reading runs nothing, and a store that keeps each day whole.

``read`` and ``write`` are for one file, ``inspect`` shows what is in it without torch or the strategy, ``Store`` keeps
one generation per day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._lazy import attribute

if TYPE_CHECKING:
    from .codec import read, write
    from .inspection import Inspection, inspect, newest_file, render
    from .store import Store

__all__ = ["Inspection", "Store", "inspect", "newest_file", "read", "render", "write"]

_HOMES = {
    "Inspection": "inspection",
    "Store": "store",
    "inspect": "inspection",
    "newest_file": "inspection",
    "read": "codec",
    "render": "inspection",
    "write": "codec",
}


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
