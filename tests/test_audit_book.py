"""Checks of a book and its prices: faults that brought the gain, concentration, limits of a contest, whole backtests."""

import numpy as np
import pytest
from test_audit import CUBE, LAST, found, hurried, jumped, loaded, misprinted, one_sided, restated
from toys import FIELDS, market

import qlstm
from qlstm import audit, data
from qlstm.data import synthetic


def test_restated_prices_are_named_and_unchanged_ones_are_not():
    (one,), fault = restated()
    assert (one.severity, one.stage, one.asset, one.date) == ("fail", "data", fault.asset, str(fault.start)[:10])
    for earlier in (CUBE[:, :300], CUBE[:5, :300], None):
        assert audit.check(loaded("one_asset"), CUBE, ["restated"], earlier=earlier, progress=False).findings == ()


@pytest.mark.parametrize("gone", [{"time": [100]}, {"asset": [3]}])
def test_days_and_assets_that_were_put_in_later_are_restated_too(gone):
    earlier = CUBE[:, :300].drop_isel(gone)
    (one,) = audit.check(loaded("one_asset"), CUBE, ["restated"], earlier=earlier, progress=False).findings
    place = {"time": 0, "asset": 0} | {dim: rows[0] for dim, rows in gone.items()}
    assert (one.date, one.asset) == (str(CUBE.time.values[place["time"]])[:10], CUBE.asset.values[place["asset"]])
    assert one.value.startswith("nan -> ")


def test_a_result_that_rests_on_one_wrong_price_fails():
    report = audit.check(loaded("one_asset"), jumped(), ["data"], progress=False)
    for check in ("prices", "profit-from-faults"):
        (one,) = report.of(check)
        assert (one.date, one.asset) == ("2016-05-02", "TOY:005")
    assert not report.ok
    assert audit.check(loaded("one_asset"), CUBE, ["data"], progress=False).ok


def test_a_label_that_holds_most_of_the_variance_is_named():
    (one,) = found("clean_network", "label-outliers", cube=misprinted())
    assert (one.severity, one.stage, one.asset, one.date) == ("fail", "labels", "TOY:002", "2015-11-27")
    assert found("clean_network", "label-outliers") == ()


def test_the_best_asset_is_left_out():
    findings = found("one_asset", "concentration", cube=one_sided())
    assert {one.asset for one in findings} == {"TOY:004"}
    assert "of all gains" in findings[0].message


def test_a_run_that_takes_too_long_fails():
    (one,) = hurried()
    assert (one.check, one.severity, one.date) == ("time-budget", "fail", LAST)
    assert found("one_asset", "time-budget") == ()


def grown(jump, growth):
    """Return the cube with one asset's prices multiplied once, in May 2016, and growing by a rate on all days."""
    cube = CUBE.copy(deep=True)
    cube.values[:4, -120:, 5] *= np.exp(growth * np.arange(120))[np.newaxis]
    cube.loc[{"field": FIELDS[:4], "time": slice("2016-05-02", None), "asset": "TOY:005"}] *= jump
    return cube


# The last two brought nothing, or little of the gain of the trade that holds them.
@pytest.mark.parametrize(
    ("jump", "growth", "severity"), [(17, 0.0, "fail"), (1.5, 0.0, "warning"), (0.5, 0.05, None), (1.5, 0.05, None)]
)
def test_only_a_jump_that_brought_the_gain_is_held_against_it(jump, growth, severity):
    findings = found("one_asset", "profit-from-faults", cube=grown(jump, growth))
    assert {one.severity for one in findings} == ({severity} if severity else set())
    assert found("one_asset", "prices", cube=grown(jump, growth))


def test_every_fault_of_the_dirty_market_is_flagged_and_shocks_are_not():
    cube, truth = synthetic.market("P8", seed=0, n_assets=12, n_days=800)
    examined = data.quality.examine(cube)
    flagged = {(one.kind, one.asset, one.start) for one in examined.suspects}
    first = cube.asset.values[0]
    for fault in truth.facts["faults"]:  # from 2.95 to 146.76 is near 1:50, so it may be called either
        kinds = ("jump", "split") if fault.asset == first and fault.kind == "split" else (fault.kind,)
        assert any((kind, fault.asset, fault.start) in flagged for kind in kinds)
    assert bool(examined.mask.sel(asset=first).any())
    shocks, _ = synthetic.market("N1", seed=0, n_assets=50, n_days=1500)
    assert float(data.quality.examine(shocks).mask.mean()) < 0.005
    assert not data.quality.examine(CUBE).suspects


def test_limits_grow_with_the_length_of_a_bar():
    hourly, _ = synthetic.market("P16-N0", seed=0, n_assets=3, n_days=60)
    assert not data.quality.examine(hourly).of("split", "frozen")
    quarterly, _ = synthetic.market("P7", seed=0, n_assets=10, n_days=40)
    assert float(data.quality.examine(quarterly).mask.mean()) < 0.005


def test_the_book_of_a_whole_backtest_is_looked_at_where_one_is_handed_over():
    def predict(data):
        liquid = data.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
        return liquid / 40.0

    strategy = qlstm.Strategy(predict=predict, contest="stocks_nasdaq100", lookback_period=20, name="all")
    cube = market(days=700, assets=8, seed=4)
    cube.loc[{"asset": cube.asset[2], "time": cube.time[150:], "field": list(FIELDS)[:4]}] *= (
        45.0  # a wrong price, early
    )
    backtest = qlstm.backtest(strategy=strategy, data=cube, build_plots=False, progress=False)
    only = ["contest-rules", "profit-from-faults"]
    late = audit.check(strategy, cube, only, progress=False)
    whole = audit.check(strategy, cube, only, backtest=backtest, progress=False)
    assert not late.of("profit-from-faults")
    (fault,) = whole.of("profit-from-faults")
    assert (fault.asset, fault.date) == (str(cube.asset.values[2]), str(cube.time.values[150])[:10])
    assert [one.message.split(":")[0] for one in whole.of("contest-rules")] == ["Sharpe ratio"]  # of two years now
