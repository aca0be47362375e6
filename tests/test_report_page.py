"""The report's page: whole, labelled, offline, safe; and it says what it leaves out."""

import json
import re
import sys

import numpy as np
import pytest
import reports
import xarray as xr
from reports import START, Page, charts, made, run, trace
from toys import equal_weights, market

from qlstm import report
from qlstm.errors import OutputError
from qlstm.report import figures
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


def test_the_page_is_whole_and_labelled(page):
    parsed = Page(page)
    tags = parsed.tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [tag for tag, _ in tags].count("h1") == 1
    sections = [attributes for tag, attributes in tags if tag == "section"]
    assert len(sections) == 16
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


def test_every_negative_number_has_the_sign_that_the_charts_write(page):
    read = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert len(re.findall(r"[\s>(]−\d", read)) > 50
    assert not re.findall(r"[\s>(]-\d", read)
    assert f"{START} to " in read  # dates are as they were


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


def test_a_page_without_audit_names_the_command_that_fills_its_panel(result):
    assert "(qlstm backtest … --check)" in report.render(result)


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


def test_without_data_the_panels_that_need_them_say_so(result):
    text = report.render(result)
    drawn, _ = charts(text)
    assert set(drawn) == {"equity", "underwater", "rolling-sharpe", "exposure", "heat-map"}
    assert text.count("Left out: it needs the data") == 4
    assert "Against 1/N" not in text


def test_data_of_another_market_are_refused(result):
    with pytest.raises(OutputError, match="not those of the backtest of toy"):
        report.render(result, market(days=420, assets=7, seed=9))


def test_a_backtest_without_statistics_has_no_report(data):
    bare = run(Strategy(predict=equal_weights, lookback_period=10), data, start_date="2016-06-01", analyze=False)
    with pytest.raises(OutputError, match="analyze=True"):
        report.render(bare, data)


@pytest.mark.parametrize("module", ["plotly.offline", "jinja2"])
def test_a_missing_library_is_named_with_its_command(result, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    report.page._template.cache_clear()
    with pytest.raises(OutputError, match=r"pip install 'qlstm\[report\]'"):
        report.render(result)


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


@pytest.mark.parametrize("low", [1e-3, 1e-9, 1e-40])
def test_a_log_axis_over_many_powers_of_ten_has_room_for_its_values(low):
    ticks = figures.figure([figures.line("a", [low, 10.0], "strategy")], log=True)["layout"]["yaxis"]["tickvals"]
    assert 4 < len(ticks) <= 9
    assert all(round(np.log10(tick), 6).is_integer() for tick in ticks)


def test_a_log_axis_has_round_values_inside_its_range():
    for low, high in ((0.9, 1.2), (0.5, 1.9), (0.2, 30.0)):
        ticks = figures.figure([figures.line("a", [low, high], "strategy")], log=True)["layout"]["yaxis"]["tickvals"]
        assert 3 <= sum(low <= tick <= high for tick in ticks) <= 8
        assert ticks == sorted(set(ticks))
