"""Portfolio builders: bounds, labels, gaps and ties for all of them, then what each one is for."""

import re

import numpy as np
import pytest
import xarray as xr
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolios import row

from qlstm import portfolio
from qlstm.errors import DataError, WeightsError

FAST = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 10**6)


# name -> builder(scores, liquid, previous)
BUILDERS = {
    "equal_weight": lambda s, liquid, p: portfolio.equal_weight(s.where(liquid > 0)),
    "long_only": lambda s, liquid, p: portfolio.long_only(s, liquid, 0.3),
    "top_bottom": lambda s, liquid, p: portfolio.top_bottom(s, liquid, top=2, bottom=2),
    "top": lambda s, liquid, p: portfolio.top_bottom(s, liquid, top=3),
    "group_rotation": lambda s, liquid, p: portfolio.group_rotation(
        float(s.sel(asset="A0")), ["A1", "A2"], ["A3"], liquid
    ),
    "ladder": lambda s, liquid, p: portfolio.ladder(s, p, liquid, step=0.1, largest=0.4, threshold=0.1, retreat=0.6),
    "single_name": lambda s, liquid, p: portfolio.single_name(s, liquid),
    "long_short": lambda s, liquid, p: portfolio.long_short(s, liquid),
    "long_flat_short": lambda s, liquid, p: portfolio.long_flat_short(s, liquid, long_above=0.5, short_below=-0.5),
    "nuanced": lambda s, liquid, p: portfolio.nuanced(s, p, liquid),
}
every_builder = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def facts(seed, assets=7):
    """Return random scores with gaps and ties, who is liquid, and yesterday's weights."""
    random = np.random.default_rng(seed)
    scores = np.round(random.normal(size=assets), 1) * 10.0 ** random.integers(-300, 300)
    scores[random.random(assets) < 0.2] = np.nan
    previous = random.normal(size=assets)
    return row(scores), row(random.random(assets) < 0.8), row(previous / abs(previous).sum())


@every_builder
@given(seed=SEEDS)
@FAST
def test_no_more_than_the_capital_is_used_and_nothing_that_is_not_liquid(build, seed):
    scores, liquid, previous = facts(seed)
    weights = build(scores, liquid, previous)
    assert np.isfinite(weights.values).all()
    assert float(abs(weights).sum()) <= 1 + 1e-12
    assert (weights.where(liquid == 0, 0.0) == 0).all()
    assert set(weights.asset.values) == set(scores.asset.values)


@every_builder
@given(seed=SEEDS)
@FAST
def test_permuting_the_assets_permutes_the_weights(build, seed):
    scores, liquid, previous = facts(seed)
    order = np.random.default_rng(seed + 1).permutation(len(scores))
    expected = build(scores, liquid, previous)
    got = build(scores[order], liquid, previous[order[::-1]])
    xr.testing.assert_allclose(got.sel(asset=expected.asset), expected, rtol=0, atol=1e-15)


@every_builder
def test_nothing_is_held_where_no_score_is_known_or_nothing_is_liquid(build):
    nothing = row([np.nan] * 7)
    assert (build(nothing, row([1] * 7), None) == 0).all()
    assert (build(row(range(7)), row([0] * 7), row([0.1] * 7)) == 0).all()


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - {"group_rotation", "long_short", "nuanced"}))
def test_scores_of_zero_hold_nothing(name):
    assert (BUILDERS[name](row([0.0] * 7), row([1] * 7), None) == 0).all()


def test_where_zero_is_a_score_like_any_other_it_says_down():
    zeros, all_liquid = row([0.0] * 4), row([1] * 4)
    assert (portfolio.long_short(zeros, all_liquid) == -0.25).all()
    assert (portfolio.nuanced(zeros, None, all_liquid) == -0.25).all()
    assert float(portfolio.group_rotation(0.0, ["A0"], ["A3"], all_liquid).sel(asset="A3")) == 1.0


@every_builder
def test_an_empty_day_gives_no_weights(build):
    if build is BUILDERS["group_rotation"]:
        return
    assert build(row([]), row([]), None).sizes == {"asset": 0}


