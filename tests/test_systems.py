"""Each system finds what is planted for it and finds nothing where nothing is: the acceptance checks of docs/systems.md."""

import numpy as np
import pytest
import test_parity
import xarray as xr
from conftest import ROOT
from systems import assets_of, finds, functions, hits, out_of_sample, renamed, seeds
from toys import market

import qlstm
from qlstm import audit, garch, labels, nn, significance
from qlstm.data import synthetic
from qlstm.errors import DataError
from qlstm.metrics import shift_report

ROWS = 69  # of the window that lstm_state and lstm_careful train on
NAMED = ("index_direction", "spy_rotation", "vrp_spy")  # strategies whose files name their assets
OTHERS = ("index_direction", "lstm_careful", "vrp_spy")
IN_PROCESS = [check for check in audit.CHECKS if check not in ("parity", "processes")]


# S1: lstm_state and lstm_careful


def careful_forecasts(cube, blocks):
    """Return out-of-sample scores of lstm_careful, trained on 69 rows before each block of 60."""
    careful, found = functions("lstm_careful"), []
    for start in 120 + 60 * np.arange(blocks):
        models = careful["train"](cube.isel(time=slice(start - ROWS, start)))
        for t in range(start, start + 60):
            score = careful["score"](models, cube.isel(time=slice(t - 105, t + 1)))
            found.append(score.expand_dims(time=[cube.time.values[t]]))
    return xr.concat(found, "time", join="outer")


def careful_hits(seed):
    cube, truth = synthetic.market("P1f", seed=seed, n_assets=24, n_days=400)
    return *hits(careful_forecasts(cube, 4), labels.executed_return(cube))[:2], truth


def test_lstm_careful_finds_what_its_feature_knows_from_69_rows():
    share, n, truth = careful_hits(0)
    assert finds(share, n, truth), share


@pytest.mark.soak
def test_lstm_careful_finds_it_in_the_median_of_five_markets():
    shares, counts, truths = zip(*map(careful_hits, range(5)), strict=True)
    assert finds(np.median(shares), counts[0], truths[0]), shares
    assert min(shares) > 0.5 + 1.5 / np.sqrt(counts[0])


@seeds(1, 5)
@pytest.mark.parametrize("name", ["N0", "N1"])
def test_lstm_careful_finds_nothing_where_there_is_nothing(name, seed):
    cube, _ = synthetic.market(name, seed=seed, n_assets=24, n_days=400)
    share, n, luck = hits(careful_forecasts(cube, 4), labels.executed_return(cube))
    # In N1 assets share a factor, a third of their variance, so that 12 of them count as about 3.
    assert abs(share - luck) < 1.5 / np.sqrt(n / (1 if name == "N0" else 4))


def test_the_label_of_lstm_state_can_be_learned_and_not_traded():
    state = functions("lstm_state")
    cube, _ = synthetic.market("N0", seed=0, n_assets=24, n_days=500)
    inputs, label = state["features"](cube), state["labels"](cube)
    train, test = slice(120 - ROWS, 120), slice(120, -2)
    # As lstm_careful fits: the 20 steps of the source's own optimiser are too few to learn even this label.
    optimizer = nn.Adam(lr=0.01)
    models = nn.fit(nn.LSTM(hidden=34), inputs[train], label[train], optimizer=optimizer, epochs=60, groups="all")
    called = nn.predict(models, inputs)[test] - 0.5
    own, n, _ = hits(called, label[test] - 0.5)
    tradable, _, _ = hits(called, labels.executed_return(cube)[test])
    assert own >= 0.58
    assert abs(tradable - 0.5) < max(0.018, 1.5 / np.sqrt(n))


def constant_scores(careful, monkeypatch, assets):
    monkeypatch.setitem(
        careful,
        "score",
        lambda models, data: xr.DataArray(np.full(len(assets), 0.1), dims="asset", coords={"asset": assets}),
    )


def test_lstm_careful_gives_equal_weights_to_equal_scores_whenever_they_came(monkeypatch):
    careful = functions("lstm_careful")
    cube = market(days=40, assets=15)
    early, late = list(cube.asset.values[:10]), list(cube.asset.values[:12])
    state = None
    for t in range(10, 40):
        constant_scores(careful, monkeypatch, early if t < 15 else late)
        weights, state = careful["predict"]({}, cube[:, :t], state)
        if t == 15:
            assert float(weights.sel(asset=late[-1])) == pytest.approx(1 / 24)  # half of its share on the first day
    np.testing.assert_allclose(weights.sel(asset=late), 1 / 12, rtol=1e-5)


