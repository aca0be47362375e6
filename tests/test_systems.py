"""What holds for every strategy that names its assets: refusals, the audit, single passes, a file to read in two minutes."""

import pytest
import test_parity
from conftest import ROOT
from systems import assets_of, functions, renamed
from toys import market

import qlstm
from qlstm import audit
from qlstm.data import synthetic
from qlstm.errors import DataError

NAMED = ("index_direction", "spy_rotation", "vrp_spy")  # strategies whose files name their assets
OTHERS = ("index_direction", "lstm_careful", "vrp_spy")
IN_PROCESS = [check for check in audit.CHECKS if check not in ("parity", "processes")]


@pytest.mark.parametrize("name", NAMED)
def test_data_without_the_assets_a_strategy_names_are_refused_with_a_fix(name):
    cube = market(days=40, assets=6)
    message = (
        r"data lack asset 'AMEX:SPY'( and 2 more)?; they have TOY:000, TOY:001, TOY:002, TOY:003, TOY:004, … "
        r"\(6 in all\); give data that have it \(--data\), or name other assets in the strategy's file"
    )
    with pytest.raises(DataError, match=message):
        functions(name)["train"](cube)


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
