"""Technical indicators over numpy, pandas and xarray series, by family.

Series have time as the last axis (numpy), as rows (pandas) or as the dim `time` (xarray); what comes out is like what
went in, float64. Missing values (NaN) are skipped: a window of p holds p observations, results sit where observations
are. Several series in one call are aligned by label. Nothing looks ahead but `shift`, `change`, `roc` and `sroc` with
a negative number of periods. A window longer than the series gives NaN throughout.
"""

from __future__ import annotations

from .averages import dema, ema, lwma, sma, tema, vwma, wilder_ma, wma
from .breadth import ad_line, ad_ratio
from .candles import candle_change, candle_range
from .changes import change, mtm, roc, shift
from .moments import beta, correlation, covariance, realized_volatility, std, variance
from .momentum import macd, sroc, trix
from .oscillators import cci, rsi, slow_stochastic, smi, stochastic, stochastic_k
from .pivots import bottom_pivot_points, pivot_points, top_pivot_points
from .positions import bollinger, ma_distance, rolling_rank, rolling_zscore
from .ranges import atr, dms, tr
from .volumes import chaikin_adl, chaikin_osc, obv, wvad

__all__ = [
    "ad_line",
    "ad_ratio",
    "atr",
    "beta",
    "bollinger",
    "bottom_pivot_points",
    "candle_change",
    "candle_range",
    "cci",
    "chaikin_adl",
    "chaikin_osc",
    "change",
    "correlation",
    "covariance",
    "dema",
    "dms",
    "ema",
    "lwma",
    "ma_distance",
    "macd",
    "mtm",
    "obv",
    "pivot_points",
    "realized_volatility",
    "roc",
    "rolling_rank",
    "rolling_zscore",
    "rsi",
    "shift",
    "slow_stochastic",
    "sma",
    "smi",
    "sroc",
    "std",
    "stochastic",
    "stochastic_k",
    "tema",
    "top_pivot_points",
    "tr",
    "trix",
    "variance",
    "vwma",
    "wilder_ma",
    "wma",
    "wvad",
]
