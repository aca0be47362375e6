"""Quarterly bars, and the strategies on them: `alfred_direction` and `alfred_magnitude` (A1, A2, A3 of docs/systems.md)."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import test_parity
import xarray as xr
from conftest import ROOT
from systems import finds, functions, hits, seeds
from toys import market

import qlstm
from qlstm import asof, audit, bars, labels, metrics, nn, scaling
from qlstm.cube import DIMS
from qlstm.data import synthetic
from qlstm.data.synthetic.damaged import FROZEN, RESUMED
from qlstm.errors import DataError

COMPANY = ("eps_reported", "eps_estimated", "eps_surprise", "eps_surprise_pct", "margin_gross", "margin_operating")
COMPANY += ("margin_net", "insider_acquisition", "insider_disposal", "sentiment", "outlook")
MARKETS = ("vix", "spy", "wti", "brent", "btc", "rate_2y", "rate_3y", "rate_5y", "rate_10y")
BOTH = ("alfred_direction", "alfred_magnitude")
IN_PROCESS = [check for check in audit.CHECKS if check not in ("parity", "processes")]
QUICK = ["future", "training-features", "labels", "asset-order"]
LEARNED = 60  # quarters, of the 80 in P7


def with_fields(cube, names, seed=0):
    """Return the cube with more fields of noise."""
    values = np.random.default_rng(seed).normal(1.0, 0.3, (len(names), *cube.shape[1:]))
    extra = xr.DataArray(values, {"field": list(names), "time": cube.time, "asset": cube.asset}, DIMS)
    return xr.concat([cube, extra], "field", coords="minimal", compat="override", join="override").rename(cube.name)


# A1: what is known at the end of a quarter


def plain_columns(cube, asset):
    """Return the columns of one asset as a data frame's calendar quarters give them."""
    daily = cube.sel(asset=asset).to_pandas().T.drop(columns=["open", "high", "low", "is_liquid"])
    quarters = daily.resample("QE")
    frame = quarters.last()
    for name in ("vol", "insider_acquisition", "insider_disposal"):
        frame[name] = quarters[name].sum()
    for name in ("sentiment", "outlook"):
        frame[name] = quarters[name].mean()
    changes = frame.diff().add_prefix("delta_")
    for name in ("close", "vol"):
        for window in (7, 30, 90, 180):
            average = daily[name].rolling(window).mean()
            frame[f"{name}_diff_ma_{window}"] = ((daily[name] - average) / average).resample("QE").last()
    return frame.join(changes)


def test_the_52_columns_are_those_of_a_data_frame():
    cube = with_fields(market(days=400, assets=2), COMPANY + MARKETS)
    inputs = bars.features(cube)
    assert inputs.sizes["feature"] == 52
    for asset in cube.asset.values:
        expected = plain_columns(cube, asset)[list(inputs.feature.values)].iloc[1:-1]  # neither the first nor the last
        expected.loc[expected.index[0], [name for name in expected if name.startswith("delta_")]] = np.nan
        got = inputs.sel(asset=asset)
        assert [str(day)[:7] for day in got.time.values] == [str(day)[:7] for day in expected.index]
        np.testing.assert_allclose(got.values, expected.values, rtol=1e-9, atol=1e-12)


def test_a_quarter_ends_with_its_last_weekday_or_the_first_day_after():
    days = pd.bdate_range("2023-11-01", "2024-07-02")
    good_friday = days[days != "2024-03-29"].to_numpy()
    assert [str(good_friday[row])[:10] for row in bars.ends(good_friday)] == ["2024-04-01", "2024-06-28"]
    quarters = pd.date_range("2000-03-31", periods=12, freq="QE").to_numpy()  # weekends among them
    assert bars.ends(quarters).tolist() == list(range(2, 12))


