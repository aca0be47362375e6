"""Choosing assets as of a day: exact numbers, no future, survivors not preferred, blocks told apart."""

import logging

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr

from qlstm import filter, universe
from qlstm.data import synthetic
from qlstm.errors import DataError

MASKS = {
    "lowest_volatility": lambda data: universe.lowest_volatility(data, 3, rows=20),
    "smallest": lambda data: universe.smallest(data, 3),
    "available": universe.available,
}


def with_mcap(data):
    caps = data.sel(field=["close"]).assign_coords(field=["mcap"]) * 1e6
    return xr.concat([data, caps], dim="field")


def delisted(data, asset, after):
    """Return the data without prices of an asset from a row on."""
    gone = data.copy()
    gone.loc[{"asset": asset}][:, after:] = np.nan
    return gone


def test_only_what_is_named_is_left_in_that_order_and_what_lacks_is_named():
    data = toys.market(days=3, assets=4)
    assert universe.only(data[3, -1], ["TOY:003", "TOY:001"]).asset.values.tolist() == ["TOY:003", "TOY:001"]
    xr.testing.assert_identical(universe.only(data, ("TOY:002",)), data[:, :, 2:3])
    with pytest.raises(
        DataError, match="lack asset 'A' and 1 more; they have TOY:000, TOY:001, TOY:002, TOY:003; give"
    ):
        universe.only(data, ["TOY:000", "A", "B"])


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("cut", [25, 70, 119])
def test_the_future_changes_nothing(mask, cut):
    data = toys.market(days=120, assets=8, gaps=0.02)
    noise = data.copy(data=data.values.copy())
    noise.values[:, cut:] = np.random.default_rng(1).uniform(1, 100, noise.values[:, cut:].shape)
    before = mask(data).isel(time=slice(0, cut))
    np.testing.assert_array_equal(mask(noise).isel(time=slice(0, cut)), before)
    np.testing.assert_array_equal(mask(data.isel(time=slice(0, cut))), before)
    assert before.values[-1].any()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_a_delisted_asset_is_there_before_and_gone_after(mask):
    data = toys.market(days=120, assets=3)
    chosen = mask(delisted(data, "TOY:001", 80)).sel(asset="TOY:001").values
    assert chosen[30:80].all()
    assert not chosen[80:].any()


def test_the_calmest_are_those_of_the_filter_where_none_are_equal():
    data = toys.market(days=100, assets=8)
    np.testing.assert_array_equal(
        universe.lowest_volatility(data, 3, rows=20), filter.filter_volatility(data, 20, 3, "std")
    )


def test_of_equals_exactly_as_many_as_asked_are_marked_in_the_order_of_labels():
    data = toys.market(days=60, assets=4)
    same = data.copy(data=np.repeat(data.values[..., :1], 4, axis=2))[..., [2, 0, 3, 1]]
    for mask in (universe.lowest_volatility(same, 2, rows=10), universe.smallest(same, 2)):
        assert mask.isel(time=-1).to_series().to_dict() == {"TOY:002": 0, "TOY:000": 1, "TOY:003": 0, "TOY:001": 1}


def test_what_is_not_liquid_or_no_member_is_not_marked():
    data = toys.market(days=60, assets=4)
    data.loc[{"field": "is_liquid", "asset": "TOY:000"}] = 0.0
    members = universe.available(data)
    assert not members.sel(asset="TOY:000").any()
    members.loc[{"asset": "TOY:001"}] = False
    marked = universe.smallest(data, 4, members).isel(time=-1)
    assert marked.asset.values[marked.values > 0].tolist() == ["TOY:002", "TOY:003"]
    assert universe.smallest(data, 4).isel(time=-1).sum() == 3


def test_the_smallest_go_by_mcap_where_there_is_one(caplog):
    data = with_mcap(toys.market(days=60, assets=5))
    with caplog.at_level(logging.INFO, "qlstm.universe"):
        mask = universe.smallest(data, 2)
    assert mask.attrs["size"] == "mcap"
    assert not caplog.records
    caps = data.sel(field="mcap").values
    np.testing.assert_array_equal(mask, (caps.argsort(axis=1).argsort(axis=1) < 2).astype(float))


