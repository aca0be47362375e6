"""Statistics: laws that any booking obeys, fast paths against plain ones, and cases worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolios import NAN, cube, holes, random_book

from qlstm import stats
from qlstm.stats.windows import rolling_moments, rolling_sums

FAST = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 10**6)


# --- worked by hand -----------------------------------------------------------------------------------------------------


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


# --- hours --------------------------------------------------------------------------------------------------------------


def hourly(rows):
    times = pd.date_range("2020-01-01", periods=rows, freq="h")
    return cube([(100.0, 100.0)] * rows, name="x").assign_coords(time=times)


def test_a_day_of_hourly_rows_has_24_of_them():
    data = hourly(500)
    weights = xr.zeros_like(data.isel(field=0, drop=True))
    weights[400:448] = 1.0  # bought at the open of row 401, sold at that of row 449
    table = stats.calc_stat(data, weights, max_periods=24)
    returns = stats.calc_relative_return(data, weights)
    turnover = stats.calc_avg_turnover(weights, stats.calc_equity(returns), data, max_periods=24)
    for got in (table.sel(field="avg_turnover"), turnover):
        np.testing.assert_allclose(got.values[[400, 401, 424, 425, 449]], [0.0, 1.0, 1.0, 0.0, 1.0], atol=1e-12)
    for got in (table.sel(field="avg_holding_time"), stats.calc_avg_holding_time(weights)):
        assert float(got[449]) == pytest.approx(2.0)


def test_slippage_of_hourly_rows_looks_at_ranges_of_whole_days():
    data = toys.market(days=400, assets=2, seed=3).rename("x")
    data = data.assign_coords(time=pd.date_range("2020-01-01", periods=400, freq="h"))
    high, low, close = (pd.DataFrame(data.sel(field=field).values) for field in ("high", "low", "close"))
    before = close.shift(24)
    upper, lower = high.rolling(24).max(), low.rolling(24).min()
    span = upper.where(upper > before, before) - lower.where(lower < before, before)
    want = 0.1 * span.where(before.notna()).rolling(14 * 24).mean()
    np.testing.assert_allclose(stats.calc_slippage(data, fract=0.1).values, want.to_numpy(), rtol=1e-9)


# --- turnover, and the labels of several arrays -------------------------------------------------------------------------


def test_the_first_row_of_the_data_has_no_turnover_and_does_not_count():
    data = cube([(100, 100)] * 5)
    weights = xr.zeros_like(data.isel(field=0, drop=True)) + 1.0
    equity = xr.ones_like(weights)
    got = stats.calc_avg_turnover(weights, equity, data, per_asset=True, points_per_year=252).values[:, 0]
    np.testing.assert_allclose(got, [NAN, 1.0, 1 / 2, 1 / 3, 1 / 4])


def test_other_arrays_are_brought_to_the_labels_of_the_cube_too():
    data = toys.market(days=8, assets=3, seed=1)
    data[:, 3] = NAN
    data[:, :, 1] = NAN
    both = data.sel(field="close", drop=True)[::-1, ::-1]
    daily, each = both[1:, 0].drop_vars("asset"), both[0].drop_vars("time")
    panel, held, *others = stats.arrange_data(data, random_book(data, 1), False, both, daily, each)
    times, assets = data.time.values[[0, 1, 2, 4, 5, 6, 7]], ["TOY:000", "TOY:002"]
    for one in (panel, held, others[0], others[1]):
        np.testing.assert_array_equal(one.time.values, times)
    for one in (panel, held, others[0], others[2]):
        assert list(one.asset.values) == assets
    np.testing.assert_array_equal(others[0].values, panel.sel(field="close").values)
    np.testing.assert_array_equal(others[1].values, [*panel.sel(field="close", asset="TOY:002").values[:-1], NAN])
    np.testing.assert_array_equal(others[2].values, panel.sel(field="close").values[-1])
