"""Checks that start processes: parity of single pass and multi-pass, hash order, clocks."""

import multiprocessing
import os
import pickle
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from test_audit import CUBES
from test_audit_strategies import CLEAN, MARKETS
from toys import market

import qlstm
from qlstm import audit
from qlstm.audit import determinism, parity, processes, worker
from qlstm.data import synthetic

CUBE = market(days=300, assets=5, seed=3)
FIRST = "2015-09-10"  # of the days looked at
PROCESSORS = [name for name in ("cpu_count", "sched_getaffinity") if hasattr(os, name)]


def loaded(name, folder="tests/faults"):
    return qlstm.load_strategy(ROOT / folder / f"{name}.py")


def first(name, check):
    findings = audit.check(loaded(name), CUBE, [check], progress=False).findings
    return [(one.severity, one.stage, one.date) for one in findings]


def only(monkeypatch, cause):
    """Have one change looked for, which spares the processes of the others."""
    monkeypatch.setattr(determinism, "_CHANGES", {cause: determinism._CHANGES[cause]})


def test_a_global_that_crosses_days_breaks_parity_on_the_second_day():
    assert first("remembers", "parity") == [("fail", "predict", str(CUBE.time.values[-2])[:10])]


def test_parity_holds_for_a_state_and_features():
    assert first("clean_features", "parity") == []


@pytest.mark.soak
def test_a_parity_check_that_compares_nothing_is_blind(monkeypatch):
    monkeypatch.setattr(parity, "_difference", lambda whole, row, t: None)
    monkeypatch.setattr(parity, "_DAYS", 2)
    assert first("remembers", "parity") == []


def test_the_order_of_a_set_shows_between_processes(monkeypatch):
    only(monkeypatch, "hash order")
    assert first("hash_order", "processes") == [("fail", "predict", FIRST)]


class Here:
    """Stands in for a process, without its start: the number of threads is set, and the run is the worker's."""

    def __init__(
        self, subject, folder, data, days, *, threads=1, models=b"", hash_seed=0, clock_days=0.0, time_zone="UTC"
    ):
        self.request = {"recipe": subject.recipe, "data": str(data), "days": days, "models": models}
        self.threads, self.time_zone = threads, time_zone

    def answer(self):
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("OMP_NUM_THREADS", str(self.threads))
                for name in PROCESSORS:  # put back by the patch
                    patch.setattr(os, name, getattr(os, name))
                worker._add_processors(self.threads - 1)
                patch.setenv("TZ", self.time_zone)
                time.tzset()
                return worker._walk(self.request)
        finally:
            time.tzset()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("threads_training", [("fail", "train", FIRST)]),
        ("processors", [("fail", "predict", FIRST)]),
        ("clean_threads", []),
    ],
)
def test_threads_and_processors_are_told_from_threads_that_change_nothing(name, expected, monkeypatch):
    monkeypatch.setattr(determinism, "Process", Here)
    assert first(name, "processes") == expected


def test_the_time_zone_of_the_machine_is_told_apart(monkeypatch):
    monkeypatch.setattr(determinism, "Process", Here)
    (one,) = audit.check(loaded("time_zone"), CUBE, ["processes"], progress=False).findings
    assert (one.severity, one.stage) == ("fail", "predict")
    assert "time zone" in one.message


def test_more_processors_are_told_by_all_who_tell_of_them(monkeypatch):
    for name in PROCESSORS:  # put back by the patch
        monkeypatch.setattr(os, name, getattr(os, name))

    def told():
        allowed = [len(os.sched_getaffinity(0))] if "sched_getaffinity" in PROCESSORS else []
        return [os.cpu_count(), multiprocessing.cpu_count(), *allowed]

    before = told()
    worker._add_processors(2)
    assert told() == [number + 2 for number in before]


