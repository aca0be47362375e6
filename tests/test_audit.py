"""Planted faults are found, each by its check, at its stage and first day; clean strategies are let through."""

import asyncio
import concurrent.futures
import contextlib
import ctypes.util
import dataclasses
import importlib
import json
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import ROOT
from joblib.externals.loky.backend import context
from toys import FIELDS, equal_weights, market

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
    watching,
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
    from qlstm.audit import replay

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


def test_a_data_file_is_seen_wherever_it_lies_and_other_files_of_libraries_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_libraries", lambda: (tmp_path,))
    for name in ("prices.csv", "settings.json"):
        (tmp_path / name).write_text("date,close\n2016-01-04,1\n")
    seen = []
    with watching.watching(seen.append):
        for name in ("prices.csv", "settings.json"):
            (tmp_path / name).read_text()
    assert seen == [tmp_path / "prices.csv"]


PRICES = CUBE.sel(field="close").to_pandas().reset_index(names="date")
WHOLE = PRICES.date.dt.strftime("%Y%m%d").astype(int)  # 20160104, as CRSP writes it
TABLES = {
    "prices.csv.gz": lambda path: PRICES.to_csv(path, index=False),
    "prices.parquet": lambda path: PRICES.set_index("date").to_parquet(path),
    "long.csv": lambda path: PRICES.melt("date", var_name="asset")[["asset", "date", "value"]].to_csv(
        path, index=False
    ),
    "whole.csv": lambda path: PRICES.assign(date=WHOLE).to_csv(path, index=False),
    "gaps.csv": lambda path: PRICES.assign(date=WHOLE.where(PRICES.index % 9 != 0)).to_csv(path, index=False),
    "tabbed.txt": lambda path: PRICES.to_csv(path, sep="\t", index=False),
    "tabbed.tsv": lambda path: PRICES.to_csv(path, sep="\t", index=False),
    "stamps.json": lambda path: PRICES.set_index("date").to_json(path, date_format="iso"),
    "records.json": lambda path: PRICES.assign(date=WHOLE).to_json(path, orient="records"),
    "packed.json.gz": lambda path: PRICES.set_index(WHOLE).drop(columns="date").to_json(path),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_last_day_of_a_table_is_found_packed_or_not_and_wherever_its_dates_are(name, tmp_path):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path, seen = tmp_path / name, []
    TABLES[name](path)
    assert watching.last_row(path) == CUBE.time.values[-1]
    with watching.watching(seen.append), concurrent.futures.ThreadPoolExecutor(1) as pool:
        read = {".parquet": pd.read_parquet, ".json": pd.read_json}.get(watching._kind(path), pd.read_csv)
        pool.submit(read, path).result()
    assert set(seen) == {path}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("note.txt", "bought in may\nand sold, on monday\n"),
        ("empty.txt", ""),
        ("names.txt", "AAPL\nMSFT\nMAY\n"),
        ("settings.json", '{"lookback": 20, "networks": {"hidden": [8, 8]}}'),
        ("broken.json", '{"date": [20201231'),
        ("nested.json", '{"rows": [{"a": 1}, {"a": 2}], "n": [1, 2]}'),
        ("volumes.csv", "asset,volume\nA,20990000\nB,20001399\nC,19990101\nD,2.0e7\n"),
        ("binary.tsv", "\0\1\xff"),
    ],
)
def test_what_holds_no_dates_or_cannot_be_read_has_no_last_day(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    assert watching.last_row(tmp_path / name) is None


def test_hosts_folders_and_databases_are_seen_but_not_this_machine_or_what_python_imports_from(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: sys.audit("socket.getaddrinfo", host, port))
    monkeypatch.syspath_prepend("")  # as in a notebook
    monkeypatch.chdir(tmp_path)
    (tmp_path / "companies").mkdir()
    (tmp_path / "companies" / "lately.py").touch()
    (tmp_path / "prices.db").touch()
    seen = []
    with watching.watching(seen.append):
        for host in ("prices.example.com", "localhost"):
            socket.getaddrinfo(host, 80)
        importlib.import_module("companies.lately")
        for folder in (tmp_path, tmp_path / "companies"):
            os.listdir(folder)
        sqlite3.connect(tmp_path / "prices.db").close()
    assert seen == ["prices.example.com", tmp_path, tmp_path / "companies", tmp_path / "prices.db"]


@pytest.mark.parametrize(("what", "severity"), [("prices.example.com", "fail"), (FAULTS, "warning")])
def test_a_host_fails_and_a_folder_is_a_warning(what, severity):
    finding = look_ahead._of_file(replay.Opened("predict", CUBE.time.values[-1], what))
    assert (finding.severity, finding.value) == (severity, getattr(what, "name", what))
    assert finding.fix


STARTS = {
    "by subprocess": lambda: subprocess.check_output(["cat", os.devnull]),
    "by the shell": lambda: os.system(f"cat {os.devnull}"),
    "by posix_spawn": lambda: os.waitpid(os.posix_spawn("/bin/cat", ["cat", os.devnull], {}), 0),
    "instead of Python": lambda: replaced_by("/nowhere/cat"),
    "from another thread": lambda: concurrent.futures.ThreadPoolExecutor(1).submit(STARTS["by subprocess"]).result(),
    "by asyncio": lambda: asyncio.run(started_by_asyncio()),
}


def replaced_by(path):
    with contextlib.suppress(FileNotFoundError):
        os.execv(path, ["cat"])


async def started_by_asyncio():
    await (await asyncio.create_subprocess_exec("cat", os.devnull)).wait()


@pytest.mark.parametrize("how", STARTS)
def test_programs_that_a_strategy_starts_are_named(how):
    seen = []
    with watching.watching(seen.append):
        STARTS[how]()
    assert watching.Program("cat") in seen


@pytest.mark.parametrize(
    "start",
    [platform._Processor.from_subprocess, lambda: ctypes.util.find_library("nowhere"), context._count_physical_cores],
)
def test_programs_that_libraries_start_for_themselves_are_not_the_strategys(start, monkeypatch):
    seen = []
    monkeypatch.setattr(context, "physical_cores_cache", None)
    with watching.watching(seen.append):
        start()
    assert not any(isinstance(one, watching.Program) for one in seen)
    monkeypatch.setattr(watching, "_libraries", lambda: ())
    monkeypatch.setattr(context, "physical_cores_cache", None)
    with watching.watching(seen.append):
        start()
    assert any(isinstance(one, watching.Program) for one in seen)


def test_what_is_written_is_not_read_and_what_others_do_meanwhile_is_not_the_strategys(tmp_path):
    path, seen, go = tmp_path / "log.csv", [], threading.Event()
    path.touch()

    def other():
        go.wait()
        path.read_text()

    thread = threading.Thread(target=other)
    thread.start()
    with watching.watching(seen.append):
        path.write_text("x")
        os.close(os.open(path, os.O_WRONLY))
        go.set()
        thread.join()
        assert seen == []
        path.open("r+").close()
    assert seen == [path]


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


def test_the_example_of_the_contest_is_diagnosed_out_loud():
    cube, _ = synthetic.market("N0", seed=1, n_assets=24, n_days=420)
    report = audit.check(qlstm.load_strategy(ROOT / "strategies" / "lstm_state.py"), cube, IN_PROCESS, progress=False)
    assert {(one.check, one.stage) for one in report.findings if one.severity == "known"} == {
        ("training-features", "features"),  # its back-fill
        ("labels", "labels"),  # 0 where the next open is not known
        ("label-timing", "labels"),  # over before it can be traded
        ("one-bar", "predict"),
        ("near-equal-weights", "weights"),
    }
    assert report.ok  # the file says so itself: what is declared is told, and does not fail


CLEAN = ("trend", "buy_and_hold")
MARKETS = ("N0", "N1", "P1", "P2", "P4", "P5", "P6", "P9", "P10", "P15")
CASES = [
    pytest.param(name, seed, marks=() if name in ("N0", "P6") and seed < 2 else pytest.mark.soak)
    for name in MARKETS
    for seed in range(5)
]


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_the_projects_clean_strategies_raise_no_alarm(name, seed):
    cube, _ = synthetic.market(name, seed=seed, n_assets=24, n_days=420)
    for file in CLEAN:
        report = audit.check(qlstm.load_strategy(ROOT / "strategies" / f"{file}.py"), cube, IN_PROCESS, progress=False)
        assert report.ok, str(report)


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


def test_declared_findings_do_not_fail_and_stale_ones_are_named(tmp_path):
    text = (FAULTS / "filled_labels.py").read_text()
    shutil.copy(FAULTS / "parts.py", tmp_path)
    file = tmp_path / "declared.py"
    file.write_text(text + '\nKNOWN_FINDINGS = {"labels": "as published", "one-bar": "not so"}\n')
    report = audit.check(qlstm.load_strategy(file), CUBE, ["labels", "one-bar"], progress=False)
    assert report.ok
    assert [(one.check, one.severity) for one in report.findings] == [("one-bar", "warning"), ("labels", "known")]
    assert "as published" in str(report)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ('["labels"]', r"KNOWN_FINDINGS must be a dict {check: why} of texts, got \['labels'\]"),
        ('{"labels": None}', "KNOWN_FINDINGS must be a dict {check: why} of texts, got {'labels': None}"),
        ('{"lables": "x"}', "KNOWN_FINDINGS: no check 'lables'; did you mean 'labels'"),
    ],
)
def test_declarations_that_cannot_be_used_are_named_before_a_check_runs(tmp_path, monkeypatch, declared, message):
    file = tmp_path / "declared.py"
    text = "import qlstm\nstrategy = qlstm.Strategy(predict=lambda data: data, name='declared')\n"
    file.write_text(f"{text}KNOWN_FINDINGS = {declared}\n")
    monkeypatch.setitem(audit.CHECKS, "labels", audit.CHECKS["labels"]._replace(run=None))
    with pytest.raises(qlstm.errors.StrategyError, match=message):
        audit.check(qlstm.load_strategy(file), CUBE, ["labels"], progress=False)


