"""What indicators may be asked for: windows, lags, weights and averages of one's own; and nonsense, named."""

import threading

import numpy as np
import pytest
from indicators import TIMES, call, prices, wrap
from plain import CASES

import qlstm.ta as ta
from qlstm.errors import DataError


def test_wma_takes_a_number_for_lwma_and_says_so():
    x = prices()["c"]
    with pytest.warns(UserWarning, match="call lwma"):
        np.testing.assert_array_equal(ta.wma(x, 5), ta.lwma(x, 5))
    with pytest.warns(UserWarning, match="call lwma"):
        np.testing.assert_array_equal(ta.wma(x), ta.lwma(x, 20))


WINDOWED = sorted(
    name
    for name, (_, args) in CASES.items()
    if args and isinstance(args[0], int) and name not in ("shift", "change", "roc")
)


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_is_a_whole_number_of_at_least_one(name):
    market = prices()
    rest = CASES[name][1][1:]
    for nonsense in (0, -3):
        with pytest.raises(DataError, match=f"^{name}: .* must be at least [12], got {nonsense}$"):
            call(name, market, (nonsense, *rest))
    for nonsense in (2.5, 3.0, "3", None):
        with pytest.raises(DataError, match=f"^{name}: .* must be a whole number of observations, got {nonsense!r}$"):
            call(name, market, (nonsense, *rest))
    np.testing.assert_array_equal(call(name, market, (np.int16(4), *rest)), call(name, market, (4, *rest)))


@pytest.mark.parametrize("periods", [10_000, 10**9, 10**30])
@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_longer_than_the_series_gives_nothing(name, periods):
    first = call(name, prices(), (periods, *CASES[name][1][1:]))[0]
    assert np.isnan(first).all()


@pytest.mark.parametrize("lag", [10**30, -(10**30)])
@pytest.mark.parametrize("name", ["shift", "change", "roc"])
def test_a_lag_longer_than_the_series_either_way_gives_nothing(name, lag):
    assert np.isnan(call(name, prices(), (lag,))[0]).all()


@pytest.mark.parametrize("span", [2 * TIMES, 10**30])
def test_the_span_of_a_warmed_up_average_may_be_longer_than_the_series(span):
    market, step = prices(), 2 / (span + 1)
    want = np.mean(market["c"][:, :3], axis=1)
    got = ta.ema(market["c"], span, 3)
    for t in range(3, TIMES):
        want = want + (market["c"][:, t] - want) * step
        np.testing.assert_allclose(got[:, t], want, rtol=1e-12)


@pytest.mark.parametrize("weights", [[], [1.0, -1.0], [np.nan], [[1.0]], [np.inf]])
def test_weights_that_make_no_mean_are_refused(weights):
    with pytest.raises(DataError, match="wma: weights must be"):
        ta.wma(prices()["c"], weights)


AVERAGED = {
    "atr": (lambda m, *ma: ta.atr(m["h"], m["l"], m["c"], *ma), "wilder_ma", 1),
    "chaikin_osc": (lambda m, *ma: ta.chaikin_osc(m["v"], *ma), "ema", 2),
    "dms": (lambda m, *ma: ta.dms(m["h"], m["l"], m["c"], *ma, 2), "wilder_ma", 2),
    "ma_distance": (lambda m, *ma: ta.ma_distance(m["c"], *ma), "sma", 1),
    "macd": (lambda m, *ma: ta.macd(m["c"], *ma), "ema", 3),
    "rsi": (lambda m, *ma: ta.rsi(m["c"], *ma), "wilder_ma", 1),
    "slow_stochastic": (lambda m, *ma: ta.slow_stochastic(m["h"], m["l"], m["c"], 4, *ma), "sma", 2),
    "smi": (lambda m, *ma: ta.smi(m["h"], m["l"], m["c"], 4, *ma), "ema", 2),
    "sroc": (lambda m, *ma: ta.sroc(m["c"], *ma, 3), "ema", 1),
    "stochastic": (lambda m, *ma: ta.stochastic(m["h"], m["l"], m["c"], 4, *ma), "sma", 1),
}


@pytest.mark.parametrize("kind", ["numpy", "frame", "time first", "cube"])
@pytest.mark.parametrize("name", AVERAGED)
def test_an_average_of_ones_own_is_called_with_whole_series_of_the_same_kind(name, kind):
    function, usual, count = AVERAGED[name]
    market = prices(8, holes=0.1)
    market = market if kind == "numpy" else wrap(market, kind)
    seen = []

    def own(series, periods):
        seen.append((type(series), series.shape, threading.current_thread()))
        return getattr(ta, usual)(series, periods)

    periods = range(3, 3 + count)
    got = function(market, *[lambda series, p=p: own(series, p) for p in periods])
    want = function(market, *periods)
    np.testing.assert_array_equal(np.asarray(got), np.asarray(want))
    assert set(seen) == {(type(market["c"]), market["c"].shape, threading.main_thread())}


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 3, 0), (1, 1)])
def test_an_average_of_ones_own_may_meet_an_empty_series(shape):
    assert ta.rsi(np.ones(shape), lambda series: ta.sma(series, 3)).shape == shape


def test_an_average_of_ones_own_may_spoil_what_it_is_given():
    x = prices()["c"]

    def careless(series):
        smoothed = ta.ema(series, 3)
        series[:] = 0.0
        return smoothed

    np.testing.assert_array_equal(ta.macd(x, careless, careless, careless), ta.macd(x, 3, 3, 3))


def test_an_average_that_returns_something_else_is_named():
    x = wrap(prices(), "time first")["c"]
    with pytest.raises(DataError, match=r"DataArray of shape \(60, 3\), got ndarray of shape \(60, 3\)"):
        ta.rsi(x, lambda series: series.values)
    with pytest.raises(DataError, match=r"got DataArray of shape \(59, 3\)"):
        ta.rsi(x, lambda series: series.isel(time=slice(1, None)))
