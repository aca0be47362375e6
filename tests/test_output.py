"""What is sent to a contest: cleaned by its rules with nothing dropped in silence, and brought to dates."""

import dataclasses
import logging

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolios import book_over, gappy

from qlstm import contests, output
from qlstm.errors import ContestError, WeightsError

FAST = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 10**6)


def cleaned(weights, data, kind="stocks_nasdaq100"):
    report = []
    return output.clean(weights, data, kind, report=report), report


# --- clean --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stocks_nasdaq100", "stocks_s&p500"])
@given(seed=SEEDS, t=st.integers(0, 39), missing=st.booleans())
@FAST
def test_a_day_cleaned_alone_equals_that_day_among_others_to_the_bit(kind, seed, t, missing):
    data = gappy(seed)
    weights = book_over(data, seed)
    if missing:
        weights = weights.isel(time=[i for i in range(40) if i % 7 != 3 or i == t])
    whole = output.clean(weights, data, kind)
    day = data.time.values[t]
    alone = output.clean(weights.sel(time=[day]), data.isel(time=slice(t + 1)), kind)
    if day not in whole.time.values:  # a day on which nothing is liquid leaves a book with missed dates
        assert not alone.values.any()
        return
    one, other = xr.align(whole.sel(time=[day]), alone, join="outer", fill_value=0.0)
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("kind", contests.names())
@given(seed=SEEDS)
@settings(derandomize=True, deadline=None, max_examples=6)
def test_cleaned_weights_are_normalised_finite_and_keep_the_rules(kind, seed):
    data = gappy(seed)
    data = data.assign_coords(asset=["BTC", *data.asset.values[1:]])
    weights = book_over(data, seed)
    weights[3, 2] = np.inf
    got, rules = output.clean(weights, data, kind), contests.get(kind)
    assert np.isfinite(got.values).all()
    assert (abs(got).sum("asset") <= 1 + 1e-12).all()
    assert got.get_index("time").is_monotonic_increasing
    if rules.long_only:
        assert (got.values >= 0).all()
    if rules.liquid_only:
        illiquid = data.sel(field="is_liquid", time=got.time, asset=got.asset).values == 0
        assert not got.values[illiquid].any()
    if rules.allowed_assets:
        assert set(got.asset.values) <= set(rules.allowed_assets)
    if not rules.hold_gaps:  # else what is held over a gap depends on what was scaled before it
        xr.testing.assert_equal(output.clean(got, data, kind), got)


@given(seed=SEEDS)
@FAST
def test_the_order_of_assets_and_dates_does_not_matter(seed):
    data = gappy(seed)
    weights = book_over(data, seed)
    random = np.random.default_rng(seed)
    mixed = weights.isel(asset=random.permutation(6), time=random.permutation(40))
    want = output.clean(weights, data)
    xr.testing.assert_equal(output.clean(mixed, data), want)
    xr.testing.assert_equal(output.clean(weights, data.isel(asset=random.permutation(6))), want)


def test_nothing_is_dropped_in_silence(caplog):
    data = toys.market(days=20, assets=4)
    data.loc[{"field": "is_liquid", "asset": "TOY:001"}][5] = 0.0
    data.loc[{"field": "close", "asset": "TOY:002"}][6] = np.nan
    weights = book_over(data, 1).fillna(0.1)
    weights[7, 3] = np.nan
    unknown = weights.isel(asset=[0]).assign_coords(asset=["X"])
    weights = xr.concat([weights, unknown], "asset")
    late = weights.isel(time=[-1]).assign_coords(time=[np.datetime64("2031-01-01", "ns")])
    weights = xr.concat([weights.drop_isel(time=10), late, late], "time")
    with caplog.at_level(logging.INFO, logger="qlstm.output"):
        got, report = cleaned(weights, data)
    words = [
        "time labels named more than once, the first counts: 1, first 2031-01-01",
        "missing weights (NaN), taken as 0: 1 of ",
        "asset labels the data lack: 1, first X, with 20 positions",
        "time labels the data lack: 1, first 2031-01-01",
        "contest rules took away 1 position (no close), first TOY:002 on 2015-01-09 (weight ",
        "contest rules took away 1 position (not liquid), first TOY:001 on 2015-01-08 (weight ",
        "days added without positions: 1, first 2015-01-15",
        "rows above the whole capital, scaled to it: 17, first 2015-01-01: 2.8008",
    ]
    for line, word in zip(report, words, strict=True):
        assert word in line
    assert report == caplog.messages
    assert {record.levelname for record in caplog.records} == {"INFO", "WARNING"}
    assert "X" not in got.asset.values
    assert not got.sel(time="2015-01-15").values.any()


def test_clean_weights_need_no_report():
    data = toys.market(days=20, assets=4)
    weights = output.normalize(book_over(data, 2, scale=0.1).fillna(0.0))
    got, report = cleaned(weights, data)
    assert report == []
    xr.testing.assert_equal(got, weights)


def test_a_gap_is_held_over_where_the_contest_has_it_so():
    data = toys.market(days=20, assets=2).drop_sel(field="is_liquid")
    data.loc[{"field": "close", "asset": "TOY:000"}][8:10] = np.nan
    weights = xr.full_like(data.isel(field=0, drop=True), 0.3)
    weights[8:10, 0] = 0.1
    assert float(output.clean(weights, data, "futures")[9, 0]) == 0.3
    assert float(output.clean(weights, data, "stocks_nasdaq100")[9, 0]) == 0.0