def test_a_report_is_text_json_and_escaped_html(tmp_path):
    report = audit.check(loaded("filled_labels"), CUBE, ["labels"], progress=False)
    content = json.loads(report.to_json())
    assert content["ok"] is False
    assert content["findings"][0]["date"] == "2016-01-26"
    assert "1 failure" in str(report)
    one = audit.Finding("x", "data", "fail", "data", "<b>", asset="A&B")
    page = audit.Report("s", ("a", "b"), (one,), {"parity": 1.0}).to_html()
    assert "s, a to b: 1 check, 1 failure" in page
    assert "&lt;b&gt;" in page
    assert "A&amp;B" in page
    assert "<b>" not in page


def test_a_check_can_be_called_alone_and_an_unknown_one_is_named():
    subject = audit.Subject(loaded("filled_labels"), CUBE)
    assert training_data.labels(subject)[0].stage == "labels"
    with pytest.raises(qlstm.errors.StrategyError, match="no check 'lables'; did you mean 'labels'"):
        audit.check(loaded("filled_labels"), CUBE, ["lables"])
    assert list(audit.check(loaded("filled_labels"), CUBE, "labels", progress=False).seconds) == ["labels"]


def test_a_check_called_alone_does_not_warn_of_prices_that_are_not_there():
    cube = CUBE.copy()
    cube[:, :, 0], cube[:, :, 1] = np.nan, 0.0
    subject = audit.Subject(qlstm.Strategy(predict=equal_weights, lookback_period=20), cube)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert audit.CHECKS["future"].run(subject) == []


