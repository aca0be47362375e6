"""Weights held against a contest's rules: each broken one is a finding, and no other."""

import dataclasses

import numpy as np
import toys
import xarray as xr
from portfolios import book_over, gappy

from qlstm import contests, output


def failed(weights, data, kind):
    return {found.rule for found in output.check(weights, data, kind) if found.ok is False}


def test_each_broken_rule_is_a_finding_with_its_fix(capsys):
    data = toys.market(days=40, assets=4)
    data.loc[{"field": "is_liquid", "asset": "TOY:000"}][5] = 0.0
    weights = book_over(data).fillna(0.0).drop_isel(time=9)
    broken = failed(weights, data, "stocks_long")
    assert {"liquidity", "missed dates", "exposure", "long only", "in-sample period"} <= broken
    assert "allowed assets" in failed(weights, data, "crypto")
    unknown = weights.assign_coords(asset=["X", *weights.asset.values[1:]])
    assert "assets" in failed(unknown, data, "stocks_nasdaq100")
    for found in output.check(weights, data, "stocks_long"):
        assert found.ok or ";" in found.message
    assert capsys.readouterr().out == ""


def test_cleaned_weights_break_no_rule_that_cleaning_can_mend():
    data = gappy(4, assets=60)
    asked = (1 + 0.5 * book_over(data)).drop_isel(time=9)
    assert failed(asked, data, "stocks_long") > {"liquidity", "missed dates", "long only"}
    assert failed(output.clean(asked, data, "stocks_long"), data, "stocks_long") == {"in-sample period", "Sharpe ratio"}


def test_an_empty_book_and_an_unasked_correlation():
    data = toys.market(days=40, assets=4)
    assert [found.rule for found in output.check(book_over(data) * 0, data)] == ["positions"]
    rules = [(found.rule, found.ok) for found in output.check(book_over(data), data, check_correlation=True)]
    assert rules[-1] == ("correlation", None)
    assert ("correlation", None) not in [(found.rule, found.ok) for found in output.check(book_over(data), data)]


def test_a_period_covered_with_a_good_sharpe_ratio_passes():
    rules = dataclasses.replace(contests.get("stocks_nasdaq100"), name="mine", start="2015-02-02", min_sharpe=0.5)
    data = toys.market(days=300, assets=4, seed=1)
    change = data.sel(field="open").shift(time=-2) / data.sel(field="open").shift(time=-1) - 1
    seer = np.sign(change.fillna(0.0)) / 4
    assert failed(seer, data, rules) == set()
    assert failed(-seer, data, rules) == {"Sharpe ratio"}
    assert output.calc_sharpe_ratio_for_check(data, seer, rules) > 5
    future = dataclasses.replace(rules, start="2030-01-01")
    assert np.isnan(output.calc_sharpe_ratio_for_check(data, seer, future))


def test_infinite_weights_become_what_is_reported_and_a_finding():
    data = toys.market(days=20, assets=30)
    weights = xr.full_like(data.isel(field=0, drop=True), 1 / 30)
    weights[3, 4] = np.inf
    weights[8, 5] = 0.6  # triggers cutting
    report = []
    got = output.clean(weights, data, "stocks", report=report)
    assert "infinite weights, taken as 0: 1" in report[0]
    assert float(got[3, 4]) == 0.0
    found = {one.rule: one for one in output.check(weights, data, "stocks")}["finite weights"]
    assert found.ok is False
    assert "1 infinite weights, first 2015-01-06, asset TOY:004: inf" in found.message


def test_the_exposure_limit_of_a_contest_of_the_users_own_is_obeyed():
    assert contests.get("stocks").exposure_bounds == (0.05, 0.1)
    data = toys.market(days=20, assets=4)
    weights = xr.full_like(data.isel(field=0, drop=True), 0.25)
    loose = dataclasses.replace(contests.get("stocks"), name="loose", exposure_limit=0.4)
    assert "exposure" not in failed(weights, data, loose)
    report = []
    got = output.clean(weights, data, loose, report=report)
    assert report == []
    xr.testing.assert_equal(got, weights)
    tight = dataclasses.replace(contests.get("stocks"), name="tight", exposure_limit=0.02)
    even = xr.full_like(toys.market(days=20, assets=30).isel(field=0, drop=True), 1 / 30)
    assert "exposure" in failed(even, toys.market(days=20, assets=30), tight)


def in_sample(start, first_row=0, first_weights=0):
    """Return the finding about a period that begins on `start`, data cut to begin later, and weights too."""
    rules = dataclasses.replace(contests.get("stocks_nasdaq100"), name="mine", start=start)
    data = toys.market(days=60, assets=4)[:, first_row:]
    found = output.check(book_over(data)[first_weights:], data, rules)
    return next(one for one in found if one.rule == "in-sample period")


def test_data_may_begin_ten_days_late_but_slippage_needs_fifteen_rows_before():
    assert "data begin on 2015-01-01, the in-sample period on 2014-12-21" in in_sample("2014-12-21").message
    assert "fewer than 15 rows before 2014-12-22" in in_sample("2014-12-22").message
    assert in_sample("2015-02-02", first_row=7).ok  # 22 business days of January, less 7
    assert "fewer than 15 rows before 2015-02-02" in in_sample("2015-02-02", first_row=8).message


def test_weights_may_begin_a_week_late():
    assert in_sample("2015-02-02", first_weights=27).ok
    late = in_sample("2015-02-02", first_weights=28)
    assert late.ok is False
    assert "weights begin on 2015-02-10, the in-sample period on 2015-02-02" in late.message