def test_big_positions_are_cut_and_if_that_is_not_enough_days_are_dropped():
    data = toys.market(days=20, assets=30)
    even = xr.full_like(data.isel(field=0, drop=True), 1 / 30)
    few = even.where(even.asset == "TOY:000", 0.0) * 30
    big = even.where(even.asset != "TOY:000", 0.4)
    assert cleaned(even, data, "stocks")[1] == []
    got, report = cleaned(big, data, "stocks")
    assert float(got.max()) <= 0.049
    assert len(report) == 2
    assert "contest rules cut 20 positions (above 0.049 of the capital), first" in report[0]
    assert "rows above the whole capital, scaled to it: 20, first 2015-01-01: 1.01567" in report[1]
    got, report = cleaned(few, data, "stocks")
    assert not got.values.any()
    assert "days dropped" in report[-1]


def test_a_single_day_is_dated_by_the_newest_day_of_the_data():
    data = toys.market(days=20, assets=3)
    row = book_over(data, 0).fillna(0.0)[4]
    got, report = cleaned(row, data)
    assert list(got.time.values) == [data.time.values[-1]]
    assert "weights of 2015-01-07 have no time dim: taken as those of 2015-01-28" in report[0]
    assert cleaned(row.drop_vars("time"), data)[1] == report[1:]


def test_a_contest_of_the_users_own_is_obeyed():
    rules = dataclasses.replace(
        contests.get("stocks_nasdaq100"), name="mine", long_only=True, allowed_assets=("TOY:001",)
    )
    data = toys.market(days=20, assets=3)
    got = output.clean(book_over(data), data, rules)
    assert list(got.asset.values) == ["TOY:001"]
    assert (got.values >= 0).all()


def test_the_contest_must_be_known():
    data = toys.market(days=20, assets=3)
    with pytest.raises(ContestError, match="did you mean 'stocks_nasdaq100'"):
        output.clean(book_over(data), data, "stocks_nasdaq")
    with pytest.raises(ContestError, match="data named None tell no contest; pass kind="):
        output.clean(book_over(data), data.rename(None))


def test_what_are_no_weights_is_refused():
    data = toys.market(days=20, assets=3)
    for wrong in (np.zeros(3), book_over(data).astype(str), book_over(data).expand_dims(model=2), None):
        with pytest.raises(WeightsError):
            output.clean(wrong, data)


def test_weights_that_share_nothing_with_the_data_are_refused():
    data = toys.market(days=20, assets=3)
    with pytest.raises(WeightsError, match="share no asset: weights have X to Z, data TOY:000 to TOY:002"):
        output.clean(book_over(data).assign_coords(asset=["X", "Y", "Z"]), data)
    with pytest.raises(WeightsError, match="share no date: weights have 2035-01-01 to"):
        output.clean(book_over(data).assign_coords(time=pd.bdate_range("2035-01-01", periods=20)), data)


# --- align --------------------------------------------------------------------------------------------------------------


def test_align_gives_exactly_the_dates_asked_for():
    data = toys.market(days=20, assets=3)
    weights = book_over(data).fillna(0.0).isel(time=slice(5, 10))
    got = output.align(weights, data.time, start="2015-01-05", end=data.time.values[12])
    assert list(got.time.values) == list(data.time.values[2:13])
    assert not got.values[:3].any()
    np.testing.assert_array_equal(got.values[3:8], output.normalize(weights).values)
    wide = toys.market(days=20, assets=5)
    assert list(output.align(weights, wide).asset.values) == list(wide.asset.values)


@pytest.mark.parametrize(("hold_gaps", "left"), [(False, 0.2), (True, 0.0)])
def test_where_liquidity_is_unknown_filling_missed_days_keeps_what_a_day_alone_would(hold_gaps, left):
    data = toys.market(days=10, assets=3)
    data.loc[{"field": "is_liquid", "asset": "TOY:001"}][5] = np.nan
    weights = xr.full_like(data.isel(field=0, drop=True), 0.2)
    rules = dataclasses.replace(contests.get("stocks_nasdaq100"), name="mine", hold_gaps=hold_gaps)
    assert float(output.clean(weights, data, rules)[5, 1]) == 0.2
    got, report = cleaned(weights.drop_isel(time=7), data, rules)
    assert float(got[5, 1]) == left
    line = "contest rules took away 1 position (not liquid), first TOY:001 on 2015-01-08 (weight 0.2)"
    assert (line in report) is hold_gaps
    want = xr.full_like(weights, 0.2)
    want[5, 1], want[7] = left, 0.0
    np.testing.assert_array_equal(got.values, want.values)


def test_filling_missed_days_leaves_out_days_and_assets_that_are_never_liquid():
    data = toys.market(days=10, assets=3)
    data.loc[{"field": "is_liquid"}][4] = 0.0
    data.loc[{"field": "is_liquid", "asset": "TOY:002"}] = 0.0
    weights = xr.full_like(data.isel(field=0, drop=True), 0.2)
    assert output.clean(weights, data).shape == (10, 3)
    got, report = cleaned(weights.drop_isel(time=7), data)
    assert list(got.asset.values) == ["TOY:000", "TOY:001"]
    assert list(got.time.values) == list(data.time.values[[0, 1, 2, 3, 5, 6, 7, 8, 9]])
    assert "never liquid: 1 assets and 1 days left out" in report[-1]
    np.testing.assert_array_equal(got.values, [[0.2, 0.2]] * 6 + [[0.0, 0.0]] + [[0.2, 0.2]] * 2)