def test_every_day_is_looked_at_when_thorough():
    subject = audit.Subject(loaded("one_asset"), CUBE, start="2016-06-01", thorough=True)
    assert len(subject.sampled) == len(subject.days) - 3
    assert len(subject.cuts) == len(subject.sampled)
    assert look_ahead.future(subject) == []


def test_a_strategy_that_fails_on_its_own_data_is_an_error():
    def broken(data):
        raise ValueError("no")

    with pytest.raises(qlstm.errors.StrategyError, match="no"):
        audit.check(qlstm.Strategy(predict=broken), CUBE, ["future"], progress=False)


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


def test_replayed_days_are_of_all_weekdays_and_of_the_turns_of_months():
    for seed in range(50):
        random = np.random.default_rng(seed)
        days = pd.bdate_range("2014-01-01", periods=120 + 40 * seed).values
        days = days[np.sort(random.permutation(len(days))[: len(days) - len(days) // 25])]  # holidays
        places = subject_module._spread(days)
        chosen = pd.DatetimeIndex(days[places])
        assert (np.diff(places) > 0).all()
        assert (places[0], places[-1]) == (0, len(days) - 1)
        assert set(chosen.day_of_week) == set(range(5))
        months = pd.DatetimeIndex(days).month
        assert any(months[row] != months[row - 1] for row in places[1:])
        assert any(months[row] != months[row + 1] for row in places[:-1])


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
