"""The report of a backtest: one self-contained page that shows what was earned, and how far to believe it."""

from __future__ import annotations

from .headline import summary
from .page import render, write

__all__ = ["render", "summary", "write"]
