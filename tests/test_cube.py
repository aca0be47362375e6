"""What a cube is, and what is said of one that is not."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toys import market

from qlstm.cube import DataWarning, Windows, as_cube, check
from qlstm.errors import DataError


def spoiled(field, row, asset, value):
    cube = market(days=20, assets=3)
    cube.loc[{"field": field, "time": cube.time[row], "asset": asset}] = value
    return cube


def test_a_sound_cube_has_nothing_to_say():
    assert check(market(gaps=0.1)) == []


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda c: c.values, "must be an xarray.DataArray"),
        (lambda c: c.isel(field=0), "got (time, asset)"),
        (lambda c: c.isel(time=[0, 2, 1]), "not sorted by time: 2015-01-02 follows 2015-01-05"),
        (lambda c: c.isel(time=[0, 1, 1]), "time 2015-01-02 more than once"),
        (lambda c: c.isel(asset=[0, 1, 1]), "asset TOY:001 more than once"),
        (lambda c: c.isel(time=[]), "has no time"),
        (lambda c: c.drop_vars("asset"), "no labels along 'asset'"),
        (lambda c: c.sel(field=["open", "close"]), "lacks field 'high'"),
        (lambda c: c.astype(str), "want float64"),
        (lambda c: c.astype(complex), "want float64"),
        (lambda c: c.assign_coords(time=np.arange(c.sizes["time"])), "want datetime64[ns]"),
        (
            lambda c: c.assign_coords(time=c.get_index("time").tz_localize("UTC")),
            "time zone, UTC; use tz_localize(None)",
        ),
    ],
)
def test_a_wrong_structure_is_refused_by_name(broken, words):
    cube = broken(market(days=20, assets=3))
    for reader in (check, as_cube):
        with pytest.raises(DataError) as caught:
            reader(cube)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_every_fault_is_named_at_once():
    cube = market(days=20, assets=3).sel(field=["open", "close"]).isel(time=[1, 0])
    with pytest.raises(DataError) as caught:
        check(cube)
    for words in ("not sorted", "lacks field 'high'", "lacks field 'low'", "lacks field 'vol'"):
        assert words in str(caught.value)


def test_an_infinity_is_refused_with_field_date_and_asset():
    with pytest.raises(DataError, match=r"1 infinite values, first field close, 2015-01-06, asset TOY:001: inf"):
        check(spoiled("close", 3, "TOY:001", np.inf))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("low", 1e4, "high below low: 1 of 60 cells, worst TOY:001 2015-01-06"),
        ("close", 1e4, "close outside low..high: 1 of 60"),
        ("open", -1.0, "open not positive: 1 of 60"),
        ("vol", -1.0, "vol negative: 1 of 60"),
    ],
)
def test_contradicting_prices_are_a_warning_with_count_and_worst_case(field, value, words):
    with pytest.warns(DataWarning) as caught:
        found = check(spoiled(field, 3, "TOY:001", value))
    assert any(words in sentence for sentence in found)
    assert len(caught) == len(found)


def test_the_worst_cases_come_first():
    cube = spoiled("high", 3, "TOY:001", 1.0)
    cube.loc[{"field": "high", "time": cube.time[7], "asset": "TOY:002"}] = 0.001
    sentence = next(s for s in check(cube, warn=False) if s.startswith("high below low: 2 of 60"))
    assert sentence.index("TOY:002") < sentence.index("TOY:001")


def test_what_is_handed_out_is_float64_ordered_and_read_only():
    cube = market(days=20, assets=3).astype(np.float32).transpose("asset", "time", "field")
    cube = cube.assign_coords(time=cube.time.values.astype("datetime64[s]"))
    seen = as_cube(cube)
    assert seen.dims == ("field", "time", "asset")
    assert seen.dtype == np.float64
    assert seen.time.dtype == "datetime64[ns]"
    with pytest.raises(ValueError, match="read-only"):
        seen.values[0, 0, 0] = 1.0


def test_the_users_own_cube_stays_writable():
    cube = market(days=20, assets=3)
    as_cube(cube)
    cube.values[0, 0, 0] = 1.0
    assert cube.values[0, 0, 0] == 1.0


def test_a_window_is_a_view_of_the_last_calendar_days_both_ends_included():
    cube = market(days=60)
    windows = Windows(cube)
    t = windows.times[40]
    window = windows(t, 10)
    expected = cube.sel(time=slice(t - np.timedelta64(10, "D"), t))
    xr.testing.assert_equal(window, expected)
    assert np.shares_memory(window.values, cube.values)


def test_nothing_after_t_can_be_reached_from_up_to():
    windows = Windows({"traded": market(days=60), "other": market(days=60, seed=1).sel(field=["close"])})
    t = windows.times[30]
    cut = windows.up_to(t)
    assert cut.times[-1] == t
    assert all(cube.time.values[-1] == t for cube in cut(t, 1000).values())


def test_several_cubes_are_cut_by_their_own_calendars():
    other = market(days=60, seed=1).sel(field=["close"]).isel(time=slice(0, None, 3))
    window = Windows({"traded": market(days=60), "other": other})(np.datetime64("2015-02-10"), 20)
    assert window["other"].time.values[-1] <= np.datetime64("2015-02-10")
    assert window["traded"].sizes["time"] > window["other"].sizes["time"] > 0


def test_copies_are_handed_out_when_asked_for():
    window = Windows(market(days=60), copy_windows=True)(np.datetime64("2015-02-10"), 20)
    window.values[:] = 0.0
    assert window.values.sum() == 0.0


def test_an_empty_mapping_is_refused():
    with pytest.raises(DataError, match="empty mapping"):
        Windows({})


def test_intraday_times_keep_their_hours():
    times = pd.date_range("2020-01-01", periods=48, freq="h")
    cube = market(days=48).assign_coords(time=times)
    window = Windows(cube)(np.datetime64("2020-01-02T12:00"), 1)
    assert window.sizes["time"] == 25
