"""Statistics: laws that any booking obeys, fast paths against plain ones, and cases worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from qlstm import stats
from qlstm.errors import ContestError, DataError, WeightsError
from qlstm.stats.books import GONE_AFTER
from qlstm.stats.windows import rolling_moments, rolling_sums

NAN = math.nan
FAST = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 10**6)


def cube(prices, name="stocks_nasdaq100", **fields):
    """Return a cube from rows of (open, close), one asset A, high and low beside them."""
    table = np.array(prices, dtype=float)
    open_, close = table[:, 0], table[:, 1]
    values = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    values |= {"vol": np.ones(len(table))} | {name: np.array(field, dtype=float) for name, field in fields.items()}
    times = pd.bdate_range("2020-01-01", periods=len(table))
    return xr.DataArray(
        np.stack(list(values.values()))[:, :, None],
        dims=("field", "time", "asset"),
        coords={"field": list(values), "time": times, "asset": ["A"]},
        name=name,
    )


def random_book(data, seed, gross=0.9):
    """Return long-short weights over the cube, changing every day, some rows empty."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(data.sizes["time"], data.sizes["asset"]))
    values[random.random(values.shape) < 0.3] = 0.0
    values *= gross / np.maximum(np.abs(values).sum(axis=1, keepdims=True), 1e-9)
    return xr.DataArray(values, dims=("time", "asset"), coords={"time": data.time, "asset": data.asset})


def holes(data, seed):
    """Return the cube with days without price, an asset that is listed late and one that stops trading."""
    random = np.random.default_rng(seed)
    values = data.values.copy()
    rows, assets = data.sizes["time"], data.sizes["asset"]
    for _ in range(3):
        a, start = random.integers(assets), random.integers(15, rows)
        values[:, start : start + random.integers(1, GONE_AFTER + 5), a] = NAN
    values[:, : random.integers(rows), 0] = NAN
    values[:, random.integers(15, rows) :, -1] = NAN
    return data.copy(data=values)


# --- the global book, once more, as plainly as it can be said -----------------------------------------------------------


def plain_book(data, weights, locked):
    """Return relative returns by a loop over dicts: the description in qlstm.stats.books, line by line."""
    slip = stats.calc_slippage(data).values
    field = {str(name): data.sel(field=name).values for name in data.field.values}
    rows, assets = slip.shape
    target = np.vstack([np.zeros(assets), weights.values[:-1]])
    shares, opened, closed, absent = [0.0] * assets, [0.0] * assets, [0.0] * assets, [0] * assets
    equity, last, result = 1.0, 1.0, []
    for t in range(rows):
        wanted, unlocked = [], []
        for a in range(assets):
            w = target[t, a] * field["open"][t, a] / closed[a] if closed[a] else 0.0
            wanted.append(w if math.isfinite(w) else 0.0)
            priced = math.isfinite(field["open"][t, a]) and math.isfinite(field["close"][t, a])
            absent[a] = 0 if priced else absent[a] + 1
            unlocked.append(priced and math.isfinite(slip[t, a]) and field["open"][t, a] > 1e-7)
        gross = sum(map(abs, wanted))
        wanted = [w / max(1.0, gross) for w in wanted]
        for a in range(assets):
            now = field["open"][t, a]
            if math.isnan(now):
                now = closed[a] if locked == "hold" else opened[a]
            equity += (now - opened[a]) * shares[a]
            if "divs" in field and not math.isnan(field["divs"][t, a]):
                equity += field["divs"][t, a] * shares[a]
            opened[a] = now
        total = sum(map(abs, wanted))
        power = equity - sum(opened[a] * abs(shares[a]) for a in range(assets) if not unlocked[a])
        if locked == "hold":
            power = max(0.0, power)
        share = sum(abs(wanted[a]) for a in range(assets) if unlocked[a]) + max(1.0, total) - total
        night = 0.0
        for a in range(assets):
            if unlocked[a] and share >= 1e-7:
                bought = power * wanted[a] / (share * opened[a])
                equity -= slip[t, a] * abs(bought - shares[a])
                shares[a] = bought
            if not math.isnan(field["close"][t, a]):
                closed[a] = field["close"][t, a]
            night += (closed[a] - opened[a]) * shares[a]
        result.append((equity + night) / last - 1)
        last = equity + night
        for a in range(assets):
            if locked == "compat" and not unlocked[a]:
                shares[a] = 0.0
            elif absent[a] >= GONE_AFTER:
                equity += (closed[a] - opened[a]) * shares[a]
                shares[a] = 0.0
    return np.array(result)


