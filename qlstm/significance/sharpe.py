"""How sure is a Sharpe ratio: intervals, the chance that it is real, and what is left of the best of many tries.

Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15 (2012), and "The Deflated Sharpe
Ratio", Journal of Portfolio Management 40 (2014). Ratios are mean over deviation of returns per row, no risk-free rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import kurtosis, norm, skew

from ..errors import DataError
from ..extras import library
from .verdicts import sample

__all__ = [
    "Deflated",
    "Interval",
    "TrackRecord",
    "deflated_sharpe",
    "minimum_track_record",
    "probabilistic_sharpe",
    "sharpe_interval",
]

_LEAST = 20  # returns; skewness and kurtosis of fewer are noise


@dataclass(frozen=True)
class TrackRecord:
    """All that the theory needs of a series of returns.

    Parameters
    ----------
    sharpe : float
        Mean over deviation, per row.
    rows : int
        Returns in the series.
    skew, kurtosis : float
        Of the returns; 0 and 3 for normal ones.
    """

    sharpe: float
    rows: int
    skew: float = 0.0
    kurtosis: float = 3.0

    @classmethod
    def of(cls, returns: Any) -> TrackRecord:
        """Measure a series of returns, shape (row,).

        Raises
        ------
        DataError
            Returns that are not finite, fewer than 20, or all the same.
        """
        series = sample(returns, "returns", _LEAST)
        return cls(_sharpe(series), len(series), float(skew(series)), float(kurtosis(series, fisher=False)))

    @property
    def spread(self) -> float:
        """The standard error of the ratio times the root of rows - 1 (Mertens, 2002)."""
        inside = 1.0 - self.skew * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2
        if not inside > 0.0:
            raise DataError(
                f"no returns have Sharpe ratio {self.sharpe:g} per row, skew {self.skew:g} and "
                f"kurtosis {self.kurtosis:g}; is the ratio annualised? it must be per row"
            )
        return math.sqrt(inside)


@dataclass(frozen=True)
class Interval:
    """A ratio, annualised, and the range that holds the true one with probability `level`."""

    sharpe: float
    low: float
    high: float
    level: float
    block: float
    """Mean length, in rows, of the blocks that were resampled."""

    def __str__(self) -> str:
        return f"Sharpe ratio {self.sharpe:.2f}, {100 * self.level:g} % between {self.low:.2f} and {self.high:.2f}"


@dataclass(frozen=True)
class Deflated:
    """What is left of the best of several tries.

    Parameters
    ----------
    probability : float
        The deflated Sharpe ratio: how likely the true ratio is above `benchmark`; strict, see `deflated_sharpe`.
    benchmark : float
        The ratio per row that the best try is expected to have by luck alone.
    trials : int
        Tries made.
    p_value : float
        How often the best of as many independent tries without skill has a ratio this high.
    """

    probability: float
    benchmark: float
    trials: int
    p_value: float

    def __str__(self) -> str:
        return (
            f"best of {self.trials}: deflated Sharpe ratio {self.probability:.3f} "
            f"(luck gives {self.benchmark:.3f} per row), p = {self.p_value:.3f}"
        )

    def beside(self, sharpe: float, points_per_year: float) -> str:
        """Return in words what luck shows beside the best try's arithmetic ratio `sharpe`, a year."""
        luck = self.benchmark * math.sqrt(points_per_year)
        return (
            f"arithmetic Sharpe ratio {sharpe:.2f} a year: the best of {self.trials} without any skill is expected to "
            f"show {luck:.2f}, and luck alone shows {sharpe:.2f} or more in up to {math.ceil(100 * self.p_value)} % of "
            f"searches"
        )


def sharpe_interval(
    returns: Any, points_per_year: float, level: float = 0.95, draws: int = 1000, seed: int = 42
) -> Interval:
    """Return an interval for an annualised Sharpe ratio that allows for autocorrelation and fat tails.

    The stationary bootstrap (Politis and Romano, 1994) resamples blocks of random length, whose mean is chosen as in
    Politis and White (2004); both are arch's. The interval holds the middle of the resampled ratios.

    Parameters
    ----------
    returns : array-like
        Shape (row,), change per row as a share of capital, in time's order.
    points_per_year : float
        Rows in a year; `qlstm.stats.calc_avg_points_per_year` counts them.
    level : float
        Probability that the interval holds the true ratio.
    draws : int
        Resampled series.
    seed : int
        Of the draws.

    Raises
    ------
    DataError
        Returns that are not finite, fewer than 20 or all the same, or an argument out of range.
    QlstmError
        When arch is missing.
    """
    series = sample(returns, "returns", _LEAST)
    ratio = _sharpe(series)
    if not 0.0 < level < 1.0:
        raise DataError(f"level must lie between 0 and 1, got {level}")
    if draws < 1 or not points_per_year > 0:
        raise DataError(f"draws and points_per_year must be above 0, got {draws} and {points_per_year}")
    bootstrap = library("arch.bootstrap", "stats")
    block = max(1.0, float(bootstrap.optimal_block_length(series)["stationary"].iloc[0]))
    resampled = bootstrap.StationaryBootstrap(block, series, seed=np.random.default_rng(seed))
    ends = resampled.conf_int(_ratio, reps=draws, method="percentile", size=level)
    year = math.sqrt(points_per_year)
    return Interval(year * ratio, year * float(ends[0, 0]), year * float(ends[1, 0]), level, block)


