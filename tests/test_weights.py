"""The algebra of weights: by label, never by position."""

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from qlstm.errors import WeightsError
from qlstm.weights import Rows, finite, infinite, log_infinite, normalize, over_time


def row(**weights):
    return xr.DataArray(list(weights.values()), dims="asset", coords={"asset": list(weights)})


def test_rows_above_the_capital_are_scaled_and_others_left_alone():
    two = xr.concat(
        [row(B=-3.0, A=1.0), row(B=0.2, A=0.1)], pd.Index(pd.to_datetime(["2020-01-02", "2020-01-01"]), name="time")
    )
    seen = normalize(two)
    assert list(seen.asset.values) == ["A", "B"]
    np.testing.assert_allclose(seen.values, [[0.1, 0.2], [0.25, -0.75]])


def test_non_finite_weights_count_as_nothing():
    np.testing.assert_array_equal(normalize(row(A=np.nan, B=np.inf, C=0.5)).values, [0.0, 0.0, 0.5])


def test_each_asset_can_have_its_own_capital():
    np.testing.assert_array_equal(normalize(row(A=-3.0, B=0.5), per_asset=True).values, [-1.0, 0.5])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros(3), "must be an xarray.DataArray"),
        (row(A=1.0).expand_dims("field"), "dims"),
        (row(A="x"), "must be numbers"),
        (xr.concat([row(A=1.0), row(A=2.0)], "asset"), "asset A more than once"),
        (xr.DataArray([1.0], dims="asset"), "no labels along 'asset'"),
    ],
)
def test_what_are_not_weights_is_refused(wrong, words):
    with pytest.raises(WeightsError, match=words):
        normalize(wrong)


def test_rows_are_booked_by_label_whatever_their_order():
    rows = Rows(pd.Index(["A", "B", "C"]), 3)
    days = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], dtype="datetime64[ns]")
    rows.add(days[0], row(A=0.1, B=0.2))
    rows.add(days[1], row(B=0.2, A=0.1))
    rows.add(days[2], row(B=0.3))
    seen = rows.weights()
    assert list(seen.asset.values) == ["A", "B"]
    np.testing.assert_array_equal(seen.values, [[0.1, 0.2], [0.1, 0.2], [0.0, 0.3]])
    assert rows.notes() == []


def test_nan_rows_count_as_nothing_and_are_counted():
    rows = Rows(pd.Index(["A", "B"]), 1)
    rows.add(np.datetime64("2020-01-01", "ns"), row(A=np.nan, B=0.2))
    np.testing.assert_array_equal(rows.weights().values, [[0.0, 0.2]])
    assert rows.notes() == ["predict returned 1 NaN weights, first A 2020-01-01; they count as 0"]


def test_weights_over_time_are_told_how_to_get_it():
    with pytest.raises(WeightsError, match=r"got \(asset,\); use expand_dims"):
        over_time(row(A=1.0))
    assert over_time(row(A=1.0).expand_dims(time=[1])[:0]).shape == (0, 1)


def test_infinite_weights_are_counted_and_the_first_is_named(caplog):
    weights = row(A=0.1, B=-np.inf, C=np.nan, D=np.inf)
    words = "2 infinite weights, first asset B: -inf"
    assert infinite(weights) == words
    with pytest.raises(WeightsError, match=words):
        finite(weights)
    assert log_infinite(weights, logging.getLogger("qlstm.test")) is weights
    assert caplog.messages == [f"{words}; use output.normalize, which takes them as 0"]
    fine = row(A=0.1, B=np.nan)
    assert infinite(fine) == infinite(row(A=1, B=2)) == ""
    assert finite(fine) is fine
    assert log_infinite(fine, logging.getLogger("qlstm.test")) is fine
    assert len(caplog.messages) == 1
