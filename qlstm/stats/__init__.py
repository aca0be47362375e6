"""Statistics of weights over a cube: returns after costs, risk, turnover, and the rules a contest checks."""

from __future__ import annotations

from .defaults import (
    calc_avg_points_per_year,
    calc_points_per_day,
    get_default_is_period,
    get_default_is_period_for_type,
    get_default_is_start_date_for_type,
    get_default_slippage,
)
from .panel import arrange_data
from .ratios import (
    calc_max_drawdown,
    calc_mean_return,
    calc_mean_return_annualized,
    calc_sharpe_ratio_annualized,
    calc_underwater,
    calc_volatility,
    calc_volatility_annualized,
)
from .returns import calc_equity, calc_relative_return, calc_slippage
from .rules import calc_exposure, calc_non_liquid, calc_sector_distribution, check_exposure, find_missed_dates
from .table import calc_stat
from .trading import calc_avg_holding_time, calc_avg_turnover, calc_bias, calc_instruments

__all__ = [
    "arrange_data",
    "calc_avg_holding_time",
    "calc_avg_points_per_year",
    "calc_avg_turnover",
    "calc_bias",
    "calc_equity",
    "calc_exposure",
    "calc_instruments",
    "calc_max_drawdown",
    "calc_mean_return",
    "calc_mean_return_annualized",
    "calc_non_liquid",
    "calc_points_per_day",
    "calc_relative_return",
    "calc_sector_distribution",
    "calc_sharpe_ratio_annualized",
    "calc_slippage",
    "calc_stat",
    "calc_underwater",
    "calc_volatility",
    "calc_volatility_annualized",
    "check_exposure",
    "find_missed_dates",
    "get_default_is_period",
    "get_default_is_period_for_type",
    "get_default_is_start_date_for_type",
    "get_default_slippage",
]
