"""The trade ledger: round trips from weights, booked as statistics are; logs read from tables; what is left without one."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toys import market

from qlstm import ledger, stats
from qlstm.errors import DataError


def book(cube, rows):
    """Return weights that change on the days given: {row: (weight per asset)}."""
    values = np.full((cube.sizes["time"], cube.sizes["asset"]), np.nan)
    values[0] = 0.0
    for row, weights in rows.items():
        values[row] = weights
    filled = pd.DataFrame(values).ffill().to_numpy()
    return xr.DataArray(
        filled, dims=("time", "asset"), coords={"time": cube.time.values, "asset": cube.asset.values}, name=cube.name
    )


def test_a_trade_runs_from_the_open_after_it_was_decided_to_the_open_after_it_was_given_up():
    cube = market(60, 2)
    trades = ledger.of_weights(book(cube, {20: (0.5, 0), 30: (0, 0)}), cube).trades
    assert len(trades) == 1
    (trade,) = trades.to_dict("records")
    assert (trade["asset"], trade["side"], trade["rows"], trade["size"]) == ("TOY:000", "long", 10, 0.5)
    assert trade["entry"] == pd.Timestamp(cube.time.values[21])
    assert trade["exit"] == pd.Timestamp(cube.time.values[31])
    assert trade["closed"]


def test_weights_of_one_day_are_not_traded_yet():
    cube = market(60, 2)
    weights = book(cube, {0: (0.5, 0.5)})
    for row in (0, 30, 59):
        assert len(ledger.of_weights(weights.isel(time=[row]), cube).trades) == 0


def plain_return(cube, asset, start, end, sign, slippage):
    """One position of the whole capital: bought at the open of `start`, sold at the open of `end`, kept at full size.

    The contest's book drifts weights with the night's move, so a long position is cut a little after a night that fell.
    """
    open_, close = (cube.sel(field=f, asset=asset).values for f in ("open", "close"))
    equity, shares = 1.0, 0.0
    for t in range(start, end + 1):
        equity += (open_[t] - open_[t - 1]) * shares
        wanted = sign * open_[t] / close[t - 1] if t < end else 0.0
        after = equity * float(np.clip(wanted, -1, 1)) / open_[t]
        equity -= slippage[t] * abs(after - shares)
        shares = after
    return equity - 1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_return_of_a_trade_is_that_of_a_book_kept_by_hand(sign):
    cube = market(60, 2)
    (trade,) = ledger.of_weights(book(cube, {20: (sign * 0.5, 0), 30: (0, 0)}), cube).trades.to_dict("records")
    slippage = stats.calc_slippage(cube).sel(asset="TOY:000").values
    assert trade["return"] == pytest.approx(plain_return(cube, "TOY:000", 21, 31, sign, slippage), rel=1e-10)
    assert trade["contribution"] == pytest.approx(0.5 * trade["return"], abs=2e-3)


def test_turning_round_is_two_trades_that_share_a_day():
    cube = market(60, 1)
    trades = ledger.of_weights(book(cube, {20: (1.0,), 30: (-1.0,), 40: (0.0,)}), cube).trades
    assert trades["side"].tolist() == ["long", "short"]
    assert trades["exit"][0] == trades["entry"][1] == pd.Timestamp(cube.time.values[31])
    slippage = stats.calc_slippage(cube).values[:, 0]
    expected = [plain_return(cube, "TOY:000", *span, slippage) for span in ((21, 31, 1), (31, 41, -1))]
    assert trades["return"].tolist() == pytest.approx(expected, rel=1e-10)


def test_contributions_add_up_to_the_portfolio_where_there_is_one_asset():
    cube = market(120, 1)
    weights = book(cube, {20: (0.6,), 35: (0.0,), 50: (0.8,), 70: (0.3,), 90: (0.0,)})
    trades = ledger.of_weights(weights, cube).trades
    assert len(trades) == 2
    total = float(stats.calc_relative_return(cube, weights, per_asset=True).sum())
    assert trades["contribution"].sum() == pytest.approx(total, rel=1e-10)


def test_contributions_of_many_assets_nearly_add_up_to_the_portfolio():
    cube = market(300, 6, gaps=0.02)
    random = np.random.default_rng(0)
    weights = book(cube, {row: random.choice([-1, 0, 1], 6) / 6 for row in range(20, 300, 7)})
    trades = ledger.of_weights(weights, cube).trades
    total = float(stats.calc_relative_return(cube, weights).sum())
    assert trades["contribution"].sum() == pytest.approx(total, abs=0.005)


def test_costs_are_those_of_the_statistics():
    cube = market(60, 1)
    weights = book(cube, {20: (1.0,), 30: (0.0,)})
    free, dear = (ledger.of_weights(weights, cube, slippage_factor=f).trades["return"][0] for f in (0.0, 0.5))
    assert free > dear
    grown = np.prod(1 + stats.calc_relative_return(cube, weights, slippage_factor=0.5).values) - 1
    assert dear == pytest.approx(grown, rel=1e-10)


def test_a_position_open_in_the_end_is_said_to_be_and_counts_to_the_last_close():
    cube = market(60, 1)
    weights = book(cube, {50: (1.0,)})
    (trade,) = ledger.of_weights(weights, cube).trades.to_dict("records")
    assert (trade["closed"], trade["exit"]) == (False, pd.Timestamp(cube.time.values[-1]))
    assert trade["return"] == pytest.approx(np.prod(1 + stats.calc_relative_return(cube, weights).values) - 1)


def test_what_cannot_be_sold_without_a_price_is_held_until_there_is_one():
    cube = market(60, 1)
    cube[:4, 31:34] = np.nan
    cube = xr.concat([cube, market(60, 1, seed=1).assign_coords(asset=["OTHER"])], "asset").rename(cube.name)
    trades = ledger.of_weights(book(cube, {20: (0.5, 0), 30: (0, 0)}), cube).trades
    assert trades["exit"].tolist() == [pd.Timestamp(cube.time.values[34])]
    assert trades["rows"].tolist() == [13]


def test_what_smoothing_leaves_of_a_position_is_none():
    cube = market(200, 1)
    weights = book(cube, {20: (0.5,)} | {30 + n: (0.5 * 0.7**n,) for n in range(1, 150)})
    (trade,) = ledger.of_weights(weights, cube).trades.to_dict("records")
    small = next(n for n in range(150) if 0.5 * 0.7**n < 1e-6)  # of capital
    assert trade["rows"] == 10 + small


def test_a_day_that_the_weights_lack_is_a_day_without_positions():
    cube = market(60, 1)
    weights = book(cube, {20: (1.0,)}).drop_isel(time=[40])
    trades = ledger.of_weights(weights, cube).trades
    assert trades["exit"].tolist()[0] == pd.Timestamp(cube.time.values[40])
    assert len(trades) == 2


def test_the_order_of_assets_and_days_does_not_matter():
    cube = market(80, 3)
    weights = book(cube, {20: (0.3, -0.3, 0.3), 30: (0, 0.3, 0.3), 50: (0, 0, 0)})
    plain = ledger.of_weights(weights, cube).trades
    turned = ledger.of_weights(weights.isel(asset=[2, 0, 1], time=slice(None, None, -1)), cube.isel(asset=[1, 2, 0]))
    pd.testing.assert_frame_equal(plain, turned.trades)


def test_weights_without_positions_make_an_empty_ledger_that_says_so():
    cube = market(60, 1)
    nothing = ledger.of_weights(book(cube, {}), cube)
    assert list(nothing.trades.columns) == list(ledger.COLUMNS)
    with pytest.raises(DataError, match="the ledger has no trades"):
        nothing.summary()


# A log


def simulated_log():
    """Return a SIMULATED trade log: no trade in it was ever made.

    The single trades of the log it stands for are not at hand, only what was published of it and recomputed from it:
    75 trades, 47 won, 24 lost, 5 498.87 % in sum; +4 874.93 % of that is one trade in ROST, bought at 2.95 and sold at
    146.76, a bad price; without ROST 71 trades, 629 %, of which JNPR won 17 of 17, 439 %. Both were training tickers.
    What is left is 54 trades, 29 won, 190 % in sum, t 1.33; 47 of them short, 23 of those won. Dates, names of the
    other assets and the sizes of wins and losses are made up so that these figures come out.
    """
    random = np.random.default_rng(4)
    shapes = random.gamma(2.0, 0.5, 54)
    wins = np.zeros(54, dtype=bool)
    wins[:23], wins[47:53] = True, True  # 23 of 47 shorts, 6 of 7 longs
    flat = np.zeros(54, dtype=bool)
    flat[[30, 35, 40, 45]] = True
    gains, losses = shapes * wins, shapes * (~wins & ~flat)
    mean, deviation = 1.90 / 54, 1.90 / 54 / 1.33 * math.sqrt(54)
    squares = 53 * deviation**2 + 54 * mean**2
    # total = a G - b L and squares = a² GG + b² LL, solved for the two scales a and b
    g, loss, gg, ll = gains.sum(), losses.sum(), (gains**2).sum(), (losses**2).sum()
    b = max(np.roots([gg * loss**2 / g**2 + ll, 2 * gg * 1.90 * loss / g**2, gg * 1.90**2 / g**2 - squares]).real)
    others = (1.90 + b * loss) / g * gains - b * losses
    rost = [48.7493, -0.02, -0.02, 54.9887 - 48.7493 - 6.29 + 0.04]
    jnpr = random.gamma(2.0, 1.0, 17)
    jnpr *= 4.39 / jnpr.sum()
    returns = np.concatenate([others, rost, jnpr])
    assets = [f"SIM{i % 9}" for i in range(54)] + ["ROST"] * 4 + ["JNPR"] * 17
    sides = ["short"] * 47 + ["long"] * 7 + ["long"] * 21
    entry = pd.date_range("2023-01-02", periods=75, freq="7D")
    days = np.full(75, 5)
    days[10] = 0  # one "trade" opens and closes on the same date
    exits = entry + pd.to_timedelta(days, unit="D")
    return pd.DataFrame({"Ticker": assets, "Type": sides, "Entry": entry, "Exit": exits, "Return pct": 100 * returns})


def test_a_log_with_the_published_counts_replays_to_them():
    summary = ledger.read(simulated_log()).summary()
    assert (summary.trades, summary.wins, summary.losses, summary.flat) == (75, 47, 24, 4)
    assert round(100 * summary.win_rate, 2) == 62.67
    assert round(100 * summary.mean, 2) == 73.32
    assert round(100 * summary.total, 2) == 5498.87
    assert summary.best > 0.8
    assert "75 trades: 47 won, 24 lost, 4 flat; win rate 62.67 % (p = 0.02)" in str(summary)
    surer = dataclasses.replace(summary, test=dataclasses.replace(summary.test, p_value=0.0004))
    assert "win rate 62.67 % (p < 0.01)" in str(surer)


def test_without_the_two_leaked_tickers_nothing_is_left_of_it():
    everything = ledger.read(simulated_log())
    without_one = everything.without("ROST").summary()
    assert (without_one.trades, round(100 * without_one.total)) == (71, 629)
    left = everything.without("ROST", "JNPR").summary()
    assert (left.trades, left.wins) == (54, 29)
    assert round(100 * left.win_rate, 1) == 53.7
    assert round(100 * left.total) == 190
    assert round(left.t, 2) == 1.33
    assert round(left.test.p_value, 2) == 0.34
    shorts = everything.without("ROST", "JNPR").trades.query("side == 'short'")
    assert (len(shorts), round(100 * (shorts["return"] > 0).mean(), 1)) == (47, 48.9)


def test_leaving_one_out_names_the_asset_and_the_trade_that_made_the_result():
    everything = ledger.read(simulated_log())
    by_asset, by_trade = everything.leave_one_asset_out(), everything.leave_one_trade_out()
    assert by_asset.index[:2].tolist() == ["ROST", "JNPR"]
    assert round(100 * by_asset.loc["ROST", "total"]) == 629
    assert by_asset.loc["JNPR", "trades"] == 75 - 17
    worst = everything.trades.loc[by_trade.index[0]]
    assert (worst["asset"], round(100 * worst["return"], 2)) == ("ROST", 4874.93)
    assert round(100 * by_trade["total"].iloc[0], 2) == 623.94
    assert len(by_trade) == 75


def test_concentration_shows_the_asset_that_is_too_heavy():
    table = ledger.read(simulated_log()).concentration()
    assert table.index[table["heavy"]].tolist() == ["ROST"]
    assert table.loc["JNPR", "wins"] == table.loc["JNPR", "trades"] == 17
    assert table["share"].clip(lower=0).sum() == pytest.approx(1)


def test_leaving_one_out_is_the_same_as_reading_a_log_without_it():
    log = simulated_log()
    by_asset = ledger.read(log).leave_one_asset_out()
    for asset in by_asset.index:
        kept = ledger.read(log[log["Ticker"] != asset]).summary()
        row = by_asset.loc[asset]
        assert (kept.trades, kept.win_rate, kept.total) == pytest.approx((row["trades"], row["win_rate"], row["total"]))


def test_a_log_may_have_prices_a_csv_and_sizes(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "Symbol,Side,Entry,Exit,Entry price,Exit price,Size\n"
        "A,buy,2020-01-02,2020-01-06,10,11,0.5\n"
        "B,Sell,2020-01-03,2020-01-03,10,11,0.25\n"
    )
    trades = ledger.read(path).trades
    assert trades["return"].tolist() == pytest.approx([0.1, -0.1])
    assert trades["contribution"].tolist() == pytest.approx([0.05, -0.025])
    assert trades["rows"].tolist() == [4, 0]


def changed(**columns):
    return simulated_log().assign(**{name.replace("_", " "): value for name, value in columns.items()})


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (lambda: simulated_log().drop(columns="Type"), "lacks side; it has Ticker, Entry"),
        (lambda: simulated_log().drop(columns="Return pct"), "lacks return .or return_pct"),
        (lambda: changed(Type="up"), "row 0: side 'up' cannot be; 75 such rows"),
        (lambda: changed(Entry="never"), "row 0: entry date 'never' cannot be"),
        (lambda: changed(Exit="2023-01-05"), "row 1: exit before its entry: '2023-01-05'"),
        (lambda: changed(Return_pct=np.nan), "row 0: return nan"),
        (lambda: "no_such_file.csv", "cannot read the trade log no_such_file.csv"),
    ],
)
def test_a_bad_log_is_named(log, message):
    with pytest.raises(DataError, match=message):
        ledger.read(log())


def test_an_asset_the_ledger_lacks_is_named():
    with pytest.raises(DataError, match="no trade in 'XYZ'; it has JNPR, ROST"):
        ledger.read(simulated_log()).without("XYZ")
