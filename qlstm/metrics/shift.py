"""The plot that "predicts" a day late: price forecasts scored on changes, with the lag at which they fit best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from ..significance import Verdict, diebold_mariano
from .cells import aligned

__all__ = ["ShiftReport", "shift_report"]

_LEAST = 30  # rows
_CLEAR = 3.0  # standard errors of a correlation


@dataclass(frozen=True, eq=False)
class ShiftReport:
    """What a forecast of prices knows beyond the last price.

    Parameters
    ----------
    level_r2 : float
        R² of the levels: close to 1 for yesterday's price, so it says nothing.
    skill : float
        1 - mean square error over that of the last known value; above 0 is better than persistence.
    correlations : pd.Series
        Lag -> correlation of the changes of the plotted forecast with the actual changes that many rows before. A good
        but cautious forecast fits best at lag 1 too, since it starts from the last value; skill tells them apart.
    change_correlation : float
        Of the change forecast (forecast less last value) with the actual one; NaN for the last value itself.
    hit_rate : float
        How often the direction from the last value to the forecast was right.
    test : Verdict
        Diebold–Mariano against persistence.
    rows : int
        Rows scored.
    """

    level_r2: float
    skill: float
    correlations: pd.Series
    change_correlation: float
    hit_rate: float
    test: Verdict
    rows: int

    @property
    def best_lag(self) -> int:
        """The lag at which the plotted lines fit best: 1 where yesterday's price is plotted, 0 for a constant line."""
        known = self.correlations.dropna()
        return int(known.index.to_numpy()[known.to_numpy().argmax()]) if len(known) else 0

    @property
    def is_late(self) -> bool:
        """Whether the plotted lines fit best when the forecast is moved back, clearly (three standard errors)."""
        return self.best_lag > 0 and bool(self.correlations[self.best_lag] > _CLEAR / math.sqrt(self.rows))

    @property
    def verdict(self) -> str:
        """``"informative"`` where the forecast beats the last value (5 %, one-sided), else ``"no information"``."""
        return "informative" if self.test.rejects() else "no information"

    def __str__(self) -> str:
        gap = f"{self.best_lag} row{'s' * (self.best_lag > 1)}"
        news = {
            ("no information", True): f"the forecast is {gap} late: it follows the price, it does not predict it",
            ("no information", False): "it is no better than saying that nothing will change",
            ("informative", True): f"it beats the last value, though the lines are {gap} apart, as cautious ones are",
            ("informative", False): "it beats the last value, and its changes fit those of the same row",
        }[self.verdict, self.is_late]
        return (
            f"{self.verdict}: {news}. {self._fit()}. Skill over the last value {self.skill:.3f}, {self._changes()}. "
            f"R² of levels {self.level_r2:.3f} (the last value has that too). {self.test}"
        )

    def _fit(self) -> str:
        """Return in words where the lines fit best."""
        if not self.correlations.notna().any():
            return "A constant line has no correlation at any lag"
        best, at_0 = self.correlations.max(), self.correlations[0]
        return f"Lines fit best at lag {self.best_lag} (correlation of changes {best:.2f}, at lag 0 {at_0:.2f})"

    def _changes(self) -> str:
        """Return in words how the change forecast fits the actual one."""
        fit, hits = self.change_correlation, self.hit_rate
        alike = "no correlation, it is constant" if math.isnan(fit) else f"correlation {fit:.2f}"
        right = "no direction called" if math.isnan(hits) else f"direction right in {100 * hits:.1f} %"
        return f"forecast against actual change: {alike}, {right}"


def shift_report(pred: Any, actual: Any, max_lag: int = 5) -> ShiftReport:
    """Score a forecast of levels on changes, and find the lag at which it fits best.

    Row t of `pred` is the forecast *for* row t, made when the value of row t - 1 was the last one known. Plotted beside
    the actual prices, yesterday's price looks like a fine forecast; its changes fit best at lag 1.

    Parameters
    ----------
    pred, actual : array-like
        Shape (row,) or (row, asset): prices or other levels, in time's order. Labelled ones are matched by label.
    max_lag : int
        The largest lag looked at, on both sides.

    Returns
    -------
    ShiftReport
        Prints as one paragraph; `verdict` is its first words.

    Raises
    ------
    DataError
        Fewer than 30 rows with both, a level that never changes, or `max_lag` out of range.
    """
    forecast, level = aligned(pred, actual)
    known = np.vstack([np.full((1, level.shape[1]), np.nan), level[:-1]])
    usable = np.isfinite(forecast) & np.isfinite(level) & np.isfinite(known)
    rows = usable.any(axis=1)
    if rows.sum() < _LEAST:
        raise DataError(f"{int(rows.sum())} rows have forecast, value and value before; it needs {_LEAST}")
    if not (isinstance(max_lag, (int, np.integer)) and 1 <= max_lag <= len(level) // 4):
        raise DataError(f"max_lag must be a whole number from 1 to {len(level) // 4}, got {max_lag!r}")
    errors = [np.where(usable, (side - level) ** 2, np.nan) for side in (forecast, known)]
    if not np.nansum(errors[1]) > 0:
        raise DataError("the actual levels never change; there is nothing to forecast")
    test = _against_persistence(*(np.nanmean(error[rows], axis=1) for error in errors))
    correlations = _by_lag(np.diff(forecast, axis=0), np.diff(level, axis=0), max_lag)
    ahead, moves = ((side - known)[usable] for side in (forecast, level))
    called, moved = np.sign(ahead), np.sign(moves)
    decided = (called != 0) & (moved != 0)
    hits = float((called == moved)[decided].mean()) if decided.any() else math.nan
    apart = level[usable] - level[usable].mean()
    level_r2 = float(1.0 - np.nansum(errors[0]) / (apart @ apart))
    skill = float(1.0 - np.nansum(errors[0]) / np.nansum(errors[1]))
    return ShiftReport(level_r2, skill, correlations, _correlation(ahead, moves), hits, test, int(rows.sum()))


def _against_persistence(loss: np.ndarray, base: np.ndarray) -> Verdict:
    if np.ptp(loss - base) == 0:  # the forecast is the last value itself
        return Verdict("Diebold–Mariano against persistence", 0.0, 1.0, len(loss), "less", "it is the last value")
    return diebold_mariano(loss, base)


def _by_lag(said: np.ndarray, moved: np.ndarray, max_lag: int) -> pd.Series:
    """Return the correlation of each lag: changes of the forecast with the actual ones that many rows before."""
    found = {}
    for lag in range(-max_lag, max_lag + 1):
        ours = said[max(0, lag) : len(said) + min(0, lag)]
        theirs = moved[max(0, -lag) : len(moved) - max(0, lag)]
        both = np.isfinite(ours) & np.isfinite(theirs)
        found[lag] = _correlation(ours[both], theirs[both])
    return pd.Series(found, name="correlation")


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    varies = len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
    return float(np.corrcoef(x, y)[0, 1]) if varies else math.nan
