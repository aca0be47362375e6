"""The indicators: against plain Python, over every kind of series, and what they say when asked for nonsense."""

import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import plain
import pytest
import xarray as xr
from plain import CASES

import qlstm.ta as ta
from qlstm.errors import DataError
from qlstm.ta import _apply, _kernels

TIMES, ASSETS = 60, 3


def prices(seed=0, times=TIMES, assets=ASSETS, holes=0.0):
    """Return the inputs that CASES name as arrays (asset, time): a random walk with a day's range around it."""
    rng = np.random.default_rng(seed)
    c = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (assets, times)), axis=1))
    o = c * np.exp(rng.normal(0, 0.01, c.shape))
    h, l = np.maximum(o, c) * (1 + rng.random(c.shape) / 50), np.minimum(o, c) * (1 - rng.random(c.shape) / 50)
    d = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (assets, times)), axis=1))
    market = {"o": o, "h": h, "l": l, "c": c, "v": rng.integers(1, 1000, c.shape) * 100.0, "d": d}
    for values in market.values():
        values[rng.random(c.shape) < holes] = np.nan
    return market


def call(name, market, args=None):
    """Return the indicator's results as a tuple."""
    inputs, usual = CASES[name]
    result = getattr(ta, name)(*[market[key] for key in inputs], *(usual if args is None else args))
    return result if isinstance(result, tuple) else (result,)


def expected(name, market):
    inputs, args = CASES[name]
    rows = len(next(iter(market.values())))
    each = []
    for i in range(rows):
        result = getattr(plain, name)(*[market[key][i].tolist() for key in inputs], *args)
        each.append(result if isinstance(result, tuple) else (result,))
    return [np.array(columns) for columns in zip(*each, strict=True)]


def wrap(market, kind):
    """Return a market of another kind: `time` last, first, or in the middle."""
    times = pd.date_range("2020-01-01", periods=TIMES, name="time")
    names = pd.Index([f"A{i}" for i in range(ASSETS)], name="asset")

    def one(values):
        if kind == "frame":
            return pd.DataFrame(values.T.copy(), index=times, columns=names)
        if kind == "column":
            return pd.Series(values[0], index=times, name="close")
        array = xr.DataArray(values, dims=("asset", "time"), coords={"asset": names, "time": times}, name="close")
        array.attrs["units"] = "USD"
        if kind == "cube":
            return array.expand_dims(field=["x", "y"]).transpose("field", "time", "asset").copy()
        return array.transpose("time", "asset").copy() if kind == "time first" else array

    return {key: one(values) for key, values in market.items()}


def plain_values(result):
    """Return a result's values as (asset, time), whatever kind it is of."""
    if isinstance(result, xr.DataArray):
        result = result.isel(field=0) if "field" in result.dims else result
        return result.transpose("asset", "time").values
    return result.to_numpy().T if isinstance(result, (pd.DataFrame, pd.Series)) else result


# --- numbers --------------------------------------------------------------------------------------------------------


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


def test_breadth_keeps_time_alone():
    market = prices()
    for kind in ("frame", "time first", "cube", "asset first"):
        given = wrap(market, kind)["c"]
        line = ta.ad_line(given)
        assert type(line) is (pd.Series if kind == "frame" else xr.DataArray)
        assert line.shape == (TIMES,)
        factor = 2 if kind == "cube" else 1
        np.testing.assert_array_equal(np.asarray(line), factor * ta.ad_line(market["c"]))


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


def test_wma_takes_a_number_for_lwma_and_says_so():
    x = prices()["c"]
    with pytest.warns(UserWarning, match="call lwma"):
        np.testing.assert_array_equal(ta.wma(x, 5), ta.lwma(x, 5))
    with pytest.warns(UserWarning, match="call lwma"):
        np.testing.assert_array_equal(ta.wma(x), ta.lwma(x, 20))


# --- kinds of series ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["frame", "column", "asset first", "time first", "cube"])
@pytest.mark.parametrize("name", CASES)
def test_a_result_is_of_the_kind_of_its_input_and_has_no_name(name, kind):
    market = prices(5, holes=0.1)
    given = wrap(market, kind)
    first = given[CASES[name][0][0]]
    for got, want in zip(call(name, given), call(name, market), strict=True):
        assert type(got) is type(first)
        np.testing.assert_array_equal(plain_values(got), want[0] if kind == "column" else want)
        if isinstance(got, xr.DataArray):
            assert got.dims == first.dims
            assert got.name is None
            assert got.attrs == {}
            xr.testing.assert_equal(got.coords.to_dataset(), first.coords.to_dataset())
        else:
            assert got.index.equals(first.index)
            assert getattr(got, "name", None) is None


