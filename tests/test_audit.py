"""Planted faults are found, each by its check, at its stage and first day; clean strategies are let through."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import xarray as xr
from conftest import ROOT
from toys import FIELDS, market

import qlstm
from qlstm import audit, cli, data
from qlstm.audit import (
    alterations,
    book,
    contest,
    determinism,
    differences,
    invariance,
    look_ahead,
    replay,
    training_data,
)
from qlstm.audit import subject as subject_module
from qlstm.data import quality, synthetic

FAULTS = ROOT / "tests" / "faults"
CUBE = market(days=400, assets=8, seed=3)
LAST = str(CUBE.time.values[-1])[:10]
# For strategies of two cubes; the second has a calendar, assets and fields of its own.
CUBES = {"stocks": CUBE, "macro": market(days=400, assets=2, seed=9).sel(field=["close"])[:, ::5]}

# file -> check, severity, stage, first day
PLANTED = {
    "asset_order": ("asset-order", "fail", "predict", "2016-01-28"),
    "asset_order_training": ("asset-order", "warning", "train", "2016-01-28"),
    "backfilled_macro": ("training-features", "fail", "features", "2016-01-22"),
    "backfilled": ("training-features", "fail", "features", "2015-09-30"),
    "busiest": ("training-features", "warning", "train", "2015-10-07"),
    "centred": ("training-features", "fail", "features", "2016-01-26"),
    "cheap_stocks": ("price-level", "warning", "predict", "2016-01-28"),
    "counts_beside": ("call-order", "fail", "predict", "2016-07-08"),
    "denoised_busiest": ("training-features", "fail", "features", "2015-09-30"),
    "denoised": ("training-features", "fail", "features", "2015-10-07"),
    "dropout": ("draws", "warning", "predict", "2016-01-28"),
    "early_label": ("label-timing", "fail", "labels", "2015-11-10"),
    "filled_labels": ("labels", "fail", "labels", "2016-01-26"),
    "filled_warm_up": ("features", "fail", "features", "2015-01-01"),
    "first_scaler": ("call-order", "fail", "predict", "2016-01-28"),
    "growing_by_quarters": ("state-growth", "fail", "state", "2016-04-01"),
    "growing_state": ("state-growth", "fail", "state", "2016-01-29"),
    "known_crisis": ("hindsight", "warning", "predict", "2016-03-01"),
    "known_assets": ("eval-assets", "fail", "train", "2016-01-28"),
    "later_macro": ("future", "fail", "predict", "2016-03-01"),
    "later_training": ("future", "fail", "predict", "2016-03-01"),
    "members": ("features", "fail", "features", "2015-01-28"),
    "mutated_models": ("call-order", "fail", "predict", "2016-07-08"),
    "mutated_state": ("call-order", "fail", "predict", "2016-07-08"),
    "near_equal": ("near-equal-weights", "warning", "weights", "2016-01-28"),
    "on_fridays": ("future", "fail", "predict", "2016-07-08"),
    "one_bar": ("one-bar", "warning", "predict", "2016-01-28"),
    "other_scale": ("same-features", "warning", "features", "2016-01-28"),
    "random_training": ("repetition", "fail", "train", "2016-01-28"),
    "reads_data": ("files", "fail", "predict", "2016-01-28"),
    "reads_at_import": ("files", "fail", "load", "2016-01-28"),
    "remembers": ("call-order", "fail", "predict", "2016-07-08"),
    "scaled_features": ("features", "fail", "features", "2015-01-29"),
    "scaled_window": ("training-features", "warning", "features", "2015-10-07"),
    "short_selling": ("contest-rules", "fail", "weights", "2016-01-28"),
    "starts_program": ("files", "warning", "predict", "2016-01-28"),
    "unseeded": ("repetition", "fail", "predict", "2016-01-28"),
    "wavelet": ("features", "fail", "features", "2015-01-08"),
    "whole_interval": ("future", "fail", "predict", "2016-03-01"),
    "window_length": ("window-length", "warning", "predict", "2016-03-01"),
}
IN_PROCESS = [name for name in audit.CHECKS if name not in ("parity", "processes")]


@pytest.fixture(scope="module")
def prices(tmp_path_factory):
    """The cube as a file, for the strategy that reads it."""
    path = tmp_path_factory.mktemp("data") / "prices.nc"
    data.save(CUBE, path)
    return path


def loaded(name, prices=None):
    constants = {"PATH": str(prices)} if name in ("reads_data", "reads_at_import") else {}
    return qlstm.load_strategy(FAULTS / f"{name}.py", **constants)


def data_for(name):
    return CUBES if name.endswith("_macro") else CUBE


def found(name, check, prices=None, cube=None):
    given = data_for(name) if cube is None else cube
    return audit.check(loaded(name, prices), given, [check], progress=False).of(check)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_at_its_stage_and_first_day(name, prices):
    check, severity, stage, date = PLANTED[name]
    findings = found(name, check, prices)
    assert [(one.severity, one.stage, one.date) for one in findings[:1]] == [(severity, stage, date)]
    assert findings[0].family == audit.CHECKS[check].family
    if check not in ("files", "state-growth", "one-bar"):
        assert findings[0].asset in CUBE.asset.values
    assert findings[0].fix
    assert findings[0].cube == ("macro" if name.endswith("_macro") else None)


SHORTLY = {
    "clean_buffer": ["state-growth"],
    "clean_class": ["future", "call-order", "window-length", "draws"],
    "clean_convolved": ["features"],
    "clean_held_out": ["training-features", "same-features"],
    "clean_noise": ["hindsight"],
    "clean_ranks": ["labels"],
    "clean_season": ["hindsight"],
    "clean_two_networks": ["same-features"],
}


@pytest.mark.parametrize("name", SHORTLY)
def test_what_looks_like_a_fault_and_is_none_passes(name):
    assert audit.check(loaded(name), CUBE, SHORTLY[name], progress=False).findings == ()


@pytest.mark.parametrize(
    "name",
    ["clean_features", "clean_macro", "clean_network"]
    + [pytest.param(name, marks=pytest.mark.soak) for name in SHORTLY],
)
def test_a_clean_strategy_passes_every_check(name):
    report = audit.check(loaded(name), data_for(name), IN_PROCESS, progress=False)
    assert report.ok
    expected = {"concentration"} | ({"same-features", "asset-order"} if name == "clean_noise" else set())
    assert {one.check for one in report.findings if one.severity != "note"} <= expected
    assert set(report.seconds) == set(IN_PROCESS)


def only_the_first(data, alter):
    name = next(iter(data))
    yield name, {**data, name: alter(data[name])}


# check broken -> the fixture that then goes through: (fixture, check, module, name, what is put there)
BLIND = {
    "the future stays as it is": ("scaled_features", alterations, "after", lambda cube, t, variant: cube),
    "the future stays as it is for batches": ("whole_interval", alterations, "after", lambda cube, t, variant: cube),
    "the window stays as it is": ("centred", alterations, "after", lambda cube, t, variant: cube),
    "only the last rows are changed": ("backfilled", training_data, "_EARLY", ()),
    "one cube's future stays as it is": ("later_macro", alterations, "one_by_one", only_the_first),
    "one cube's later rows stay as they are": ("backfilled_macro", alterations, "one_by_one", only_the_first),
    "nothing is filled backwards": ("filled_warm_up", look_ahead, "_WARM_UP", ()),
    "the years stay": ("known_crisis", invariance, "_CYCLE", np.timedelta64(0, "D")),
    "prices stay as they are": ("cheap_stocks", invariance, "_LEVELS", (1.0,)),
    "no difference matters": ("dropout", invariance, "_MATTERS", 1e9),
    "every scale is the same": ("other_scale", training_data, "_APART", 1e9),
    "models are always of the same process": ("first_scaler", determinism, "_untrained", lambda subject: None),
    "modules beside are kept": ("counts_beside", subject_module, "_beside", lambda folder: []),
    "every line is a scaler": ("denoised", differences, "is_scaled", lambda one, other: True),
    "no rows are cut off": ("filled_labels", training_data, "_TAILS", ()),
    "a label never stays": ("early_label", training_data, "_answer", lambda *_: True),
    "nobody is unseen": ("known_assets", training_data, "EVAL_ASSETS", "NOBODY"),
    "files hold no dates": ("reads_data", look_ahead, "last_row", lambda path: None),
    "longer windows are as long": ("window_length", look_ahead, "_LONGER", 0.97),
    "nothing is later": ("later_training", look_ahead, "_go_later", lambda *_: None),
    "nothing differs between runs": ("unseeded", determinism, "_difference", lambda one, other: None),
    "nothing is asked again": ("remembers", determinism, "reversed", lambda turns: ()),
    "models are not asked again": ("mutated_models", determinism, "reversed", lambda turns: ()),
    "order is tolerated": ("asset_order", determinism, "_ORDER_TOLERANCE", 1.0),
    "states weigh nothing": ("growing_state", determinism, "_size", lambda state: 0),
    "weights are never near 1/N": ("near_equal", book, "_NEAR_EQUAL", 0.0),
    "rules are not asked": ("short_selling", contest.rules, "check", lambda *_: []),
}


@pytest.mark.parametrize("how", BLIND, ids=lambda text: text.replace(" ", "-"))
def test_a_blinded_check_lets_its_fixture_through(how, monkeypatch, prices):
    name, module, attribute, blind = BLIND[how]
    check, severity, stage, date = PLANTED[name]
    monkeypatch.setattr(module, attribute, blind, raising=attribute != "reversed")
    seen = [(one.severity, one.stage, one.date) for one in found(name, check, prices)[:1]]
    assert seen != [(severity, stage, date)]


def test_one_bar_is_no_matter_for_networks_without_a_memory(monkeypatch):

    monkeypatch.setattr(replay, "_remembers", lambda models: False)
    assert found("one_bar", "one-bar") == ()


def restated():
    """Return findings about prices that were restated, the fault, and findings about prices that were not."""
    dirt, (fault,) = synthetic.dirty(CUBE, kinds=["restatement"])
    earlier = synthetic.as_known_on(dirt, [fault], fault.known - np.timedelta64(1, "D"))
    return audit.check(loaded("one_asset"), dirt, ["restated"], earlier=earlier, progress=False).findings, fault


def jumped():
    """Return the cube with one asset's prices multiplied from a day on."""
    cube = CUBE.copy(deep=True)
    cube.loc[{"field": ["open", "high", "low", "close"], "time": slice("2016-05-02", None), "asset": "TOY:005"}] *= 17
    return cube


