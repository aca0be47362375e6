"""R1, smallcap_lstm: panic, cool-down and stop; what shuffled labels are worth, and what a planted reversal is."""

import dataclasses
import types

import numpy as np
import pytest
import test_parity
import xarray as xr
from conftest import ROOT
from systems import functions, seeds
from toys import market

import qlstm
from qlstm import audit, labels, nn, portfolio, risk, schedule, significance
from qlstm.data import synthetic

FILE = ROOT / "strategies" / "smallcap_lstm.py"
FEW = {"COUNT": 8}
STEP = 0.5 / 8


def with_fields(cube, **fields):
    """Return the cube with more fields, each of shape (time, asset) or (time, 1)."""
    extra = [xr.zeros_like(cube[0]).assign_coords(field=name) + values for name, values in fields.items()]
    return xr.concat([cube, *(one.expand_dims("field") for one in extra)], "field")


def walk(cube, first, day="2015-01-01", strategy=None, state=None, scores=2.0):
    """Return the weights (time, asset) from a row on, all assets having the same score every day, and the state."""
    strategy = strategy or functions("smallcap_lstm", **FEW)
    strategy["score"] = lambda models, data, cells: (xr.zeros_like(data.sel(field="close", drop=True)) + scores, {})
    rows = []
    for t in range(first, cube.sizes["time"]):
        weights, state = strategy["predict"]({"day": day}, cube[:, t - 10 : t + 1], state)
        rows.append(weights.expand_dims(time=[cube.time.values[t]]))
    return xr.concat(rows, "time"), state


def with_index(returns, assets=8):
    """Return a cube whose market has these returns."""
    return with_fields(market(days=len(returns), assets=assets), index=100 * np.cumprod(1 + np.array(returns))[:, None])


# Panic and cool-down


@pytest.mark.parametrize("crash", [[-0.06], [-0.035, -0.035]], ids=["one day", "two days running"])
def test_a_crash_empties_the_book_that_day_and_the_next_22_and_the_ladder_starts_from_0(crash):
    weights = walk(with_index([0.0] * 16 + crash + [0.0] * 25), 16 + len(crash) - 4)[0].values
    assert (weights[:3] > 0).all()  # the last is that of the first of two days
    assert (weights[3:26] == 0).all()
    np.testing.assert_allclose(weights[26:], STEP * np.tile([[1], [2], [2]], 8))  # 2 of them are all the capital


def test_a_second_crash_starts_the_count_again():
    weights, _ = walk(with_index([0.0] * 15 + [-0.06] + [0.0] * 9 + [-0.06] + [0.0] * 24), 12)
    zero = (weights.values == 0).all(axis=1)
    assert zero[3:36].all()
    assert not zero[36]


@pytest.mark.parametrize("quiet", [[-0.049], [-0.035, 0.0, -0.035]], ids=["one day", "two days apart"])
def test_a_smaller_fall_is_no_crash(quiet):
    weights, _ = walk(with_index([0.0] * 15 + quiet + [0.0] * 3), 12)
    assert (weights.values > 0).all()


def test_without_an_index_the_crashes_of_the_whole_market_are_seen_by_its_mean():
    cube, truth = synthetic.market("P6", seed=1, n_assets=24, n_days=400)
    returns = functions("smallcap_lstm")["index_returns"]
    for date, fall in truth.facts["crashes"].items():
        assert returns(cube.sel(time=slice(None, date)))[-1] == pytest.approx(fall, abs=0.004)
    assert returns(cube[:, :100]).shape == (2,)


def test_the_mean_of_the_market_is_weighted_by_size_and_skips_what_has_no_price():
    cube = with_fields(market(days=5, assets=3), mcap=np.array([[1.0, 2.0, 5.0]])).copy()
    cube.loc[{"asset": "TOY:002", "time": cube.time[-1]}] = np.nan
    moves = cube.sel(field="close").to_pandas().pct_change(fill_method=None).iloc[-1]
    expected = (moves["TOY:000"] + 2 * moves["TOY:001"]) / 3
    assert functions("smallcap_lstm")["index_returns"](cube)[-1] == pytest.approx(expected)


# The stop


def fallen():
    """Return a cube in which one of eight assets loses 60 % on row 20, while the market stands still."""
    cube = with_index([0.0] * 30).copy()
    prices = {"field": ["open", "high", "low", "close"], "asset": "TOY:003", "time": cube.time[20:]}
    cube.loc[prices] = 0.4 * cube.loc[prices]
    return cube


def test_a_position_that_lost_60_percent_is_sold_until_the_next_training():
    cube, strategy = fallen(), functions("smallcap_lstm", **FEW)
    weights, state = walk(cube[:, :28], 12, strategy=strategy)
    lost = weights.sel(asset="TOY:003").values
    assert (lost[:8] > 0).all()
    assert (lost[8:] == 0).all()
    assert (weights.drop_sel(asset="TOY:003").values > 0).all()
    after, _ = walk(cube, 28, "2015-04-01", strategy, state)
    assert (after.sel(asset="TOY:003").values > 0).all()