def test_lstm_careful_lets_go_by_halves_and_at_once_of_what_is_not_liquid(monkeypatch):
    careful = functions("lstm_careful")
    cube = market(days=14, assets=12)
    cube.loc[{"field": "is_liquid", "asset": cube.asset[11], "time": cube.time[13]}] = 0.0
    constant_scores(careful, monkeypatch, list(cube.asset.values))
    before, state = careful["predict"]({}, cube[:, :13], None)
    constant_scores(careful, monkeypatch, list(cube.asset.values[:10]))
    after, _ = careful["predict"]({}, cube, state)
    assert float(after[10]) == float(before[10]) / 2 > 0
    assert float(after[11]) == 0.0


def test_lstm_careful_gives_the_same_weights_when_a_day_is_run_twice():
    careful = functions("lstm_careful")
    cube = market(days=120, assets=14)
    models, state = careful["train"](cube[:, 30:100]), None
    for t in (100, 101, 102):
        weights, state = careful["predict"](models, cube[:, :t], state)
    again, same = careful["predict"](models, cube[:, :102], state)
    xr.testing.assert_identical(again, weights)
    xr.testing.assert_identical(same["before"], state["before"])


def test_lstm_careful_scores_are_the_last_outputs_of_the_whole_sequence():
    careful = functions("lstm_careful")
    cube = market(days=120, assets=14)
    models = careful["train"](cube[:, :70])
    whole = careful["score"](models, cube)
    known = cube.sel(asset=whole.asset)
    with nn.networks.step_by_step():
        slow = nn.predict(models, careful["features"](known), dict.fromkeys(whole.asset.values, "calm"))[-1] - 0.5
    np.testing.assert_allclose(whole, slow, atol=1e-6)
    alone = careful["score"](models, cube[:, -12:])
    assert float(abs(whole - alone).max()) > 1e-4  # a cold network says something else


# Q1, Q2: spy_rotation


def regimes(name, seed, days, **constants):
    """Return a market of sectors and bonds, its truth, and spy_rotation's functions for it."""
    cube, truth = synthetic.market("P4", seed=seed, n_assets=12, n_days=days)
    if name != "P4":
        cube = renamed(synthetic.market(name, seed=seed, n_assets=12, n_days=days)[0], cube.asset.values)
    members = {g: tuple(a for a in cube.asset.values if a.startswith(g)) for g in ("SECTOR", "INVERSE", "LONG")}
    groups = {"SECTORS": members["SECTOR"], "INVERSE": members["INVERSE"], "LONG": members["LONG"]}
    return cube, truth, functions("spy_rotation", INDEX="INDEX", **groups, **constants)


def rotate(cube, functions, every):
    """Return forecasts after 1280 rows of training, anew after so many."""
    found = []
    for start in range(1280, cube.sizes["time"] - 2, every):
        models = functions["train"](cube[:, start - 1280 : start])
        found.append(functions["forecast"](models, cube[:, start - 165 : start + every])[165:])
    return xr.concat(found, "time")[:-2]


def books(cube, functions, rising):
    """Return the weights (time, asset) of the rotation that holds the first groups where `rising`."""
    up = cube.asset.isin([*functions["SECTORS"], *functions["INVERSE"]])
    down = cube.asset.isin(functions["LONG"])
    return xr.where(rising, up / up.sum(), down / down.sum())


def expected_sharpe(weights, truth, earned):
    """Return what weights earn by what is known of the market, a year: luck moves it far less than what they earned."""
    daily = (weights * earned).sum("asset")
    return float((weights * truth.signal).sum("asset").mean() / daily.std() * np.sqrt(252))


def rotation_against_the_filter(seed, every):
    cube, truth, strategy = regimes("P4", seed, 2540)
    forecast, earned = rotate(cube, strategy, every), labels.executed_return(cube)
    best = truth.signal.sel(asset="INDEX", time=forecast.time, drop=True)
    signs = (forecast > 0, best > 0, xr.ones_like(best) > 0)
    return [expected_sharpe(books(cube, strategy, rising), truth, earned) for rising in signs]


def test_spy_rotation_earns_most_of_what_the_best_filter_of_the_regimes_does():
    found = np.array([rotation_against_the_filter(seed, 126) for seed in (0, 1, 2)]).mean(axis=0)
    mine, filtered, always = found
    assert mine >= 0.6 * filtered
    assert mine > always


@pytest.mark.soak
def test_spy_rotation_trained_monthly_earns_most_of_what_the_best_filter_does_in_twelve_markets():
    mine, filtered, always = np.median([rotation_against_the_filter(seed, 21) for seed in range(12)], axis=0)
    assert mine >= 0.6 * filtered
    assert mine > always


