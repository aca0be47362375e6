"""What holds for every indicator, whatever the data: no look-ahead, no mixing of assets, no dependence on form."""

import numpy as np
import plain
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from indicators import call
from plain import CASES

import qlstm.ta as ta

often = settings(derandomize=True, deadline=None, max_examples=12)

# By which power of k an indicator grows when all its prices are multiplied by k, volumes staying as they are.
DEGREES = {
    **dict.fromkeys(("atr", "bollinger", "change", "dema", "ema", "lwma", "macd", "mtm", "shift", "sma", "std"), 1),
    **dict.fromkeys(("tema", "tr", "vwma", "wilder_ma", "wma"), 1),
    **dict.fromkeys(("covariance", "variance"), 2),
}
# What stays the same, to the last bit for whole numbers, when a constant is added to all prices.
INDIFFERENT = ("change", "covariance", "mtm", "pivot_points", "rolling_rank", "rsi", "std", "variance")


@st.composite
def markets(draw, holes=None):
    """Draw inputs as CASES name them, (asset, time): whole cents, so often equal; holes, islands, late listings."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 45))
    step = draw(st.sampled_from([1, 3, 100]))
    c = 5000.0 + np.cumsum(rng.integers(-step, step + 1, shape), axis=1)
    o = c + rng.integers(-step, step + 1, shape)
    market = {
        "o": o,
        "h": np.maximum(o, c) + rng.integers(0, 3, shape),
        "l": np.minimum(o, c) - rng.integers(0, 3, shape),
    }
    market |= {
        "c": c,
        "v": rng.integers(0, 9, shape) * 100.0,
        "d": 900.0 + np.cumsum(rng.integers(-3, 4, shape), axis=1),
    }
    share = draw(st.sampled_from([0.0, 0.1, 0.5])) if holes is None else holes
    for values in market.values():
        values[rng.random(shape) < share] = np.nan
        if share:
            values[0, : rng.integers(0, shape[1] + 1)] = np.nan  # listed late
            values[-1, rng.integers(0, shape[1] + 1) :] = np.nan  # delisted
    return market


def same(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


def every(change, market):
    return {key: change(values) for key, values in market.items()}


@pytest.mark.parametrize("name", CASES)
@given(market=markets(), data=st.data())
@often
def test_a_longer_history_never_changes_the_past(name, market, data):
    cut = data.draw(st.integers(0, market["c"].shape[1]))
    same(call(name, every(lambda x: x[:, :cut], market)), [x[:, :cut] for x in call(name, market)])


@pytest.mark.parametrize("name", CASES)
@given(market=markets(), data=st.data())
@often
def test_permuting_assets_permutes_results(name, market, data):
    order = data.draw(st.permutations(range(len(market["c"]))))
    same(call(name, every(lambda x: x[order], market)), [x[order] for x in call(name, market)])


@pytest.mark.parametrize("name", CASES)
@given(market=markets())
@often
def test_dims_in_any_order_and_dtypes_of_any_width_give_the_same_numbers(name, market):
    want = call(name, market)
    arrays = every(lambda x: xr.DataArray(x, dims=("asset", "time")).transpose("time", "asset").copy(), market)
    same([x.transpose("asset", "time").values for x in call(name, arrays)], want)
    same(call(name, every(lambda x: x.astype(np.float32), market)), want)


@pytest.mark.parametrize("name", CASES)
@given(market=markets(holes=0.0), seed=st.integers(0, 2**32 - 1))
@often
def test_a_missing_day_is_as_if_it_had_not_been(name, market, seed):
    there = np.random.default_rng(seed).random(market["c"].shape[1]) < 0.6
    holed = call(name, every(lambda x: np.where(there, x, np.nan), market))
    same([x[:, there] for x in holed], call(name, every(lambda x: x[:, there], market)))
    for result in holed:
        assert np.isnan(result[:, ~there]).all()


@pytest.mark.parametrize("name", CASES)
@given(market=markets())
@often
def test_nothing_observed_gives_nothing(name, market):
    for result in call(name, every(lambda x: np.full_like(x, np.nan), market)):
        assert np.isnan(result).all()


@pytest.mark.parametrize("name", CASES)
@given(market=markets(), power=st.integers(-6, 6))
@often
def test_the_unit_of_prices_is_the_unit_of_results(name, market, power):
    """Powers of two, because multiplying by one is exact: so must the law be."""
    if name in ("chaikin_osc",):
        market = {"v": market["c"]}  # a line of any unit
    scaled = {
        key: values if key == "v" and name != "chaikin_osc" else values * 2.0**power for key, values in market.items()
    }
    degree = 1 if name == "chaikin_osc" else DEGREES.get(name, 0)
    same(call(name, scaled), [x * 2.0 ** (power * degree) for x in call(name, market)])


@pytest.mark.parametrize("name", INDIFFERENT)
@given(market=markets(), level=st.integers(-4000, 100_000))
@often
def test_only_differences_of_prices_count(name, market, level):
    same(call(name, every(lambda x: x + level, market)), call(name, market))


@pytest.mark.parametrize("name", ["bollinger", "ema", "lwma", "sma", "wilder_ma", "wma"])
@given(market=markets(), level=st.integers(-4000, 100_000))
@often
def test_an_average_rises_with_its_series(name, market, level):
    for got, want in zip(call(name, every(lambda x: x + level, market)), call(name, market), strict=True):
        np.testing.assert_allclose(got, want + level, rtol=1e-12)


@given(market=markets(), periods=st.integers(1, 60))
@often
def test_a_window_of_any_length_equals_its_plain_reference(market, periods):
    for name in ("sma", "lwma", "ema", "variance", "top_pivot_points", "stochastic_k", "vwma", "covariance"):
        inputs = [market[key] for key in CASES[name][0]]
        got = getattr(ta, name)(*inputs, periods)
        want = [getattr(plain, name)(*[x[i].tolist() for x in inputs], periods) for i in range(len(got))]
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-11)


@given(market=markets(), periods=st.integers(2, 60))
@often
def test_a_rank_and_an_oscillator_stay_between_their_ends(market, periods):
    rank, strength = ta.rolling_rank(market["c"], periods), ta.rsi(market["c"], periods)
    assert np.isnan(rank).all() or (np.nanmin(rank) >= 0 and np.nanmax(rank) <= 1)
    assert np.isnan(strength).all() or (np.nanmin(strength) >= 0 and np.nanmax(strength) <= 100)


@given(market=markets(holes=0.0), periods=st.integers(1, 20), data=st.data())
@often
def test_a_window_that_a_huge_value_has_left_equals_one_it_never_touched(market, periods, data):
    spike = data.draw(st.integers(0, market["c"].shape[1] - 1))
    spiked = every(np.copy, market)
    for values in spiked.values():
        values[:, spike] = 1e17
    for name in ("sma", "lwma", "vwma", "variance", "covariance", "stochastic_k", "rolling_zscore"):
        inputs = CASES[name][0]
        window = max(periods, 2)
        got, want = [
            getattr(ta, name)(*[m[key] for key in inputs], window)[:, spike + window :] for m in (spiked, market)
        ]
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-11)