def misprinted():
    """Return the cube with one open thirty times what it was."""
    cube = CUBE.copy(deep=True)
    cube.loc[{"field": "open", "time": "2015-12-01", "asset": "TOY:002"}] *= 30
    return cube


def one_sided():
    """Return the cube with gains for all, and most of them for one asset."""
    cube = CUBE.copy(deep=True)
    cube.values[:4, -120:] *= np.exp(0.005 * np.arange(120))[:, np.newaxis]
    cube.values[:4, -120:, 4] *= np.exp(0.03 * np.arange(120))
    return cube


def hurried():
    """Return findings about a contest that allows no time at all."""
    strategy = loaded("one_asset")
    rules = dataclasses.replace(strategy.rules, name="hurried", time_limit_s=0.0)
    strategy = dataclasses.replace(strategy, contest=qlstm.contests.register(rules))
    return audit.check(strategy, CUBE, ["time-budget"], progress=False).findings


# limit loosened or comparison broken -> the findings that are then gone
LOOSE = {
    "prices": (quality, "_LARGEST", 1e9, lambda: found("one_asset", "prices", cube=jumped())),
    "profit-from-faults": (book, "_HEAVY", 2.0, lambda: found("one_asset", "profit-from-faults", cube=jumped())),
    "label-outliers": (
        training_data,
        "_HEAVY",
        2.0,
        lambda: found("clean_network", "label-outliers", cube=misprinted()),
    ),
    "concentration": (book, "_HEAVY", 2.0, lambda: found("one_asset", "concentration", cube=one_sided())),
    "restated": (book.np, "isclose", lambda a, b, **_: np.full(np.shape(a), True), lambda: restated()[0]),
    "time-budget": (contest.time, "perf_counter", lambda: 0.0, hurried),
}


