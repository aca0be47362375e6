"""The report's panels of trades, assets and costs: the ledger's figures, and what is left without a few of them."""

import numpy as np
import pytest
import reports
import xarray as xr
from reports import Page, charts, last, made
from toys import market

from qlstm import ledger, report
from qlstm.report import without
from qlstm.report.study import Study


@pytest.fixture
def data():
    return reports.spotty()


@pytest.fixture
def result():
    return reports.result()


@pytest.fixture
def page():
    return reports.page()


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


# --- without single trades and assets


def rows_left(weights, trades):
    """Return weights without trades, row by row: a row is the trade's when it is traded at an open of the trade."""
    left = weights.copy()
    times = weights.time.values
    for one in trades.itertuples():
        for t, following in zip(times, [*times[1:], None], strict=True):
            later = following is None or following >= one.entry.to_datetime64()
            over = one.closed and following is not None and following >= one.exit.to_datetime64()
            if later and not over and not (following is None and one.closed):
                left.loc[t, one.asset] = 0.0
    return left


def test_what_is_left_without_trades_is_what_their_rows_emptied_one_by_one_earn(result, data):
    study = Study(result, data)
    rows = {row[0]: row[1:] for row in without.left_out(study)[1].rows}
    ordered = study.ledger.trades.sort_values("contribution", ascending=False, kind="stable")
    assert list(rows) == [f"all {len(ordered)} trades", *list(rows)[1:]]
    assert len(ordered) > 10
    for n, row in zip((1, 5, 10), list(rows.values())[1:], strict=True):
        found = study.measure(study.market.returns(rows_left(result.weights, ordered[:n])))
        assert row[0] == f"{found.equity:.3f}"
        assert row[2] == f"{found.sharpe:.2f}"


def test_without_one_trade_only_its_own_rows_earn_another_return():
    data = market(days=120, assets=4)
    weights = xr.zeros_like(data.sel(field="close", drop=True)).isel(time=slice(20, None))
    weights.values[:] = 0.2 * np.repeat(np.random.default_rng(2).integers(-1, 2, (20, 4)), 5, axis=0)
    study = Study(made(weights, data), data)
    assert len(study.ledger.trades) > 30
    for row, one in study.ledger.trades.iterrows():
        left = study.market.returns(without._emptied(weights, study.ledger.trades.loc[[row]]))
        moved = abs(left - study.returns).values
        held = (study.days >= one["entry"]) & (study.days <= one["exit"])
        assert moved[held].max() > 1e-4
        assert moved[study.days < one["entry"]].max(initial=0.0) == 0.0
        assert moved[study.days > one["exit"]].max(initial=0.0) < 2e-6  # what it costs to put the others' sizes right


def test_a_position_that_turns_round_loses_one_side_only():
    data = market(days=60, assets=1)
    weights = xr.zeros_like(data.sel(field="close", drop=True)).isel(time=slice(20, None))
    weights[5:15], weights[15:25], weights[30:] = 1.0, -1.0, 1.0
    study = Study(made(weights, data), data)
    trades = study.ledger.trades
    assert trades["side"].tolist() == ["long", "short", "long"]
    for row, kept in ((0, slice(15, None)), (1, [*range(5, 15), *range(30, 40)]), (2, slice(5, 25))):
        expected = xr.zeros_like(weights)
        expected[kept] = weights[kept]
        xr.testing.assert_equal(without._emptied(weights, trades.loc[[row]]), expected)


def test_trades_and_assets_that_matter_most_come_first(result, data):
    study = Study(result, data)
    trades, assets = without.left_out(study)[2:]
    for table in (trades, assets):
        changes = [abs(float(row[-1].text)) for row in table.rows]
        assert changes == sorted(changes, reverse=True)
        assert len(changes) == 6
    asset, sharpe = assets.rows[0][0], float(assets.rows[0][-2])
    alone = result.weights.copy()
    alone.loc[:, asset] = 0.0
    assert sharpe == pytest.approx(study.measure(study.market.returns(alone)).sharpe, abs=0.005)


def test_a_gain_that_is_one_lucky_trade_is_called_so():
    data = market(days=120, assets=3)
    data.loc[["open", "high", "low", "close"], data.time[80] :, "TOY:001"] *= 9.0
    weights = xr.full_like(data.sel(field="close", drop=True), 0.3).isel(time=slice(20, None))
    parts = without.left_out(Study(made(weights, data), data))
    assert parts[0].text == "Nothing of the gain is left without the best 1 of 3 trades."
    assert parts[2].rows[0][0] == parts[3].rows[0][0] == "TOY:001"


def test_a_single_trade_and_a_loss_have_their_own_words():
    data = market(days=60, assets=1)
    data.loc[["open", "high", "low", "close"]] = 50 * 1.01 ** np.arange(60)[:, np.newaxis]
    weights = xr.full_like(data.sel(field="close", drop=True), 1.0).isel(time=slice(20, None))
    said = [without.left_out(Study(made(side * weights, data), data))[0].text for side in (1, -1)]
    assert said == [
        "There is only one trade: the gain hangs on it.",
        "There is no gain that could hang on a few trades.",
    ]


# --- costs


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