def probabilistic_sharpe(returns: Any, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio is above `benchmark`, given the length and shape of a record.

    Parameters
    ----------
    returns : array-like or TrackRecord
        Shape (row,), or what is known of the returns.
    benchmark : float
        A Sharpe ratio per row: an annual one over the root of rows per year.

    Returns
    -------
    float
        Between 0 and 1; 0.95 and more is evidence at the 5 % level.

    Raises
    ------
    DataError
        Returns that are not finite, fewer than 20 or all the same, or moments that no returns have.
    """
    return float(norm.cdf(_score(_record(returns), benchmark)))


def deflated_sharpe(returns: Any, trials: Any, points_per_year: float) -> Deflated:
    """Return what a Sharpe ratio is worth that was picked as the best of several tries.

    The benchmark is what the best of N tries without skill is expected to have, ``s ((1 - g) z(1 - 1/N) + g z(1 -
    1/(N e)))``, with s the deviation of the tries' ratios, g Euler's constant, z the normal quantile. `probability` is
    `probabilistic_sharpe` over that benchmark, as published. It asks for clearly more than the luckiest of N: without
    skill it exceeds 0.95 in far fewer than 5 % of searches. `p_value` is the test of exact size: one less the
    probability that all N of independent ratios without skill stay below the one seen; where tries resemble each other,
    it errs on the strict side.

    Parameters
    ----------
    returns : array-like or TrackRecord
        Of the try that was picked, shape (row,).
    trials : sequence of float, object with ``sharpe_ratios``, or int
        The annualised Sharpe ratio of every try, the one picked included. A failed try (NaN or infinite) counts as a
        try. Where only the number of tries is known, their ratios are taken to differ as those of independent tries
        without skill do, by ``1 / sqrt(rows - 1)`` per row.
    points_per_year : float
        Rows in a year; 1 where the tries' ratios are per row.

    Raises
    ------
    DataError
        Fewer than two tries with a ratio (unless only one was made), or anything `probabilistic_sharpe` refuses.
    """
    if not points_per_year > 0:
        raise DataError(f"points_per_year must be above 0, got {points_per_year}")
    record = _record(returns)
    count, deviation = _tries(trials, points_per_year, record.rows)
    benchmark = 0.0 if count == 1 else deviation * _luckiest(count)
    # log1p and expm1 keep p-values apart that are far below the rounding of 1 - x
    p_value = -math.expm1(count * float(norm.logcdf(_score(record, 0.0))))
    return Deflated(probabilistic_sharpe(record, benchmark), float(benchmark), count, p_value)


def minimum_track_record(returns: Any, benchmark: float = 0.0, level: float = 0.95) -> float:
    """Return how many rows a record like this must have before its Sharpe ratio is above `benchmark` with some surety.

    Parameters
    ----------
    returns : array-like or TrackRecord
        Shape (row,), or what is known of the returns; the number of rows does not matter.
    benchmark : float
        A Sharpe ratio per row.
    level : float
        The probability asked for, above 0.5.

    Returns
    -------
    float
        Rows; infinite where the ratio is not above the benchmark.

    Raises
    ------
    DataError
        As `probabilistic_sharpe`, or a level out of range.
    """
    if not 0.5 < level < 1.0:
        raise DataError(f"level must lie between 0.5 and 1, got {level}")
    record = _record(returns)
    if record.sharpe <= benchmark:
        return math.inf
    return 1.0 + (record.spread * float(norm.ppf(level)) / (record.sharpe - benchmark)) ** 2


def _score(record: TrackRecord, benchmark: float) -> float:
    return (record.sharpe - benchmark) * math.sqrt(record.rows - 1) / record.spread


def _luckiest(trials: int) -> float:
    """Return the expected maximum of independent standard normal numbers."""
    low, high = norm.ppf(1.0 - 1.0 / trials), norm.ppf(1.0 - 1.0 / (trials * math.e))
    return float((1.0 - np.euler_gamma) * low + np.euler_gamma * high)


def _record(returns: Any) -> TrackRecord:
    return returns if isinstance(returns, TrackRecord) else TrackRecord.of(returns)


def _tries(trials: Any, points_per_year: float, rows: int) -> tuple[int, float]:
    """Return how many tries were made, and the deviation of their ratios per row; NaN for a single one."""
    if isinstance(trials, (int, np.integer)) and not isinstance(trials, bool):
        if trials < 1:
            raise DataError(f"trials must be at least 1, the try that was picked, got {trials}")
        return int(trials), 1.0 / math.sqrt(rows - 1)
    ratios = np.asarray(getattr(trials, "sharpe_ratios", trials), dtype=np.float64).ravel()
    known = ratios[np.isfinite(ratios)]
    if len(ratios) == 0 or (len(ratios) > 1 and len(known) < 2):
        raise DataError(f"{len(known)} of {len(ratios)} tries have a Sharpe ratio; their variance needs at least 2")
    spread = float(known.std(ddof=1)) if len(known) > 1 else math.nan
    return len(ratios), spread / math.sqrt(points_per_year)


def _sharpe(series: np.ndarray) -> float:
    if np.ptp(series) == 0:
        raise DataError(f"returns are all {series[0]:g}; a constant has no Sharpe ratio")
    return _ratio(series)


def _ratio(series: np.ndarray) -> float:
    deviation = series.std(ddof=1)
    return float(series.mean() / deviation) if deviation > 0 else 0.0
