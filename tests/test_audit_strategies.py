"""The project's own strategies under audit: the published one is diagnosed out loud, the clean ones raise no alarm."""

import pytest
from conftest import ROOT
from test_audit import IN_PROCESS

import qlstm
from qlstm import audit
from qlstm.data import synthetic


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
