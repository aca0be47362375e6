"""Scores of forecasts: equal to scikit-learn's, matched by label, beside base rates; and the plot that is a day late."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn import metrics as sklearn

from qlstm import metrics
from qlstm.errors import DataError


def panel(values, start="2020-01-01"):
    times = pd.bdate_range(start, periods=len(values))
    return xr.DataArray(
        values, dims=("time", "asset"), coords={"time": times, "asset": [f"A{i}" for i in range(values.shape[1])]}
    )


def planted(rows=300, assets=5, strength=0.3, seed=0):
    random = np.random.default_rng(seed)
    forecast = random.standard_normal((rows, assets))
    return panel(forecast), panel(strength * forecast + random.standard_normal((rows, assets)))


def test_classification_is_scikit_learns():
    forecast, actual = planted()
    probability, rose = 1 / (1 + np.exp(-forecast)), (actual > 0).astype(float)
    scores = metrics.classification(probability, rose, draws=19)
    p, y = probability.values[1:].ravel(), rose.values[1:].ravel()
    expected = {
        "accuracy": sklearn.accuracy_score(y, p > 0.5),
        "auc": sklearn.roc_auc_score(y, p),
        "mcc": sklearn.matthews_corrcoef(y, p > 0.5),
        "brier": np.mean((p - y) ** 2),
        "log_loss": -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)),
        "f1": sklearn.f1_score(y, p > 0.5),
    }
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert (scores.cells, scores.left_out) == (299 * 5, 5)


def test_the_base_rates_of_classes_are_what_needs_no_skill():
    actual = np.tile([1.0, 1.0, 1.0, 0.0], 50)
    table = metrics.classification(np.full(200, 0.6), actual, draws=19).table
    share = actual[1:].mean()
    assert table.loc["accuracy", "majority"] == pytest.approx(share)
    assert table.loc["accuracy", "persistence"] == pytest.approx(np.mean(actual[1:] == actual[:-1]))
    assert table.loc["brier", "majority"] == pytest.approx(share * (1 - share))
    assert (table.loc["auc", "majority"], table.loc["accuracy", "coin"]) == (0.5, 0.5)
    assert math.isnan(table.loc["log_loss", "persistence"])


def test_the_coins_scores_are_those_of_many_coins():
    random = np.random.default_rng(0)
    actual = (random.random(200_000) < 0.7).astype(float)
    coins = (random.random(200_000) < 0.5).astype(float)
    coin = metrics.classification(coins, actual, draws=1).table
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc", "mcc"):
        assert coin.loc[name, "forecast"] == pytest.approx(coin.loc[name, "coin"], abs=0.01)


def test_a_score_is_never_shown_without_its_base_rates():
    forecast, actual = planted()
    rose = (actual > 0).astype(float)
    shown = {
        "majority persistence coin": [metrics.directional(forecast, actual, draws=19)],
        "mean zero persistence": [metrics.regression(forecast, actual, draws=19)],
        "persistence no skill": [metrics.cross_sectional(forecast, actual)],
    }
    shown["majority persistence coin"].append(metrics.classification(rose, rose, draws=19))
    for columns, results in shown.items():
        for scores in results:
            assert all(column in str(scores).splitlines()[1] for column in columns.split())
            assert "p = " in str(scores)


def test_regression_is_the_definition_and_its_mean_can_be_the_trainings():
    forecast, actual = planted()
    f, y = forecast.values[1:].ravel(), actual.values[1:].ravel()
    scores = metrics.regression(forecast, actual, draws=19)
    assert scores["r2"] == pytest.approx(sklearn.r2_score(y, f))
    assert scores["mae"] == pytest.approx(np.abs(f - y).mean())
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((f - y) ** 2)))
    assert scores.table.loc["r2", "mean"] == pytest.approx(0.0)
    trained = metrics.regression(forecast, actual, train_mean=0.5, draws=19)
    assert trained["r2"] == pytest.approx(1 - np.sum((f - y) ** 2) / np.sum((y - 0.5) ** 2))


def shown_as_cells(forecast, actual):
    """Return scores of exactly these cells: the first outcome has no earlier one, so a row without a forecast leads."""
    return metrics.regression([math.nan, *forecast], [0.5, *actual], draws=1)


def test_errors_relative_to_the_outcomes_are_the_published_examples():
    scores = shown_as_cells(np.arange(2.0, 12.0), np.arange(1.0, 11.0))
    assert scores["theil_u1"] == pytest.approx(0.07512486)  # R's DescTools::TheilU(1:10, 2:11, type = 1), type = 2
    assert scores["theil_u2"] == pytest.approx(0.1611646)
    assert scores["mape"] == pytest.approx(sklearn.mean_absolute_percentage_error(np.arange(1, 11), np.arange(2, 12)))
    assert scores["smape"] == pytest.approx(np.mean([2 / (2 * y + 1) for y in range(1, 11)]))


def test_no_change_has_the_known_values_of_every_relative_error():
    forecast, actual = planted()
    table = metrics.regression(forecast, actual, draws=1).table
    for name, value in {"mape": 1.0, "smape": 2.0, "theil_u1": 1.0, "theil_u2": 1.0}.items():
        assert table.loc[name, "zero"] == pytest.approx(value)
    noise = metrics.regression(*planted(strength=0.0), draws=1)
    assert noise["theil_u2"] > 1.2  # only U2 sees that noise is worse than no change
    assert max(noise["theil_u1"], noise["smape"] / 2) < 0.8


def test_an_outcome_of_zero_has_no_percentage_and_two_zeros_are_a_right_forecast():
    forecast, actual = np.tile([0.0, 1.0, 3.0, 2.0], 5), np.tile([0.0, 0.0, 2.0, 2.0], 5)
    scores = shown_as_cells(forecast, actual)
    assert scores.cells == 20
    assert scores["mape"] == pytest.approx(np.mean([0.5, 0.0]))  # of the two outcomes that moved
    assert scores["smape"] == pytest.approx(np.mean([0.0, 2.0, 2 / 5, 0.0]))
    assert scores["theil_u2"] == pytest.approx(np.sqrt(2 / 8))


def batched(score, batches, **options):
    collected = metrics.Batches(score)
    for forecast, actual in batches:
        collected.add(forecast, actual)
    return collected.scores(**options)


SCORES = {
    "classification": (metrics.classification, {"draws": 3}),
    "regression": (metrics.regression, {"draws": 3, "known_after": 2}),
    "directional": (metrics.directional, {"draws": 3}),
    "cross-sectional": (metrics.cross_sectional, {"known_after": 3}),
}


def cases_of(name):
    forecast, actual = planted(60, 4)
    forecast[7, 1], actual[11, 2] = np.nan, np.nan
    if name != "classification":
        return forecast, actual
    return 1 / (1 + np.exp(-forecast)), (actual > 0).astype(float).where(actual.notnull())


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=4, deadline=None)
@given(cuts=st.sets(st.integers(0, 60), max_size=12), seed=st.integers(0, 99))
def test_any_split_into_batches_scores_as_the_whole(name, cuts, seed):
    (score, options), (forecast, actual) = SCORES[name], cases_of(name)
    whole = score(forecast, actual, **options)
    rows = [slice(*pair) for pair in itertools.pairwise([0, *sorted(cuts), 60])]
    plain = [(forecast.values[part], actual.values[part]) for part in rows]
    parts = [(side[part], half[part]) for part in rows for side, half in [(forecast[:, :1], actual[:, :1])]]
    parts += [(forecast[part, 1:].T, actual[part, 1:].T) for part in rows]
    np.random.default_rng(seed).shuffle(parts)  # labelled batches come in any order, of any assets
    for batches in (plain, parts):
        scores = batched(score, batches, **options)
        pd.testing.assert_frame_equal(scores.table, whole.table, rtol=1e-12, atol=1e-14)
        assert (scores.cells, scores.left_out) == (whole.cells, whole.left_out)
        assert [one.p_value for one in scores.tests] == pytest.approx([one.p_value for one in whole.tests], rel=1e-9)


def test_batches_are_copies_and_can_be_forgotten():
    forecast, actual = planted(40, 1)
    collected = metrics.Batches(metrics.regression)
    for again in range(2):
        buffer = forecast.values.copy()
        collected.add(buffer, actual.values)
        buffer[:] = 0.0
        assert collected.scores(draws=1)["mae"] == metrics.regression(forecast, actual, draws=1)["mae"], again
        collected.reset()
    with pytest.raises(DataError, match="nothing to score"):
        collected.scores()


def test_always_up_in_a_rising_market_is_the_majority_and_no_more():
    random = np.random.default_rng(1)
    actual = 0.3 + random.standard_normal(400)
    scores = metrics.directional(np.ones(400), actual, draws=99)
    assert scores["hit_rate"] == scores.table.loc["hit_rate", "majority"] > 0.55
    assert all(not test.rejects() for test in scores.tests)


def test_a_forecast_or_outcome_of_zero_is_no_call():
    forecast, actual = np.ones(40), np.where(np.arange(40) % 2, 1.0, -1.0)
    forecast[5], actual[11] = 0.0, 0.0
    scores = metrics.directional(forecast, actual, draws=19)
    assert scores.cells == 39 - 1 - 1 - 1  # the first row, the two zeros, and the row whose earlier outcome is one


def test_the_rank_ic_is_spearmans_of_each_day():
    forecast, actual = planted(20, 8)
    forecast[3, :6] = np.nan
    actual[4, 2] = np.nan
    forecast[5, :4] = 1.0
    ic = metrics.rank_ic(forecast, actual)
    assert math.isnan(ic[3])
    for t in [*range(3), *range(4, 20)]:
        expected = scipy_stats.spearmanr(forecast[t], actual[t], nan_policy="omit").statistic
        assert float(ic[t]) == pytest.approx(expected)


def test_the_cross_section_finds_a_planted_ranking_and_nothing_in_noise():
    found, nothing = (metrics.cross_sectional(*planted(200, 10, strength)) for strength in (0.2, 0.0))
    assert found["mean_ic"] == pytest.approx(0.19, abs=0.07)  # three standard errors
    assert found.tests[0].rejects()
    assert not nothing.tests[0].rejects()


@pytest.mark.parametrize("score", [metrics.regression, metrics.directional])
def test_noise_is_significant_in_about_five_percent_of_cases(score):
    hits = sum(score(*planted(40, 3, 0.0, seed), draws=39).tests[0].rejects() for seed in range(100))
    assert scipy_stats.binom.sf(hits - 1, 100, 0.05) > 0.003
    assert hits > 0


def test_labels_are_matched_and_positions_do_not_count():
    forecast, actual = planted()
    plain = metrics.regression(forecast, actual, draws=19)
    shuffled = metrics.regression(forecast.isel(asset=[4, 2, 0, 1, 3]).transpose("asset", "time"), actual, draws=19)
    pd.testing.assert_frame_equal(plain.table, shuffled.table)
    fewer = metrics.regression(forecast[10:], actual, draws=19)
    assert fewer.cells == 289 * 5
    frames = metrics.regression(forecast.to_pandas(), actual.to_pandas(), draws=19)
    pd.testing.assert_frame_equal(plain.table, frames.table)


def test_missing_cells_are_left_out_for_every_column_and_counted():
    forecast, actual = planted()
    forecast[10, 0], actual[20, 1] = np.nan, np.nan
    scores = metrics.regression(forecast, actual, draws=19)
    assert scores.left_out == 5 + 1 + 2  # the first row; a forecast; an outcome, missing twice: it is tomorrow's past


def test_outcomes_known_later_make_an_older_persistence():
    actual = np.sin(np.arange(100.0))
    table = metrics.regression(np.zeros(100), actual, known_after=3, draws=1).table
    assert table.loc["mae", "persistence"] == pytest.approx(np.abs(actual[3:] - actual[:-3]).mean())


# The plot that is a day late


def walk(rows=500, seed=0):
    return 100 + np.cumsum(np.random.default_rng(seed).standard_normal(rows))


def late(price, by=1):
    return np.concatenate([np.full(by, np.nan), price[:-by]])


def test_yesterdays_price_looks_right_and_says_nothing():
    price = walk()
    report = metrics.shift_report(late(price), price)
    assert report.level_r2 > 0.95
    assert (report.best_lag, report.is_late, report.verdict) == (1, True, "no information")
    assert report.correlations[1] == pytest.approx(1.0)
    assert report.skill == 0.0
    assert "1 row late: it follows the price, it does not predict it" in str(report)
    assert "forecast against actual change: no correlation, it is constant, no direction called. R²" in str(report)


def test_a_constant_line_has_no_lag():
    report = metrics.shift_report(np.full(500, 90.0), walk())
    assert (report.best_lag, report.is_late, report.verdict) == (0, False, "no information")
    assert "A constant line has no correlation at any lag. Skill" in str(report)
    assert "nan" not in str(report)


@pytest.mark.parametrize("seed", range(5))
def test_a_smoothed_price_is_late_too(seed):
    price = walk(seed=seed)
    smooth = pd.Series(late(price)).rolling(3).mean().to_numpy()
    report = metrics.shift_report(smooth, price)
    assert report.verdict == "no information"
    assert report.is_late
    assert report.best_lag in (1, 2, 3)


def test_a_price_two_rows_late_is_said_to_be_two_rows_late():
    price = walk()
    report = metrics.shift_report(late(price, 2), price)
    assert report.best_lag == 2
    assert "2 rows late" in str(report)


def test_a_forecast_that_knows_the_change_is_informative():
    price = walk()
    report = metrics.shift_report(price + 0.5 * np.random.default_rng(1).standard_normal(500), price)
    assert (report.verdict, report.best_lag, report.is_late) == ("informative", 0, False)
    assert report.change_correlation > 0.7


def test_a_cautious_forecast_is_informative_though_its_line_is_a_row_apart():
    random, price = np.random.default_rng(2), walk(2000)
    change = np.diff(price, prepend=price[0])
    best = late(price) + 0.1 * (change + 3 * random.standard_normal(2000))  # what is known of the change, shrunk
    report = metrics.shift_report(best, price)
    assert (report.verdict, report.best_lag) == ("informative", 1)
    assert 0.05 < report.skill < 0.15
    assert "though the lines are 1 row apart" in str(report)


def test_noise_around_the_last_price_is_rarely_informative():
    random = np.random.default_rng(3)
    found = 0
    for seed in range(100):
        price = walk(120, seed)
        found += metrics.shift_report(late(price) + 0.1 * random.standard_normal(120), price).verdict == "informative"
    assert found <= 9


def test_a_panel_is_scored_as_one():
    prices = np.stack([walk(seed=seed) for seed in range(4)], axis=1)
    forecast = np.stack([late(price) for price in prices.T], axis=1)
    report = metrics.shift_report(panel(forecast), panel(prices))
    assert (report.best_lag, report.verdict, report.rows) == (1, "no information", 499)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.classification(np.full(50, 1.5), np.ones(50)), "probability must be from 0 to 1, got 1.5"),
        (lambda: metrics.classification(np.full(50, 0.5), np.full(50, 2.0)), "actual must be 0 or 1, got 2"),
        (lambda: metrics.classification(np.full(50, 0.5), np.ones(50)), "all 49 outcomes are 1"),
        (lambda: metrics.regression(np.ones(50), np.ones(50)), "nothing to explain"),
        (lambda: metrics.regression(np.ones(50), np.ones(49)), r"shape \(50,\), actual \(49,\)"),
        (lambda: metrics.regression(np.ones(5), np.arange(5.0)), "4 cells have forecast, outcome and earlier"),
        (lambda: metrics.regression(np.full(50, np.inf), np.ones(50)), "forecast is infinite in row 0"),
        (lambda: metrics.regression(np.ones(50), pd.Series(np.ones(50))), "one of forecast and actual has labels"),
        (lambda: metrics.regression(np.ones(50), np.arange(50.0), known_after=0), "known_after must be"),
        (lambda: metrics.cross_sectional(np.ones((50, 4)), np.ones((50, 4))), "0 days have 3 assets"),
        (lambda: batched(metrics.regression, [planted(20), planted(20)]), "is in two batches; add each cell once"),
        (lambda: batched(metrics.regression, [planted(20), (np.ones(5), np.ones(5))]), "some batches of forecast have"),
        (lambda: batched(metrics.regression, [(np.ones((5, n)), np.ones((5, n))) for n in (2, 3)]), "do not fit each"),
        (lambda: metrics.shift_report(np.ones(20), np.arange(20.0)), "19 rows have forecast"),
        (lambda: metrics.shift_report([1, 2], [1, 2]), "1 rows have .* it needs 30"),
        (lambda: metrics.directional(np.zeros(20), walk(20)), "no direction is called: every forecast is 0"),
        (lambda: metrics.directional(walk(20), np.zeros(20)), "nothing moved: every outcome is 0"),
        (lambda: metrics.shift_report(np.ones(50), np.ones(50)), "never change"),
        (lambda: metrics.shift_report(np.ones(50), walk(50), max_lag=0), "max_lag must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
