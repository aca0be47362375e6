"""Which assets are liquid on a day, derived from prices and volumes where a source does not say."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["most_traded"]

_WINDOW = 60


def most_traded(close: np.ndarray, vol: np.ndarray, top: int) -> np.ndarray:
    """Return 1.0 where an asset is among the `top` most traded on that day, 0.0 elsewhere.

    An asset's measure is the median of close × volume over its last 60 rows up to and including the day (fewer at the
    start, rows without a price left out), so the answer is known that day. Equal measures share a rank. An asset
    without a price that day, or whose measure is 0, is not liquid; with at most `top` assets every traded one is.

    Parameters
    ----------
    close, vol : np.ndarray
        Shape (time, asset): currency per share, and shares.
    top : int
        How many assets are liquid on a day.

    Returns
    -------
    np.ndarray
        Shape (time, asset), float64.
    """
    dollars = pd.DataFrame(close * vol)
    measure = dollars.rolling(_WINDOW, min_periods=1).median()
    measure = measure.where((measure > 0) & np.isfinite(close))
    return (measure.rank(axis="columns", method="min", ascending=False) <= top).to_numpy(dtype=np.float64)