def test_a_process_is_told_of_more_processors_with_its_threads(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(worker, "_add_processors", told.append)
    monkeypatch.setattr(worker, "_walk", lambda request: None)
    monkeypatch.setattr(sys, "path", sys.path)
    monkeypatch.setattr(processes.subprocess, "Popen", lambda *_, **__: None)
    for threads in (1, 3):
        folder = tmp_path / str(threads)
        processes.Process(audit.Subject(loaded("processors"), CUBE), folder, tmp_path, [], threads=threads)
        worker.main(folder)
    assert told == [2]


def test_a_process_has_the_threads_that_it_is_to_have_in_every_library(tmp_path, monkeypatch):
    started = {}
    monkeypatch.setattr(processes.subprocess, "Popen", lambda command, env, **_: started.update(env))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    processes.Process(audit.Subject(loaded("threads"), CUBE), tmp_path / "one", tmp_path, [], threads=3)
    assert {started[name] for name in processes.THREADS} == {"3"}


@pytest.mark.soak
def test_rounding_that_depends_on_threads_is_found_and_shown_to_the_last_digit(monkeypatch):
    only(monkeypatch, "threads")
    (one,) = audit.check(loaded("threads"), CUBE, ["processes"], progress=False).findings
    assert (one.severity, one.stage, one.date) == ("fail", "predict", FIRST)
    old, new = one.value.split(" -> ")
    assert old != new
    assert float(old) == pytest.approx(float(new), rel=1e-5)


@pytest.mark.soak
def test_a_process_check_that_compares_nothing_is_blind(monkeypatch):
    monkeypatch.setattr(determinism, "_disagree", lambda one, other: None)
    assert first("hash_order", "processes") == []


@pytest.mark.soak
def test_the_clock_shows_between_processes(monkeypatch):
    with monkeypatch.context() as patch:
        only(patch, "clock")
        assert first("wall_clock", "processes") == [("fail", "predict", FIRST)]
    only(monkeypatch, "hash order")
    assert first("wall_clock", "processes") == []


@pytest.mark.soak
@pytest.mark.parametrize(
    "name",
    [
        "hash_order",
        "wall_clock",
        "time_zone",
        "threads",
        "threads_training",
        "processors",
        "clean_threads",
        "clean_network",
    ],
)
def test_the_right_cause_is_named_among_all(name):
    findings = audit.check(loaded(name), CUBE, ["processes"], progress=False).findings
    causes = {
        "hash_order": "hash order",
        "wall_clock": "clock",
        "time_zone": "time zone",
        "threads": "threads",
        "threads_training": "threads",
        "processors": "threads",
    }
    assert [causes[name] in one.message for one in findings] == ([True] if name in causes else [])


@pytest.mark.soak
@pytest.mark.parametrize("name", ["trend", "buy_and_hold", "lstm_state", "lstm_careful"])
def test_the_projects_strategies_pass_in_processes(name):
    cube = market(days=300, assets=8, seed=5)
    assert audit.check(loaded(name, "strategies"), cube, ["parity", "processes"], progress=False).findings == ()


@pytest.mark.soak
def test_several_cubes_pass_in_processes():
    assert audit.check(loaded("clean_macro"), CUBES, ["parity", "processes"], progress=False).findings == ()


def test_a_process_is_given_all_cubes_as_they_are(tmp_path):
    subject = audit.Subject(loaded("later_macro"), CUBES)
    data = processes.put_data(tmp_path, subject.data)
    request = {"recipe": subject.recipe, "data": str(data), "days": subject.sampled, "models": b""}
    assert worker._walk(request)["weights"].identical(subject.course.weights)
    kept = parity._enough(subject, subject.days[-3:])
    assert {name: cube.time.values[-1] for name, cube in kept.items()} == {
        name: cube.time.values[cube.time.values <= subject.days[-1]][-1] for name, cube in CUBES.items()
    }


def test_a_process_that_is_given_models_does_not_train(tmp_path):
    subject = audit.Subject(loaded("threads_training"), CUBE)
    data = processes.put_data(tmp_path, subject.data)
    request = {"recipe": subject.recipe, "data": str(data), "days": subject.sampled[:2], "models": b""}
    models = pickle.loads(worker._walk(request)["models"])
    assert list(models) == [subject.sampled[0]]
    again = {t: {"mean": model["mean"] * 0 + np.arange(5)} for t, model in models.items()}
    weights = worker._walk(request | {"models": pickle.dumps(again)})["weights"]
    np.testing.assert_allclose(weights.values[0], np.arange(5) / 10)


def alarms(file, market_name, seed, checks):
    cube, _ = synthetic.market(market_name, seed=seed, n_assets=24, n_days=420)
    return audit.check(loaded(file, "strategies"), cube, checks, progress=False).failed


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", MARKETS)
def test_the_projects_clean_strategies_raise_no_alarm_in_processes(name, seed):
    for file in CLEAN:
        assert alarms(file, name, seed, ["parity", "processes"]) == ()


def test_a_clean_strategy_raises_no_alarm_in_processes(monkeypatch):
    monkeypatch.setattr(parity, "_DAYS", 2)
    assert alarms("buy_and_hold", "N0", 0, ["parity", "processes"]) == ()