def test_views_of_any_strides_give_what_their_copies_give():
    cube = np.random.default_rng(0).normal(100, 1, (3, 50, 7))
    for view in (
        cube[:, ::2].T,
        cube[0].T,
        cube[:, :, ::-1],
        cube[:, ::-2, 1:],
        np.asfortranarray(cube),
        cube[1, :, 2],
    ):
        for function in (ta.sma, ta.rsi):
            np.testing.assert_array_equal(function(view, 3), function(view.copy(order="C"), 3))
    swapped = cube.astype(">f8")
    np.testing.assert_array_equal(ta.sma(swapped, 3), ta.sma(cube, 3))


@pytest.mark.parametrize("dtype", ["float32", "int64", "int16", "uint8", "bool", "float16"])
def test_numbers_of_any_dtype_are_computed_in_float64(dtype):
    x = prices()["c"].astype(dtype)
    for function in (ta.sma, ta.rsi, ta.shift):
        got = function(x, 3)
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, function(x.astype(float), 3))


def test_pandas_own_dtypes_and_mixed_columns_are_read():
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": [1.5, np.nan, 2.5, 3.5], "c": [True, False, True, True]})
    nullable = frame.astype({"a": "Int64", "b": "Float64"})
    want = ta.sma(frame.astype(float), 2)
    pd.testing.assert_frame_equal(ta.sma(frame, 2), want)
    pd.testing.assert_frame_equal(ta.sma(nullable, 2), want)
    pd.testing.assert_series_equal(ta.sma(nullable["b"], 2), want["b"], check_names=False)


@pytest.mark.parametrize(
    "given",
    [
        np.array(["1", "2"]),
        np.array([1, None], dtype=object),
        np.array([1j, 2]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        pd.Series(["a", "b"]),
        pd.DataFrame({"a": [1.0], "b": ["x"]}),
        pd.Series(pd.date_range("2020-01-01", periods=2)),
        xr.DataArray(["a", "b"], dims="time"),
    ],
)
def test_a_series_that_holds_no_numbers_is_refused_by_its_dtype(given):
    with pytest.raises(DataError, match=r"needs real numbers, got .*dtype"):
        ta.sma(given, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1.0, 2.0], "got list"),
        (3.0, "got float"),
        (None, "got NoneType"),
        (np.array(3.0), "the single number 3.0"),
        (xr.DataArray([1.0, 2.0], dims="date"), r"needs a dim 'time' .* got dims \('date',\)"),
    ],
)
def test_something_that_is_no_series_is_refused(given, said):
    with pytest.raises(DataError, match=said):
        ta.ema(given, 2)


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("times", [TIMES, 20_000])  # one tile, and several
def test_inputs_are_neither_written_to_nor_shared_with_the_result(times, writable):
    market = prices(6, times=times, holes=0.1)
    kept = {key: values.copy() for key, values in market.items()}
    for values in market.values():
        values.flags.writeable = writable
    for name in CASES:
        for result in call(name, market):
            assert result.flags.writeable
            assert not any(np.shares_memory(result, values) for values in market.values())
    for key, values in market.items():
        np.testing.assert_array_equal(values, kept[key])


def test_small_arrays_and_what_takes_the_long_way_give_the_same_bits(monkeypatch):
    market = prices(10, times=101, assets=37, holes=0.05)
    small = {name: call(name, market) for name in CASES}
    monkeypatch.setattr(_apply, "_are_rows_up_to", lambda *_: False)
    for name, results in small.items():
        for got, want in zip(call(name, market), results, strict=True):
            assert got.tobytes() == want.tobytes()


# --- labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["frame", "time first"])
def test_inputs_are_aligned_by_label(kind):
    market = wrap(prices(7), kind)
    close, volume = market["c"], market["v"]
    want = ta.vwma(close, volume, 4)
    if kind == "frame":
        shuffled = volume.iloc[::-1, [2, 0, 1]]
        pd.testing.assert_frame_equal(ta.vwma(close, shuffled, 4), want)
    else:
        shuffled = volume.isel(time=slice(None, None, -1), asset=[2, 0, 1]).transpose("asset", "time")
        xr.testing.assert_identical(ta.vwma(close, shuffled, 4), want)


def test_pandas_series_are_aligned_by_label():
    market = wrap(prices(7), "column")
    want = ta.obv(market["c"], market["v"])
    pd.testing.assert_series_equal(ta.obv(market["c"], market["v"].iloc[::-1]), want)


