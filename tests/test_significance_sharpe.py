"""Sharpe ratios under test: the published worked examples, the definitions written out, and what trials may be."""

import math
import types

import numpy as np
import pytest
from draws import moving_average, noise
from scipy import stats as scipy_stats

from qlstm import significance
from qlstm.errors import DataError
from qlstm.significance import TrackRecord


def test_the_probabilistic_sharpe_ratio_is_that_of_the_paper():
    # Bailey and López de Prado (2012), section 3: 24 months at 0.458 a month; 0.982 if normal, 0.913 with its skew and
    # kurtosis, 0.953 had it lasted 36 months.
    shape = (-2.448, 10.164)
    assert significance.probabilistic_sharpe(TrackRecord(0.458, 24)) == pytest.approx(0.982, abs=5e-4)
    assert significance.probabilistic_sharpe(TrackRecord(0.458, 24, *shape)) == pytest.approx(0.913, abs=5e-4)
    assert significance.probabilistic_sharpe(TrackRecord(0.458, 36, *shape)) == pytest.approx(0.953, abs=1e-3)


@pytest.mark.parametrize(
    ("year", "shape", "years"),
    [(252, (), 2.73), (52, (), 2.83), (12, (), 3.24), (12, (-0.72, 5.78), 4.99)],
)
def test_the_minimum_track_record_is_that_of_the_paper(year, shape, years):
    # Bailey and López de Prado (2012), equation 13 and section 5: years until an annual ratio of 2 is above 1 with
    # 95 %; normal returns, and the skew and kurtosis of hedge funds.
    record = TrackRecord(2 / math.sqrt(year), 1, *shape)
    rows = significance.minimum_track_record(record, 1 / math.sqrt(year))
    assert rows / year == pytest.approx(years, abs=0.005)


@pytest.mark.parametrize(
    ("trials", "shape", "expected"), [(100, (-3.0, 10.0), 0.9004), (46, (-3.0, 10.0), 0.9505), (88, (), 0.9505)]
)
def test_the_deflated_sharpe_ratio_is_that_of_the_paper(trials, shape, expected):
    # Bailey and López de Prado (2014), "A numerical example": 5 years of daily returns, 250 a year, annual ratio 2.5,
    # skew -3 and kurtosis 10, or normal; the tries' annual ratios have variance 1/2.
    record = TrackRecord(2.5 / math.sqrt(250), 1250, *shape)
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


@pytest.mark.parametrize("rows", [60, 1000])
def test_a_number_of_trials_stands_for_independent_ones_without_skill(rows):
    random = noise(19)
    tries = random.standard_normal((4000, rows))
    ratios = tries.mean(axis=1) / tries.std(axis=1, ddof=1)
    record = TrackRecord(0.1, rows, -1.0, 6.0)
    counted = significance.deflated_sharpe(record, 4000, points_per_year=252)
    measured = significance.deflated_sharpe(record, ratios, points_per_year=1)
    assert counted.trials == measured.trials == 4000
    assert counted.p_value == measured.p_value
    assert counted.benchmark == pytest.approx(measured.benchmark, rel=0.03)
    assert counted.benchmark == pytest.approx(ratios.max(), rel=0.15)


@pytest.mark.parametrize("trials", [[0.8], 1])
def test_a_single_try_is_not_deflated(trials):
    returns = 0.05 + noise(13).standard_normal(500)
    found = significance.deflated_sharpe(returns, trials, points_per_year=252)
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


@pytest.mark.parametrize("rate", [0.0, 0.0003, 0.01 / 252, 0.05 / 252])
def test_a_try_that_never_moves_is_refused_whatever_rounding_makes_of_it(rate):
    returns = np.random.default_rng(0).standard_normal((1000, 5)) / 100
    returns[:, 3] = rate
    with pytest.raises(DataError, match="try 3 never moves"):
        significance.overfitting_probability(returns, blocks=8)
