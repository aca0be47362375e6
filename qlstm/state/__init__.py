"""Saved state: a file that any Python reads and whose reading runs nothing, and a store that keeps each day whole.

``read`` and ``write`` are for one file, ``inspect`` shows what is in it without torch or the strategy, ``Store`` keeps
one generation per day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._lazy import attribute

if TYPE_CHECKING:
    from .codec import read, write
    from .comparison import Comparison, compare
    from .conversion import to_plain
    from .inspection import Inspection, find_file, find_store, inspect, newest_file
    from .lineage import Generation, Verification, generations, verify
    from .names import as_of
    from .rendering import render
    from .store import Store

__all__ = [
    "Comparison",
    "Generation",
    "Inspection",
    "Store",
    "Verification",
    "as_of",
    "compare",
    "find_file",
    "find_store",
    "generations",
    "inspect",
    "newest_file",
    "read",
    "render",
    "to_plain",
    "verify",
    "write",
]

_HOMES = {
    "Comparison": "comparison",
    "Generation": "lineage",
    "Inspection": "inspection",
    "Store": "store",
    "Verification": "lineage",
    "as_of": "names",
    "compare": "comparison",
    "find_file": "inspection",
    "find_store": "inspection",
    "generations": "lineage",
    "inspect": "inspection",
    "newest_file": "inspection",
    "read": "codec",
    "render": "rendering",
    "to_plain": "conversion",
    "verify": "lineage",
    "write": "codec",
}


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
