"""The ARMA-GJR-GARCH model: its likelihood is arch's where arch has one, and planted parameters are found again."""

import dataclasses
import math

import numpy as np
import pytest
from arch import arch_model

from qlstm import garch
from qlstm.errors import DataError

TRUE = garch.ArmaGarch(mu=0.03, phi=0.6, theta=-0.3, omega=0.05, alpha=0.03, gamma=0.08, beta=0.88)


def simulated(model, rows, seed, warm_up=500):
    shocks = np.random.default_rng(seed).standard_normal(rows + warm_up)
    returns, error = np.zeros(rows + warm_up), 0.0
    variance = model.omega / (1 - model.alpha - model.gamma / 2 - model.beta)
    for t in range(1, rows + warm_up):
        variance = model.omega + (model.alpha + model.gamma * (error < 0)) * error**2 + model.beta * variance
        before, error = error, math.sqrt(variance) * shocks[t]
        returns[t] = model.mu + model.phi * returns[t - 1] + model.theta * before + error
    return returns[warm_up:]


def standard_errors(returns, model):
    """From the numerical curvature of the log-likelihood at its maximum."""
    at = np.array(dataclasses.astuple(model))
    steps = 1e-3 * np.maximum(np.abs(at), 0.01)

    def likelihood(point):
        return garch.log_likelihood(returns, garch.ArmaGarch(*point))

    eye = np.diag(steps)
    curvature = np.empty((7, 7))
    for i in range(7):
        for j in range(7):
            corners = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            value = sum(a * b * likelihood(at + a * eye[i] + b * eye[j]) for a, b in corners)
            curvature[i, j] = value / (4 * steps[i] * steps[j])
    return np.sqrt(np.diag(np.linalg.inv(-curvature)))


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_parameters_are_found_within_three_standard_errors(seed):
    returns = simulated(TRUE, 5000, seed)
    fitted = garch.fit(returns)
    apart = np.array(dataclasses.astuple(fitted)) - np.array(dataclasses.astuple(TRUE))
    assert (np.abs(apart) < 3 * standard_errors(returns, fitted)).all()


def test_without_a_moving_average_the_likelihood_is_archs():
    returns = simulated(dataclasses.replace(TRUE, theta=0.0), 2000, 3)
    theirs = arch_model(returns, mean="AR", lags=1, p=1, o=1, q=1, rescale=False).fit(disp="off")
    mu, phi, *variance = theirs.params.to_numpy()
    ours = garch.log_likelihood(returns, garch.ArmaGarch(mu, phi, 0.0, *variance))
    # Only the variance before the first row is measured differently: on returns here, on residuals there.
    assert ours == pytest.approx(theirs.loglikelihood, rel=1e-3)
    assert garch.log_likelihood(returns, garch.fit(returns)) >= ours


def test_the_kernel_is_the_recursion_written_out():
    returns = simulated(TRUE, 50, 4)
    errors, variances = garch.residuals(returns, TRUE)
    error, shock = 0.0, None
    for t in range(1, 50):
        before = error
        error = returns[t] - TRUE.mu - TRUE.phi * returns[t - 1] - TRUE.theta * before
        assert errors[t - 1] == pytest.approx(error, abs=1e-12)
        if shock is not None:
            assert variances[t - 1] == pytest.approx(TRUE.omega + shock + TRUE.beta * variances[t - 2])
        shock = (TRUE.alpha + TRUE.gamma * (error < 0)) * error**2


def test_the_forecast_is_the_next_row_of_the_recursion():
    returns = simulated(TRUE, 200, 5)
    mean, deviation = TRUE.forecast(returns[:-1])
    errors, variances = garch.residuals(returns, TRUE)
    # The variance before the first row is measured on the first rows, which both series share.
    assert deviation**2 == pytest.approx(variances[-1], rel=1e-3)
    assert returns[-1] - mean == pytest.approx(errors[-1])


def test_a_fit_does_not_depend_on_the_unit():
    returns = simulated(TRUE, 1000, 6)
    ours, percent = garch.fit(returns), garch.fit(100 * returns)
    assert percent.phi == pytest.approx(ours.phi, abs=1e-6)
    assert percent.omega == pytest.approx(1e4 * ours.omega, rel=1e-6)


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (np.ones(50), r"shape \(50,\); the model needs one series of at least 100"),
        (np.ones((200, 2)), "one series"),
        (np.ones(200), "returns are all 1"),
        (np.where(np.arange(200) == 7, np.nan, 1.0), "1 values that are not finite, first in row 7"),
    ],
)
def test_bad_returns_are_named(returns, message):
    with pytest.raises(DataError, match=message):
        garch.fit(returns)
