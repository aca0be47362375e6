"""The numbers of the indicators: against plain Python, and where the formula has an edge."""

import numpy as np
import plain
import pytest
from indicators import TIMES, call, expected, prices
from plain import CASES

import qlstm.ta as ta


def test_every_indicator_has_a_plain_reference():
    assert set(CASES) | {"ad_line", "ad_ratio"} == set(ta.__all__)


@pytest.mark.parametrize("holes", [0.0, 0.15, 0.6])
@pytest.mark.parametrize("name", CASES)
def test_an_indicator_equals_its_plain_reference(name, holes):
    market = prices(1, holes=holes)
    for got, want in zip(call(name, market), expected(name, market), strict=True):
        scale = np.nanmax(np.abs(want), initial=0.0, where=np.isfinite(want))
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12 * scale)
        assert holes > 0.5 or np.isfinite(got).any()


@pytest.mark.parametrize("name", CASES)
def test_an_indicator_of_prices_that_do_not_move_equals_its_plain_reference(name):
    market = {key: np.round(values[:, :1] + np.zeros(TIMES), 1) for key, values in prices(2).items()}
    for got, want in zip(call(name, market), expected(name, market), strict=True):
        scale = np.nanmax(np.abs(want), initial=1.0, where=np.isfinite(want))
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("lag", [-3, -1, 0, 1, 100, -100])
def test_shift_change_and_roc_look_either_way_among_observations(lag):
    market = prices(3, holes=0.2)
    for name in ("shift", "change", "roc"):
        got = call(name, market, (lag,))[0]
        want = [getattr(plain, name)(row.tolist(), lag) for row in market["c"]]
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("name", ["ema", "wilder_ma", "dema", "tema"])
def test_a_warm_up_may_differ_from_the_period(name):
    market = prices(4, holes=0.1)
    want = [getattr(plain, name)(row.tolist(), 8, 3) for row in market["c"]]
    np.testing.assert_allclose(call(name, market, (8, 3))[0], want, rtol=1e-12)


def test_breadth_counts_what_went_up_and_down():
    x = np.array([[1.0, 2, 3, np.nan, 2], [5.0, 4, 4, 3, np.nan], [1.0, np.nan, 2, 3, 4]])
    np.testing.assert_array_equal(ta.ad_line(x), [0, 0, 2, 2, 2])
    np.testing.assert_array_equal(ta.ad_ratio(x), [np.nan, 1, np.inf, 1, 1])


def test_the_first_moment_of_a_full_window_is_given_on_request():
    market = prices()
    for name, inputs in (("variance", "c"), ("std", "c"), ("covariance", "cd"), ("beta", "cd"), ("correlation", "cd")):
        function, given = getattr(ta, name), [market[key] for key in inputs]
        late, full = function(*given, 5), function(*given, 5, late=False)
        first = np.isnan(full[0]).sum()
        assert np.isnan(late[0, first])
        np.testing.assert_array_equal(late[:, first + 1 :], full[:, first + 1 :])


def test_the_standard_dema_and_tema_are_given_on_request():
    x = prices()["c"]
    once, twice, thrice = ta.ema(x, 4), ta.dema(x, 4), ta.tema(x, 4)
    np.testing.assert_allclose(ta.dema(x, 4, standard=True), 2 * once - twice, rtol=1e-13)
    np.testing.assert_allclose(ta.tema(x, 4, standard=True), 3 * once - 3 * twice + thrice, rtol=1e-13)


def test_a_window_that_a_huge_value_has_left_remembers_nothing_of_it():
    x = np.array([1e17, *[3.0] * 20])
    assert (ta.sma(x, 4)[4:] == 3.0).all()
    assert (ta.lwma(x, 4)[4:] == 3.0).all()
    assert (ta.variance(x, 4)[4:] == 0.0).all()
    assert (ta.covariance(x, x, 4)[4:] == 0.0).all()


@pytest.mark.parametrize("value", [0.1, 1e-9, 123456.789, -7.3])
def test_a_constant_window_has_no_variance_at_all(value):
    x = np.full(40, value)
    assert (ta.variance(x, 7)[7:] == 0.0).all()
    assert np.isnan(ta.rolling_zscore(x, 7)).all()
    assert np.isnan(ta.correlation(x, x, 7)).all()
    assert np.isnan(ta.cci(x, x, x, 7)).all()


def test_pivots_say_nothing_before_a_whole_window_is_known():
    x = np.array([1.0, 2, 5, 2, 1, 3, 1, 0, 4])
    np.testing.assert_array_equal(ta.top_pivot_points(x, 2), [np.nan] * 4 + [1, 0, 0, 1, 0])
    np.testing.assert_array_equal(ta.pivot_points(x, 2, 1), [np.nan] * 4 + [1, -1, 0, 1, -1])
