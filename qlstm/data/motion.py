"""Random motion for the simulated sample: volatility that clusters, tails that are heavy, known day by day.

A `Motion` keeps with each return the volatility that made it. Given that, the return is normal, which is what lets the
simulation fill in a day's open, high and low exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, ndtr

__all__ = ["GARCH", "Motion", "autoregression", "clustered_noise"]

# Together they come near the measured autocorrelation of |residual|: .18, .10, .09, .08 after 1, 5, 20 and 60 days.
_CLUSTERED_SHARE = 0.6
_CLUSTER_MEMORY = 0.99  # AR(1) coefficient a day: half of a cluster is gone after 69 days


@dataclass(frozen=True)
class Motion:
    """Returns, and the volatility that made each of them.

    Attributes
    ----------
    returns : np.ndarray
        Log returns, shape (time, series).
    vol : np.ndarray
        Deviation of each return given the past and the day's own volatility, same shape.
    """

    returns: np.ndarray
    vol: np.ndarray

    def __mul__(self, factor: np.ndarray) -> Motion:
        return Motion(self.returns * factor, self.vol * factor)

    def __add__(self, other: Motion) -> Motion:
        return Motion(self.returns + other.returns, np.hypot(self.vol, other.vol))


@dataclass(frozen=True)
class GARCH:
    """A GJR-GARCH(1,1) with Student t shocks (Glosten, Jagannathan and Runkle, 1993).

    Parameters
    ----------
    omega, gamma, beta : float
        ``variance' = omega + gamma · [shock < 0] · shock² + beta · variance``, returns in percent; gains and losses
        differ by `gamma` alone.
    df : float
        Degrees of freedom of the shocks, above 2.
    mean, deviation : float
        What the whole path is scaled to, in log return a day.
    """

    omega: float
    gamma: float
    beta: float
    df: float
    mean: float
    deviation: float

    def simulate(self, n_days: int, rng: np.random.Generator) -> Motion:
        """Return one path, shape (n_days, 1), of exactly the mean and the deviation asked for."""
        normal = rng.standard_normal(n_days)
        scale = np.sqrt((self.df - 2.0) / rng.chisquare(self.df, n_days))  # a normal times this is a Student t
        vol = np.empty(n_days)
        variance = self.omega / (1.0 - self.beta - self.gamma / 2.0)  # its long-run mean
        for t in range(n_days):
            vol[t] = np.sqrt(variance) * scale[t]
            shock = vol[t] * normal[t]
            variance = self.omega + self.gamma * (shock < 0.0) * shock**2 + self.beta * variance
        path = vol * normal
        factor = self.deviation / path.std()
        return Motion(((path - path.mean()) * factor + self.mean)[:, np.newaxis], (vol * factor)[:, np.newaxis])


def clustered_noise(df: np.ndarray, n_days: int, rng: np.random.Generator) -> Motion:
    """Simulate noise with Student t tails whose volatility comes in clusters.

    A Student t value is a normal one divided by the root of a chi-squared one. Here the latter is no fresh draw each
    day: its normal score is part AR(1), so that volatility persists while the distribution of a day stays Student t.

    Parameters
    ----------
    df : np.ndarray
        Degrees of freedom of each series, shape (series,), above 0.
    n_days : int
        Number of rows.
    rng : np.random.Generator
        Source of the draws.

    Returns
    -------
    Motion
        Shape (n_days, series), each series of sample variance 1.
    """
    shape = (n_days, len(df))
    slow = autoregression(np.full(len(df), _CLUSTER_MEMORY), rng.standard_normal(shape))
    score = np.sqrt(_CLUSTERED_SHARE) * slow + np.sqrt(1.0 - _CLUSTERED_SHARE) * rng.standard_normal(shape)
    vol = 1.0 / np.sqrt(chdtri(df, ndtr(score)))
    returns = vol * rng.standard_normal(shape)
    return Motion(returns, vol) * (1.0 / returns.std(axis=0))


def autoregression(memory: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Run AR(1) processes that keep the variance of their `steps`, where those are independent.

    Parameters
    ----------
    memory : np.ndarray
        Coefficient of each series, shape (series,), below 1.
    steps : np.ndarray
        Shape (time, series).

    Returns
    -------
    np.ndarray
        Shape (time, series); the first row is that of `steps`.
    """
    values = np.empty_like(steps)
    values[0] = steps[0]
    fresh = np.sqrt(1.0 - memory**2)
    for t in range(1, len(steps)):
        values[t] = memory * values[t - 1] + fresh * steps[t]
    return values
