"""Each test of significance rejects five percent of nothing, and finds what is planted."""

import numpy as np
import pytest
from draws import moving_average, noise
from scipy import stats as scipy_stats

from qlstm import significance

DRAWS = 1000


def fits_five_percent(rejections, draws, low=0.03, high=0.07):
    """Whether a true rate inside 3..7 % is plausible (exact binomial, 1 % per side); at 1000 draws about 2..9 %."""
    too_many = scipy_stats.binom.sf(rejections - 1, draws, high)
    too_few = scipy_stats.binom.cdf(rejections, draws, low)
    return too_many > 0.01 and too_few > 0.01


def binomial(random):
    return significance.binomial(int(random.binomial(1000, 0.55)), 1000, 0.55, "two-sided").rejects()


def newey_west(random):
    return significance.newey_west(random.standard_normal(400)).rejects()


def newey_west_overlapping(random):
    return significance.newey_west(moving_average(random, 2000, 3), lags=12).rejects()


def diebold_mariano(random):
    losses = random.standard_normal((2, 200)) ** 2
    return significance.diebold_mariano(*losses, alternative="two-sided").rejects()


def diebold_mariano_ahead(random):
    losses = (moving_average(random, 300, 4) ** 2 for _ in range(2))
    return significance.diebold_mariano(*losses, horizon=4, alternative="two-sided").rejects()


def pesaran_timmermann(random):
    forecast, actual = 0.4 + random.standard_normal(300), 0.2 + random.standard_normal(300)
    return significance.pesaran_timmermann(forecast, actual).rejects()


def probabilistic_sharpe(random):
    return significance.probabilistic_sharpe(random.standard_t(6, 500)) > 0.95


def best_of_twenty(random):
    returns = random.standard_normal((250, 20))
    ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    return significance.deflated_sharpe(returns[:, ratios.argmax()], ratios, points_per_year=1).p_value <= 0.05


def holm_of_eight(random):
    return bool((significance.holm(random.random(8)) <= 0.05).any())


def permutation(random, rows=40):
    forecast, actual = random.standard_normal((2, rows))
    return significance.permutation(forecast, actual, draws=99, seed=int(random.integers(2**31))).rejects()


def sharpe_interval(random, rows=300, draws=300):
    found = significance.sharpe_interval(
        random.standard_normal(rows), 252, draws=draws, seed=int(random.integers(2**31))
    )
    return not found.low <= 0.0 <= found.high


FAST = [
    binomial,
    newey_west,
    newey_west_overlapping,
    diebold_mariano,
    diebold_mariano_ahead,
    pesaran_timmermann,
    probabilistic_sharpe,
    best_of_twenty,
    holm_of_eight,
]


@pytest.fixture
def _no_collecting(monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels' multipletests collects garbage at every call, 30 ms


@pytest.mark.usefixtures("_no_collecting")
@pytest.mark.parametrize("test", FAST, ids=lambda test: test.__name__)
def test_a_test_rejects_five_percent_of_nothing(test):
    random = noise(7)
    rejections = sum(test(random) for _ in range(DRAWS))
    assert 0.03 <= rejections / DRAWS <= 0.07


@pytest.mark.parametrize("test", [permutation, sharpe_interval], ids=lambda test: test.__name__)
def test_a_resampling_test_rejects_about_five_percent_of_nothing(test):
    random = noise(8)
    rejections = sum(test(random) for _ in range(120))
    assert fits_five_percent(rejections, 120)


@pytest.mark.soak
@pytest.mark.parametrize("test", [permutation, sharpe_interval], ids=lambda test: test.__name__)
def test_a_resampling_test_rejects_five_percent_of_nothing_on_a_thousand_draws(test):
    random = noise(9)
    rejections = sum(test(random, 300) for _ in range(DRAWS))
    assert 0.03 <= rejections / DRAWS <= 0.07


def test_a_rate_of_five_percent_is_told_from_twenty_and_from_none():
    assert fits_five_percent(6, 120)
    assert not fits_five_percent(24, 120)
    assert not fits_five_percent(0, 240)


def test_a_plain_t_test_of_overlapping_values_would_reject_far_too_often():
    random = noise(1)
    rate = np.mean([scipy_stats.ttest_1samp(moving_average(random, 400, 3), 0).pvalue < 0.05 for _ in range(300)])
    assert rate > 0.15


def planted(random):
    """A forecast with correlation 0.3, the outcome, and returns with a mean of 0.2 deviations."""
    forecast = random.standard_normal(500)
    return forecast, 0.3 * forecast + random.standard_normal(500), 0.2 + random.standard_normal(500)


POWER = {
    "binomial": lambda f, y, r: significance.binomial(int((f * y > 0).sum()), 500).rejects(),
    "newey_west": lambda f, y, r: significance.newey_west(r).rejects(),
    "diebold_mariano": lambda f, y, r: significance.diebold_mariano((y - 0.3 * f) ** 2, y**2).rejects(),
    "pesaran_timmermann": lambda f, y, r: significance.pesaran_timmermann(f, y).rejects(),
    "permutation": lambda f, y, r: significance.permutation(f, y, draws=99).rejects(),
    "probabilistic_sharpe": lambda f, y, r: significance.probabilistic_sharpe(r) > 0.95,
    "deflated_sharpe": lambda f, y, r: significance.deflated_sharpe(r, [0.02, -0.03, 0.05, 0.2], 1).p_value < 0.05,
    "sharpe_interval": lambda f, y, r: significance.sharpe_interval(r, 252, draws=200).low > 0,
    "holm": lambda f, y, r: significance.holm([significance.newey_west(r).p_value, 0.9, 0.5])[0] < 0.05,
}


@pytest.mark.usefixtures("_no_collecting")
@pytest.mark.parametrize("name", POWER)
def test_a_test_finds_what_is_planted(name):
    random = noise(2)
    assert np.mean([POWER[name](*planted(random)) for _ in range(30)]) >= 0.8
