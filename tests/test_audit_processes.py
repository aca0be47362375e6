"""Checks that start processes: parity of single pass and multi-pass, hash order, clocks."""

import pytest
from conftest import ROOT
from toys import market

import qlstm
from qlstm import audit
from qlstm.audit import determinism, parity

CUBE = market(days=300, assets=5, seed=3)


def first(name, check):
    strategy = qlstm.load_strategy(ROOT / "tests" / "faults" / f"{name}.py")
    return [
        (one.severity, one.stage, one.date) for one in audit.check(strategy, CUBE, [check], progress=False).findings
    ]


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
    order = {"hash order": determinism._CHANGES["hash order"]}
    monkeypatch.setattr(determinism, "_CHANGES", order)
    ((severity, stage, _),) = first("hash_order", "processes")
    assert (severity, stage) == ("fail", "predict")


@pytest.mark.soak
def test_a_process_check_that_compares_nothing_is_blind(monkeypatch):
    monkeypatch.setattr(determinism, "_disagree", lambda one, other: None)
    assert first("hash_order", "processes") == []


@pytest.mark.soak
def test_the_clock_shows_between_processes(monkeypatch):
    others = {"hash order": determinism._CHANGES["hash order"]}
    monkeypatch.setattr(determinism, "_CHANGES", {"clock": determinism._CHANGES["clock"]})
    ((severity, stage, _),) = first("wall_clock", "processes")
    assert (severity, stage) == ("fail", "predict")
    monkeypatch.setattr(determinism, "_CHANGES", others)
    assert first("wall_clock", "processes") == []


@pytest.mark.soak
@pytest.mark.parametrize("name", ["hash_order", "wall_clock", "clean_network"])
def test_the_right_cause_is_named_among_all(name):
    strategy = qlstm.load_strategy(ROOT / "tests" / "faults" / f"{name}.py")
    findings = audit.check(strategy, CUBE, ["processes"], progress=False).findings
    causes = {"hash_order": "hash order", "wall_clock": "clock"}
    assert [causes[name] in one.message for one in findings] == ([True] if name in causes else [])


@pytest.mark.soak
@pytest.mark.parametrize("name", ["trend", "buy_and_hold", "lstm_state"])
def test_the_projects_strategies_pass_in_processes(name):
    cube = market(days=300, assets=8, seed=5)
    strategy = qlstm.load_strategy(ROOT / "strategies" / f"{name}.py")
    assert audit.check(strategy, cube, ["parity", "processes"], progress=False).findings == ()
