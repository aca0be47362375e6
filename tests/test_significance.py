"""Each test of significance: its size on nothing, its power on something, and values known from elsewhere."""

import itertools
import math
import re
import types

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import ROOT
from scipy import stats as scipy_stats

from qlstm import significance
from qlstm.errors import DataError, QlstmError
from qlstm.significance import TrackRecord

DRAWS = 1000


def fits_five_percent(rejections, draws, low=0.03, high=0.07):
    """Whether a true rate inside 3..7 % is plausible (exact binomial, 1 % per side); at 1000 draws about 2..9 %."""
    too_many = scipy_stats.binom.sf(rejections - 1, draws, high)
    too_few = scipy_stats.binom.cdf(rejections, draws, low)
    return too_many > 0.01 and too_few > 0.01


def noise(seed):
    return np.random.default_rng(seed)


def binomial(random):
    return significance.binomial(int(random.binomial(1000, 0.55)), 1000, 0.55, "two-sided").rejects()


def newey_west(random):
    return significance.newey_west(random.standard_normal(400)).rejects()


def moving_average(random, rows, span):
    return np.convolve(random.standard_normal(rows + span - 1), np.ones(span), "valid")


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


# Values from elsewhere


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
    orders = [np.corrcoef(x, y[list(order)])[0, 1] for order in itertools.permutations(range(8))]
    exact = np.mean(np.array(orders) >= np.corrcoef(x, y)[0, 1] - 1e-12)
    assert significance.permutation(x, y, draws=math.factorial(8)).p_value == pytest.approx(exact)


def test_a_permutation_keeps_the_assets_of_a_day_together():
    random = noise(10)
    shared = random.standard_normal(60)
    forecast, actual = (np.repeat(side[:, None], 50, axis=1) for side in (random.standard_normal(60), shared))
    one = significance.permutation(forecast[:, 0], actual[:, 0], draws=199)
    fifty = significance.permutation(forecast, actual, draws=199)
    assert fifty.p_value == pytest.approx(one.p_value)


def test_holm_is_the_textbook_example():
    # Holm (1979), as worked in many texts: 0.01, 0.02, 0.03, 0.04 against 4, 3, 2, 1.
    corrected = significance.holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.02})
    assert corrected.to_dict() == pytest.approx({"a": 0.06, "b": 0.04, "c": 0.06, "d": 0.06})