def against_always_up(seed, every):
    """Return how far the rotation's Sharpe ratio after 5 bp a side is above that of the first groups alone."""
    cube, _, strategy = regimes("N1", seed, 2040)
    forecast, earned = rotate(cube, strategy, every), labels.executed_return(cube)
    ratios = []
    for rising in (forecast > 0, xr.ones_like(forecast) > 0):
        weights = books(cube, strategy, rising)
        turnover = abs(weights.diff("time")).sum("asset").reindex(time=weights.time, fill_value=0.0)
        daily = (weights * earned).sum("asset") - 5e-4 * turnover
        ratios.append(float(daily.mean() / daily.std() * np.sqrt(252)))
    return ratios[0] - ratios[1]


def test_spy_rotation_is_no_better_than_always_up_where_there_is_no_regime():
    assert np.median([against_always_up(seed, 252) for seed in range(3)]) <= 0


@pytest.mark.soak
def test_spy_rotation_is_no_better_than_always_up_in_twenty_markets():
    assert np.median([against_always_up(seed, 63) for seed in range(20)]) <= 0


def test_spy_rotation_forecasts_the_next_bar_of_a_wave_and_not_the_last():
    cube, _, strategy = regimes("N0", 0, 1400, INPUTS=("range", "move"))
    wave = 50 + 5 * np.sin(2 * np.pi * np.arange(1400) / 30)
    cube = cube.copy()
    for field in ("open", "high", "low", "close"):
        cube.loc[{"field": field, "asset": "INDEX"}] = wave
    models = strategy["train"](cube[:, :1280])
    forecast = strategy["forecast"](models, cube[:, 1100:])[180:-2]
    report = shift_report(forecast.values, labels.executed_return(cube).sel(asset="INDEX", time=forecast.time).values)
    assert report.best_lag == 0


def losses_without(seed):
    """Return input -> how much less of the executed return is explained when its values are shuffled; P1."""
    inputs = ("rsi", "macd", "atr", "roc", "move")
    cube, _ = synthetic.market("P1", seed=seed, n_assets=2, n_days=2000)
    strategy = functions("spy_rotation", INDEX=str(cube.asset.values[0]), INPUTS=inputs)
    models, original = strategy["train"](cube[:, :1280]), strategy["features"]
    earned, rng = labels.executed_return(cube)[1280:-2, 0].values, np.random.default_rng(seed)
    shown = original(cube[:, 1100:])

    def correlation(X):
        strategy["features"] = lambda data: X
        return np.corrcoef(strategy["forecast"](models, cube)[180:-2], earned)[0, 1]

    whole, lost = correlation(shown), {}
    for i, name in enumerate(inputs):
        other = shown.copy()
        other[180:, :, i] = rng.permutation(shown[180:, :, i].values)
        lost[name] = whole - correlation(other)
    return lost


def test_taking_out_the_planted_input_costs_spy_rotation_most():
    assert all(max(lost, key=lost.get) == "move" for lost in map(losses_without, range(3)))


@pytest.mark.soak
def test_taking_out_the_planted_input_costs_most_in_nineteen_of_twenty_markets():
    assert sum(max(lost, key=lost.get) == "move" for lost in map(losses_without, range(20))) >= 19


def test_a_group_that_names_an_unknown_asset_is_refused_by_name():
    cube = renamed(market(days=300, assets=20), assets_of("spy_rotation")[:-1])
    strategy = functions("spy_rotation")
    with pytest.raises(DataError, match="data lack asset 'AMEX:SHY'; they have AMEX:SPY, AMEX:XLB"):
        strategy["predict"](strategy["train"](cube), cube)


@pytest.mark.parametrize("name", NAMED)
def test_data_without_the_assets_a_strategy_names_are_refused_with_a_fix(name):
    cube = market(days=40, assets=6)
    message = (
        r"data lack asset 'AMEX:SPY'( and 2 more)?; they have TOY:000, TOY:001, TOY:002, TOY:003, TOY:004, … "
        r"\(6 in all\); give data that have it \(--data\), or name other assets in the strategy's file"
    )
    with pytest.raises(DataError, match=message):
        functions(name)["train"](cube)


# V24: index_direction


def garch_forecasts(cube, train=1000):
    """Return what an ARMA-GJR-GARCH model of each asset expects, (time, asset), after one fit."""
    log = np.log(cube.sel(field="close").values)
    columns = []
    for returns in np.diff(log, axis=0).T:
        model = garch.fit(returns[: train - 1])
        errors, _ = garch.residuals(returns, model)
        columns.append(model.mu + model.phi * returns[train - 1 :] + model.theta * errors[train - 2 :])
    coords = {"time": cube.time.values[train:], "asset": cube.asset.values}
    return xr.DataArray(np.array(columns).T, dims=("time", "asset"), coords=coords)


