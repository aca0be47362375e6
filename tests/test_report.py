"""The report: its figures are those of the statistics, its page is whole, and it says what it leaves out."""

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from toys import equal_weights, market, predict_below_mean

from qlstm import backtester, baselines, ledger, report, stats
from qlstm.errors import OutputError
from qlstm.multipass import Result
from qlstm.report import figures, forecasts, performance, portfolio, training
from qlstm.report.headline import interval
from qlstm.report.market import RANDOM
from qlstm.report.study import Study
from qlstm.significance import TrackRecord
from qlstm.strategy import Memory, Strategy

START = "2015-06-01"


def spotty():
    """Return a market with gaps, not always liquid, one asset that comes late, one that is gone, labels out of order."""
    data = market(days=420, assets=8, gaps=0.01)
    random = np.random.default_rng(5)
    data.loc["is_liquid"] = np.where(random.random(data.shape[1:]) < 0.2, 0.0, data.sel(field="is_liquid"))
    data[:, :200, 3] = np.nan
    data[:, 60:, 1] = np.nan
    return data.isel(asset=[4, 2, 0, 7, 6, 5, 1, 3])


def run(strategy, data, **options):
    return backtester.backtest(strategy=strategy, data=data, build_plots=False, progress=False, **options)


TRAINED = []


def train(data):
    TRAINED.append(data["time"].values[-1])
    return {"mean": data.sel(field="close", drop=True).mean("time"), "rows": data.sizes["time"]}


@pytest.fixture(scope="module")
def data():
    return spotty()


@pytest.fixture(scope="module")
def result(data):
    TRAINED.clear()
    strategy = Strategy(
        train=train, predict=predict_below_mean, train_period=80, lookback_period=30, retrain_interval=60, name="toy"
    )
    return run(strategy, data, start_date=START)


@pytest.fixture(scope="module")
def page(result, data):
    return report.render(result, data, "prices are made up")


