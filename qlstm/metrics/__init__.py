"""Scores of forecasts, always beside what needs no skill: the majority, persistence, a constant, a coin.

Forecasts and outcomes have shape (row,) or (row, asset), rows in time's order. Labelled ones are matched by label, over
the labels both have. A cell counts where forecast, outcome and the persistence forecast are all there, so that every
column of a table is scored on the same cells; how many were left out is part of the result.
"""

from __future__ import annotations

from .batches import Batches
from .cells import Scores
from .scores import classification, cross_sectional, directional, rank_ic, regression
from .shift import ShiftReport, shift_report

__all__ = [
    "Batches",
    "Scores",
    "ShiftReport",
    "classification",
    "cross_sectional",
    "directional",
    "rank_ic",
    "regression",
    "shift_report",
]
