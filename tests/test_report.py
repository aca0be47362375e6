"""The report: its figures are those of the statistics, of the ledger and of the baselines booked day by day."""

import sys

import numpy as np
import pytest
import reports
from reports import START, TRAINED, Page, charts, last, run, trace

from qlstm import baselines, report, significance, stats
from qlstm.report import headline, performance, portfolio, training
from qlstm.report.headline import interval
from qlstm.report.market import RANDOM
from qlstm.report.study import Study
from qlstm.significance import TrackRecord
from qlstm.strategy import Strategy


@pytest.fixture
def data():
    return reports.spotty()


@pytest.fixture
def result():
    return reports.result()


@pytest.fixture
def page():
    return reports.page()


def test_the_cards_say_what_the_statistics_say(result, data, page):
    cards = Page(page).cards
    assert cards["Return a year"] == f"{100 * last(result, 'mean_return'):.1f} %"
    assert cards["Sharpe ratio"] == f"{last(result, 'sharpe_ratio'):.2f}"
    assert cards["Volatility a year"] == f"{100 * last(result, 'volatility'):.1f} %"
    assert cards["Largest drawdown"] == f"{100 * last(result, 'max_drawdown'):.1f} %"
    assert cards["Turnover a day"] == f"{100 * last(result, 'avg_turnover'):.1f} %"
    for label, value in report.summary(result):
        assert Page(page).rows("All statistics")[label] == [value]


@pytest.mark.parametrize(
    ("years", "said"),
    [(0.4, "luck; a ratio of this size takes 1 year of"), (1.2, "takes 2 years of"), (0.3, "luck."), (np.inf, "luck.")],
)
def test_the_years_that_a_ratio_takes_are_counted_up_and_left_out_where_it_has_them(result, monkeypatch, years, said):
    study = Study(result)
    study.returns = study.returns[: int(0.35 * study.points)]
    monkeypatch.setattr(significance, "minimum_track_record", lambda _: years * study.points)
    monkeypatch.setattr(headline, "interval", lambda *_: (significance.Interval(0.5, -1.0, 2.0, 0.95, 1.0), ""))
    assert said in headline.verdicts(study)[0]


def test_the_comparison_measures_the_strategy_as_the_statistics_do(result, page):
    row = Page(page).rows("The strategy beside")["strategy"]
    assert row[0] == f"{last(result, 'equity'):.3f}"
    assert row[3] == f"{last(result, 'sharpe_ratio'):.2f}"
    assert row[4] == f"{100 * last(result, 'max_drawdown'):.1f} %"


@pytest.mark.parametrize(
    ("name", "chosen"),
    [("equal_weight", 0), ("buy_and_hold", 1), ("random_portfolio", 2)],
)
def test_a_baseline_at_once_earns_what_its_strategy_earns_day_by_day(result, data, name, chosen):
    study = Study(result, data)
    quick = [*study.baselines[:2], study.baselines[2][3]][chosen]
    arguments = {"seed": 3} if name == "random_portfolio" else {}
    slow = run(getattr(baselines, name)(**arguments), data, start_date=START)
    booked = slow.stats.sel(field="relative_return", drop=True).dropna("time")
    assert len(np.unique(booked)) > 50
    np.testing.assert_allclose(quick.sel(time=booked.time).values, booked.values, rtol=0, atol=1e-12)


def test_the_charts_over_time_end_where_the_statistics_end(result, page):
    drawn, days = charts(page)
    assert days == [str(t)[:10] for t in result.stats.sel(field="equity").dropna("time").time.values]
    assert trace(drawn["equity"], "toy")["y"][-1] == pytest.approx(last(result, "equity"), rel=1e-4)
    depth = result.stats.sel(field="underwater").dropna("time").values
    np.testing.assert_allclose(trace(drawn["underwater"], "toy")["y"], 100 * depth, rtol=1e-4, atol=1e-6)
    rolling = stats.calc_sharpe_ratio_annualized(
        result.stats.sel(field="relative_return").dropna("time"), max_periods=261, min_periods=261, points_per_year=261
    ).values
    shown = [np.nan if y is None else y for y in trace(drawn["rolling-sharpe"], "toy")["y"]]
    np.testing.assert_allclose(shown, rolling, rtol=1e-4)


def test_months_and_years_compound_to_the_equity(result, page):
    shown = Page(page).rows("Return per month")
    equity = 1.0
    for row in shown.values():
        year = np.prod([1 + float(cell) / 100 for cell in row[:12] if cell])
        assert 100 * (year - 1) == pytest.approx(float(row[12]), abs=0.8)  # twelve roundings
        equity *= 1 + float(row[12]) / 100
    assert equity == pytest.approx(last(result, "equity"), rel=2e-3)


