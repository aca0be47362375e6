"""The trade ledger: round trips made from weights, or read from a log, and who earned what.

A trade is a position in one asset from the open at which it is taken to the open at which it is closed or turned round.
Returns come from `stats.calc_relative_return`: costs, dividends and rolls are booked as in every other statistic.
"""

from __future__ import annotations

from .booking import of_weights
from .logs import read
from .trades import COLUMNS, Ledger, Summary

__all__ = ["COLUMNS", "Ledger", "Summary", "of_weights", "read"]