def test_later_days_change_no_bar_and_publication_counts_not_the_end_of_the_quarter():
    cube = market(days=500, assets=3)
    reports = with_fields(market(days=12, assets=3), ["margin_net"]).sel(field=["margin_net"])
    reports = reports.assign_coords(time=pd.date_range("2014-12-31", periods=12, freq="QE"))
    known = asof.join(cube, reports, lag_days=45)
    whole = bars.features(known)
    for t in (300, 330, 390):
        late = reports.where(reports.time + np.timedelta64(45, "D") <= cube.time[t], 9.0)
        noise = cube.copy()
        noise[:, t + 1 :] *= np.random.default_rng(t).uniform(0.5, 2.0, noise[:, t + 1 :].shape)
        cut = bars.features(asof.join(noise, late, lag_days=45)[:, : t + 1])
        xr.testing.assert_identical(cut, whole.sel(time=cut.time))
    stamped = with_fields(known, [asof.AVAILABLE_FROM])
    days = (cube.time - np.datetime64(0, "ns")) / np.timedelta64(1, "D")
    stamped.loc[{"field": asof.AVAILABLE_FROM}] = days + 10
    with pytest.raises(DataError, match="after that day's close"):
        bars.features(stamped)


def test_the_label_is_what_the_books_give_and_unknown_in_the_end():
    cube = market(days=300, assets=2)
    earned, rows = bars.earned(labels.executed_return(cube)), bars.ends(cube.time.values)
    open_ = cube.sel(field="open").values
    np.testing.assert_allclose(earned.values[:-1], open_[rows[1:] + 1] / open_[rows[:-1] + 1] - 1, rtol=1e-12)
    assert earned[-1].isnull().all()
    to_the_end = bars.earned(labels.executed_return(cube[:, : rows[-1] + 1]))  # sold at an open that is not there yet
    assert to_the_end[-2:].isnull().all()
    assert earned.get_index("time").equals(bars.features(cube).get_index("time"))


def test_what_is_missing_is_named():
    cube = market(days=300, assets=2)
    with pytest.raises(DataError, match="lacks field 'vol'"):
        bars.features(cube.drop_sel(field="vol"))
    with pytest.raises(DataError, match="lack field 'margin_net', and so input 'delta_margin_net'"):
        bars.features(cube, only=["close", "delta_margin_net"])
    with pytest.raises(DataError, match="no bar of 3 months begins and ends in the data, 2015-01-01 to 2015-05-20"):
        bars.features(cube[:, :100])
    with pytest.raises(DataError, match="data lacks field 'close'"):
        bars.sound(cube.drop_sel(field="close"))
    with pytest.raises(DataError, match="inputs lack feature 'close'"):
        bars.complete(bars.features(cube, only=["vol"]))
    with pytest.raises(DataError, match=r"inputs must have dims \(time, asset, feature\), got \(field, time, asset\)"):
        bars.complete(cube)
    with pytest.raises(DataError, match=r"returns must have dims \(time, asset\), got \(field, time, asset\)"):
        bars.earned(cube)


def test_columns_that_are_mostly_empty_are_left_out():
    cube = with_fields(market(days=400, assets=2), ["sentiment", "outlook"])
    cube.loc[{"field": "sentiment"}] = np.nan
    cube.loc[{"field": "outlook", "time": cube.time[:300]}] = np.nan
    columns = bars.complete(bars.features(cube))
    assert {"close_diff_ma_90", "delta_vol"} <= set(columns)
    assert not {"sentiment", "delta_sentiment", "outlook", "delta_outlook"} & set(columns)
    assert bars.complete(bars.features(cube) * np.nan) == []


# A3's guard


