"""ARMA(1,1) returns with GJR-GARCH(1,1) variance, fitted jointly by maximum likelihood (normal innovations).

    r[t] = mu + phi r[t-1] + theta e[t-1] + e[t]
    s²[t] = omega + (alpha + gamma (e[t-1] < 0)) e²[t-1] + beta s²[t-1]

`arch` has no moving-average term (its means are constants and autoregressions), so the recursion is our own. With
theta = 0 it is arch's AR(1)-GJR-GARCH, and the tests hold the two likelihoods together.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ._jit import kernel
from .errors import DataError

__all__ = ["ArmaGarch", "fit", "log_likelihood", "residuals"]

_LEAST = 100  # returns; seven parameters of fewer are noise
_MEMORY, _MEMORY_ROWS = 0.94, 75  # of the variance before the first row, as arch takes it
_BOUNDS = [(-10, 10), (-0.999, 0.999), (-0.999, 0.999), (1e-8, 10), (0, 1), (-1, 2), (0, 1)]
_CONSTRAINTS = [
    {"type": "ineq", "fun": lambda p: p[4] + p[5]},  # variance after a fall is not negative
    {"type": "ineq", "fun": lambda p: 0.9999 - p[4] - p[5] / 2 - p[6]},  # variance is stationary
]
_MEANS = ((0.05, 0.0), (0.5, -0.4), (-0.5, 0.4))  # phi, theta to start from: near phi = -theta the likelihood is flat


@dataclass(frozen=True)
class ArmaGarch:
    """A fitted model; returns and `mu` in the same unit, `omega` in its square.

    Parameters
    ----------
    mu, phi, theta : float
        Of the mean.
    omega, alpha, gamma, beta : float
        Of the variance.
    """

    mu: float
    phi: float
    theta: float
    omega: float
    alpha: float
    gamma: float
    beta: float

    def forecast(self, returns: Any) -> tuple[float, float]:
        """Return mean and standard deviation of the return after the last of `returns`, shape (row,).

        Raises
        ------
        DataError
            Returns that are not finite, or fewer than 2.
        """
        series = _series(returns, 2)
        errors, variances = residuals(series, self)
        last, variance = errors[-1], variances[-1]
        mean = self.mu + self.phi * series[-1] + self.theta * last
        variance = self.omega + (self.alpha + self.gamma * (last < 0)) * last**2 + self.beta * variance
        return float(mean), math.sqrt(variance)


@kernel
def _recursion(
    returns: np.ndarray, parameters: np.ndarray, before: float, errors: np.ndarray, variances: np.ndarray
) -> float:
    """Write errors and variances of all rows but the first, and return the sum of log s² + e²/s² over them."""
    mu, phi, theta = parameters[0], parameters[1], parameters[2]
    omega, alpha, gamma, beta = parameters[3], parameters[4], parameters[5], parameters[6]
    total, error, variance = 0.0, 0.0, before
    shock = (alpha + 0.5 * gamma) * before
    for t in range(1, returns.size):
        error = returns[t] - mu - phi * returns[t - 1] - theta * error
        variance = omega + shock + beta * variance
        if not variance > 0.0:
            return np.inf
        shock = (alpha + gamma if error < 0.0 else alpha) * error * error
        errors[t - 1], variances[t - 1] = error, variance
        total += np.log(variance) + error * error / variance
    return total


def residuals(returns: Any, model: ArmaGarch) -> tuple[np.ndarray, np.ndarray]:
    """Return errors and their variances, both (row - 1,): the first row has no row before it.

    Raises
    ------
    DataError
        Returns that are not finite, or fewer than 2.
    """
    series = _series(returns, 2)
    errors, variances = np.empty(len(series) - 1), np.empty(len(series) - 1)
    _recursion(series, _parameters(model), _backcast(series), errors, variances)
    return errors, variances


def log_likelihood(returns: Any, model: ArmaGarch) -> float:
    """Return the log-likelihood of all rows but the first, given the first.

    Raises
    ------
    DataError
        Returns that are not finite, or fewer than 2.
    """
    series = _series(returns, 2)
    room = np.empty(len(series) - 1)
    total = _recursion(series, _parameters(model), _backcast(series), room, np.empty_like(room))
    return float(-0.5 * (total + len(room) * math.log(2 * math.pi)))


def fit(returns: Any) -> ArmaGarch:
    """Return the model that makes the returns most likely.

    Parameters
    ----------
    returns : array-like
        Shape (row,), in time's order; any unit.

    Raises
    ------
    DataError
        Returns that are not finite, fewer than 100, or all the same; or no maximum was found.
    """
    series = _series(returns, _LEAST)
    scale = float(series.std())
    if np.ptp(series) == 0:
        raise DataError(f"returns are all {series[0]:g}; a constant has no variance to model")
    scaled = series / scale
    before = _backcast(scaled)
    errors, variances = np.empty(len(scaled) - 1), np.empty(len(scaled) - 1)

    def cost(parameters: np.ndarray) -> float:
        total: float = _recursion(scaled, parameters, before, errors, variances) / len(errors)
        return total if math.isfinite(total) else 1e10

    found = [
        minimize(cost, start, method="SLSQP", bounds=_BOUNDS, constraints=_CONSTRAINTS, options={"maxiter": 200})
        for start in _starts(float(scaled.mean()), cost)
    ]
    best = min(found, key=lambda one: one.fun)
    if not math.isfinite(best.fun) or best.fun >= 1e10:
        raise DataError(f"no ARMA-GJR-GARCH model fits these {len(series)} returns; look for errors in the prices")
    mu, phi, theta, omega, *rest = (float(value) for value in best.x)
    return ArmaGarch(mu * scale, phi, theta, omega * scale**2, *rest)


def _starts(mean: float, cost: Any) -> list[np.ndarray]:
    """Return one start per pair of `_MEANS`: for each the likeliest variance of a coarse grid."""
    starts = []
    for phi, theta in _MEANS:
        grid = itertools.product((0.03, 0.1), (0.0, 0.1), (0.8, 0.95, 0.98))
        tries = [
            np.array([mean * (1 - phi), phi, theta, 1 - whole, alpha, gamma, whole - alpha - gamma / 2])
            for alpha, gamma, whole in grid
        ]
        starts.append(min(tries, key=cost))
    return starts


def _parameters(model: ArmaGarch) -> np.ndarray:
    return np.array([model.mu, model.phi, model.theta, model.omega, model.alpha, model.gamma, model.beta])


def _backcast(series: np.ndarray) -> float:
    """Return the variance before the first row: the mean of the first squares, the earliest counting most."""
    squares = (series[: _MEMORY_ROWS + 1] - series.mean()) ** 2
    weights = _MEMORY ** np.arange(len(squares))
    return float(squares @ weights / weights.sum())


def _series(returns: Any, least: int) -> np.ndarray:
    series = np.ascontiguousarray(returns, dtype=np.float64)
    if series.ndim != 1 or len(series) < least:
        raise DataError(f"returns have shape {series.shape}; the model needs one series of at least {least} rows")
    bad = ~np.isfinite(series)
    if bad.any():
        raise DataError(f"returns have {int(bad.sum())} values that are not finite, first in row {int(np.argmax(bad))}")
    return series