@given(seed=SEEDS, locked=st.sampled_from(["compat", "hold"]))
@FAST
def test_the_book_equals_its_plain_description_with_gaps_listings_and_delistings(seed, locked):
    data = holes(toys.market(days=80, assets=4, seed=seed), seed)
    weights = random_book(data, seed)
    got = stats.calc_relative_return(data, weights, locked=locked)
    np.testing.assert_allclose(got.values, plain_book(data, weights, locked), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("locked", ["compat", "hold"])
def test_dividends_are_paid_to_the_shares_held_overnight(locked):
    data = toys.market(days=60, assets=3, seed=5)
    dividends = xr.full_like(data.sel(field=["open"]), 0.0).assign_coords(field=["divs"])
    dividends[0, 40, 1] = 0.7
    data = xr.concat([data, dividends], "field").rename("stocks")
    weights = random_book(data, 5)
    got = stats.calc_relative_return(data, weights, locked=locked)
    np.testing.assert_allclose(got.values, plain_book(data, weights, locked), rtol=1e-9, atol=1e-12)


# --- Q2: what becomes of an asset without a price ---------------------------------------------------------------------


def stopped(rows_after=10, back=None):
    """Return 20 flat days at 100, a day that closes at 50, then no price (or, from row 20 + `back`, one of 60)."""
    prices = [(100, 100)] * 20 + [(100, 50)] + [(NAN, NAN)] * rows_after
    if back is not None:
        prices[20 + back] = (60, 60)
    # A second asset keeps the calendar alive; without it the empty rows would leave the cube.
    data = cube(prices)
    other = xr.full_like(data, 10.0).assign_coords(asset=["B"])
    return xr.concat([data, other], "asset").rename(data.name)


def all_in(data, asset="A"):
    weights = xr.zeros_like(data.isel(field=0, drop=True))
    return weights.where(weights.asset != asset, 1.0).fillna(1.0)


def test_compat_takes_a_loss_back_two_days_later_as_the_contest_does():
    data = stopped()
    returns = stats.calc_relative_return(data, all_in(data), slippage_factor=0.0)
    np.testing.assert_allclose(returns.values[19:24], [0.0, -0.5, 0.0, 1.0, 0.0], atol=1e-12)


def test_hold_keeps_the_last_close_of_an_asset_that_stops_trading():
    data = stopped(rows_after=GONE_AFTER + 5)
    returns = stats.calc_relative_return(data, all_in(data), slippage_factor=0.0, locked="hold")
    np.testing.assert_allclose(returns.values[20], -0.5)
    np.testing.assert_allclose(returns.values[21:], 0.0, atol=1e-12)
    equity = stats.calc_stat(data, all_in(data), slippage_factor=0.0, locked="hold").sel(field="equity")
    assert float(equity[-1]) == pytest.approx(0.5)


def test_hold_books_the_gap_when_a_price_returns():
    data = stopped(back=5)
    returns = stats.calc_relative_return(data, all_in(data), slippage_factor=0.0, locked="hold")
    assert float(returns[25]) == pytest.approx(60 / 50 - 1)


def test_hold_locks_the_capital_until_the_asset_counts_as_gone():
    data = stopped(rows_after=GONE_AFTER + 5)
    data.loc[{"field": ["open", "close"], "asset": "B"}] = 10.0 * 1.01 ** np.arange(data.sizes["time"])
    weights = all_in(data)
    weights[20:] = 0.0
    weights.loc[{"asset": "B"}][20:] = 1.0  # from the next open on, everything in B
    returns = stats.calc_relative_return(data, weights, slippage_factor=0.0, locked="hold").values
    np.testing.assert_allclose(returns[21 : 20 + GONE_AFTER], 0.0, atol=1e-12)
    assert returns[22 + GONE_AFTER] == pytest.approx(0.01)


def test_books_per_asset_hold_in_both_modes():
    data = stopped()
    both = [
        stats.calc_relative_return(data, all_in(data), slippage_factor=0.0, per_asset=True, locked=locked)
        for locked in ("compat", "hold")
    ]
    xr.testing.assert_equal(*both)
    np.testing.assert_allclose(both[0].sel(asset="A").values[20:], [-0.5] + [0.0] * 10, atol=1e-12)


# --- worked by hand -----------------------------------------------------------------------------------------------------


def test_slippage_is_a_share_of_the_mean_true_range_of_14_days():
    prices = [(10, 10)] + [(10, 12)] * 20
    data = cube(prices)
    slippage = stats.calc_slippage(data, fract=0.1).values[:, 0]
    assert np.isnan(slippage[:14]).all()
    np.testing.assert_allclose(slippage[14:], 0.1 * 2.0)


def test_a_day_costs_slippage_on_what_is_traded():
    data = cube([(100, 101)] * 14 + [(101, 100), (100, 100)])
    weights = xr.zeros_like(data.isel(field=0, drop=True)) + 1.0
    returns = stats.calc_relative_return(data, weights, slippage_factor=0.5)
    a_share = float(stats.calc_slippage(data, fract=0.5)[14, 0])  # row 14 is the first with slippage: bought there
    assert (returns.values[:14] == 0).all()
    assert float(returns[14]) == pytest.approx((100 - 101 - a_share) / 101)


def test_rolls_cost_their_gap_and_slippage_on_contracts_held_through_them():
    flat = [(100, 101), (101, 100)] * 10
    data = cube(flat, name="futures", roll=[0.0] * 18 + [2.0, 0.0])
    weights = xr.zeros_like(data.isel(field=0, drop=True)) + 1.0
    plain = stats.calc_relative_return(data.sel(field=["open", "high", "low", "close"]), weights, 0.0, 0.0)
    rolled = stats.calc_relative_return(data, weights, 0.0, 0.0)
    dear = stats.calc_relative_return(data, weights, 0.0, 0.5)
    np.testing.assert_allclose(rolled.values[:18], plain.values[:18])
    assert rolled.values[18] < plain.values[18] - 0.019
    assert dear.values[18] < rolled.values[18]


def test_holding_time_is_weighted_by_what_is_closed():
    times = pd.bdate_range("2020-01-01", periods=8)
    held = xr.DataArray([[0.0], [1.0], [1.0], [0.5], [0.5], [0.0], [0.0], [0.0]], dims=("time", "asset"))
    held = held.assign_coords(time=times, asset=["A"])
    got = stats.calc_avg_holding_time(held, points_per_year=252).values
    # Bought at the open of row 2, halved at that of row 4, closed at that of row 6.
    assert np.isnan(got[:4]).all()
    np.testing.assert_allclose(got[4:], [2.0, 2.0, 3.0, 3.0])


def test_turnover_counts_buying_and_selling():
    data = cube([(100, 100)] * 20)
    weights = xr.zeros_like(data.isel(field=0, drop=True))
    weights[15:17] = 1.0
    table = stats.calc_stat(data, weights, max_periods=1)
    np.testing.assert_allclose(table.sel(field="avg_turnover").values[15:20], [0.0, 1.0, 0.0, 1.0, 0.0], atol=1e-12)


def test_mean_returns_are_geometric_and_survive_a_total_loss():
    times = pd.bdate_range("2020-01-01", periods=5)
    returns = xr.DataArray([0.1, -0.5, -1.0, 0.3, 0.2], dims="time", coords={"time": times})
    got = stats.calc_mean_return(returns, max_periods=2).values
    np.testing.assert_allclose(got, [0.1, math.sqrt(0.55) - 1, -1.0, -1.0, math.sqrt(1.56) - 1])


# --- laws ---------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
@FAST
def test_permuting_assets_changes_no_statistic(seed):
    data = holes(toys.market(days=60, assets=5, seed=seed), seed)
    weights = random_book(data, seed)
    order = np.random.default_rng(seed).permutation(5)
    table = stats.calc_stat(data, weights)
    np.testing.assert_allclose(stats.calc_stat(data.isel(asset=order), weights).values, table.values, rtol=1e-9)
    np.testing.assert_allclose(stats.calc_stat(data, weights.isel(asset=order)).values, table.values, rtol=1e-9)


@given(seed=SEEDS, cut=st.integers(20, 59), locked=st.sampled_from(["compat", "hold"]))
@FAST
def test_later_data_and_weights_never_change_an_earlier_return(seed, cut, locked):
    data = holes(toys.market(days=60, assets=4, seed=seed), seed)
    weights = random_book(data, seed)
    whole = stats.calc_relative_return(data, weights, points_per_year=252, locked=locked)
    early = stats.calc_relative_return(
        data.isel(time=slice(cut)), weights.isel(time=slice(cut)), points_per_year=252, locked=locked
    )
    common = early.time.values
    np.testing.assert_array_equal(whole.sel(time=common).values, early.values)


@given(seed=SEEDS)
@FAST
def test_todays_weights_earn_nothing_before_tomorrows_open(seed):
    data = toys.market(days=60, assets=4, seed=seed)
    weights = random_book(data, seed)
    other = weights.copy(deep=True)
    other[40] = -other[40]
    one, two = (stats.calc_relative_return(data, book).values for book in (weights, other))
    np.testing.assert_array_equal(one[:41], two[:41])
    assert one[41] != two[41]


def test_where_every_price_is_known_both_bookings_agree():
    data = toys.market(days=100, assets=6, seed=3)
    weights = random_book(data, 3)
    compat, hold = (stats.calc_stat(data, weights, locked=locked) for locked in ("compat", "hold"))
    xr.testing.assert_equal(compat, hold)


@pytest.mark.parametrize("per_asset", [False, True])
def test_the_table_agrees_with_the_functions_it_stands_for(per_asset):
    data = holes(toys.market(days=120, assets=4, seed=8), 8)
    weights = random_book(data, 8)[20:]
    points = stats.calc_avg_points_per_year(data)
    table = stats.calc_stat(data, weights, per_asset=per_asset, min_periods=2)
    returns = stats.calc_relative_return(data, weights, per_asset=per_asset)
    equity = stats.calc_equity(returns)
    panel, held = stats.arrange_data(data, weights, per_asset)
    want = {
        "relative_return": returns,
        "equity": equity,
        "underwater": stats.calc_underwater(equity),
        "max_drawdown": stats.calc_max_drawdown(stats.calc_underwater(equity)),
        "volatility": stats.calc_volatility_annualized(returns, points_per_year=points),
        "mean_return": stats.calc_mean_return_annualized(returns, min_periods=2, points_per_year=points),
        "sharpe_ratio": stats.calc_sharpe_ratio_annualized(returns, points_per_year=points),
        "bias": stats.calc_bias(held, per_asset),
        "instruments": stats.calc_instruments(held, per_asset),
        "avg_turnover": stats.calc_avg_turnover(held, equity, panel, 1000, 2, per_asset),
        "avg_holding_time": stats.calc_avg_holding_time(held, min_periods=2, per_asset=per_asset),
    }
    for name, expected in want.items():
        got = table.sel(field=name, time=expected.time)
        np.testing.assert_allclose(got.values, expected.values, rtol=1e-9, atol=1e-12, err_msg=name)


@given(seed=SEEDS, size=st.integers(1, 40), least=st.integers(1, 10))
@FAST
def test_rolling_windows_equal_plain_ones_and_forget_what_left_them(seed, size, least):
    random = np.random.default_rng(seed)
    values = random.normal(1.0, 1.0, (40, 3))
    values[random.random((40, 3)) < 0.2] = NAN
    values[5, 0] = 1e12  # leaves no trace once it is out of the window
    values[30:, 1] = 0.125
    least = min(least, size)
    mean, std = rolling_moments(values, size, least)
    total = rolling_sums(values, size, least)
    for t in range(40):
        for a in range(3):
            window = values[max(0, t - size + 1) : t + 1, a]
            window = window[~np.isnan(window)]
            if len(window) < least:
                assert np.isnan([mean[t, a], std[t, a], total[t, a]]).all()
            else:
                want = [window.mean(), window.std(), window.sum()]
                np.testing.assert_allclose([mean[t, a], std[t, a], total[t, a]], want, rtol=1e-9, atol=1e-9)
    if size <= 10:
        assert std[39, 1] == 0.0


def test_float32_integers_read_only_arrays_and_any_order_of_dims_are_fine():
    data = (toys.market(days=60, assets=3, seed=1) * 100).round().rename("stocks_nasdaq100")
    weights = random_book(data, 1)
    want = stats.calc_stat(data, weights)
    for form in (data.astype("float32"), data.astype("int64"), data.transpose("asset", "time", "field")):
        np.testing.assert_allclose(stats.calc_stat(form, weights.T).values, want.values, rtol=1e-6)
    data.values.flags.writeable = False
    weights.values.flags.writeable = False
    xr.testing.assert_equal(stats.calc_stat(data, weights), want)


def test_a_result_stands_for_its_weights():
    class Result:
        weights = None

    data = toys.market(days=40, assets=3)
    result = Result()
    result.weights = random_book(data, 0)
    xr.testing.assert_equal(stats.calc_stat(data, result), stats.calc_stat(data, result.weights))


# --- rules --------------------------------------------------------------------------------------------------------------


def test_exposure_fails_for_few_names_and_passes_for_many():
    times = pd.bdate_range("2020-01-01", periods=10)

    def even(n):
        coords = {"time": times, "asset": [f"A{i}" for i in range(n)]}
        return xr.DataArray(np.full((10, n), 1 / n), dims=("time", "asset"), coords=coords)

    assert stats.check_exposure(even(25))
    assert not stats.check_exposure(even(15))
    assert stats.check_exposure(even(15), soft_limit=0.08)
    assert stats.check_exposure(even(25)[:1], check_period=3)


def test_missed_dates_are_trading_days_after_the_first_weights():
    data = toys.market(days=10, assets=2)
    data.loc[{"field": "is_liquid"}][4] = 0.0
    weights = random_book(data, 0).isel(time=[2, 3, 6])
    missed = stats.find_missed_dates(weights, data)
    assert list(missed) == list(data.time.values[[5, 7, 8, 9]])


def test_sectors_sum_to_the_capital():
    data = toys.market(days=5, assets=3)
    weights = random_book(data, 0)
    sectors = [{"id": "TOY:000", "sector": "Tech"}, {"id": "TOY:001", "sector": None}]
    got = stats.calc_sector_distribution(weights, sectors=sectors)
    assert list(got.sector.values) == ["Other", "Tech", "Cash"]
    np.testing.assert_allclose(got.sum("sector"), 1.0)
    np.testing.assert_allclose(got.sel(sector="Tech"), abs(weights.sel(asset="TOY:000")))


# --- bad input ----------------------------------------------------------------------------------------------------------


def test_bad_input_is_named():
    data = toys.market(days=40, assets=3)
    weights = random_book(data, 0)
    cases = [
        (DataError, "must be an xarray.DataArray, got ndarray", lambda: stats.calc_stat(data.values, weights)),
        (DataError, "dims .field, time, asset., got .time, asset.", lambda: stats.calc_stat(weights, weights)),
        (DataError, "more than once", lambda: stats.calc_stat(xr.concat([data, data], "asset"), weights)),
        (DataError, "not sorted: 2015-02-24 follows", lambda: stats.calc_stat(data[:, ::-1], weights)),
        (DataError, "lack field 'open'", lambda: stats.calc_stat(data.drop_sel(field="open"), weights)),
        (DataError, "numbers, got dtype object", lambda: stats.calc_stat(data.astype(object), weights)),
        (DataError, "max_periods must be at least 1 row, got 0", lambda: stats.calc_stat(data, weights, max_periods=0)),
        (DataError, "slippage must not be negative, nor infinite, got -1", lambda: stats.calc_slippage(data, 14, -1)),
        (DataError, "period_days must be at least 1, got 0", lambda: stats.calc_slippage(data, 0)),
        (DataError, "pass points_per_year", lambda: stats.calc_avg_points_per_year(data[:, :1].rename("x"))),
        (WeightsError, "must be numbers, got dtype complex", lambda: stats.calc_stat(data, weights.astype(complex))),
        (WeightsError, "must be numbers, got dtype object", lambda: stats.calc_stat(data, weights.astype(object))),
        (WeightsError, "more than once", lambda: stats.calc_stat(data, xr.concat([weights, weights], "time"))),
        (WeightsError, "expand_dims", lambda: stats.calc_stat(data, weights[0])),
        (WeightsError, "no rows", lambda: stats.calc_stat(data, weights[:0])),
        (WeightsError, "'compat' or 'hold', got 'x'", lambda: stats.calc_stat(data, weights, locked="x")),
        (WeightsError, "share no asset", lambda: stats.calc_stat(data, weights.assign_coords(asset=["X", "Y", "Z"]))),
        (
            WeightsError,
            "share no date: weights have 2035-01-01 to",
            lambda: stats.calc_stat(data, weights.assign_coords(time=pd.bdate_range("2035-01-01", periods=40))),
        ),
        (WeightsError, "avg_period must be at least 1 row", lambda: stats.check_exposure(weights, avg_period=0)),
        (
            ContestError,
            "did you mean 'stocks_nasdaq100'",
            lambda: stats.get_default_is_period_for_type("stocks_nasdaq"),
        ),
    ]
    day = weights[0]
    cases += [
        (DataError, "period_days must be a whole number, got 14.0", lambda: stats.calc_slippage(data, 14.0)),
        (DataError, "nor infinite, got inf", lambda: stats.calc_slippage(data, 14, np.inf)),
        (
            DataError,
            "points_per_year must be above 0, got nan",
            lambda: stats.calc_stat(data, weights, points_per_year=NAN),
        ),
        (DataError, "max_periods must be a whole number, got 5.5", lambda: stats.calc_volatility(weights, 5.5)),
        (WeightsError, "expand_dims", lambda: stats.find_missed_dates(day.drop_vars("time"), data)),
        (WeightsError, "expand_dims", lambda: stats.calc_non_liquid(data, day.drop_vars("time"))),
        (WeightsError, "expand_dims", lambda: stats.calc_sector_distribution(day.drop_vars("time"))),
    ]
    for kind, words, call in cases:
        with pytest.raises(kind, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)


def test_infinite_weights_are_named_and_not_counted():
    data = toys.market(days=40, assets=3)
    weights = random_book(data, 0)
    equity = stats.calc_equity(stats.calc_relative_return(data, weights))
    weights[7, 1] = np.inf
    for call in (
        lambda: stats.check_exposure(weights),
        lambda: stats.calc_bias(weights),
        lambda: stats.calc_instruments(weights),
        lambda: stats.calc_avg_turnover(weights, equity, data),
        lambda: stats.calc_avg_holding_time(weights),
    ):
        with pytest.raises(WeightsError, match="infinite at 2015-01-12, asset TOY:001: inf"):
            call()


@pytest.mark.parametrize("field", ["open", "high", "low", "close"])
def test_an_infinite_price_is_named_even_where_nothing_is_held(field):
    data = toys.market(days=40, assets=3)
    weights = random_book(data, 0)
    weights[:, 2] = 0.0
    data.loc[{"field": field, "asset": "TOY:002"}][30] = -np.inf
    for call in (stats.calc_relative_return, stats.calc_stat):
        with pytest.raises(DataError, match=f"infinite {field} at 2015-02-12, asset TOY:002: -inf"):
            call(data, weights)


def test_weights_of_what_the_data_lack_are_logged_once(caplog):
    data = toys.market(days=40, assets=3)
    weights = random_book(data, 0)
    for call in (stats.calc_relative_return, stats.calc_stat):
        caplog.clear()
        call(data, weights)
        assert caplog.messages == []
        call(data[:, :30, :2], weights)
        assert caplog.messages == [
            "weights of what the data lack are left out: 1 assets, first TOY:002; 10 dates, first 2015-02-12"
        ]


def test_unsorted_weights_are_logged_and_count_as_many_points():
    data = toys.market(days=300, assets=3).rename("x")
    assert stats.calc_avg_points_per_year(data[:, ::-1]) == stats.calc_avg_points_per_year(data)
    with pytest.raises(DataError, match="the one time 2015-01-01 only"):
        stats.calc_avg_points_per_year(data[:, [0, 0]])


def test_trading_weights_in_an_order_that_is_not_that_of_time_is_logged(caplog):
    data = toys.market(days=40, assets=3)
    stats.calc_relative_return(data, random_book(data, 0)[::-1])
    assert "2015-02-24 follows 2015-02-25; use sortby('time')" in caplog.text
