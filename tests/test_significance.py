"""Tests of hits, means and forecasts: values known from elsewhere, named errors, and the page that explains them."""

import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import ROOT
from draws import moving_average, noise
from scipy import stats as scipy_stats

from qlstm import significance
from qlstm.errors import DataError, QlstmError
from qlstm.significance import TrackRecord


def test_the_binomial_p_value_is_the_sum_of_the_tail():
    tail = sum(math.comb(54, k) for k in range(29, 55)) / 2**54
    verdict = significance.binomial(29, 54)
    assert verdict.p_value == pytest.approx(tail, rel=1e-12)
    assert verdict.statistic == pytest.approx(29 / 54)


def test_newey_west_is_the_formula_written_out():
    x = moving_average(noise(3), 300, 4)
    apart, lags, n = x - x.mean(), 6, 300
    long_run = apart @ apart + 2 * sum((1 - k / (lags + 1)) * (apart[k:] @ apart[:-k]) for k in range(1, lags + 1))
    t = x.mean() / math.sqrt(long_run / n**2 * n / (n - 1))
    verdict = significance.newey_west(x, lags)
    assert verdict.statistic == pytest.approx(t, rel=1e-10)
    assert verdict.p_value == pytest.approx(2 * scipy_stats.t.sf(abs(t), n - 1), rel=1e-9)


def test_without_lags_newey_west_is_the_t_test():
    x = noise(4).standard_normal(100) + 0.1
    verdict, plain = significance.newey_west(x, 0), scipy_stats.ttest_1samp(x, 0)
    assert (verdict.statistic, verdict.p_value) == pytest.approx((plain.statistic, plain.pvalue))


def test_at_horizon_one_diebold_mariano_is_the_paired_t_test():
    a, b = noise(5).standard_normal((2, 80)) ** 2
    verdict, plain = significance.diebold_mariano(a, b), scipy_stats.ttest_rel(a, b, alternative="less")
    assert (verdict.statistic, verdict.p_value) == pytest.approx((plain.statistic, plain.pvalue))


def test_diebold_mariano_at_a_longer_horizon_is_the_formula_written_out():
    random = noise(6)
    a, b = (moving_average(random, 120, 3) ** 2 for _ in range(2))
    d, n, h = a - b, 120, 3
    gammas = [sum((d[t] - d.mean()) * (d[t - k] - d.mean()) for t in range(k, n)) / n for k in range(h)]
    plain = d.mean() / math.sqrt((gammas[0] + 2 * sum(gammas[1:])) / n)
    corrected = plain * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert significance.diebold_mariano(a, b, horizon=3).statistic == pytest.approx(corrected, rel=1e-10)


def test_pesaran_timmermann_is_the_chi_square_of_the_two_by_two_table():
    forecast, actual = noise(7).standard_normal((2, 150)) + 0.2
    table = pd.crosstab(forecast > 0, actual > 0)
    chi_square = scipy_stats.chi2_contingency(table, correction=False).statistic
    verdict = significance.pesaran_timmermann(forecast, actual, "two-sided")
    assert verdict.statistic**2 == pytest.approx(chi_square * 150 / 149, rel=1e-10)


def test_always_up_has_no_skill_however_often_it_is_right():
    rising = 1.0 + 0.1 * noise(8).standard_normal(100)
    verdict = significance.pesaran_timmermann(np.ones(100), rising * np.where(np.arange(100) % 10, 1, -1))
    assert (math.isnan(verdict.statistic), verdict.p_value) == (True, 1.0)
    assert "no skill" in str(verdict)


def test_few_rows_have_the_permutation_p_value_of_all_their_orders():
    x, y = noise(9).standard_normal((2, 8))
    orders = np.array(list(itertools.permutations(range(8))))
    fits = (y[orders] - y.mean()) @ (x - x.mean())  # correlations but for a factor that no order changes
    exact = np.mean(fits >= fits[0] - 1e-12)
    assert significance.permutation(x, y, draws=math.factorial(8)).p_value == pytest.approx(exact)


def test_a_permutation_keeps_the_assets_of_a_day_together():
    random = noise(10)
    shared = random.standard_normal(60)
    forecast, actual = (np.repeat(side[:, None], 50, axis=1) for side in (random.standard_normal(60), shared))
    one = significance.permutation(forecast[:, 0], actual[:, 0], draws=199)
    fifty = significance.permutation(forecast, actual, draws=199)
    assert fifty.p_value == pytest.approx(one.p_value)


def test_a_permutation_of_a_sparse_forecast_moves_only_rows_that_can_be_scored():
    random = np.random.default_rng(5)
    known = np.sort(random.choice(3000, 12, replace=False))
    rejected = 0
    for seed in range(20):
        actual = random.standard_normal(3000)
        forecast = np.full(3000, np.nan)
        forecast[known] = random.standard_normal(12)
        rejected += significance.permutation(forecast, actual, draws=99, seed=seed).rejects()
    assert rejected <= 5  # 5 % of 20 is 1; more than 5 comes once in 3000
    actual = random.standard_normal(3000)
    forecast = np.full(3000, np.nan)
    forecast[known] = actual[known]
    assert significance.permutation(forecast, actual, draws=199).rejects()


