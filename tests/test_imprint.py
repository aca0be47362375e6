"""The imprint of a window: says what was restated, and is silent about everything else."""

import base64
import json

import numpy as np
import pytest
import xarray as xr
from toys import market

from qlstm import imprint
from qlstm.cube import as_cube
from qlstm.errors import StateCorruptError

CUBE = market(gaps=0.05)
TIMES, ASSETS, FIELDS = (CUBE[dim].values for dim in ("time", "asset", "field"))
T, DAYS = TIMES[200], 60
FIRST = int(TIMES.searchsorted(T - np.timedelta64(DAYS, "D")))


def taken(cube=CUBE, t=T, days=DAYS):
    """Take an imprint, by way of JSON as a state file keeps it."""
    return json.loads(json.dumps(imprint.take(cubes(cube), t, days)))


def cubes(data):
    if isinstance(data, dict):
        return {name: as_cube(cube, fields=()) for name, cube in data.items()}
    return as_cube(data, fields=())


def compared(then, cube):
    return imprint.compare(then, cubes(cube))


def changed(field, row, asset, value=7.0):
    cube = CUBE.copy(deep=True)
    cube.values[field, row, asset] = value
    return cube


def test_the_same_data_in_another_order_with_later_days_and_new_columns_are_the_same():
    then = taken(CUBE.sel(time=slice(None, T)))
    other = CUBE.isel(asset=slice(None, None, -1), field=[3, 1, 0, 2, 5, 4]).transpose("asset", "time", "field")
    assert compared(then, other) == []
    newcomer = CUBE.isel(asset=[0]).assign_coords(asset=["TOY:900"])
    extra = CUBE.isel(field=[0]).assign_coords(field=["extra"])
    assert compared(then, xr.concat([CUBE, newcomer], "asset")) == []
    assert compared(then, xr.concat([CUBE, extra], "field")) == []


def test_one_kind_of_zero_and_of_nan():
    cube = changed(4, FIRST, 1, 0.0)
    cube.values[5, FIRST, 2] = np.nan
    then = taken(cube)
    cube.values[4, FIRST, 1] = -0.0
    cube.values[5, FIRST, 2] = np.frombuffer(np.uint64(0xFFF8000000000123).tobytes())[0]
    assert compared(then, cube) == []


def test_any_changed_cell_is_named_by_field_asset_and_row_and_others_are_not():
    then = taken()
    random = np.random.default_rng(5)
    for _ in range(60):
        field, asset = random.integers(len(FIELDS)), random.integers(len(ASSETS))
        row = random.integers(FIRST - 20, 220)
        found = compared(then, changed(field, row, asset))
        if FIRST <= row <= 200:
            assert found == [imprint.Restatement("", (FIELDS[field],), (ASSETS[asset],), TIMES[row])]
        else:
            assert found == []


def test_a_restatement_of_several_assets_is_told_in_one_short_sentence():
    cube = CUBE.copy(deep=True)
    cube.values[:4, : FIRST + 30, :4] *= 0.5
    (found,) = compared(taken(), cube)
    first = str(TIMES[FIRST])[:10]
    assert str(found) == (
        f"fields close, high, low, open, assets TOY:000, TOY:001, TOY:002 and 1 more, first row {first}"
    )


def test_an_asset_that_left_is_counted_and_the_changed_ones_are_still_named():
    found = compared(taken(), changed(3, 190, 1).drop_sel(asset="TOY:003"))
    assert found == [imprint.Restatement("", (), ("TOY:001",), None, gone=1)]
    assert str(found[0]) == "asset TOY:001, 1 asset gone"


def test_an_asset_without_a_value_in_the_window_may_come_and_go():
    cube = CUBE.copy(deep=True)
    cube.values[:, FIRST:201, 4] = np.nan
    cube.values[4:, FIRST:201, 4] = 0.0
    assert compared(taken(cube), cube.drop_sel(asset="TOY:004")) == []


def test_a_field_that_left_is_named():
    assert compared(taken(), CUBE.drop_sel(field="high")) == [imprint.Restatement("", ("high",))]


def test_rows_that_a_rolling_download_dropped_are_no_restatement_but_changes_in_the_rest_are():
    then = taken()
    later = slice(FIRST + 3, None)
    assert compared(then, CUBE.isel(time=later)) == []
    found = compared(then, changed(3, 190, 1).isel(time=later))
    assert found == [imprint.Restatement("", since=TIMES[190])]
    assert compared(then, CUBE.isel(time=slice(250, None))) == []


def test_a_row_that_was_added_is_named():
    without = CUBE.drop_isel(time=180)
    (found,) = compared(taken(without), CUBE)
    assert found.since == TIMES[180]


def test_the_imprint_of_a_hundred_assets_takes_two_kilobytes_and_of_any_window_a_few():
    def size(cube, t, days):
        return len(json.dumps(taken(cube, t, days), separators=(",", ":")))

    one, huge = market(days=200, assets=100), market(days=1100, assets=700)
    t = one.time.values[-1]
    assert size(one, t, 155) < 2000
    assert size(huge, huge.time.values[-1], 73000) < 7000
    assert size({"a": one, "b": one}, t, 155) - size(one, t, 155) < 600


def test_of_a_wide_and_long_window_groups_of_assets_and_rows_are_named():
    cube = market(days=1200, assets=600)
    then = taken(cube, cube.time.values[-2], 73000)
    assert compared(then, cube) == []
    assert compared(then, cube.isel(time=slice(500, None))) == []
    cube.values[3, 1000, 77] += 1
    (found,) = compared(then, cube)
    assert found.among
    assert "TOY:077" in found.assets
    assert len(found.assets) < 12
    assert cube.time.values[997] < found.since <= cube.time.values[1000]


def test_each_of_several_cubes_is_looked_at_and_a_new_one_is_not():
    rates = CUBE.sel(field=["close"]).isel(asset=[0])
    then = taken({"stocks": CUBE, "rates": rates})
    assert compared(then, {"stocks": CUBE, "rates": rates, "gold": rates}) == []
    (found,) = compared(then, {"stocks": CUBE, "rates": rates * 2})
    assert str(found).startswith("rates: field close, asset TOY:000, first row ")
    assert compared(then, {"stocks": CUBE}) == []


def test_what_is_no_imprint_is_a_named_error():
    then = taken()
    for key, value in (("assets", "%"), ("assets", base64.b64encode(b"x").decode()), ("first", "soon"), ("span", 0)):
        with pytest.raises(StateCorruptError, match="imprint of its data cannot be read"):
            compared([then[0] | {key: value}], CUBE)
    for wrong in ([{}], [3], 3, [{"name": ""}]):
        with pytest.raises(StateCorruptError, match="imprint of its data cannot be read"):
            compared(wrong, CUBE)
