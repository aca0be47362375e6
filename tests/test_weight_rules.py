"""Rules that change weights, or choose assets: exposure, neutralisation, filters, liquidity."""

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolios import NAN, book

from qlstm import exposure, filter, neutralization, stats
from qlstm.data.liquidity import most_traded
from qlstm.errors import DataError, WeightsError

FAST = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 10**6)


def random_book(seed, rows=12, assets=6):
    random = np.random.default_rng(seed)
    return book(random.normal(size=(rows, assets)) * (random.random((rows, assets)) < 0.7))


# --- exposure -----------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, limit=st.floats(0.01, 1.0))
@FAST
def test_cutting_leaves_small_positions_and_every_sign_alone(seed, limit):
    weights = random_book(seed)
    got = exposure.cut_big_positions(weights, limit)
    assert float(abs(got).max()) <= limit
    np.testing.assert_array_equal(np.sign(got), np.sign(weights))
    small = abs(weights) <= limit
    np.testing.assert_array_equal(got.where(small), weights.where(small))


def test_cutting_keeps_what_is_missing():
    assert np.isnan(exposure.cut_big_positions(book([[NAN, 0.5]]), 0.1).values[0, 0])


@given(seed=SEEDS, limit=st.floats(0.2, 0.9))
@FAST
def test_a_day_is_dropped_whole_or_kept_whole(seed, limit):
    weights = random_book(seed)
    got = exposure.drop_bad_days(weights, limit)
    assert (stats.calc_exposure(got).max("asset") < limit).all()
    bad = (stats.calc_exposure(weights).max("asset") >= limit).values
    assert not got.values[bad].any()
    np.testing.assert_array_equal(got.values[~bad], weights.values[~bad])


def test_mixing_adds_enough_of_the_second_book():
    concentrated, broad, other = book([[0.5, 0, 0, 0]]), book([[0.2, 0.2, 0.2, 0.2]]), book([[0, 0.2, 0.2, 0.2]])
    got = exposure.mix_weights(concentrated, broad, 0.4)
    np.testing.assert_allclose(got.values, [[0.4, 0.2, 0.2, 0.2]])  # k = 0.5 (1 - 0.4) / (0.8 (0.4 - 0.25)) = 2.5
    assert float(stats.calc_exposure(exposure.mix_weights(concentrated, other, 0.4)).max()) <= 0.4
    xr.testing.assert_equal(exposure.mix_weights(broad, other, 0.4), broad)


def test_mixing_books_of_different_labels_takes_their_union():
    got = exposure.mix_weights(book([[0.5, 0.1]], "AB"), book([[0.2, 0.2, 0.2]], "CDE"), 0.5)
    assert list(got.asset.values) == ["A", "B", "C", "D", "E"]
    assert np.isfinite(got.values).all()


def test_mixing_takes_missing_weights_as_nothing():
    first, second = book([[0.5, 0.0, 0.0]] * 2), book([[0.0, 0.2, 0.2]] * 2)
    want = exposure.mix_weights(first, second, 0.6)
    for holes in ((0, 1), (1, 2)):
        missing = first.copy(deep=True)
        missing[holes] = NAN
        xr.testing.assert_equal(exposure.mix_weights(missing, second, 0.6), want)
    missing = second.copy(deep=True)
    missing[1, 0] = NAN
    xr.testing.assert_equal(exposure.mix_weights(first, missing, 0.6), want)


@pytest.mark.parametrize("rule", [exposure.cut_big_positions, exposure.drop_bad_days])
@pytest.mark.parametrize("limit", [0, -0.1, NAN])
def test_a_limit_must_be_above_nothing(rule, limit):
    with pytest.raises(WeightsError, match=f"max_weight must be above 0, got {limit}"):
        rule(book([[0.1]]), limit)