def test_holm_is_the_textbook_example():
    # Holm (1979), as worked in many texts: 0.01, 0.02, 0.03, 0.04 against 4, 3, 2, 1.
    corrected = significance.holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.02})
    assert corrected.to_dict() == pytest.approx({"a": 0.06, "b": 0.04, "c": 0.06, "d": 0.06})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: significance.newey_west([1.0, np.nan] * 10), "10 values that are not finite, first row 1"),
        (lambda: significance.newey_west(np.ones(5)), "values have 5 rows; this test needs at least 10"),
        (lambda: significance.newey_west(np.ones(50)), "values are all 1"),
        (lambda: significance.newey_west(np.ones((5, 5))), "one dimension, got shape"),
        (lambda: significance.newey_west(np.arange(20.0), lags=20), "lags must be a whole number from 0 to 19"),
        (lambda: significance.newey_west(np.arange(20.0), alternative="up"), "alternative must be"),
        (lambda: significance.newey_west(["a"] * 20), "must be numbers"),
        (lambda: significance.binomial(3, 2), "0 <= hits <= tries, got 3 of 2"),
        (lambda: significance.binomial(0, 0), "0 tries"),
        (lambda: significance.binomial(1, 2, 1.0), "base rate must lie between 0 and 1"),
        (lambda: significance.diebold_mariano(np.arange(20.0), np.arange(21.0)), "20 rows, other_loss 21"),
        (lambda: significance.diebold_mariano(np.arange(20.0), np.arange(20.0)), "differ by 0 in every row"),
        (lambda: significance.diebold_mariano(np.arange(20.0), np.ones(20), 11), "horizon must be a whole number"),
        (lambda: significance.permutation(np.ones(5), np.ones(5)), "5 rows have too few orders"),
        (lambda: significance.permutation(np.ones(9), np.ones(10)), "one shape"),
        (lambda: significance.holm([]), "no p-values"),
        (lambda: significance.holm({"a": 0.5, "b": np.nan}), "p-value 'b' is nan"),
        (lambda: significance.probabilistic_sharpe(np.arange(19.0)), "returns have 19 rows"),
        (lambda: significance.probabilistic_sharpe(np.zeros(30)), "a constant has no Sharpe ratio"),
        (lambda: significance.probabilistic_sharpe(TrackRecord(2.5, 100, 3.0)), "is the ratio annualised"),
        (lambda: significance.sharpe_interval(np.arange(30.0), 252, level=1.0), "level must lie between"),
        (lambda: significance.sharpe_interval(np.arange(30.0), 0), "must be above 0"),
        (lambda: significance.deflated_sharpe(TrackRecord(0.1, 99), [1, np.nan], 252), "1 of 2 tries"),
        (lambda: significance.deflated_sharpe(TrackRecord(0.1, 99), [1, 2], 0), "points_per_year"),
        (lambda: significance.deflated_sharpe(TrackRecord(0.1, 99), 0, 252), "trials must be at least 1"),
        (lambda: significance.minimum_track_record(TrackRecord(0.1, 99), level=0.4), "level must lie"),
        (lambda: significance.overfitting_probability(np.ones((50, 1))), "at least 2 tries"),
        (lambda: significance.overfitting_probability(np.ones((64, 2))), "never moves"),
        (lambda: significance.overfitting_probability(np.full((64, 2), np.nan)), "not finite in row 0"),
        (lambda: significance.overfitting_probability(np.ones((64, 2)), 7), "even number"),
        (lambda: significance.overfitting_probability(np.ones((64, 2)), 20), "use at most 16"),
        (lambda: list(significance.purged_splits(10, 11)), "cannot be cut into 11 blocks"),
        (lambda: list(significance.purged_splits(100, 10, purge=5)), "purge must be from 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_missing_return_is_named_by_its_date():
    times = pd.bdate_range("2020-01-01", periods=30)
    returns = xr.DataArray(np.arange(30.0), dims="time", coords={"time": times})
    returns[4] = np.nan
    with pytest.raises(DataError, match="1 values that are not finite, first 2020-01-07"):
        significance.newey_west(returns)


def test_series_of_different_days_are_refused():
    a = pd.Series(np.arange(20.0), pd.bdate_range("2020-01-01", periods=20))
    b = pd.Series(np.arange(20.0) ** 2, pd.bdate_range("2020-01-02", periods=20))
    with pytest.raises(DataError, match="differ in row 0: 2020-01-01, 2020-01-02; align them first"):
        significance.diebold_mariano(a, b)


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "arch.bootstrap", None)
    with pytest.raises(QlstmError, match=r"this needs arch, .* pip install 'qlstm\[stats\]'"):
        significance.sharpe_interval(np.arange(30.0), 252)


def test_the_pages_examples_run(capsys):
    page = (ROOT / "docs" / "significance.md").read_text()
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        exec(block, names)
    shown = capsys.readouterr().out
    assert "1 row late" in shown
    assert "best of 50: deflated Sharpe ratio" in shown
    assert "trades:" in shown


def test_the_page_names_every_public_function_that_exists():
    page = (ROOT / "docs" / "significance.md").read_text()
    functions = {name for name in significance.__all__ if name[0].islower()}
    assert {name for name in functions if name not in page} == set()
