"""Other data beside the prices: published before used, never filled back, never the calendar."""

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from qlstm import asof
from qlstm.data import synthetic
from qlstm.errors import DataError

FAST = settings(derandomize=True, deadline=None, max_examples=30)


def days(*dates):
    return np.array(dates, dtype="datetime64[ns]")


def series(values, dates, **coords):
    return xr.DataArray(np.array(values, dtype=float), dims="time", coords={"time": days(*dates)} | coords)


def since_1970(times):
    return (np.asarray(times, dtype="datetime64[ns]") - np.datetime64(0, "ns")) / np.timedelta64(1, "D")


WEEK = days("2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09", "2020-01-10")


def quarterly(seed=0):
    """Return a dataset (field, time, asset) of three assets whose publications come late, or never, with gaps."""
    random = np.random.default_rng(seed)
    times = pd.date_range("2014-12-31", periods=8, freq="QE").to_numpy()
    published = since_1970(times)[:, None] + random.integers(0, 150, (8, 3)) + random.random((8, 3))
    published[random.random((8, 3)) < 0.1] = np.nan
    values = random.normal(size=(2, 8, 3))
    values[random.random(values.shape) < 0.2] = np.nan
    coords = {"field": ["eps", "margin", "available_from"], "time": times, "asset": ["TOY:002", "TOY:000", "OTHER"]}
    return xr.DataArray(np.concatenate([values, published[None]]), dims=("field", "time", "asset"), coords=coords)


def slowly(other, times, lag_days, max_age_days):
    """Return what `align` does, one cell at a time, in plain words."""
    fields = [field for field in other.field.values if field != "available_from"]
    values, published = other.sel(field=fields).values, other.sel(field="available_from").values
    out = np.full((len(fields), len(times), other.sizes["asset"]), np.nan)
    for f in range(len(fields)):
        for t, now in enumerate(since_1970(times) + 16 / 24):
            for a in range(other.sizes["asset"]):
                for row in range(other.sizes["time"]):  # the last that passes stands
                    value, public = values[f, row, a], published[row, a] + lag_days
                    if np.isfinite(value) and np.isfinite(public) and public <= now:
                        out[f, t, a] = value if now - public <= max_age_days else np.nan
    return out


@given(seed=st.integers(0, 10**6), lag=st.sampled_from([0, 1, 30.5]), age=st.sampled_from([np.inf, 100.0]))
@FAST
def test_each_day_knows_the_newest_observation_that_was_public(seed, lag, age):
    other, times = quarterly(seed), toys.market(days=300, assets=1).time.values[::7]
    got = asof.align(other, times, lag_days=lag, max_age_days=age)
    np.testing.assert_allclose(got, slowly(other, times, lag, age), rtol=1e-12)
    assert got.dims == other.dims
    assert got.field.values.tolist() == ["eps", "margin"]


def test_nothing_is_known_before_its_publication_and_nothing_filled_back():
    other = series([1, 2], ["2019-12-31", "2020-01-07"], available_from=("time", days("2020-01-07", "2020-01-09")))
    assert str(asof.align(other, WEEK).values) == "[nan  1.  1.  2.  2.]"
    assert str(asof.align(other, WEEK, lag_days=1).values) == "[nan nan  1.  1.  2.]"


def test_a_row_without_publication_is_public_at_its_own_close():
    other = series([1, 2], ["2020-01-06", "2020-01-09"])
    assert asof.align(other, WEEK).values.tolist() == [1, 1, 1, 2, 2]


def test_noon_is_known_that_day_and_the_evening_the_next():
    noon = series([1], ["2020-01-06"], available_from=("time", days("2020-01-07T12:00")))
    evening = series([1], ["2020-01-06"], available_from=("time", days("2020-01-07T20:00")))
    assert np.isfinite(asof.align(noon, WEEK)).values.tolist() == [False, True, True, True, True]
    assert np.isfinite(asof.align(evening, WEEK)).values.tolist() == [False, False, True, True, True]
    assert np.isfinite(asof.align(evening, WEEK, close_hour=24)).values.tolist() == [False, True, True, True, True]


def test_bars_with_an_hour_know_what_was_public_at_that_hour():
    hours = days("2020-01-07T10:00", "2020-01-07T11:00", "2020-01-07T12:00")
    other = series([1], ["2020-01-06"], available_from=("time", days("2020-01-07T10:30")))
    assert np.isfinite(asof.align(other, hours)).values.tolist() == [False, True, True]


def test_an_old_observation_ages():
    other = series([1, 2], ["2020-01-06", "2020-01-09"])
    known = np.isfinite(asof.align(other, WEEK, max_age_days=1.7)).values
    assert known.tolist() == [True, True, False, True, True]


def test_a_late_correction_of_an_old_quarter_does_not_hide_a_newer_one():
    other = series([1, 2], ["2020-01-01", "2020-01-02"], available_from=("time", days("2020-01-09", "2020-01-07")))
    assert asof.align(other, WEEK).values[1:].tolist() == [2, 2, 2, 2]


# --- the traded cube decides ------------------------------------------------------------------------------------------------


def index_cube(until="2016-06-01"):
    times = pd.date_range("2014-12-01", until, freq="D").to_numpy()
    values = np.random.default_rng(5).normal(size=(1, len(times), 1))
    return xr.DataArray(
        values, dims=("field", "time", "asset"), coords={"field": ["level"], "time": times, "asset": ["IDX"]}
    )