def test_prices_before_a_fault_are_left_out_and_nothing_else():
    cube, truth = synthetic.market("P8", seed=1)
    kept = bars.sound(cube).sel(field="close").notnull() | cube.sel(field="close").isnull()
    frozen, _, split, *_ = truth.facts["faults"]
    ended = cube.time.values[bars.ends(cube.time.values)]
    for asset, last in ((frozen.asset, frozen.end), (split.asset, split.start - np.timedelta64(1, "D"))):
        assert not kept.sel(asset=asset, time=slice(None, last)).any()
        assert kept.sel(asset=asset, time=slice(ended[ended > last][0], None)).all()  # from the end of that bar on
    others = [asset for asset in cube.asset.values if asset not in (frozen.asset, split.asset)]
    assert kept.sel(asset=others).all()


def test_a_jump_in_a_day_is_no_fault():
    cube = market(days=300, assets=2)
    cube[:4, 150:, 0] *= 1.3  # what earnings do
    xr.testing.assert_identical(bars.sound(cube), cube)


def dirtied(cube):
    """Return P7 with a price that stood still at 2.95 and went on at 146.76, and a split that prices do not show."""
    clean = cube.copy()
    prices = ["open", "low", "high", "close"]
    clean.loc[{"field": prices, "asset": cube.asset[0]}] *= RESUMED / float(cube.sel(field="close")[42, 0])
    dirty = clean.copy()
    dirty.loc[{"field": prices, "asset": cube.asset[0], "time": cube.time[30:42]}] = FROZEN
    dirty.loc[{"field": prices, "asset": cube.asset[1], "time": cube.time[:35]}] *= 4.0
    return clean, dirty


def forecasts_of(strategy, cube):
    return strategy["forecast"](strategy["train"](cube[:, :LEARNED]), cube)


def test_with_the_guard_dirty_prices_give_the_forecasts_of_clean_ones_and_without_they_do_not(monkeypatch):
    strategy = functions("alfred_magnitude", EPOCHS=10)
    clean, dirty = dirtied(synthetic.market("P7", seed=0)[0])
    kept = bars.sound(dirty).notnull()
    assert 0.97 < float(kept.mean()) < 1.0
    guarded, wanted = forecasts_of(strategy, dirty), forecasts_of(strategy, clean.where(kept))
    np.testing.assert_allclose(guarded.values, wanted.values, rtol=0, atol=1e-9)
    monkeypatch.setattr(bars, "sound", lambda data: data)
    assert float(abs(forecasts_of(strategy, dirty) - wanted).max()) > 0.01


# A2 and A3: the planted change of margin


def out_of_sample(name, cube, **constants):
    """Return a strategy's forecasts of the quarters after the first 60, and what was earned."""
    strategy = functions(name, **constants)
    forecast = forecasts_of(strategy, cube)
    return forecast.sel(time=cube.time[LEARNED:]), bars.earned(labels.executed_return(cube))


def permuted(cube, seed=0):
    """Return P7 with the changes of margin_net shuffled among the assets of each quarter."""
    random, margins = np.random.default_rng(seed), cube.sel(field="margin_net").values
    changes = random.permuted(np.diff(margins, axis=0, prepend=0.1), axis=1)
    shuffled = cube.copy()
    shuffled.loc[{"field": "margin_net"}] = np.cumsum(changes, axis=0)
    return shuffled


@seeds(1, 5)
@pytest.mark.parametrize("name", BOTH)
def test_it_finds_what_the_change_of_margin_knows_and_nothing_once_it_is_shuffled(name, seed):
    cube, truth = synthetic.market("P7", seed=seed)
    share, n, _ = hits(*out_of_sample(name, cube))
    assert finds(share, n, truth), share
    share, n, luck = hits(*out_of_sample(name, permuted(cube)))
    assert abs(share - luck) < 1.5 / np.sqrt(n), share