@pytest.mark.parametrize("build", [portfolio.long_only, portfolio.single_name, portfolio.long_short])
def test_scores_that_cannot_be_used_are_refused_by_name(build):
    with pytest.raises(WeightsError, match=r"scores are infinite for asset A1"):
        build(row([0.0, np.inf]))
    with pytest.raises(WeightsError, match=r"dims \(asset,\)"):
        build(row([1.0]).expand_dims(time=["2020-01-01"]))
    with pytest.raises(WeightsError, match="more than once"):
        build(row([1.0, 2.0], ["A", "A"]))


def test_equal_weights_are_one_over_n():
    assert portfolio.equal_weight(row([1, 0, 1, np.nan])).values.tolist() == [0.5, 0, 0.5, 0]


def test_the_cap_comes_last_and_what_it_cuts_stays_in_cash():
    weights = portfolio.long_only(row([6, 2, 2, -5]), max_weight=0.5)
    assert weights.values.tolist() == [0.5, 0.2, 0.2, 0]


def test_the_highest_are_bought_and_the_lowest_sold():
    weights = portfolio.top_bottom(row([5, 1, 3, 2, 4]), top=2, bottom=1)
    np.testing.assert_allclose(weights, [1 / 3, -1 / 3, 0, 0, 1 / 3])


def test_with_too_few_assets_both_sides_shrink_and_no_asset_is_on_both():
    weights = portfolio.top_bottom(row([2, 1, np.nan]), top=10, bottom=10)
    assert weights.values.tolist() == [0.05, -0.05, 0]
    assert (portfolio.top_bottom(row([2]), top=1, bottom=1) == 0).all()


def test_a_tie_across_the_border_goes_to_the_label_that_sorts_first():
    assert portfolio.top_bottom(row([1, 1, 0], ["C", "B", "A"]), top=1).values.tolist() == [0, 1, 0]


@pytest.mark.parametrize("counts", [{"top": 0}, {"top": 1.5}, {"top": 1, "bottom": -1}])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(DataError, match=r"top|bottom"):
        portfolio.top_bottom(row([1, 2]), **counts)


def test_a_forecast_chooses_between_two_groups():
    liquid = row([1, 1, 0, 1], ["XLK", "XLF", "TBT", "TLT"])
    up, down = ["XLK", "XLF", "TBT"], ["TLT"]
    assert portfolio.group_rotation(0.01, up, down, liquid).values.tolist() == [0.5, 0.5, 0, 0]
    assert portfolio.group_rotation(-0.01, up, down, liquid).values.tolist() == [0, 0, 0, 1]
    assert portfolio.group_rotation(0.01, up, down, liquid, threshold=0.02).values.tolist() == [0, 0, 0, 1]
    assert (portfolio.group_rotation(np.nan, up, down, liquid) == 0).all()


@pytest.mark.parametrize("score", [1.0, -1.0])
def test_a_group_with_an_unknown_asset_is_refused_whichever_way_it_goes(score):
    with pytest.raises(WeightsError, match="names asset 'TLTT', which the data lack; did you mean 'TLT'"):
        portfolio.group_rotation(score, ["XLK"], ["TLTT"], row([1, 1], ["XLK", "TLT"]))


def test_the_ladder_climbs_step_by_step_to_its_highest_rung_and_down_again():
    rungs, weights = [], None
    for score in [0.03, 0.03, 0.0, np.nan, 0.03, -0.03, -0.03, -0.03, -0.03]:
        weights = portfolio.ladder(row([score]), weights, step=0.1, largest=0.25, threshold=0.02)
        rungs.append(round(float(weights[0]), 10))
    assert rungs == [0.1, 0.2, 0.2, 0.2, 0.25, 0.15, 0.05, 0, 0]


def test_all_but_the_high_step_down_when_too_many_scores_are_low():
    def after(low):
        scores = row([-0.001] * low + [0.5] * (20 - low))
        return portfolio.ladder(scores, row([0.04] * 20), step=0.025, largest=0.1, threshold=0.02, retreat=0.6)

    np.testing.assert_allclose(after(12), [0.04] * 12 + [0.065] * 8)
    np.testing.assert_allclose(after(13), [0.015] * 13 + [0.065] * 7)