def test_a_substitute_for_mcap_is_reported(caplog):
    data = toys.market(days=80, assets=5)
    with caplog.at_level(logging.INFO, "qlstm.universe"):
        mask = universe.smallest(data, 2)
    assert "for want of a field mcap" in mask.attrs["size"]
    assert "for want of a field mcap" in caplog.text
    dollars = (data.sel(field="close") * data.sel(field="vol")).values[-60:]
    expected = np.median(dollars, axis=0).argsort()[:2]
    np.testing.assert_array_equal(np.flatnonzero(mask.values[-1]), np.sort(expected))


def test_the_premium_of_the_small_is_where_the_smallest_are():
    data, truth = synthetic.market("P5", seed=2)
    small = universe.smallest(data, truth.facts["n_small"])
    expected = truth.signal.where(truth.signal.notnull(), 0.0).transpose("time", "asset")
    assert ((expected > 0) == (small > 0)).mean() > 0.99


# --- assets that are least alike ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_one_of_each_block_comes_before_a_second(seed):
    data, truth = synthetic.market("P13", seed=seed)
    block = dict(zip(data.asset.values, truth.facts["block"], strict=True))
    first = universe.uncorrelated(data, 6)
    assert {block[asset] for asset in first[:3]} == {0, 1, 2}
    second = universe.uncorrelated(data, 6, excluded=first)
    assert not set(first) & set(second)
    assert {block[asset] for asset in second[:3]} == {0, 1, 2}
    started = universe.uncorrelated(data, 3, start=data.asset.values[-1])
    assert started[0] == data.asset.values[-1]
    assert {block[asset] for asset in started} == {0, 1, 2}


def test_each_choice_is_the_least_alike_to_those_before():
    data = toys.market(days=200, assets=7, seed=3)
    close = data.sel(field="close").to_pandas()
    alike = np.abs(np.corrcoef((close / close.shift(1) - 1).iloc[1:].T))
    chosen = [int(asset[-3:]) for asset in universe.uncorrelated(data, 7, start="TOY:004")]
    for n in range(1, 7):
        rest = sorted(set(range(7)) - set(chosen[:n]))
        means = [alike[i, chosen[:n]].mean() for i in rest]
        assert chosen[n] == rest[int(np.argmin(means))]


def test_the_order_of_the_assets_does_not_matter_and_levels_do_not_count():
    data, _ = synthetic.market("P13", seed=0)
    chosen = universe.uncorrelated(data, 5)
    assert universe.uncorrelated(data[..., ::-1], 5) == chosen
    assert universe.uncorrelated(data * xr.DataArray(np.arange(1.0, 31), dims="asset"), 5) == chosen


def test_only_assets_there_on_the_last_day_with_enough_returns_are_candidates():
    data = delisted(toys.market(days=100, assets=4), "TOY:000", 90)
    data.values[:, :50, 1] = np.nan
    assert set(universe.uncorrelated(data, 4)) == {"TOY:002", "TOY:003"}
    assert set(universe.uncorrelated(data, 4, coverage=0.4)) == {"TOY:001", "TOY:002", "TOY:003"}


def test_choices_that_cannot_be_made_are_refused():
    data = toys.market(days=50, assets=2)
    with pytest.raises(DataError, match="start 'TOY:00' is no candidate; did you mean"):
        universe.uncorrelated(data, 1, start="TOY:00")
    with pytest.raises(DataError, match="no asset is available on the last day"):
        universe.uncorrelated(data, 1, excluded=["TOY:000", "TOY:001"])
    with pytest.raises(DataError, match="coverage"):
        universe.uncorrelated(data, 1, coverage=90)
    with pytest.raises(DataError, match="count must be at least 1"):
        universe.uncorrelated(data, 0)


@pytest.mark.parametrize("dims", [("field", "time", "asset"), ("time", "asset", "field")])
def test_the_liquid_are_those_of_the_last_row_in_the_order_of_the_data(dims):
    cube = xr.DataArray(
        [[[1.0, 1.0, 1.0]] * 2, [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]],
        dims=("field", "time", "asset"),
        coords={
            "field": ["close", "is_liquid"],
            "time": pd.bdate_range("2020-01-01", periods=2),
            "asset": ["C", "A", "B"],
        },
    )
    assert universe.liquid(cube.transpose(*dims)) == ["C", "B"]
    with pytest.raises(DataError, match="data lack field 'is_liquid'; they have close"):
        universe.liquid(cube.sel(field=["close"]))