def test_the_probabilistic_sharpe_ratio_is_that_of_the_paper():
    # Bailey and López de Prado (2012): 24 months at 0.458 a month; 0.982 if normal, 0.913 with its skew and kurtosis.
    assert significance.probabilistic_sharpe(TrackRecord(0.458, 24)) == pytest.approx(0.982, abs=5e-4)
    assert significance.probabilistic_sharpe(TrackRecord(0.458, 24, -2.448, 10.164)) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(("year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_the_minimum_track_record_is_that_of_the_paper(year, years):
    # Bailey and López de Prado (2012): years until an annual ratio of 2 is above 1 with 95 %, normal returns.
    record = TrackRecord(2 / math.sqrt(year), 1)
    rows = significance.minimum_track_record(record, 1 / math.sqrt(year))
    assert rows / year == pytest.approx(years, abs=0.005)


@pytest.mark.parametrize(("trials", "expected"), [(100, 0.9004), (46, 0.9505)])
def test_the_deflated_sharpe_ratio_is_that_of_the_paper(trials, expected):
    # Bailey and López de Prado (2014): 5 years of daily returns, annual ratio 2.5, skew -3, kurtosis 10; the tries'
    # annual ratios have variance 1/2.
    record = TrackRecord(2.5 / math.sqrt(250), 1250, -3.0, 10.0)
    spread = scipy_stats.norm.ppf((np.arange(trials) + 0.5) / trials)
    ratios = spread / spread.std(ddof=1) * math.sqrt(0.5)
    found = significance.deflated_sharpe(record, ratios, points_per_year=250)
    assert found.probability == pytest.approx(expected, abs=5e-5)
    if trials == 100:
        assert found.benchmark == pytest.approx(0.1132, abs=5e-5)


def test_the_minimum_track_record_is_where_the_probability_reaches_the_level():
    record = TrackRecord(0.1, 1, -0.5, 5.0)
    rows = significance.minimum_track_record(record, 0.02)
    long_enough = TrackRecord(0.1, math.ceil(rows), -0.5, 5.0)
    too_short = TrackRecord(0.1, math.floor(rows), -0.5, 5.0)
    assert (
        significance.probabilistic_sharpe(too_short, 0.02)
        < 0.95
        <= significance.probabilistic_sharpe(long_enough, 0.02)
    )
    assert significance.minimum_track_record(record, 0.1) == math.inf


def test_a_track_record_measures_what_scipy_measures():
    returns = noise(11).standard_t(5, 400)
    record = TrackRecord.of(returns)
    assert record.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert record.kurtosis == pytest.approx(scipy_stats.kurtosis(returns) + 3)


def test_trials_may_be_an_optimizers_record_and_failed_ones_count():
    record = types.SimpleNamespace(sharpe_ratios=[0.5, 1.0, float("nan"), -0.3])
    returns = 0.05 + noise(12).standard_normal(500)
    found = significance.deflated_sharpe(returns, record, points_per_year=252)
    fewer = significance.deflated_sharpe(returns, [0.5, 1.0, -0.3], points_per_year=252)
    assert (found.trials, fewer.trials) == (4, 3)
    assert found.probability < fewer.probability
    assert "best of 4" in str(found)


def test_a_single_try_is_not_deflated():
    returns = 0.05 + noise(13).standard_normal(500)
    found = significance.deflated_sharpe(returns, [0.8], points_per_year=252)
    assert found.probability == significance.probabilistic_sharpe(returns)
    assert found.p_value == pytest.approx(1 - found.probability)


def test_the_deflated_ratio_is_stricter_than_five_percent():
    random = noise(14)
    found = []
    for _ in range(300):
        returns = random.standard_normal((250, 20))
        ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
        found.append(significance.deflated_sharpe(returns[:, ratios.argmax()], ratios, 1).probability > 0.95)
    assert np.mean(found) < 0.02


def test_the_interval_is_archs_and_widens_with_autocorrelation():
    from arch.bootstrap import StationaryBootstrap, optimal_block_length

    x = noise(15).standard_normal(400) + 0.05
    found = significance.sharpe_interval(x, 1, draws=200, seed=3)
    block = float(optimal_block_length(x)["stationary"].iloc[0])
    plain = StationaryBootstrap(max(1.0, block), x, seed=np.random.default_rng(3))
    ends = plain.conf_int(lambda s: s.mean() / s.std(ddof=1), reps=200, method="percentile")
    assert (found.low, found.high) == pytest.approx((ends[0, 0], ends[1, 0]))
    smooth = moving_average(noise(15), 400, 5)
    wide = significance.sharpe_interval(smooth, 1, draws=200)
    naive = 2 * 1.96 / math.sqrt(400)
    assert wide.high - wide.low > 1.5 * naive


def test_equal_seeds_give_equal_intervals():
    x = noise(16).standard_normal(100)
    assert significance.sharpe_interval(x, 252, draws=50) == significance.sharpe_interval(x, 252, draws=50)


# Overfitting


def plain_overfitting(returns, blocks, purge):
    """The definition, split by split."""
    below, lost = [], []
    for training, test in significance.purged_splits(len(returns), blocks, purge=purge):
        inside, outside = (returns[part].mean(0) / returns[part].std(0, ddof=1) for part in (training, test))
        best = inside.argmax()
        below.append(scipy_stats.rankdata(outside)[best] / (returns.shape[1] + 1) <= 0.5)
        lost.append(outside[best] < 0)
    return np.mean(below), np.mean(lost)


@pytest.mark.parametrize("purge", [0, 3])
def test_the_probability_of_overfitting_is_the_definition(purge):
    returns = noise(17).standard_normal((203, 7)) + 0.05 * np.arange(7)
    found = significance.overfitting_probability(returns, blocks=8, purge=purge)
    assert len(found.ranks) == math.comb(8, 4)
    assert (found.probability, found.loss) == pytest.approx(plain_overfitting(returns, 8, purge))


def test_noise_is_overfitted_half_the_time_and_skill_never():
    random = noise(18)
    found = [significance.overfitting_probability(random.standard_normal((400, 20)), 8).probability for _ in range(40)]
    assert 0.4 < np.mean(found) < 0.6
    skilled = random.standard_normal((400, 20))
    skilled[:, 3] += 0.4
    assert significance.overfitting_probability(skilled).probability < 0.02


def test_purged_splits_keep_training_rows_away_from_test_rows():
    splits = list(significance.purged_splits(100, blocks=5, test_blocks=2, purge=4))
    assert len(splits) == 10
    for training, test in splits:
        assert abs(training[:, None] - test[None, :]).min() > 4
        assert len(test) == 40
    counts = np.zeros(100)
    for _, test in splits:
        counts[test] += 1
    assert (counts == 4).all()


# Bad input


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
    with pytest.raises(QlstmError, match=r"this needs arch, .* pip install qlstm\[stats\]"):
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


@pytest.mark.parametrize("rate", [0.0, 0.0003, 0.01 / 252, 0.05 / 252])
def test_a_try_that_never_moves_is_refused_whatever_rounding_makes_of_it(rate):
    returns = np.random.default_rng(0).standard_normal((1000, 5)) / 100
    returns[:, 3] = rate
    with pytest.raises(DataError, match="try 3 never moves"):
        significance.overfitting_probability(returns, blocks=8)
