"""What goes to a contest: weights cleaned by its rules, checked against them, and written as its file."""

from __future__ import annotations

from ..weights import normalize
from .cleaning import align, clean
from .findings import Finding, calc_sharpe_ratio_for_check, check
from .fractions import to_bytes, write

__all__ = ["Finding", "align", "calc_sharpe_ratio_for_check", "check", "clean", "normalize", "to_bytes", "write"]
