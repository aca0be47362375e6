"""Dirt is where its list says, and nowhere else; P8 is N0 with the faults that have passed for profit."""

import numpy as np
import pytest
import xarray as xr

from qlstm import cube as cubes
from qlstm.data import synthetic
from qlstm.errors import DataError

PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def clean():
    return synthetic.market("N0", n_assets=20, n_days=400)[0]


def rows_of(cube, fault):
    return cube.sel(asset=fault.asset, time=slice(fault.start, fault.end))


@pytest.mark.parametrize("seed", range(5))
def test_only_the_cells_of_the_list_are_changed(clean, seed):
    dirty, faults = synthetic.dirty(clean, seed=seed, each=3)
    assert len(faults) == 3 * len(synthetic.KINDS)
    assert len({fault.asset for fault in faults}) == len(faults)
    wrong = xr.zeros_like(clean.isel(field=0, drop=True), dtype=bool)
    for fault in faults:
        wrong.loc[{"asset": fault.asset, "time": slice(fault.start, fault.end)}] = True
        assert not rows_of(dirty, fault).equals(rows_of(clean, fault)), str(fault)
    xr.testing.assert_equal(dirty.where(~wrong), clean.where(~wrong))
    assert cubes.check(dirty, warn=False) == []


def test_places_depend_on_the_seed_alone(clean):
    one, faults = synthetic.dirty(clean, seed=1)
    again, same = synthetic.dirty(clean, seed=1)
    xr.testing.assert_identical(one, again)
    assert [str(fault) for fault in faults] == [str(fault) for fault in same]
    assert [str(fault) for fault in faults] != [str(fault) for fault in synthetic.dirty(clean, seed=2)[1]]


def one_of(clean, kind):
    dirty, (fault,) = synthetic.dirty(clean, seed=7, kinds=[kind])
    return rows_of(dirty, fault), rows_of(clean, fault), fault


def test_a_gap_has_no_prices_and_a_delisting_has_none_to_the_end(clean):
    for kind in ("gap", "delisting"):
        got, _, fault = one_of(clean, kind)
        assert got.sel(field="is_liquid").sum() == 0
        assert got.drop_sel(field="is_liquid").isnull().all()
        assert (fault.end == clean.time.values[-1]) == (kind == "delisting")


def test_a_frozen_asset_stands_at_its_last_close_and_stays_liquid(clean):
    got, _, fault = one_of(clean, "frozen")
    row = int(clean.time.values.searchsorted(fault.start))
    assert got.sizes["time"] >= 10
    assert (got.sel(field=PRICES) == float(clean.sel(field="close", asset=fault.asset)[row - 1])).all()
    assert (got.sel(field="vol") == 0).all()
    assert (got.sel(field="is_liquid") == 1).all()


def test_a_split_divides_prices_and_multiplies_volume_to_the_end(clean):
    got, was, fault = one_of(clean, "split")
    np.testing.assert_allclose(got.sel(field=PRICES) * fault.value, was.sel(field=PRICES))
    np.testing.assert_allclose(got.sel(field="vol") / fault.value, was.sel(field="vol"))
    assert fault.end == clean.time.values[-1]


def test_a_bad_tick_is_one_close_far_off(clean):
    got, was, fault = one_of(clean, "bad tick")
    assert got.sizes["time"] == 1
    np.testing.assert_allclose(got.sel(field="close"), was.sel(field="close") * fault.value)
    assert (got.sel(field="open") == was.sel(field="open")).all()


def test_restated_prices_are_the_original_ones_until_they_are_known(clean):
    dirty, faults = synthetic.dirty(clean, seed=3, kinds=["restatement"], each=2)
    first, second = sorted(faults, key=lambda fault: fault.known)
    before = np.datetime64(first.known) - np.timedelta64(1, "D")
    assert first.end < first.known
    xr.testing.assert_allclose(
        synthetic.as_known_on(dirty, faults, before), clean.sel(time=slice(None, before)), rtol=1e-12
    )
    then = synthetic.as_known_on(dirty, faults, first.known)
    assert not np.allclose(rows_of(then, first), rows_of(clean, first))
    if second.known > first.known:
        shown = slice(None, first.known)
        np.testing.assert_allclose(then.sel(asset=second.asset), clean.sel(asset=second.asset, time=shown), rtol=1e-12)
    xr.testing.assert_equal(synthetic.as_known_on(dirty, faults, dirty.time.values[-1]), dirty)


def test_faults_that_cannot_be_placed_are_named(clean):
    with pytest.raises(DataError, match=r"no kind of fault 'gaps'; did you mean 'gap'\?"):
        synthetic.dirty(clean, kinds=["gaps"])
    with pytest.raises(DataError, match="24 faults need as many assets with prices on all days, and the data have 20"):
        synthetic.dirty(clean, each=4)
    with pytest.raises(DataError, match=r"faults need at least .* days, and the data have 40"):
        synthetic.dirty(clean.isel(time=slice(40)), kinds=["gap"])


@pytest.mark.parametrize("seed", range(3))
def test_p8_is_n0_with_its_four_faults(seed):
    cube, truth = synthetic.market("P8", seed=seed)
    n0 = synthetic.market("N0", seed=seed)[0]
    frozen, jump, split, gap, delisting = truth.facts["faults"]
    assert [fault.kind for fault in truth.facts["faults"]] == ["frozen", "split", "split", "gap", "delisting"]
    xr.testing.assert_equal(
        cube.isel(asset=slice(4, None)).drop_sel(field="btc"), n0.isel(asset=slice(4, None)), check_dim_order=True
    )
    close = cube.sel(field="close", asset=frozen.asset)
    row = int(cube.time.values.searchsorted(jump.start))
    np.testing.assert_allclose(close[row - 21 : row], 2.95)
    assert float(close[row]) == pytest.approx(146.76)
    assert float(close[row] / close[row - 1] - 1.0) == pytest.approx(48.75, abs=0.01)  # the +4 875 % of the trade log
    around = cube.sel(field="close", asset=split.asset).sel(time=slice(None, split.start)).values[-2:]
    assert around[1] / around[0] == pytest.approx(0.25, rel=0.06)
    assert cube.sel(field="close", asset=gap.asset).isnull().sum() == 15
    assert cube.sel(field="close", asset=delisting.asset).sel(time=slice(delisting.start, None)).isnull().all()
    btc = cube.sel(field="btc").isel(asset=0)
    assert btc.sel(time=slice(None, truth.facts["btc_from"])).notnull().sum() == 1
    assert btc.sel(time=slice(truth.facts["btc_from"], None)).notnull().all()