def test_infinite_weights_are_named(caplog):
    weights = book([[0.1, 0.2], [np.inf, 0.2]])
    assert float(exposure.cut_big_positions(weights, 0.1).max()) == 0.1
    exposure.drop_bad_days(weights)
    neutralization.neutralize(weights, [])
    assert (
        caplog.messages
        == ["1 infinite weights, first 2020-01-02, asset A: inf; use output.normalize, which takes them as 0"] * 3
    )
    with pytest.raises(WeightsError, match="1 infinite weights, first 2020-01-02, asset A: inf; use"):
        exposure.mix_weights(weights, weights)


def test_mixing_a_flat_second_book_in_is_logged(caplog):
    concentrated = book([[0.5, 0.0], [0.5, 0.0]])
    got = exposure.mix_weights(concentrated, book([[0.0, 0.0], [0.2, 0.2]]), 0.6)
    assert np.isnan(got.values[0]).all()
    assert np.isfinite(got.values[1]).all()
    assert "1 days are NaN" in caplog.text


# --- neutralisation -----------------------------------------------------------------------------------------------------

ASSETS = [{"id": a, "sector": "Tech" if a < "D" else None, "industry": a} for a in "ABCDEF"]


@given(seed=SEEDS, group=st.sampled_from(["market", "sector"]))
@FAST
def test_each_group_is_balanced_and_differences_within_it_stay(seed, group):
    weights = random_book(seed)
    got = neutralization.neutralize(weights, ASSETS, group)
    for members in (["A", "B", "C", "D", "E", "F"],) if group == "market" else (["A", "B", "C"], ["D", "E", "F"]):
        part = got.sel(asset=members)
        np.testing.assert_allclose(part.sum("asset"), 0.0, atol=1e-12)
        np.testing.assert_allclose(part - part[:, 0], weights.sel(asset=members) - weights.sel(asset=members[0]))


def test_alone_in_a_group_nothing_is_left_and_missing_weights_do_not_count():
    weights = book([[0.3, NAN, 0.1, 0.0, 0.0, 0.0]])
    assert not neutralization.neutralize(weights, ASSETS, "industry").fillna(0.0).values.any()
    got = neutralization.neutralize(weights, ASSETS, "sector").values[0]
    np.testing.assert_allclose(got[:3], [0.1, NAN, -0.1])


def test_assets_without_a_description_are_one_group_with_a_warning():
    weights = book([[0.4, 0.2, 0.0, 0.0, 0.0, 0.0]])
    with pytest.warns(UserWarning, match="2 assets have no sector, first A"):
        got = neutralization.neutralize(weights, ASSETS[2:], "sector")
    np.testing.assert_allclose(got.values[0, :2], [0.1, -0.1])


def test_only_known_groups_are_accepted():
    with pytest.raises(WeightsError, match="no such group 'country'; use 'market', 'sector', 'industry'"):
        neutralization.neutralize(book([[0.1]]), [], "country")


# --- filters ------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, top=st.integers(1, 8), ascending=st.booleans())
@FAST
def test_ranks_equal_those_of_pandas_with_ties_and_gaps(seed, top, ascending):
    random = np.random.default_rng(seed)
    data = toys.market(days=20, assets=6)
    values = random.integers(0, 4, (20, 6)).astype(float)
    values[random.random((20, 6)) < 0.3] = NAN
    values[3] = np.inf
    criterion = data.isel(field=0, drop=True).copy(data=values)
    got = filter.rank_assets_by(data, criterion, top, ascending)
    want = pd.DataFrame(values).rank(axis=1, ascending=ascending) <= top
    np.testing.assert_array_equal(got.values, want.to_numpy())


def test_days_and_assets_a_criterion_lacks_are_not_marked():
    data = toys.market(days=5, assets=3)
    criterion = data.sel(field="close", drop=True)[1:, :2]
    got = filter.rank_assets_by(data, criterion, 3, True)
    np.testing.assert_array_equal(got.values, [[0, 0, 0]] + [[1, 1, 0]] * 4)


