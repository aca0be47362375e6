"""A strategy as one file for a contest's server: its source, the parts of qlstm it uses, and the day to run."""

from __future__ import annotations

from .collecting import SERVER_PACKAGES, collect
from .writing import Exported, write

__all__ = ["SERVER_PACKAGES", "Exported", "collect", "write"]
