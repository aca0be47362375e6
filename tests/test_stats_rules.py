"""What a contest checks in weights, and what statistics say about input that is none."""

import re

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr
from portfolios import NAN, random_book

from qlstm import stats
from qlstm.errors import ContestError, DataError, WeightsError

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


def concentrated(days, names, total=25):
    """Return weights of `days` rows, each shared evenly by so many of `total` assets as `names` has it for the row."""
    coords = {"time": pd.bdate_range("2020-01-01", periods=days), "asset": [f"A{i}" for i in range(total)]}
    values = [np.where(np.arange(total) < n, 1 / n, 0.0) for n in names]
    return xr.DataArray(values, dims=("time", "asset"), coords=coords)


def test_either_few_days_above_the_soft_limit_or_a_small_excess_is_enough():
    often_a_little = concentrated(40, [25] * 40)
    often_a_little[:, 0] *= 1.3  # 5.1 % of the book every day
    assert stats.check_exposure(often_a_little)
    sometimes_much = concentrated(40, [25] * 30 + [10] * 10)
    assert stats.check_exposure(sometimes_much, hard_limit=0.11, days_tolerance=0.25)
    assert not stats.check_exposure(sometimes_much, hard_limit=0.11, days_tolerance=0.24)
    assert stats.check_exposure(sometimes_much, hard_limit=0.11, excess_tolerance=0.126)


def test_the_soft_limit_forgives_what_is_older_than_the_check_period():
    mended = concentrated(30, [15] * 10 + [25] * 20)
    assert stats.check_exposure(mended, avg_period=5, check_period=20)
    assert not stats.check_exposure(mended, avg_period=5, check_period=21)


def test_the_hard_limit_forgives_no_day_of_any_age_and_may_be_reached():
    once = concentrated(300, [25] * 5 + [8] + [25] * 294)
    assert not stats.check_exposure(once, check_period=100)
    assert not stats.check_exposure(once, hard_limit=0.124)
    assert stats.check_exposure(once, hard_limit=0.125)


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
        (DataError, "max_periods must be a whole number, got 5.5", lambda: stats.calc_volatility(weights, 5.5)),
        (WeightsError, "expand_dims", lambda: stats.find_missed_dates(day.drop_vars("time"), data)),
        (WeightsError, "expand_dims", lambda: stats.calc_non_liquid(data, day.drop_vars("time"))),
        (WeightsError, "expand_dims", lambda: stats.calc_sector_distribution(day.drop_vars("time"))),
    ]
    for kind, words, call in cases:
        with pytest.raises(kind, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("points", [0, -252, NAN, np.inf, "252", [252]])
def test_points_per_year_that_are_no_number_above_0_are_named(points):
    data = toys.market(days=40, assets=3)
    weights = random_book(data, 0)
    returns = stats.calc_relative_return(data, weights)
    for call in (
        lambda: stats.calc_volatility_annualized(returns, points_per_year=points),
        lambda: stats.calc_mean_return_annualized(returns, points_per_year=points),
        lambda: stats.calc_sharpe_ratio_annualized(returns, points_per_year=points),
        lambda: stats.calc_avg_turnover(weights, stats.calc_equity(returns), data, points_per_year=points),
        lambda: stats.calc_avg_holding_time(weights, points_per_year=points),
        lambda: stats.calc_slippage(data, points_per_year=points),
        lambda: stats.calc_relative_return(data, weights, points_per_year=points),
        lambda: stats.calc_stat(data, weights, points_per_year=points),
        lambda: stats.calc_points_per_day(points),
    ):
        with pytest.raises(
            DataError, match=f"points_per_year must be a finite number above 0, got {re.escape(repr(points))}"
        ):
            call()


def test_rows_years_apart_are_too_few_for_a_year():
    rare = toys.market(days=3, assets=1).rename("x").assign_coords(time=pd.to_datetime(["2000", "2010", "2020"]))
    with pytest.raises(DataError, match="points_per_year must be a finite number above 0, got 0; pass 252"):
        stats.calc_volatility_annualized(rare.sel(field="close"))


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
        with pytest.raises(WeightsError, match="1 infinite weights, first 2015-01-12, asset TOY:001: inf"):
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


def test_points_per_year_are_counted_in_any_order_and_need_two_times():
    data = toys.market(days=300, assets=3).rename("x")
    assert stats.calc_avg_points_per_year(data[:, ::-1]) == stats.calc_avg_points_per_year(data)
    with pytest.raises(DataError, match="the one time 2015-01-01 only"):
        stats.calc_avg_points_per_year(data[:, [0, 0]])


def test_trading_weights_in_an_order_that_is_not_that_of_time_is_logged(caplog):
    data = toys.market(days=40, assets=3)
    stats.calc_relative_return(data, random_book(data, 0)[::-1])
    assert "2015-02-24 follows 2015-02-25; use sortby('time')" in caplog.text
