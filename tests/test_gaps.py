"""Filling gaps and blending weights, against xarray's own operations on labelled arrays."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from qlstm import gaps, weights
from qlstm._labels import labelled_like
from qlstm.errors import DataError

TIMES = np.arange(9).astype("datetime64[D]").astype("datetime64[ns]")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([np.nan, 1.0, 2.0, -0.0, np.inf]), min_size=18, max_size=18), st.booleans())
def test_fill_is_forward_then_backward(values, turned):
    series = xr.DataArray(
        np.reshape(values, (9, 2)), dims=("time", "asset"), coords={"time": TIMES, "asset": ["A", "B"]}
    )
    expected = series.ffill("time").bfill("time").fillna(7.0)
    series, expected = (series.T, expected.T) if turned else (series, expected)
    filled = gaps.fill(series, rest=7.0)
    xr.testing.assert_identical(filled, expected)
    np.testing.assert_array_equal(np.signbit(filled), np.signbit(expected))


def test_fill_leaves_what_it_is_given_alone_and_takes_no_assets():
    series = xr.DataArray([np.nan, 1.0], dims="time", coords={"time": TIMES[:2]})
    gaps.fill(series)
    assert np.isnan(series.values[0])
    assert gaps.fill(xr.DataArray(np.zeros((2, 0)), dims=("time", "asset"))).shape == (2, 0)
    with pytest.raises(DataError, match=r"fill wants an xarray.DataArray with a dim 'time'"):
        gaps.fill(xr.DataArray([1.0], dims="asset"))


def plain_blend(new, previous, data, share):
    previous = previous.sel(asset=previous.asset.isin(data.asset))
    new, previous = xr.align(new, previous, join="outer", fill_value=0.0)
    return xr.where(previous == 0, new, share * new + (1 - share) * previous)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.permutations("ABCDE"), st.permutations("ABCDEX"), st.integers(0, 5), st.integers(0, 6), st.randoms())
def test_blend_averages_by_label(first, second, n, m, random):
    def row(names):
        values = [random.choice([0.0, 0.1, 0.5]) for _ in names]
        return xr.DataArray(values, dims="asset", coords={"asset": np.array(names, dtype=object)})

    data = xr.DataArray(np.zeros(5), dims="asset", coords={"asset": list("ABCDE")})
    new, previous = row(first[:n]), row(second[:m])
    expected = plain_blend(new, previous, data, 0.25)
    got = weights.blend(new, previous, data, share=0.25)
    want = expected.reindex(asset=list("ABCDE"), fill_value=0.0)
    xr.testing.assert_equal(got.reindex(asset=list("ABCDE"), fill_value=0.0), want)
    assert set(got.asset.values) <= set(expected.asset.values)


def test_blend_takes_the_first_day_as_it_is():
    new = xr.DataArray([0.1], dims="asset", coords={"asset": ["A"]})
    assert weights.blend(new, None, new) is new


def test_values_under_the_labels_of_another_array_are_what_xarray_would_make_of_them():
    series = xr.DataArray(
        np.arange(6.0).reshape(2, 3),
        dims=("time", "asset"),
        coords={"time": TIMES[:2], "asset": ["A", "B", "C"], "size": ("asset", [1, 2, 3]), "made": 7},
        name="close",
        attrs={"unit": "USD"},
    )
    twice = labelled_like(series, 2 * series.values)
    xr.testing.assert_identical(twice, series.copy(data=2 * series.values))
    xr.testing.assert_identical(twice.sel(asset=["C"]), series.copy(data=2 * series.values).sel(asset=["C"]))
    twice["made"], twice.attrs["unit"] = 8, "EUR"
    twice.asset.attrs["seen"], twice["size"].attrs["unit"] = 1, "shares"
    twice["size"].values = [4, 5, 6]
    assert not series.asset.attrs
    assert not series["size"].attrs
    assert series["size"].values.tolist() == [1, 2, 3]
    del twice.coords["size"]
    assert series["made"] == 7
    assert series.attrs == {"unit": "USD"}
    assert "size" in series.coords
    with pytest.raises(ValueError, match=r"shape \(3,\) for labels of shape \(2, 3\)"):
        labelled_like(series, np.zeros(3))