def test_the_sources_split_by_stock_scores_where_nothing_is_known_and_a_split_by_time_shows_it():
    cube, _ = synthetic.market("P7-decoy", seed=0, n_days=200)
    strategy = functions("alfred_direction", HIDDEN=(64, 64), DROPOUT=0.0, RATE=0.01, EPOCHS=40)
    columns, ours = ["macro", "delta_macro"], cube[:, :LEARNED, :30]
    scaler = scaling.fit(bars.features(ours, only=columns), {".*": "standard"}, per="pooled")
    network = strategy["fit"](strategy["samples"](ours, columns, scaler), None)
    forecast = strategy["forecast"]({"columns": columns, "scaler": scaler, "network": network}, cube)
    earned = bars.earned(labels.executed_return(cube))
    others = forecast[forecast.time < cube.time[LEARNED - 1]].sel(asset=cube.asset[30:])
    assert hits(others, earned)[0] > 0.6
    later, n, luck = hits(forecast.sel(time=cube.time[LEARNED:]), earned)
    # Stocks share half of their variance, so the signs of 60 are worth about 3 a quarter.
    assert abs(later - luck) < 1.5 / np.sqrt(n / 20)


def test_the_sign_is_scored_on_returns_and_a_forecast_of_nothing_holds_nothing(monkeypatch):
    strategy, (cube, _) = functions("alfred_magnitude", EPOCHS=10), synthetic.market("P7", seed=0)
    models = strategy["train"](cube[:, :LEARNED])
    forecast, earned = strategy["forecast"](models, cube), bars.earned(labels.executed_return(cube))
    scores = metrics.directional(*xr.align(forecast.sel(time=cube.time[LEARNED:]), earned))
    open_ = cube.sel(field="open", drop=True)
    raw = open_.shift(time=-2) / open_.shift(time=-1) - 1  # not scaled, not centred, from the prices themselves
    share, n, _ = hits(forecast.sel(time=cube.time[LEARNED + 1 :]), raw)
    assert (scores["hit_rate"], scores.cells) == (share, n)
    assert 0.1 < float(forecast.std() / earned.std()) < 1.0  # in units of returns
    nothing = nn.MLP(len(models["columns"]), (4,))
    for parameter in nothing.parameters():
        parameter.requires_grad_(False).zero_()
    weights, _ = strategy["predict"](models | {"network": nothing.eval()}, cube[:, :30], None)
    assert (weights == 0).all()


# The strategies on a daily market


@pytest.mark.parametrize("name", BOTH)
def test_prices_alone_will_do_and_weights_stay_until_a_quarter_ends(name):
    strategy, cube = functions(name, EPOCHS=2), market(days=900, assets=8, start="2010-01-04")
    models, state, decided = strategy["train"](cube[:, :760]), None, []
    assert set(models["columns"]) <= {str(c) for c in bars.features(cube).feature.values}
    before = None
    for t in range(760, 900, 5):
        weights, state = strategy["predict"](models, cube[:, t - 700 : t + 1], state)
        again, _ = strategy["predict"](models, cube[:, t - 700 : t + 1], state)
        xr.testing.assert_identical(again, weights)
        if state["decided"] == str(cube.time.values[t]):
            decided.append(str(cube.time.values[t])[:10])
        else:
            xr.testing.assert_identical(weights, before)
        before = weights
    assert len(decided) == 3  # the first day, and the two quarters that ended since


@pytest.mark.parametrize("name", BOTH)
def test_a_stock_that_vanishes_or_is_no_longer_liquid_is_let_go(name):
    strategy, cube = functions(name, EPOCHS=2), market(days=700, assets=6, start="2010-01-05")
    models = strategy["train"](cube)
    _, state = strategy["predict"](models, cube[:, :-1], None)
    state["weights"][:] = 1 / 6
    today = cube.isel(asset=slice(1, None)).copy()
    today.loc[{"field": "is_liquid", "asset": cube.asset[1], "time": cube.time[-1]}] = 0.0
    weights, state = strategy["predict"](models, today, state)
    assert weights.asset.values.tolist() == cube.asset.values[1:].tolist()
    assert weights.values.tolist() == [0.0] + [1 / 6] * 4
    after, _ = strategy["predict"](models, cube.isel(asset=slice(1, None)), state)
    assert after.values.tolist() == [1 / 6] * 5  # liquid again, and held until the quarter ends


