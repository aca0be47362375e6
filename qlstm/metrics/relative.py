"""Errors as shares of what was forecast: MAPE, SMAPE and the two coefficients that are both called Theil's U."""

from __future__ import annotations

import numpy as np
from scipy.linalg import norm

__all__ = ["relative_errors"]


def relative_errors(forecast: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Return errors in units of the outcomes, so that numbers of any scale compare; for changes, not for levels.

    Parameters
    ----------
    forecast, actual : np.ndarray
        Shape (cell,), finite; f and y below. `actual` is not 0 throughout.

    Returns
    -------
    dict of str to float
        - ``mape``: mean of abs(f - y) / abs(y). An outcome of 0 has no such share: its cell is left out of this one
          score. The zero forecast has 1.
        - ``smape``: mean of 2 abs(f - y) / (abs(f) + abs(y)), from 0 to 2. A cell where both are 0 is forecast
          rightly and counts 0. The zero forecast has 2 where no outcome is 0.
        - ``theil_u1``: √Σ(f - y)² / (√Σf² + √Σy²), from 0 to 1. The zero forecast has 1.
        - ``theil_u2``: √Σ(f - y)² / √Σy². The zero forecast, which is "no change", has 1; a better one less.

    Notes
    -----
    Shares, not percent. SMAPE as in Makridakis, International Journal of Forecasting 9 (1993), 527-529, with absolute
    values below the line; U1 of Theil, Economic Forecasts and Policy (1958), 31-42; U2 of Theil, Applied Economic
    Forecasting (1966), chapter 2. Only U2 ranks forecasts of changes: MAPE favours those that are too small, while
    for SMAPE and U1 no change is the worst there is, and any noise beats it (Bliemel, Journal of Marketing Research 10
    (1973), 444-446).
    """
    miss, size = np.abs(forecast - actual), np.abs(actual)
    moved, both = size > 0, np.abs(forecast) + size
    return {
        "mape": float((miss[moved] / size[moved]).mean()),
        "smape": float(np.divide(2.0 * miss, both, out=np.zeros_like(both), where=both > 0).mean()),
        "theil_u1": float(norm(miss) / (norm(forecast) + norm(actual))),
        "theil_u2": float(norm(miss) / norm(actual)),
    }