@seeds(1, 4)
def test_index_direction_finds_what_takes_a_memory_and_beats_arma_garch(seed):
    forecast, earned, truth, cube = out_of_sample("index_direction", "P3", seed)
    share, n, _ = hits(forecast, earned)
    rival, _, _ = hits(garch_forecasts(cube), earned)
    assert finds(share, n, truth), share
    assert share - rival > 3.0 / np.sqrt(n)


@seeds(1, 4)
def test_index_direction_claims_no_skill_on_a_market_that_only_drifts(seed):
    forecast, earned, _, _ = out_of_sample("index_direction", "N1", seed)
    verdicts = {
        str(asset): significance.pesaran_timmermann(*xr.align(forecast.sel(asset=asset)[:-2], earned.sel(asset=asset)))
        for asset in forecast.asset.values
    }
    assert float(significance.holm({asset: verdict.p_value for asset, verdict in verdicts.items()}).min()) > 0.05


# Q3: vrp_spy


@seeds(1, 5)
def test_vrp_spy_finds_what_the_premium_knows(seed):
    forecast, earned, truth, _ = out_of_sample("vrp_spy", "P9", seed)
    share, n, _ = hits(forecast, earned)
    assert finds(share, n, truth), share


@seeds(1, 5)
def test_vrp_spy_finds_nothing_in_implied_volatility_that_knows_nothing(seed):
    forecast, earned, _, _ = out_of_sample("vrp_spy", "N1-IV", seed)
    share, n, luck = hits(forecast, earned)
    assert abs(share - luck) < 1.5 / np.sqrt(n / 8)  # 24 assets that share a factor count as about 3


def test_vrp_spy_without_implied_volatility_reads_its_own_past_and_says_so():
    strategy = functions("vrp_spy")
    cube = renamed(market(days=300, assets=3), assets_of("vrp_spy"))
    inputs = strategy["features"](cube)
    moves = cube.sel(field="close", asset="AMEX:SPY").to_series().pct_change()
    near, far = (moves.rolling(rows).std() * np.sqrt(252) for rows in (63, 126))
    np.testing.assert_allclose(inputs.sel(feature="slope")[-1, 0], (near / far).iloc[-1])
    assert "says nothing about the premium" in strategy["__doc__"]


def test_vrp_spy_refuses_half_of_implied_volatility_by_the_name_of_the_field():
    strategy = functions("vrp_spy")
    cube = renamed(market(days=300, assets=3), assets_of("vrp_spy"))
    one = xr.concat([cube, cube.sel(field=["close"]).assign_coords(field=["iv30"])], "field")
    with pytest.raises(ValueError, match="the data hold iv30 alone; give both iv30 and iv93, or neither"):
        strategy["features"](one)
    empty = xr.concat([one, xr.full_like(cube.sel(field=["close"]), np.nan).assign_coords(field=["iv93"])], "field")
    with pytest.raises(ValueError, match="the field iv93 is empty up to that day"):
        strategy["features"](empty)


def test_spy_rotation_holds_neither_group_where_no_network_could_be_fitted():
    cube = renamed(market(days=300, assets=20), assets_of("spy_rotation"))
    cube.loc[{"asset": "AMEX:SPY"}] = 100.0
    strategy = functions("spy_rotation")
    weights = strategy["predict"](strategy["train"](cube), cube)
    assert not weights.any()


# All of them


@pytest.mark.parametrize("name", ["spy_rotation", *(pytest.param(name, marks=pytest.mark.soak) for name in OTHERS)])
def test_no_check_of_the_audit_fails(name):
    wanted = assets_of(name)
    cube, _ = synthetic.market("N0", seed=1, n_assets=24, n_days=420)
    report = audit.check(
        qlstm.load_strategy(ROOT / "strategies" / f"{name}.py"), renamed(cube, wanted), IN_PROCESS, progress=False
    )
    assert report.ok, str(report)


PASSES = [("spy_rotation", 2)] + [pytest.param(name, 6, marks=pytest.mark.soak) for name in NAMED]


@pytest.mark.parametrize(("name", "days"), PASSES)
def test_single_passes_equal_the_multi_pass_for_strategies_that_name_their_assets(name, days, tmp_path, monkeypatch):
    names = assets_of(name)
    monkeypatch.setattr(
        test_parity, "market", lambda days, assets, seed: renamed(market(days, len(names) + 1, seed), names)
    )
    test_parity.check_parity(ROOT / "strategies" / f"{name}.py", tmp_path, days, 3)


@pytest.mark.parametrize("name", ["lstm_careful", *NAMED])
def test_a_strategy_reads_in_two_minutes(name):
    text = (ROOT / "strategies" / f"{name}.py").read_text()
    assert len(text.splitlines()) < 100
    for part in ("Idea ", "State ", "Source ", "Changed ", "Backtest "):
        assert f"\n{part}" in text