def test_the_traded_cube_gives_times_and_assets():
    data = toys.market(days=200, assets=3)
    joined = asof.join(data, quarterly(), name="fundamentals")
    np.testing.assert_array_equal(joined.isel(field=slice(0, 6)), data)
    assert joined.field.values.tolist() == [*toys.FIELDS, "eps", "margin"]
    assert joined.name == data.name
    assert joined.sel(field=["eps", "margin"], asset="TOY:001").isnull().all()
    expected = asof.align(quarterly(), data.time.values).sel(asset="TOY:000")
    np.testing.assert_array_equal(joined.sel(field=["eps", "margin"], asset="TOY:000"), expected)


def test_a_dataset_without_assets_is_the_same_for_all():
    data, index = toys.market(days=200, assets=3), index_cube()
    joined = asof.join(data, index.sel(asset="IDX", drop=True))
    expected = index.sel(field="level", asset="IDX").sel(time=data.time.values).values
    np.testing.assert_array_equal(joined.sel(field="level").transpose("asset", "time"), np.tile(expected, (3, 1)))


@pytest.mark.parametrize("cut", [30, 120])
def test_rows_of_another_dataset_after_today_change_nothing(cut):
    data, index = toys.market(days=200), index_cube().sel(asset="IDX", drop=True)
    today = data.time.values[cut]
    changed = index.where(index.time <= today, 99.0)
    whole = asof.join(data, index).isel(time=slice(0, cut + 1))
    for other in (changed, index.sel(time=slice(None, today)), index[:, index.time.values <= today]):
        np.testing.assert_array_equal(asof.join(data, other).isel(time=slice(0, cut + 1)), whole)
    shorter = asof.join(data.isel(time=slice(0, cut + 1)), index)
    np.testing.assert_array_equal(shorter, whole)


# --- refusals --------------------------------------------------------------------------------------------------------------


def test_a_row_public_before_its_own_time_is_refused_by_name():
    other = series([1, 2], ["2020-01-06", "2020-01-08"], available_from=("time", days("2020-01-06", "2020-01-07")))
    with pytest.raises(
        DataError, match="news at 2020-01-08 says that it was public on 2020-01-07, before its own time"
    ):
        asof.align(other, WEEK, name="news")


def test_fields_that_come_a_day_early_are_refused_by_name():
    data, _ = synthetic.market("P9", seed=1, n_days=60)
    asof.refuse_future(data)
    early = data.copy(data=data.values.copy())
    extra = [str(field) in ("sentiment", "available_from") for field in data.field.values]
    early.values[extra, :-1] = data.values[extra, 1:]
    with pytest.raises(DataError, match=r"news at 2006-01-03, asset SYN:001 was published on 2006-01-04T12:00, after"):
        asof.refuse_future(early, name="news")
    with pytest.raises(DataError, match="data has no field or coordinate 'available_from'"):
        asof.refuse_future(toys.market(days=5))


def test_the_quarters_of_a_synthetic_market_are_public_when_they_stand_there():
    data, truth = synthetic.market("P7", seed=1)
    asof.refuse_future(data)
    own = data.sel(field=["margin_net", "available_from"]).assign_coords(
        time=(np.datetime64(0, "D") + data.sel(field="period_end")[:, 0].values.astype(int)).astype("datetime64[ns]")
    )
    first = own.time.values[0] + np.timedelta64(truth.facts["lag_days"], "D")
    calendar = pd.date_range(first - np.timedelta64(3, "D"), periods=6).to_numpy()
    known = np.isfinite(asof.align(own, calendar).sel(field="margin_net").values).all(axis=1)
    assert known.tolist() == [False, False, False, True, True, True]


@pytest.mark.parametrize("start", ["1990-01-01", "2030-01-01"])
def test_calendars_that_do_not_overlap_are_refused_by_name(start):
    other = series([1, 2], [start, start[:4] + "-12-31"])
    with pytest.raises(
        DataError, match=rf"macro, published {start}T16:00 to .*, does not overlap with data, 2020-01-06 to 20"
    ):
        asof.align(other, WEEK, name="macro")


def test_what_cannot_be_joined_is_refused_by_name():
    data, index = toys.market(days=200), index_cube()
    with pytest.raises(DataError, match=r"vix has no asset of data \(TOY:000, \.\.\.\)"):
        asof.join(data, index, name="vix")
    with pytest.raises(DataError, match="vix and data both have field 'close'"):
        asof.join(data, index.assign_coords(field=["close"]), name="vix")
    with pytest.raises(DataError, match=r"vix must have labelled dims \(field, time"):
        asof.join(data, index.isel(field=0, asset=0, drop=True), name="vix")
    with pytest.raises(DataError, match="lag_days must be at least 0, got -1"):
        asof.join(data, index.isel(asset=0, drop=True), lag_days=-1)
    with pytest.raises(DataError, match="ascending dates"):
        asof.align(index[:, ::-1], WEEK)
    with pytest.raises(DataError, match="labelled times"):
        asof.align(index[:, :0], WEEK)
    with pytest.raises(DataError, match="never published"):
        asof.align(series([1], ["2020-01-06"], available_from=("time", days("NaT"))), WEEK)


def test_a_date_without_an_hour_is_public_at_its_close_also_between_the_bars_of_a_day():
    calendar = days("2020-01-06T10", "2020-01-06T15", "2020-01-06T16", "2020-01-07T10")
    joined = asof.align(series([1.0, 2.0], ["2020-01-06", "2020-01-07"]), calendar)
    np.testing.assert_array_equal(joined, [np.nan, np.nan, 1.0, 1.0])