@pytest.mark.parametrize("check", LOOSE)
def test_a_loosened_limit_lets_its_fixture_through(check, monkeypatch):
    module, attribute, loose, findings = LOOSE[check]
    assert findings() != ()
    monkeypatch.setattr(module, attribute, loose)
    monkeypatch.setattr(quality, "_DEVIATIONS", 1e9 if check == "prices" else quality._DEVIATIONS)
    assert findings() == ()


def test_every_check_has_a_fixture_that_it_rejects():
    elsewhere = {"parity", "processes"}  # in a file of their own
    assert {check for check, *_ in PLANTED.values()} | set(LOOSE) | elsewhere == set(audit.CHECKS)


def test_every_check_is_blinded_once():
    blinded = {PLANTED[name][0] for name, *_ in BLIND.values()} | {"one-bar"}
    elsewhere = {"parity", "processes"}  # in a file of their own
    assert blinded | set(LOOSE) | elsewhere == set(audit.CHECKS)


def test_a_finding_names_the_cube_whose_future_was_seen():
    (one,) = found("later_macro", "future")
    assert "everything after it in cube 'macro' was replaced" in str(one)
    assert json.loads(audit.check(loaded("later_macro"), CUBES, ["future"]).to_json())["findings"][0]["cube"] == "macro"
    swapped = {"macro": CUBE, "stocks": CUBE}  # the traded cube comes first, whatever its name
    assert {one.cube for one in found("later_macro", "future", cube=swapped)} == {"macro"}