@given(seed=SEEDS, window=st.integers(1, 30), metric=st.sampled_from(["std", "mean"]))
@FAST
def test_a_rolling_metric_needs_every_value_of_its_window(seed, window, metric):
    random = np.random.default_rng(seed)
    values = random.normal(size=(25, 3))
    values[random.random((25, 3)) < 0.1] = NAN
    series = toys.market(days=25, assets=3).isel(field=0, drop=True).copy(data=values)
    rolling = pd.DataFrame(values).rolling(window, min_periods=window)
    want = rolling.std(ddof=0) if metric == "std" else rolling.mean()
    got = filter.calc_rolling_metric(series, window, metric)
    np.testing.assert_allclose(got.values, want.to_numpy(), rtol=1e-9, atol=1e-9)


@given(seed=SEEDS, cut=st.integers(10, 39))
@FAST
def test_filters_do_not_see_the_future(seed, cut):
    data = toys.market(days=40, assets=5, seed=seed, gaps=0.02)
    weights = data.sel(field="close", drop=True).copy(data=np.random.default_rng(seed).normal(size=(40, 5)) / 5)
    for mark in (
        lambda cube, _: filter.filter_volatility(cube, 8, 2),
        lambda cube, _: filter.filter_by_normalized_atr(cube, 2, 5),
        lambda cube, book: filter.filter_sharpe_ratio(cube, book, 2),
        lambda cube, book: filter.filter_volatility_rolling(cube, book, 2, 3),
    ):
        whole, early = mark(data, weights), mark(data[:, :cut], weights[:cut])
        np.testing.assert_array_equal(whole[:cut].values, early.values)


def test_the_calmest_assets_are_marked():
    data = toys.market(days=60, assets=4, seed=2)
    close = data.sel(field="close", drop=True)
    calm = 50 + (close.sel(asset="TOY:002") - 50) * 0.01
    data.loc[{"field": "close", "asset": "TOY:002"}] = calm
    got = filter.filter_volatility(data, 20, 1)
    assert not got.values[:20].any()
    assert (got.sel(asset="TOY:002")[20:] == 1).all()
    assert (filter.filter_volatility(data, 20, 1, ascending=False).sel(asset="TOY:002") == 0).all()


def test_filters_name_what_is_wrong():
    data = toys.market(days=10, assets=3)
    close = data.sel(field="close", drop=True)
    cases = [
        ("the rolling window must be at least 1 row, got 0", lambda: filter.filter_volatility(data, 0, 2)),
        ("top_assets must be a whole number, got '2'", lambda: filter.filter_volatility(data, 5, "2")),
        ("the rolling window must be a whole number, got 5.0", lambda: filter.filter_volatility(data, 5.0, 2)),
        ("lack field 'high'", lambda: filter.filter_by_normalized_atr(data.drop_sel(field="high"), 2)),
        ("numbers, got dtype complex128", lambda: filter.rank_assets_by(data, close.astype(complex), 2, True)),
        ("share no asset", lambda: filter.rank_assets_by(data, close.assign_coords(asset=["X", "Y", "Z"]), 2, True)),
        (
            "share no time",
            lambda: filter.rank_assets_by(
                data, close.assign_coords(time=close.time + np.timedelta64(9999, "D")), 2, True
            ),
        ),
        ("top_assets must be at least 1, got 0", lambda: filter.filter_volatility(data, 5, 0)),
        ("no such metric 'median'", lambda: filter.filter_volatility(data, 5, 2, "median")),
        (r"dims \(time, asset\), got \(time\)", lambda: filter.rank_assets_by(data, close[:, 0], 2, True)),
        ("a dim time is needed", lambda: filter.calc_rolling_metric(close[0], 2, "std")),
        ("lack field 'close'", lambda: filter.filter_volatility(data.drop_sel(field="close"), 5, 2)),
    ]
    for words, call in cases:
        with pytest.raises(DataError, match=words):
            call()


def test_assets_that_trade_equally_much_share_the_better_rank():
    vol = np.array([[3.0, 2.0, 2.0, 2.0, 1.0]])
    got = [most_traded(np.ones((1, 5)), vol, top).tolist()[0] for top in (1, 2, 3, 4, 5)]
    tied = [1.0, 1.0, 1.0, 1.0, 0.0]
    assert got == [[1.0, 0.0, 0.0, 0.0, 0.0], tied, tied, tied, [1.0] * 5]