def test_the_ladder_never_uses_more_than_the_capital_and_sells_what_has_left():
    weights = portfolio.ladder(row([1.0, 1.0]), row([0.9, 0.6, 0.5], ["A0", "A1", "gone"]), step=0.5, largest=1.0)
    assert weights.asset.values.tolist() == ["A0", "A1"]
    np.testing.assert_allclose(weights, [0.5, 0.5])


@pytest.mark.parametrize("wrong", [{"step": 2.0}, {"largest": -1.0}, {"retreat": np.nan}, {"threshold": -0.1}])
def test_a_ladder_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(WeightsError, match=f"{next(iter(wrong))} must be"):
        portfolio.ladder(row([1.0]), None, **({"step": 0.1, "largest": 0.2} | wrong))


def test_the_largest_forecast_takes_everything():
    assert portfolio.single_name(row([0.1, -0.3, 0.2])).values.tolist() == [0, -1, 0]
    assert portfolio.single_name(row([0.1, -0.3, 0.3])).values.tolist() == [0, 0, 1]
    assert portfolio.single_name(row([0.1, -0.3, 0.2]), row([1, 0, 1])).values.tolist() == [0, 0, 1]


@pytest.mark.parametrize(("score", "expected"), [(0.3, -1), (0.49, -1), (0.5, 1), (0.7, 1)])
def test_the_simple_rule_is_always_long_or_short(score, expected):
    assert float(portfolio.long_short(row([score]))[0]) == expected


@pytest.mark.parametrize(
    ("held", "score", "expected"),
    [
        (0, 0.71, 1),
        (0, 0.7, 0),
        (0, 0.5, 0),
        (0, 0.3, 0),
        (0, 0.29, -1),
        (1, 0.5, 1),
        (1, 0.49, 0),
        (1, 0.3, 0),
        (1, 0.29, -1),
        (-1, 0.3, -1),
        (-1, 0.49, -1),
        (-1, 0.5, 0),
        (-1, 0.7, 0),
        (-1, 0.71, 1),
        (1, np.nan, 1),
        (-1, np.nan, -1),
    ],
)
def test_the_nuanced_rule_opens_at_the_outer_levels_and_closes_at_the_inner_one(held, score, expected):
    assert float(portfolio.nuanced(row([score]), row([held]))[0]) == expected


def test_between_the_levels_nothing_is_held():
    scores = row([0.8, 0.5, 0.2, 0.7])
    assert portfolio.long_flat_short(scores, long_above=0.7, short_below=0.3).values.tolist() == [0.25, 0, -0.25, 0]
    assert portfolio.long_flat_short(row([0.1, 0.0, -0.1, np.nan])).values.tolist() == [0.25, 0, 0, 0]


def test_levels_out_of_order_are_refused():
    with pytest.raises(WeightsError, match="swap them"):
        portfolio.long_flat_short(row([0.5]), long_above=0.3, short_below=0.7)
    with pytest.raises(WeightsError, match="must ascend"):
        portfolio.nuanced(row([0.5]), None, long_above=0.4)


def test_the_examples_of_the_page_run():
    page = (ROOT / "docs" / "portfolio.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL))
    names = {}
    exec(compile(code, "portfolio.md", "exec"), names)
    assert (names["quiet"] > 0).any()
    assert (names["crash"] == 0).all()
    assert not set(names["apart"]) & set(names["others"])
    assert names["small"].attrs["size"] == "mcap"
    assert names["parts"].shape == names["x"].shape


def test_a_ladder_retreats_by_the_share_of_the_assets_that_have_a_score():
    scores = row([-0.001] * 4 + [np.nan] * 6)
    moved = portfolio.ladder(scores, row([0.1] * 10), step=0.025, largest=0.1, threshold=0.01, retreat=0.6)
    np.testing.assert_allclose(moved.values[:4], 0.075)