@pytest.mark.parametrize(("name", "trained"), [*zip(BOTH, BOTH, strict=True), ("magnitude_choice", BOTH[1])])
def test_a_day_without_prices_changes_nothing_of_what_is_held_after_it(name, trained):
    strategy, cube = functions(name), market(days=700, assets=6, start="2010-01-05")
    models = functions(trained, EPOCHS=2)["train"](cube)
    _, state = strategy["predict"](models, cube[:, :-2], None)
    state["weights"][:] = 1 / 6
    empty = cube[:, :-1].copy()
    empty[:, -1] = np.nan
    weights, state = strategy["predict"](models, empty, state)
    assert not weights.any()
    weights, _ = strategy["predict"](models, cube, state)
    assert weights.values.tolist() == [1 / 6] * 6


def test_data_that_lack_a_field_learned_from_are_refused_by_its_name():
    strategy, (cube, _) = functions("alfred_direction", EPOCHS=2), synthetic.market("P7", seed=0, n_assets=5)
    models = strategy["train"](cube)
    with pytest.raises(DataError, match="lack field 'margin_net'"):
        strategy["predict"](models, cube.drop_sel(field="margin_net"), None)


def test_quarters_that_all_rose_can_be_learned_from():
    cube = market(days=900, assets=4)
    cube[:4] *= np.exp(0.01 * np.arange(900))[:, np.newaxis]
    models = functions("alfred_direction", EPOCHS=2)["train"](cube)
    assert all(np.isfinite(parameter.numpy()).all() for parameter in models["network"].parameters())


@pytest.mark.parametrize(
    ("name", "epochs", "checks"),
    [("alfred_direction", 1, QUICK), *(pytest.param(name, 100, IN_PROCESS, marks=pytest.mark.soak) for name in BOTH)],
)
def test_no_check_of_the_audit_fails(name, epochs, checks):
    cube, _ = synthetic.market("N0", seed=1, n_assets=8, n_days=900)
    strategy = qlstm.load_strategy(ROOT / "strategies" / f"{name}.py", EPOCHS=epochs)
    report = audit.check(strategy, cube, checks, progress=False)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", BOTH)
def test_days_run_one_by_one_from_a_file_equal_the_multi_pass(name, tmp_path):
    strategy = qlstm.load_strategy(ROOT / "strategies" / f"{name}.py", EPOCHS=5)
    strategy = dataclasses.replace(strategy, retrain_interval=100, retrain_interval_after_submit=100)
    cube, _ = synthetic.market("P7", n_assets=5)
    days = cube.time.values[60:64]
    whole = qlstm.backtest(
        strategy=strategy, data=cube, start_date=days[0], end_date=days[-1], analyze=False, progress=False
    )
    assert float(abs(whole.raw).sum()) > 0
    for t in days:
        alone = qlstm.run(strategy, cube, state_dir=tmp_path, date=str(t)[:10])
        xr.testing.assert_equal(alone.raw, whole.raw.sel(time=[t]))


@pytest.mark.soak
@pytest.mark.parametrize("name", BOTH)
def test_single_passes_in_processes_of_their_own_equal_the_multi_pass(name, tmp_path, monkeypatch):
    monkeypatch.setattr(
        test_parity, "market", lambda days, assets, seed: synthetic.market("P7", n_assets=assets, n_days=days)[0]
    )
    test_parity.check_parity(ROOT / "strategies" / f"{name}.py", tmp_path, 6, 100)


@pytest.mark.parametrize("name", BOTH)
def test_a_strategy_reads_in_two_minutes(name):
    text = (ROOT / "strategies" / f"{name}.py").read_text()
    assert len(text.splitlines()) < 100
    for part in ("Idea ", "State ", "Source ", "Changed ", "Backtest "):
        assert f"\n{part}" in text