def test_a_stop_that_buys_as_the_source_did_would_be_seen():
    strategy = functions("smallcap_lstm", **FEW)
    bought = types.SimpleNamespace(**{name: getattr(risk, name) for name in risk.__all__})

    def buys_more(*facts, **rules):
        mask, state = risk.peak_stop(*facts, **rules)
        return 2.0 - mask, state

    bought.peak_stop = buys_more
    strategy["risk"] = bought
    weights, _ = walk(fallen()[:, :24], 12, strategy=strategy)
    assert float(weights.sel(asset="TOY:003")[-1]) > 0


# What vanishes, and optional fields


def test_an_asset_that_vanishes_is_sold_and_the_others_are_kept():
    cube, strategy = with_index([0.0] * 30), functions("smallcap_lstm", **FEW)
    _, state = walk(cube[:, :20], 12, strategy=strategy)
    weights, _ = walk(cube.drop_sel(asset="TOY:005"), 20, strategy=strategy, state=state)
    assert "TOY:005" not in weights.asset
    assert (weights.values > 0).all()
    silent = cube.copy()
    silent.loc[{"asset": "TOY:005", "field": ["open", "high", "low", "close", "vol"], "time": cube.time[20:]}] = np.nan
    weights, _ = walk(silent, 20, strategy=strategy, state=state)
    assert (weights.sel(asset="TOY:005").values == 0).all()
    assert (weights.drop_sel(asset="TOY:005").values > 0).all()


def test_a_trained_network_goes_on_when_one_of_its_assets_vanishes():
    strategy = functions("smallcap_lstm", **FEW)
    cube = market(days=120, assets=8)
    models = strategy["train"](cube[:, :100])
    _, state = strategy["predict"](models, cube[:, 50:110], None)
    weights, state = strategy["predict"](models, cube[:, 51:111].drop_sel(asset="TOY:004"), state)
    assert "TOY:004" not in weights.asset
    assert "TOY:004" not in state["cells"]
    weights, _ = strategy["predict"](models, cube[:, 52:112], state)
    assert np.isfinite(weights.values).all()


def test_the_smallest_are_chosen_by_mcap_where_it_is_known_and_by_what_is_traded_where_not():
    cube = market(days=80, assets=6)
    choose = functions("smallcap_lstm", COUNT=2)["smallest"]
    caps = np.array([[6.0, 1.0, 5.0, 4.0, 2.0, 3.0]])
    assert choose(with_fields(cube, mcap=caps)) == ["TOY:001", "TOY:004"]
    dollars = (cube.sel(field="close") * cube.sel(field="vol"))[-60:].median("time").to_series()
    assert choose(cube) == sorted(dollars.nsmallest(2).index)


def test_companies_under_special_treatment_and_young_ones_are_left_out():
    cube = with_fields(
        market(days=80, assets=4), mcap=np.array([[1.0, 2.0, 3.0, 4.0]]), is_st=np.array([[1.0, 0.0, 0.0, 0.0]])
    ).copy()
    cube.loc[{"asset": "TOY:001", "time": cube.time[:30], "field": "close"}] = np.nan
    assert functions("smallcap_lstm", COUNT=2)["smallest"](cube) == ["TOY:002", "TOY:003"]


def test_a_window_without_a_company_old_enough_is_named():
    cube = market(days=50, assets=4)
    with pytest.raises(ValueError, match="no company is liquid and has 60 closes"):
        functions("smallcap_lstm")["train"](cube)


def test_it_trains_at_the_ends_of_quarters():
    assert qlstm.load_strategy(FILE).retrain_interval == schedule.every_months(3)


# The network's memory


def test_the_memory_carried_from_day_to_day_gives_what_the_whole_history_does():
    strategy = functions("smallcap_lstm", **FEW)
    cube = market(days=130, assets=8)
    models, cells, rows = strategy["train"](cube[:, :100]), None, []
    for t in range(100, 130):
        found, cells = strategy["score"](models, cube[:, t - 60 : t + 1], cells)
        rows.append(found[-1])
    inputs = strategy["features"](cube[:, 40:])
    whole = nn.predict(models["models"], qlstm.scaling.transform(models["scaler"], inputs), models["models"].groups)
    np.testing.assert_array_equal(xr.concat(rows, "time"), ((whole - models["mean"]) / models["spread"])[-30:])


# What it is worth


def equal_smallest(strategy):
    """Return 1/N of the same companies, trained on the same days, with the same panics."""
    choose, index = strategy.namespace["smallest"], strategy.namespace["index_returns"]

    def predict(models, data, state):
        calm, state = risk.panic(state, index(data))
        today = data.sel(field="is_liquid", drop=True).isel(time=-1, drop=True)
        return portfolio.equal_weight(today.where(today.asset.isin(models))) * calm, state

    return dataclasses.replace(strategy, train=choose, predict=predict, name="equal_smallest")


