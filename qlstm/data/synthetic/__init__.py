"""Markets with known truth: what can be forecast in them is planted, so a method that finds more, or less, is wrong.

`market` makes one by name, with what is planted in it; `dirty` puts the faults of real data into any cube.
"""

from __future__ import annotations

from .catalogue import from_name, market, names
from .dirt import KINDS, Fault, as_known_on, dirty, put
from .truth import Truth

__all__ = ["KINDS", "Fault", "Truth", "as_known_on", "dirty", "from_name", "market", "names", "put"]
