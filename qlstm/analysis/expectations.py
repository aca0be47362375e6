"""Which loss to aim at: what a stated R² means for a label, before any model is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError

__all__ = ["TargetLoss", "target_loss"]

_DOMINANT = 0.2  # of the squared deviations: one label must not decide
_DAILY_R2 = 0.01  # more is rare for daily returns
_RANGE_SHARE = 0.1


@dataclass(frozen=True)
class TargetLoss:
    """Mean squared errors to aim at.

    Parameters
    ----------
    variance : float
        Of the label: the loss of its mean, which needs no skill.
    spread : float
        Largest less smallest label.
    r2 : float
        Share of the variance to be explained.
    notes : tuple of str
        What a reader must know.
    """

    variance: float
    spread: float
    r2: float
    notes: tuple[str, ...] = ()

    @property
    def from_r2(self) -> float:
        """``(1 - r2) · variance``."""
        return (1.0 - self.r2) * self.variance

    @property
    def from_range(self) -> float:
        """The square of a tenth of the spread; one outlier makes it useless."""
        return (_RANGE_SHARE * self.spread) ** 2

    @property
    def suggested(self) -> float:
        """The smaller of both: the larger can be met by forecasting the mean."""
        return min(self.from_r2, self.from_range)

    @property
    def rmse(self) -> float:
        """Root of the suggested loss, in units of the label."""
        return float(np.sqrt(self.suggested))

    @property
    def share_of_range(self) -> float:
        """That over the spread."""
        return self.rmse / self.spread

    def __str__(self) -> str:
        aim = f"aim at {self.suggested:.4g} (root {self.rmse:.4g}); the mean alone has {self.variance:.4g}"
        return "; ".join((aim, *self.notes))


def target_loss(label: Any, r2: float) -> TargetLoss:
    """Return the losses that an R² means for a label, and warn of labels on which they make no sense.

    Parameters
    ----------
    label : array-like
        Any shape; NaN is left out.
    r2 : float
        From 0 to 1. For daily returns, 0.01 is already much.

    Returns
    -------
    TargetLoss
        Its notes name a label that alone makes up more than a fifth of the squared deviations, with the variance
        without it, and an R² that daily returns do not have.

    Raises
    ------
    DataError
        Fewer than 3 known labels, infinite or equal ones, or an R² out of range.
    """
    if not 0.0 <= r2 <= 1.0:
        raise DataError(f"r2 must be from 0 to 1, got {r2!r}")
    values = np.asarray(label, dtype=np.float64).ravel()
    values = values[~np.isnan(values)]
    if len(values) < 3 or np.isinf(values).any() or np.ptp(values) == 0:
        raise DataError(f"the label needs 3 finite values that differ, got {len(values)}")
    notes = [f"an R² of {r2:g} is more than daily returns have, {_DAILY_R2:g} at most"] if r2 > _DAILY_R2 else []
    squares = (values - values.mean()) ** 2
    worst = int(squares.argmax())
    share = squares[worst] / squares.sum()
    if share > _DOMINANT:
        rest = np.delete(values, worst).var()
        notes.append(
            f"one label, {values[worst]:g}, makes up {share:.0%} of the variance, {rest:.4g} without it; check the data"
        )
    return TargetLoss(float(values.var()), float(np.ptp(values)), float(r2), tuple(notes))
