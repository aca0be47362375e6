"""Windows as samples: counted by hand, and cut out once more the slow way."""

import numpy as np
import pytest
import xarray as xr

from qlstm import nn
from qlstm.errors import DataError


def table(values, assets="ABC"):
    """Return a (time, asset) table; NaN where there is nothing."""
    values = np.array(values, dtype=float)
    days = np.datetime64("2020-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    return xr.DataArray(values, dims=("time", "asset"), coords={"time": days, "asset": list(assets)})


def toy():
    """Ten rows, three assets: A is whole, B misses row 4, C begins at row 6; no target on the last two rows."""
    X = table(np.arange(30.0).reshape(10, 3))
    X[4, 1] = np.nan
    X[:6, 2] = np.nan
    Y = X * 100
    Y[8:] = np.nan
    return X, Y


def pairs(sequences):
    return [(int(row), sequences.assets[column]) for row, column in zip(sequences.rows, sequences.columns, strict=True)]


def test_samples_of_three_assets_with_gaps_are_those_counted_by_hand():
    sequences = nn.Sequences(*toy(), length=3)
    # A: rows 2 to 7. B: row 4 is missing, so windows end on 2, 3 and 7. C: begins at row 6, so its first would end on 8.
    by_hand = [(2, "A"), (2, "B"), (3, "A"), (3, "B"), (4, "A"), (5, "A"), (6, "A"), (7, "A"), (7, "B")]
    assert pairs(sequences) == by_hand
    assert len(sequences) == 9
    without_targets = nn.Sequences(toy()[0], length=3)
    assert pairs(without_targets)[9:] == [(8, "A"), (8, "B"), (8, "C"), (9, "A"), (9, "B"), (9, "C")]
    assert pairs(nn.Sequences(*toy(), length=3, stride=2)) == [(2, "A"), (2, "B"), (4, "A"), (6, "A")]
    assert len(nn.Sequences(*toy(), length=11)) == 0


def test_a_window_ends_at_the_row_of_its_target_and_stays_in_its_asset():
    X, Y = toy()
    sequences = nn.Sequences(X, Y, length=3)
    np.testing.assert_array_equal(sequences.inputs()[..., 0], [[x - 6, x - 3, x] for x in sequences.inputs()[:, -1, 0]])
    np.testing.assert_array_equal(sequences.targets(), 100 * sequences.inputs()[:, -1, 0])
    xr.testing.assert_equal(sequences.table(sequences.targets()), Y.where(sequences.table(np.ones(9)) == 1))


def test_windows_are_what_slicing_gives_with_several_features_in_any_layout():
    random = np.random.default_rng(0)
    X = table(random.standard_normal((20, 3))).expand_dims(feature=4) * np.arange(1, 5)[:, None, None]
    X = X.transpose("feature", "asset", "time").copy()
    X[2, 1, 7] = np.nan
    Y = table(random.standard_normal((20, 3)))
    sequences = nn.Sequences(X, Y, length=5)
    expected = []
    for row in range(4, 20):
        for asset in X.asset.values:
            window = X.isel(time=slice(row - 4, row + 1)).sel(asset=asset).transpose("time", "feature").values
            expected += [window] if np.isfinite(window).all() else []
    np.testing.assert_array_equal(sequences.inputs(), np.array(expected, dtype=np.float32))
    some = np.array([5, 0, 5])
    np.testing.assert_array_equal(sequences.inputs(some), np.array(expected, dtype=np.float32)[some])


def test_the_order_of_assets_does_not_matter():
    X, Y = toy()
    one, other = nn.Sequences(X, Y, length=3), nn.Sequences(X[:, [2, 0, 1]], Y[:, [2, 0, 1]], length=3)
    assert pairs(one) == pairs(other)
    np.testing.assert_array_equal(one.inputs(), other.inputs())
    np.testing.assert_array_equal(one.targets(), other.targets())
    tables = [sequences.table(sequences.targets()) for sequences in (one, other)]
    assert tables[1].asset.values.tolist() == ["C", "A", "B"]  # as in the data
    xr.testing.assert_equal(tables[0], tables[1].sel(asset=tables[0].asset))


def test_a_split_purges_what_targets_look_at_and_keeps_windows_apart():
    X = table(np.arange(60.0).reshape(20, 3))
    sequences = nn.Sequences(X, X, length=4, horizon=2)  # windows end on rows 3 to 19
    earlier, late = sequences.split(0.2)  # 17 rows: the latest 3 validate
    assert sorted({row for row, _ in pairs(late)}) == [17, 18, 19]
    assert max(row for row, _ in pairs(earlier)) == 17 - 2 - 4
    earlier_rows, late_rows = ({r - lag for r, _ in pairs(part) for lag in range(4)} for part in (earlier, late))
    assert max(earlier_rows) + 2 < min(late_rows)  # neither windows nor targets meet
    near, _ = sequences.split(0.2, embargo=0)
    assert max(row for row, _ in pairs(near)) == 15
    assert pairs(sequences.between("2020-01-05", "2020-01-06")) == [(4, a) for a in "ABC"] + [(5, a) for a in "ABC"]


def test_splits_that_leave_nothing_are_refused():
    X = table(np.arange(30.0).reshape(10, 3))
    sequences = nn.Sequences(X, X, length=4)
    with pytest.raises(DataError, match=r"no sequence is left to learn from before 2020-01-09.*smaller embargo"):
        sequences.split(0.3, embargo=10)
    with pytest.raises(DataError, match="share between 0 and 1"):
        sequences.split(1.0)
    with pytest.raises(DataError, match="end on 1 days"):
        nn.Sequences(X, X, length=10).split()


def test_an_epoch_takes_every_sample_once_where_days_are_alike():
    X = table(np.arange(300.0).reshape(100, 3))
    sequences = nn.Sequences(X, X, length=4)
    places = sequences.epoch(np.random.default_rng(3))
    assert sorted(places) == list(range(len(sequences)))
    np.testing.assert_array_equal(places, sequences.epoch(np.random.default_rng(3)))
    assert not np.array_equal(places, sequences.epoch(np.random.default_rng(4)))


def test_an_epoch_gives_every_day_the_same_number_of_samples():
    X = table(np.ones((100, 20)), assets=[f"{i:02d}" for i in range(20)])
    X[50:, 5:] = np.nan  # twenty assets, then five
    sequences = nn.Sequences(X, X, length=1)
    rng = np.random.default_rng(0)
    places = np.concatenate([sequences.epoch(rng) for _ in range(20)])
    by_day = np.bincount(sequences.rows[places]) / 20
    np.testing.assert_allclose(by_day, 12.5, atol=1.0)
    by_asset = np.bincount(sequences.columns[places][sequences.rows[places] < 50])
    assert by_asset.min() > 0.7 * by_asset.mean()  # which ones are left out changes from epoch to epoch


def test_a_quarter_of_a_million_windows_cost_an_index_not_copies():
    X = table(np.random.default_rng(0).standard_normal((750, 500)), assets=[f"{i:03d}" for i in range(500)])
    sequences = nn.Sequences(X, X, length=240)
    assert len(sequences) == 255_500
    held = sum(part.nbytes for part in (sequences.rows, sequences.columns, sequences._x, sequences._y))
    assert held < 8e6
    assert sequences.inputs(np.arange(512)).shape == (512, 240, 1)
    assert nn.Sequences(X, length=240).take(sequences.rows == 749)._x.base is None  # the data, once


def test_bad_input_is_named():
    X, Y = toy()
    with pytest.raises(DataError, match="different asset labels"):
        nn.Sequences(X, Y[:, [1, 0, 2]], length=3)
    with pytest.raises(DataError, match="different time labels"):
        nn.Sequences(X, Y[1:], length=3)
    with pytest.raises(DataError, match="asset A twice"):
        nn.Sequences(X[:, [0, 0]], length=3)
    with pytest.raises(DataError, match="no targets"):
        nn.Sequences(X, length=3).targets()
    X[3, 1] = 1e300
    with pytest.raises(DataError, match=r"infinite in float32, 2020-01-04, asset B: 1e\+300"):
        nn.Sequences(X, Y, length=3)
    with pytest.raises(DataError, match="length and stride"):
        nn.Sequences(X, Y, length=0)
