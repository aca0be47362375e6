"""Search a strategy's constants over a backtest, with every trial on record; and the established toolbox's search."""

from __future__ import annotations

from .established import (
    ArgumentSets,
    fast_stats_function,
    full_range_args_generator,
    optimize_strategy,
    random_range_args_generator,
    standard_stats_function,
    standard_stats_to_weight,
)
from .found import Search, read_search
from .proposals import Range
from .searching import search
from .trials import Setting, Trial

__all__ = [
    "ArgumentSets",
    "Range",
    "Search",
    "Setting",
    "Trial",
    "fast_stats_function",
    "full_range_args_generator",
    "optimize_strategy",
    "random_range_args_generator",
    "read_search",
    "search",
    "standard_stats_function",
    "standard_stats_to_weight",
]
