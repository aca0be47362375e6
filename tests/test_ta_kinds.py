"""Indicators of every kind of series: numpy, pandas and xarray, any dims, strides and dtypes, aligned by label."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from indicators import TIMES, call, plain_values, prices, wrap
from plain import CASES

import qlstm.ta as ta
from qlstm.errors import DataError


def test_breadth_keeps_time_alone():
    market = prices()
    for kind in ("frame", "time first", "cube", "asset first"):
        given = wrap(market, kind)["c"]
        line = ta.ad_line(given)
        assert type(line) is (pd.Series if kind == "frame" else xr.DataArray)
        assert line.shape == (TIMES,)
        factor = 2 if kind == "cube" else 1
        np.testing.assert_array_equal(np.asarray(line), factor * ta.ad_line(market["c"]))


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


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0), (2, 0, 4), (1,), (1, 1)])
def test_empty_and_single_observations_keep_their_shape(name, shape):
    market = {key: np.full(shape, 7.0) for key in "ohlcvd"}
    for result in call(name, market):
        assert result.shape == shape
