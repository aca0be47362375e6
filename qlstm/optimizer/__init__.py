"""Search a strategy's constants over a backtest, or experiment with any function, every trial on record.

And the established toolbox's search.
"""

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
from .experiments import experiment, read_experiments
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
    "experiment",
    "fast_stats_function",
    "full_range_args_generator",
    "optimize_strategy",
    "random_range_args_generator",
    "read_experiments",
    "read_search",
    "search",
    "standard_stats_function",
    "standard_stats_to_weight",
]