def books(name, seed, days, shuffled=False):
    """Return raw weights of the strategy and of its baseline over the last days of a market, and the market."""
    cube, truth = synthetic.market(name, seed=seed, n_assets=24, n_days=200 + days)
    strategy = qlstm.load_strategy(FILE, **FEW)
    baseline = equal_smallest(strategy)
    if shuffled:
        random = np.random.default_rng(seed)

        def executed_return(data):
            earned = labels.executed_return(data)
            return earned.copy(data=np.concatenate([random.permutation(earned.values[:-2]), earned.values[-2:]]))

        strategy.namespace["labels"] = types.SimpleNamespace(executed_return=executed_return)
    raw = [
        qlstm.backtest(strategy=one, data=cube, start_date=cube.time.values[200], analyze=False, progress=False).raw
        for one in (strategy, baseline)
    ]
    return raw, cube, truth


def sharpe(weights, cube, truth):
    """Return what the weights earn by what is known of the market, less 5 bp a side, in units of their risk, a year."""
    daily = (weights * labels.executed_return(cube)).sum("asset")
    cost = 5e-4 * abs(weights.diff("time")).sum("asset").mean()
    return float(((weights * truth.signal).sum("asset").mean() - cost) / daily.std() * np.sqrt(252))


def advantage(seed, days):
    raw, cube, truth = books("P5-P1", seed, days)
    return np.subtract(*(sharpe(weights, cube, truth) for weights in raw))


def test_a_planted_reversal_beats_equal_parts_of_the_small():
    assert advantage(0, 60) >= 0.5


@pytest.mark.soak
def test_a_planted_reversal_beats_equal_parts_of_the_small_in_the_median_of_five_markets():
    assert np.median([advantage(seed, 200) for seed in range(5)]) >= 0.5


@pytest.mark.parametrize("days", [60, pytest.param(500, marks=pytest.mark.soak)])
@seeds(1, 3)
@pytest.mark.parametrize("name", ["P5", pytest.param("P6", marks=pytest.mark.soak)])
def test_with_shuffled_labels_it_earns_what_equal_parts_of_the_same_size_do(name, seed, days):
    (mine, equal), cube, _ = books(name, seed, days, shuffled=True)
    earned = labels.executed_return(cube)
    alike = equal * mine.sum("asset") / equal.sum("asset").where(equal.sum("asset") > 0, 1.0)
    excess = ((mine - alike) * earned).sum("asset").values[:-2]
    assert abs(significance.newey_west(excess).statistic) < 3


def test_its_scores_lean_to_neither_side_where_there_is_nothing():
    cube, _ = synthetic.market("N0", seed=0, n_assets=24, n_days=400)
    strategy = functions("smallcap_lstm", **FEW)
    scores, _ = strategy["score"](strategy["train"](cube[:, :200]), cube[:, 140:], None)
    assert abs(float(scores[60:].median())) < 0.25


# Checked, and equal day by day


@pytest.mark.parametrize("only", [("look-ahead",), pytest.param(tuple(audit.CHECKS), marks=pytest.mark.soak)])
def test_no_check_of_the_audit_fails(only):
    cube, _ = synthetic.market("P6", seed=1, n_assets=24, n_days=260)
    report = audit.check(qlstm.load_strategy(FILE, **FEW), cube, only, progress=False)
    assert report.ok, str(report)


def test_single_passes_through_files_equal_the_multi_pass_over_the_end_of_a_quarter(tmp_path):
    cube, _ = synthetic.market("P5", seed=2, n_assets=24, n_days=320)
    strategy = qlstm.load_strategy(FILE, **FEW)
    end = int(cube.time.values.searchsorted(np.datetime64("2006-12-29")))
    days = cube.time.values[end - 4 : end + 4]
    whole = qlstm.backtest(
        strategy=strategy, data=cube, start_date=days[0], end_date=days[-1], analyze=False, progress=False
    )
    assert whole.memory.trained_at == days[4]
    for t in days:
        single = qlstm.run(strategy, data=cube, state_dir=tmp_path, date=t)
        xr.testing.assert_equal(single.raw.reindex(asset=whole.raw.asset, fill_value=0.0), whole.raw.sel(time=[t]))
    assert float(single.raw.sum()) > 0
    np.testing.assert_equal(test_parity.plain(single.memory.state), test_parity.plain(whole.memory.state))


def test_it_reads_in_two_minutes():
    text = FILE.read_text()
    assert len(text.splitlines()) < 100
    for part in ("Idea ", "State ", "Source ", "Changed ", "Backtest "):
        assert f"\n{part}" in text