def test_a_feature_that_differs_by_more_than_rounding_differs_whatever_its_values_are():
    t = CUBE.time.values[-1]
    plain = CUBE.isel(field=slice(4)).copy(data=np.random.default_rng(0).normal(size=(4, 400, 8)))
    plain[1], plain[2, :, 0], plain[3] = 1.0, np.inf, np.nan
    other = plain + 1e-14
    assert look_ahead.first_difference(plain, look_ahead._but_for_rounding(plain, other, t), t)["field"] == "high"
    for field, value in [(0, np.nan), (0, np.inf), (0, plain[0, 9, 1] + 1e-11), (2, plain[2, 9, 1] + 1e-14), (3, 0.0)]:
        other = plain.copy()
        other[field, 9, 1] = value
        found = look_ahead.first_difference(plain, look_ahead._but_for_rounding(plain, other, t), t)
        assert (found["field"], found["time"]) == (FIELDS[field], CUBE.time.values[9])
        assert look_ahead._but_for_rounding(plain, other, CUBE.time.values[8])[:, :9].identical(plain[:, :9])


def test_features_of_several_cubes_are_refused_with_the_way_round():
    with pytest.raises(qlstm.errors.StrategyError, match="features take one cube, not several"):
        audit.check(loaded("clean_features"), CUBES, ["features"], progress=False)


def test_an_undone_adjustment_and_prices_of_other_cubes_are_no_level_of_prices(tmp_path):
    text = """
import qlstm
def predict(data):
    stocks, macro = data.values()
    close = stocks.sel(field="close", drop=True) / stocks.sel(field="split_cumprod", drop=True)
    calm = float(macro.sel(field="close").isel(asset=0, time=-1)) < LEVEL
    return (close.isel(time=-1, drop=True) < LEVEL) * 0.1 * calm
strategy = qlstm.Strategy(predict=predict, lookback_period=60)
"""
    (tmp_path / "raw.py").write_text(text + f"LEVEL = {float(CUBE.sel(field='close').median())}")
    stocks = xr.concat([CUBE, xr.ones_like(CUBE.sel(field=["close"])).assign_coords(field=["split_cumprod"])], "field")
    cubes = {"stocks": stocks, "macro": CUBE.isel(asset=[2])}
    strategy = qlstm.load_strategy(tmp_path / "raw.py")
    assert audit.check(strategy, cubes, ["price-level"], progress=False).findings == ()