def test_the_first_label_that_does_not_match_is_named():
    market = wrap(prices(), "time first")
    close, volume = market["c"], market["v"]
    with pytest.raises(DataError, match="asset A1 is missing from the second of two series; reindex"):
        ta.vwma(close, volume.isel(asset=[0, 2]), 4)
    with pytest.raises(DataError, match="time 2020-01-01 00:00:00 is missing from the first of two series"):
        ta.vwma(close.isel(time=slice(1, None)), volume, 4)
    with pytest.raises(DataError, match="asset A0 occurs twice"):
        ta.vwma(close, volume.isel(asset=[0, 0, 1]), 4)
    frames = wrap(prices(), "frame")
    with pytest.raises(DataError, match="column A2 is missing from the second"):
        ta.vwma(frames["c"], frames["v"].iloc[:, :2], 4)


def test_inputs_of_one_call_are_of_one_kind_and_one_shape():
    market, arrays = wrap(prices(), "time first"), prices()
    with pytest.raises(DataError, match="one kind, got DataArray and ndarray"):
        ta.vwma(market["c"], arrays["v"], 4)
    with pytest.raises(DataError, match=r"shapes must match: \(3, 60\) and \(2, 60\)"):
        ta.vwma(arrays["c"], arrays["v"][:2], 4)
    with pytest.raises(DataError, match=r"share their dims, got \('time', 'asset'\) and \('time',\)"):
        ta.vwma(market["c"], market["v"].isel(asset=0), 4)


# --- arguments ------------------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0), (2, 0, 4), (1,), (1, 1)])
def test_empty_and_single_observations_keep_their_shape(name, shape):
    market = {key: np.full(shape, 7.0) for key in "ohlcvd"}
    for result in call(name, market):
        assert result.shape == shape


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


# --- tiles, threads, compilation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(37, 101), (101, 37)])
@pytest.mark.parametrize("name", CASES)
def test_tiles_and_threads_change_no_bit(monkeypatch, name, shape):
    market = prices(9, times=shape[1], assets=shape[0], holes=0.05)
    whole = call(name, market)
    monkeypatch.setattr(_apply, "SHARED", 1)
    monkeypatch.setattr(_apply, "STRIP", 8)
    monkeypatch.setattr(_apply, "TILE", 1)
    monkeypatch.setattr(_apply.config, "NUMBA_NUM_THREADS", 3)
    turned = {key: np.asfortranarray(values) for key, values in market.items()}
    for given in (market, turned):
        for got, want in zip(call(name, given), whole, strict=True):
            assert got.tobytes() == want.tobytes()


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(_apply, "SHARED", 1)
    monkeypatch.setattr(_apply, "TILE", 1)
    monkeypatch.setattr(_apply.config, "NUMBA_NUM_THREADS", 2)

    def body(x):
        if threading.current_thread() is not threading.main_thread():
            raise DataError("raised in a thread")
        threading.Event().wait(0.02)  # leaves strips to the other
        return x

    with pytest.raises(DataError, match="raised in a thread"):
        _apply.apply(body, np.zeros((120, 3)))


def test_nothing_is_compiled_twice_for_read_only_data():
    x = prices()["c"].copy()
    ta.sma(x, 3)
    x.flags.writeable = False
    ta.sma(x, 3)
    ta.sma(prices(holes=0.2)["c"], 3)
    assert len(_kernels.sma.signatures) == 1


TINY = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from qlstm._jit import kernel

    @kernel
    def one(x):
        return x + 1

    @kernel
    def two(x):
        return one(x) * 2

    print(two(1.0), one(2), len(caught), *{str(w.message)[:20] for w in caught})
"""


def run_tiny(where, cache):
    """Run TINY, a file or (numba then finds no folder for its cache) code without a file, and return what it prints."""
    command = [sys.executable, str(where)] if where else [sys.executable, "-c", TINY]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_kernels_work_without_any_folder_for_a_cache_and_warn_once(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder is wanted")
    assert run_tiny(None, blocked / "cache") == "4.0 3 1 numba's cache folder"


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_kernels_work_with_a_damaged_cache_and_warn_once(tmp_path, suffix, damage):
    script, cache = tmp_path / "tiny.py", tmp_path / "cache"
    script.write_text(TINY)
    assert run_tiny(script, cache) == "4.0 3 0"
    files = list(cache.rglob(f"*{suffix}"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:100] if damage is None else damage)
    assert run_tiny(script, cache) == "4.0 3 1 numba's cache folder"