class Page(HTMLParser):
    """What a page holds, as far as the tests ask: tags with attributes, tables as rows of texts, texts of classes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.cards, self._inside = [], [], {}, []
        self._label = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append({"caption": "", "rows": []})
        if tag == "tr":
            self.tables[-1]["rows"].append([])
        if tag in ("td", "th"):
            self.tables[-1]["rows"][-1].append("")
        if tag in ("meta", "br", "img"):
            self._inside.pop()

    def handle_endtag(self, tag):
        assert self._inside.pop()[0] == tag, f"{tag} closed out of order"

    def handle_data(self, text):
        tag, attributes = self._inside[-1] if self._inside else ("", {})
        if tag in ("td", "th"):
            self.tables[-1]["rows"][-1][-1] += text
        if self._inside and "caption" in [name for name, _ in self._inside]:
            self.tables[-1]["caption"] += text
        if tag == "dt":
            self._label = text
        if tag == "dd" and "value" in attributes.get("class", ""):
            self.cards[self._label] = text

    def rows(self, caption):
        """Return the rows of the first table whose caption begins so, by their first cell."""
        table = next(one for one in self.tables if one["caption"].strip().startswith(caption))
        return {row[0]: row[1:] for row in table["rows"][1:]}


def charts(text):
    """Return the charts of a page, by name, and the days they share."""
    content = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])
    return content["charts"], content["shared"]["days"]


def trace(chart, name):
    return next(one for one in chart["data"] if one["name"] == name)


def last(result, field):
    return float(result.stats.sel(field=field)[-1])


# --- the figures are those of the statistics


def test_the_cards_say_what_the_statistics_say(result, data, page):
    cards = Page(page).cards
    assert cards["Return a year"] == f"{100 * last(result, 'mean_return'):.1f} %"
    assert cards["Sharpe ratio"] == f"{last(result, 'sharpe_ratio'):.2f}"
    assert cards["Volatility a year"] == f"{100 * last(result, 'volatility'):.1f} %"
    assert cards["Largest drawdown"] == f"{100 * last(result, 'max_drawdown'):.1f} %"
    assert cards["Turnover a day"] == f"{100 * last(result, 'avg_turnover'):.1f} %"
    for label, value in report.summary(result):
        assert Page(page).rows("All statistics")[label] == [value]


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


def test_contributions_and_trades_are_those_of_the_ledger(result, data, page):
    book = ledger.of_weights(result.weights, data.sel(time=slice("2015-04-02", None)))
    shown = Page(page).rows("Contribution of every asset")
    table = book.concentration()
    assert list(shown) == list(table.index)
    for asset, row in shown.items():
        assert row[2] == f"{100 * table['contribution'][asset]:.2f} %"
        assert row[4] == f"{100 * float(book.without(asset).trades['contribution'].sum()):.2f} %"
    bars = charts(page)[0]["contribution"]["data"][0]
    np.testing.assert_allclose(bars["x"], 100 * table["contribution"], rtol=1e-4)
    best = next(one for one in Page(page).tables if one["caption"] == "Best trades")["rows"][1]
    top = book.trades.sort_values("contribution", ascending=False).iloc[0]
    assert best[0] == top["asset"]
    assert best[7] == f"{100 * top['contribution']:.2f} %"


def test_the_contests_costs_are_the_statistics_and_dearer_ones_are_worse(result, page):
    rows = Page(page).rows("The same weights at other costs")
    assert rows["the contest's slippage"][0] == f"{last(result, 'equity'):.3f}"
    ends = [float(row[0]) for row in rows.values()]
    assert ends == sorted(ends, reverse=True)
    assert len(set(ends)) == 4


def test_extra_costs_take_exactly_their_share_of_what_is_traded():
    data = market(days=60, assets=2)
    data.loc[["open", "high", "low", "close"]] = 10.0  # nothing moves, so nothing but the extra cost is left
    turns = np.eye(2)[np.arange(60) % 2]
    weights = xr.DataArray(turns, dims=("time", "asset"), coords={"time": data.time, "asset": data.asset})
    result = made(weights.isel(time=slice(20, None)), data)
    free = Study(result, data).market.returns(result.weights, extra_bps=0.0).values
    dear = Study(result, data).market.returns(result.weights, extra_bps=10.0).values
    assert (free == 0).all()
    np.testing.assert_allclose(dear[1], -0.001)
    np.testing.assert_allclose(dear[2:], -0.002 / (1 - 0.001), rtol=2e-3)


def test_a_model_is_dated_by_the_day_it_was_trained(result):
    assert len(TRAINED) > 3
    assert training.trained_days(result).tolist() == np.array(TRAINED).tolist()


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


def test_the_interval_holds_the_ratio_with_arch_and_without(result, data, monkeypatch):
    study = Study(result, data)
    found, how = interval(study.returns, study.points)
    assert found.low < found.sharpe < found.high
    assert "bootstrap" in how
    monkeypatch.setitem(sys.modules, "arch.bootstrap", None)
    plain, how = interval(study.returns, study.points)
    assert "pip install qlstm[stats]" in how
    assert plain.sharpe == pytest.approx(found.sharpe)
    record = TrackRecord.of(study.returns.values)
    error = record.spread / (record.rows - 1) ** 0.5 * study.points**0.5
    assert (plain.low, plain.high) == pytest.approx((plain.sharpe - 1.959964 * error, plain.sharpe + 1.959964 * error))


def test_forecast_changes_are_scored_beside_persistence(result, data):
    close = data.sel(field="close", drop=True)
    ahead = (close.shift(time=-1) / close - 1).sel(time=result.weights.time)
    text = report.render(result, data, forecast=ahead)
    drawn = charts(text)[0]["changes"]
    means = trace(drawn, "forecast, mean of each tenth")
    np.testing.assert_allclose(means["x"], means["y"], rtol=1e-3)
    late = trace(drawn, "persistence, mean of each tenth")
    assert np.ptp(late["y"]) < 0.5 * np.ptp(late["x"])
    assert Page(text).rows("Size of the change")["correlation"][0] == "1.0000"


# --- what is left out, and why


def test_without_data_the_panels_that_need_them_say_so(result):
    text = report.render(result)
    drawn, _ = charts(text)
    assert set(drawn) == {"equity", "underwater", "rolling-sharpe", "exposure", "heat-map"}
    assert text.count("Left out: it needs the data") == 3
    assert "Against 1/N" not in text


def test_data_of_another_market_are_refused(result):
    with pytest.raises(OutputError, match="not those of the backtest of toy"):
        report.render(result, market(days=420, assets=7, seed=9))


def test_a_forecast_without_data_or_without_sense_is_named(result, data):
    with pytest.raises(OutputError, match="pass data="):
        report.render(result, forecast=result.weights)
    blank = result.weights * np.nan
    assert "cannot be scored" in report.render(result, data, forecast=blank)


def test_a_backtest_without_statistics_has_no_report(data):
    bare = run(Strategy(predict=equal_weights, lookback_period=10), data, start_date="2016-06-01", analyze=False)
    with pytest.raises(OutputError, match="analyze=True"):
        report.render(bare, data)


@pytest.mark.parametrize("module", ["plotly.offline", "jinja2"])
def test_a_missing_library_is_named_with_its_command(result, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    report.page._template.cache_clear()
    with pytest.raises(OutputError, match=r"pip install qlstm\[report\]"):
        report.render(result)


def made(weights, data):
    """Return the result of a backtest that decided `weights`."""
    strategy = Strategy(predict=equal_weights, name="made")
    table = stats.calc_stat(data.rename(strategy.rules.name), weights)
    return Result(weights, weights, Memory(), [], table, strategy, [])


@pytest.mark.parametrize("size", [0.0, 0.1])
def test_a_short_or_idle_backtest_has_a_report_too(size):
    data = market(days=40)
    weights = xr.full_like(data.sel(field="close", drop=True), size).isel(time=slice(28, None))
    text = report.render(made(weights, data), data)
    assert "no interval" in text
    assert "there is no rolling year to show" in text
    assert ("There are no trades" in text) == (size == 0.0)


def test_short_positions_are_shown_below_zero():
    data = market(days=80)
    weights = xr.full_like(data.sel(field="close", drop=True), -0.1).isel(time=slice(20, None))
    weights[:, 0] = 0.3
    drawn, _ = charts(report.render(made(weights, data), data))
    assert {one["name"] for one in drawn["exposure"]["data"]} == {"long", "short", "net"}
    assert trace(drawn["exposure"], "short")["y"][0] == pytest.approx(-40)
    heat = drawn["heat-map"]["data"][0]
    assert heat["colorscale"] == "@diverging"
    assert heat["zmin"] == -heat["zmax"] == pytest.approx(-100 * float(abs(weights).max()))


def test_one_heavy_day_does_not_pale_the_rest():
    z = np.zeros((20, 100))
    z[0] = 5.0
    z[0, 50] = 100.0
    assert figures.heat([], [], z, signed=False, unit="%")["zmax"] == pytest.approx(5.95)


# --- the page


def test_the_page_is_whole_and_labelled(page):
    parsed = Page(page)
    tags = parsed.tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [tag for tag, _ in tags].count("h1") == 1
    sections = [attributes for tag, attributes in tags if tag == "section"]
    assert len(sections) == 15
    assert all(one["aria-labelledby"] in ids for one in sections)
    links = [attributes["href"][1:] for tag, attributes in tags if tag == "a"]
    assert set(links) == {one["id"] for one in sections} - {"headline"}
    assert all(one["caption"] and len({len(row) for row in one["rows"]}) == 1 for one in parsed.tables)
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")


def test_every_chart_has_a_place_words_and_data(page):
    drawn, days = charts(page)
    places = {a["data-chart"]: a for _, a in Page(page).tags if "data-chart" in a}
    assert set(places) == set(drawn)
    assert len(drawn) == 8
    for name, chart in drawn.items():
        assert re.search(r"\d", places[name]["aria-label"]), name
        assert places[name]["role"] == "img"
        for one in chart["data"]:
            along = days if one["x"] == figures.DAYS else one["x"]
            assert len(along) == (len(one["z"][0]) if "z" in one else len(one["y"])) > 0
            values = one.get("z") or one["y"]
            assert any(value is not None for value in values), (name, one["name"])


def test_the_page_needs_no_network(page):
    assert "default-src 'none'" in page
    assert page.count("plotly.js v") == 1
    for _tag, attributes in Page(page).tags:
        assert not {"src", "srcset", "data", "action"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_every_colour_of_a_chart_is_in_the_style_sheet(page):
    drawn, _ = charts(page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    light, dark = (set(re.findall(r"--([a-z-]+):", part)) for part in style.split("@media (prefers-color-scheme", 1))
    used = set(re.findall(r'"@([a-z-]+)"', json.dumps(drawn))) - {"days", "sequential", "diverging"}
    assert len(used) > 6
    assert used <= light
    assert light - {"strength"} <= dark


def test_equal_results_give_equal_pages(result, data, page):
    assert report.render(result, data, "prices are made up") == page


def test_names_cannot_write_markup_into_the_page():
    data = market(days=60, assets=2)
    data = data.assign_coords(asset=["</script><b>A", "<img src=x onerror=alert(1)>"])
    weights = xr.full_like(data.sel(field="close", drop=True), 0.5).isel(time=slice(20, None))
    text = report.render(made(weights, data), data, note="<i>note</i>")
    assert "<b>A" not in text
    assert "<img" not in text
    assert "<i>note" not in text
    assert set(charts(text)[0]["heat-map"]["data"][0]["y"]) == set(data.asset.values)


def test_the_audit_and_the_manifest_are_on_the_page(result):
    class Audit:
        def to_html(self):
            return '<section id="audit"><h2>Audit</h2><p>nothing found</p></section>'

    text = report.render(result, audit=Audit(), manifest={"data": {"sha256": "abc", "name": "cube.nc"}, "seed": 7})
    assert "<p>nothing found</p>" in text
    shown = Page(text).rows("Where these figures come from")
    assert shown == {"data sha256": ["abc"], "data name": ["cube.nc"], "seed": ["7"]}


def test_write_puts_the_page_into_a_file(result, data, page, tmp_path):
    path = report.write(result, tmp_path / "report.html", data, "prices are made up")
    assert path.read_text(encoding="utf-8") == page


def test_ten_years_of_a_hundred_assets_stay_below_eight_megabytes():
    data = market(days=2520, assets=100)
    random = np.random.default_rng(0).random((2500, 100))
    coords = {"time": data.time[20:], "asset": data.asset}
    weights = xr.DataArray(random / random.sum(axis=1, keepdims=True), dims=("time", "asset"), coords=coords)
    text = report.render(made(weights, data), data)
    assert len(text.encode()) < 8e6
    assert len(charts(text)[0]["heat-map"]["data"][0]["y"]) == 100


def test_a_trade_across_a_strange_price_is_marked():
    data = market(days=120, assets=3)
    data.loc[["open", "high", "low", "close"], data.time[80] :, "TOY:001"] *= 9.0
    data.loc[{"field": ["open", "high", "low", "close"], "asset": "TOY:002", "time": data.time[60:70]}] = np.nan
    weights = xr.full_like(data.sel(field="close", drop=True), 0.3).isel(time=slice(20, 100))
    parsed = Page(report.render(made(weights, data), data))
    trades = [row for one in parsed.tables if one["caption"].endswith("trades") for row in one["rows"][1:]]
    marks = {(row[0], row[8]) for row in trades}
    jump = 100 * float(data.sel(field="close", asset="TOY:001")[80] / data.sel(field="close", asset="TOY:001")[79] - 1)
    assert marks == {
        ("TOY:000", "no fault seen"),
        ("TOY:001", f"jump of {jump:+.0f} % on {str(data.time.values[80])[:10]}"),
        ("TOY:002", f"no price {str(data.time.values[60])[:10]} to {str(data.time.values[69])[:10]}"),
    }


def test_a_fault_before_or_after_a_trade_is_no_mark():
    data = market(days=120, assets=1)
    data.loc[["open", "high", "low", "close"], data.time[80] :] *= 9.0
    weights = xr.zeros_like(data.sel(field="close", drop=True)).isel(time=slice(20, None))
    weights[10:20] = 1.0
    weights[70:80] = 1.0
    page = report.render(made(weights, data), data)
    assert page.count("no fault seen") == 4  # two trades, each among the best and among the worst


def test_a_log_axis_has_round_values_inside_its_range():
    for low, high in ((0.9, 1.2), (0.5, 1.9), (0.2, 30.0)):
        ticks = figures.figure([figures.line("a", [low, high], "strategy")], log=True)["layout"]["yaxis"]["tickvals"]
        assert 3 <= sum(low <= tick <= high for tick in ticks) <= 8
        assert ticks == sorted(set(ticks))


def test_the_random_band_is_that_of_all_portfolios(result, data, page):
    drawn, _ = charts(page)
    lots = Study(result, data).baselines[2]
    assert len(lots) == RANDOM
    ends = [float((1 + one).prod()) for one in lots]
    low, high = (one["y"][-1] for one in drawn["equity"]["data"][:2])
    assert (low, high) == pytest.approx(tuple(np.percentile(ends, [5, 95])), rel=1e-4)


def test_a_forecast_is_drawn_as_it_is_scored_whatever_the_order_of_its_dims(result, data):
    close = data.sel(field="close", drop=True)
    perfect = (close.shift(time=-1) / close - 1).sel(time=result.weights["time"])
    turned = report.render(result, data, forecast=perfect.transpose("asset", "time"))
    assert charts(turned)[0]["changes"] == charts(report.render(result, data, forecast=perfect))[0]["changes"]


def test_ten_cells_are_enough_to_draw():
    ten = xr.DataArray(
        np.arange(10.0).reshape(5, 2) / 100, dims=("time", "asset"), coords={"time": range(5), "asset": ["A", "B"]}
    )
    cloud, means = forecasts._half("forecast", ten, ten, "blue", "")
    assert len(cloud["x"]) == 10
    assert len(means["x"]) == 5