def test_a_state_that_cannot_be_followed_further_is_no_fault(tmp_path):
    text = """
import qlstm
def predict(data, state):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    if not bool(close.notnull().any()):
        raise ValueError("no prices yet")
    return close.notnull() * 0.01, [*(state or []), float(close.mean())][-200:]
strategy = qlstm.Strategy(predict=predict, lookback_period=30)
"""
    (tmp_path / "late.py").write_text(text)
    cube = CUBE.copy()
    cube[:, :200] = np.nan
    (one,) = audit.check(qlstm.load_strategy(tmp_path / "late.py"), cube, ["state-growth"], progress=False).findings
    assert (one.severity, "on the days before the strategy fails" in one.message) == ("note", True)


def test_modules_beside_a_strategy_are_made_anew_and_put_back():
    strategy = loaded("counts_beside")
    counting = sys.modules["counting"]
    subject = audit.Subject(strategy, CUBE)
    with subject_module.modules_kept():
        subject.fresh()
        assert sys.modules["counting"] is not counting
    assert sys.modules["counting"] is counting


def test_gaps_and_listings_are_where_a_back_fill_would_show():
    cube = CUBE.copy(deep=True)
    cube[:, :50, 1] = cube[:, 200:210, 2] = np.nan
    cube[:, 390:, 3] = np.nan  # delisted: nothing comes after
    assert alterations.in_gaps(cube) == [CUBE.time.values[49], CUBE.time.values[209]]
    assert alterations.in_gaps(CUBE) == []


def test_a_strategy_that_fails_on_some_days_is_told_once_and_on_the_day(tmp_path):
    file = tmp_path / "no_tomorrow.py"
    text = (FAULTS / "one_asset.py").read_text()
    file.write_text(
        text.replace("    return", f'    assert str(data.time.values[-1])[:10] != "{LAST}", "no tomorrow"\n    return')
    )
    report = audit.check(qlstm.load_strategy(file), CUBE, ["contest-rules", "concentration"], progress=False)
    assert [(one.severity, one.date) for one in report.findings] == [("fail", LAST), ("note", LAST)]


@pytest.mark.parametrize(("name", "only", "status"), [("filled_labels", "labels", 1), ("one_asset", "look-ahead", 0)])
def test_the_command_exits_1_when_a_check_fails(name, only, status, prices, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check", str(FAULTS / f"{name}.py"), "--data", str(prices), "--only", only, "--json"])
    assert (stopped.value.code or 0) == status
    assert json.loads(capsys.readouterr().out)["ok"] is (status == 0)


@pytest.mark.parametrize("only", ["lookahead", ""])
def test_the_command_exits_2_on_bad_input(capsys, prices, only):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check", str(FAULTS / "one_asset.py"), "--data", str(prices), "--only", only])
    assert stopped.value.code == 2
    assert f"no check {only!r}" in capsys.readouterr().err


def test_labels_ranked_in_a_window_are_not_called_early_unless_two_change_places():
    label = market(60, 2).sel(field="close", drop=True)
    assert differences.set_early(label, label**3) is None
    exchanged = (label**3).copy(data=np.exp(-label.values))
    assert differences.set_early(label, exchanged) is not None


@pytest.mark.parametrize("rows", [8, 16, 30, 60])
def test_a_label_scaled_over_a_window_is_not_called_early_however_few_rows_there_are(rows):
    label = market(rows, 2).sel(field="close", drop=True)
    assert differences.set_early(label, 2.0 * label - 1.0) is None
    filled = label.copy()
    filled[-1] = 0.0
    found = differences.set_early(filled, label)
    assert found is not None
    assert found["time"] == label.time.values[-1]