def test_a_month_is_that_of_a_plain_loop(result, data):
    table = performance.months(Study(result, data))[0]
    growth = 1.0
    for t, r in result.stats.sel(field="relative_return").dropna("time").to_series().items():
        growth *= 1 + r if (t.year, t.month) == (2015, 9) else 1.0
    assert table.rows[0][9].text == f"{100 * (growth - 1):.1f}"


def test_sub_periods_have_every_row_once(result, data):
    study = Study(result, data)
    rows = performance.years(study)[0].rows
    assert sum(int(row[1]) for row in rows if row[0].isdigit()) == len(study.days)
    first = study.returns[: int(rows[0][1])]
    assert rows[0][2] == f"{100 * (float((1 + first).prod()) - 1):.1f} %"


def test_exposure_and_heat_map_show_the_weights(result, page):
    drawn, _ = charts(page)
    np.testing.assert_allclose(drawn["exposure"]["data"][0]["y"], 100 * result.weights.sum("asset"), rtol=1e-4)
    heat = drawn["heat-map"]["data"][0]
    shown = result.weights.sel(asset=heat["y"], time=heat["x"]).transpose("asset", "time")
    np.testing.assert_allclose(heat["z"], 100 * shown.values, rtol=1e-2, atol=1e-9)
    means = abs(result.weights).mean("time").sel(asset=heat["y"]).values
    assert (np.diff(means) <= 0).all()
    assert set(result.weights.asset.values[abs(result.weights).sum("time") > 0]) == set(heat["y"])


def test_turnover_adds_up_to_the_statistic(result, data):
    chart = portfolio.exposure(Study(result, data))[1]
    assert f"{100 * last(result, 'avg_turnover'):.1f} % on average" in chart.alt


def test_a_model_is_dated_by_the_day_it_was_trained(result):
    assert len(TRAINED) > 3
    assert training.trained_days(result).tolist() == np.array(TRAINED).tolist()


def test_a_training_on_a_day_without_a_prediction_keeps_its_date(data):
    trained = []

    def train(window):
        trained.append(window["time"].values[-1])

    def predict(models, window):
        weights = window.sel(field="close", drop=True).notnull() * 0.1
        return weights.sel(time=~weights["time"].isin(trained[1:]))

    periods = {"train_period": 80, "lookback_period": 30, "retrain_interval": 60, "predict_each_day": False}
    found = run(Strategy(train=train, predict=predict, name="toy", **periods), data, start_date=START)
    assert len(trained) > 3
    assert set(trained) & set(found.raw.time.values) == {trained[0]}
    assert training.trained_days(found).tolist() == np.array(trained).tolist()
    days = data.time.values
    between = np.count_nonzero((days > trained[1]) & (days < trained[2]))  # its own day has no row
    assert training.retrains(Study(found))[1].rows[1][:2] == [str(trained[1])[:10], str(between)]


def test_a_model_earns_from_the_row_after_its_training(result, data):
    study = Study(result, data)
    days = result.raw.time.values
    block = days[(days >= TRAINED[1]) & (days < TRAINED[2])]
    earned = study.returns.where((study.returns.time > block[0]) & (study.returns.time <= TRAINED[2]), drop=True)
    row = training.retrains(study)[1].rows[1]
    assert row[:3] == [str(block[0])[:10], str(len(block)), f"{100 * (float((1 + earned).prod()) - 1):.2f} %"]


def test_luck_counts_the_random_portfolios_that_do_worse(result, data, page):
    ours = last(result, "sharpe_ratio")
    lots = [stats.calc_sharpe_ratio_annualized(one)[-1] for one in Study(result, data).baselines[2]]
    assert Page(page).cards["Luck"] == f"{sum(float(one) < ours for one in lots)} of {RANDOM}"


def test_the_random_band_is_that_of_all_portfolios(result, data, page):
    drawn, _ = charts(page)
    lots = Study(result, data).baselines[2]
    assert len(lots) == RANDOM
    ends = [float((1 + one).prod()) for one in lots]
    low, high = (one["y"][-1] for one in drawn["equity"]["data"][:2])
    assert (low, high) == pytest.approx(tuple(np.percentile(ends, [5, 95])), rel=1e-4)


def test_the_interval_holds_the_ratio_with_arch_and_without(result, data, monkeypatch):
    study = Study(result, data)
    found, how = interval(study.returns, study.points)
    assert found.low < found.sharpe < found.high
    assert "bootstrap" in how
    monkeypatch.setitem(sys.modules, "arch.bootstrap", None)
    plain, how = interval(study.returns, study.points)
    assert "pip install 'qlstm[stats]'" in how
    assert plain.sharpe == pytest.approx(found.sharpe)
    record = TrackRecord.of(study.returns.values)
    error = record.spread / (record.rows - 1) ** 0.5 * study.points**0.5
    assert (plain.low, plain.high) == pytest.approx((plain.sharpe - 1.959964 * error, plain.sharpe + 1.959964 * error))
