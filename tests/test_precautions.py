"""The daily run looks back before it goes on: missing days, other code, libraries or rules; dry runs."""

import dataclasses
import json
import os

import numpy as np
import pytest
from chasing import CHASE, CUBE, DAYS, D, chase, kept, restated, run, tree

import qlstm
from qlstm import contests, precautions, state
from qlstm.errors import StateChangedError, StateError
from qlstm.state import codec


def test_a_gap_is_refused_with_the_missing_days_and_both_fixes(tmp_path):
    run(tmp_path, DAYS[0])
    before = kept(tmp_path)
    with pytest.raises(StateError) as refused:
        run(tmp_path, DAYS[5], skip_gap=False)
    assert str(refused.value) == (
        f"4 trading days since {D[0]} were not run: {D[1]}, {D[2]}, {D[3]} and 1 more; --catch-up (catch_up=True) runs "
        "them in order; --skip-gap (skip_gap=True) goes on without them"
    )
    assert kept(tmp_path) == before


def test_a_gap_of_one_day_is_in_the_singular_and_no_gap_is_none(tmp_path):
    run(tmp_path, DAYS[0])
    with pytest.raises(StateError, match=f"^1 trading day since {D[0]} was not run: {D[1]};"):
        run(tmp_path, DAYS[2], skip_gap=False)
    assert run(tmp_path, DAYS[1], skip_gap=False).missing == []


def test_skipped_days_are_noted_and_listed_and_caught_up_ones_are_not_missing(tmp_path):
    for name in ("skip", "catch"):
        run(tmp_path / name, DAYS[0])
    skipped = run(tmp_path / "skip", DAYS[3])
    assert (skipped.missing, skipped.caught_up, skipped.state["n"]) == ([DAYS[1], DAYS[2]], [], 2)
    assert sum("were not run" in note for note in skipped.notes) == 1
    caught = run(tmp_path / "catch", DAYS[3], catch_up=True, skip_gap=False)
    assert (caught.missing, caught.caught_up, caught.state["n"]) == ([], [DAYS[1], DAYS[2]], 4)
    assert caught.notes == []


@pytest.fixture
def edited(tmp_path):
    """Return a function that writes a strategy file with a comment, and loads it."""

    def load(comment):
        file = tmp_path / "idea.py"
        file.write_text(
            f"import qlstm\nfrom chasing import chase\n{comment}\n"
            "def predict(data, state):\n    return chase(data, state)\n"
            "strategy = qlstm.Strategy(predict=predict, lookback_period=20)\n"
        )
        return qlstm.load_strategy(file)

    return load


def test_other_code_is_noted_and_refused_when_strict(tmp_path, edited):
    run(tmp_path / "s", DAYS[0], edited("# one"))
    before = kept(tmp_path / "s")
    with pytest.raises(StateChangedError, match=r"refused as asked \(strict\): .* was written by other code than"):
        run(tmp_path / "s", DAYS[1], edited("# two"), strict=True)
    assert kept(tmp_path / "s") == before
    result = run(tmp_path / "s", DAYS[1], edited("# two"))
    assert set(result.changes) == {"code"}
    assert result.notes == [result.changes["code"]]


def test_other_libraries_are_noted_by_name_and_refused_when_strict(tmp_path, monkeypatch):
    older = codec.versions() | {"numpy": "1.26.4", "gone": "3"}
    with monkeypatch.context() as patched:
        patched.setattr(codec, "versions", lambda: older)
        run(tmp_path, DAYS[0])
    with pytest.raises(StateChangedError, match="written with other libraries"):
        run(tmp_path, DAYS[1], strict=True)
    noted = run(tmp_path, DAYS[1]).changes["versions"]
    assert noted.endswith(f"with other libraries: gone 3 is now missing, numpy 1.26.4 is now {np.__version__}")


def test_another_contest_is_refused_unless_allowed(tmp_path):
    run(tmp_path, DAYS[0])
    before, other = kept(tmp_path), dataclasses.replace(CHASE, contest="stocks_long")
    with pytest.raises(
        StateError, match=r"was decided for contest stocks_nasdaq100, strategy chase.* is for stocks_lo"
    ):
        run(tmp_path, DAYS[1], other)
    with pytest.raises(StateChangedError, match="decided for contest"):
        run(tmp_path, DAYS[1], other, strict=True, allow_changes=True)
    assert kept(tmp_path) == before
    allowed = run(tmp_path, DAYS[1], other, allow_changes=True)
    assert set(allowed.changes) == {"contest"}
    assert run(tmp_path, DAYS[2], other).changes == {}


def test_a_contest_of_the_same_name_with_other_rules_is_another_one(tmp_path, monkeypatch):
    run(tmp_path, DAYS[0])
    changed = dataclasses.replace(contests.get("stocks_nasdaq100"), long_only=True)
    monkeypatch.setitem(contests._REGISTRY, "stocks_nasdaq100", changed)
    with pytest.raises(StateError, match="other rules of stocks_nasdaq100: long_only False is now True"):
        run(tmp_path, DAYS[1], dataclasses.replace(CHASE, contest="stocks_nasdaq100"))


def test_rules_that_only_one_version_of_qlstm_knows_are_no_change(tmp_path):
    rules = json.loads(json.dumps(dataclasses.asdict(CHASE.rules)))
    rules["of_later"] = rules.pop("min_sharpe")
    parent = precautions.Parent(header={"contest": rules}, path=tmp_path)
    assert precautions.changes(CHASE, parent, CUBE, None, None) == {}


def test_strict_without_a_change_runs(tmp_path):
    run(tmp_path, DAYS[0], strict=True)
    assert run(tmp_path, DAYS[1], strict=True).notes == []


def test_strict_refuses_restated_data_and_says_what_they_are(tmp_path):
    for t in DAYS[:2]:
        run(tmp_path, t)
    before = kept(tmp_path)
    with pytest.raises(StateChangedError, match="asset TOY:001, first row"):
        run(tmp_path, DAYS[2], cube=restated(), strict=True)
    assert kept(tmp_path) == before


def test_a_state_without_metadata_is_taken_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "state.in.pickle.gz"
    path.write_bytes(state.to_plain(qlstm.Memory(None, None, {"book": 0.0, "n": 5})))
    monkeypatch.setenv("IN_STATE_PATH", str(path))
    result = run(tmp_path, DAYS[0], strict=True)
    assert (result.changes, result.state["n"], result.parent) == ({}, 6, None)


def test_a_dry_run_leaves_not_one_byte(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OUTPUT_PATH", str(tmp_path / "out" / "fractions.nc.gz"))
    monkeypatch.setenv("OUT_STATE_PATH", str(tmp_path / "out" / "state.out.pickle.gz"))
    run(tmp_path / "state", DAYS[0], dry_run=True)
    assert tree(tmp_path) == {}
    run(tmp_path / "state", DAYS[0])
    before = tree(tmp_path)
    for settings in ({}, {"catch_up": True}, {"cube": restated()}):
        run(tmp_path / "state", DAYS[4], dry_run=True, **settings)
    run(tmp_path / "state", DAYS[0], dry_run=True)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("catch_up", [False, True])
def test_a_dry_run_says_what_the_run_then_does(tmp_path, catch_up):
    run(tmp_path, DAYS[0])
    dry = run(tmp_path, DAYS[3], catch_up=catch_up, dry_run=True)
    wet = run(tmp_path, DAYS[3], catch_up=catch_up)
    np.testing.assert_array_equal(dry.weights.values, wet.weights.values)
    assert dry.state["n"] == wet.state["n"] == (4 if catch_up else 2)
    assert dry.to_dict() | {"dry_run": False} == wet.to_dict()
    assert all(path.is_file() for path in dry.files)


def test_a_dry_run_is_refused_what_a_run_is(tmp_path):
    for t in DAYS[:2]:
        run(tmp_path, t)
    with pytest.raises(StateError, match="do not follow from this new"):
        run(tmp_path, DAYS[0], cube=restated(), dry_run=True)
    with pytest.raises(StateError, match="was not run"):
        run(tmp_path, DAYS[3], dry_run=True, skip_gap=False)
    with pytest.raises(StateChangedError):
        run(tmp_path, DAYS[2], cube=restated(), dry_run=True, strict=True)
    unsaveable = dataclasses.replace(CHASE, predict=lambda data, state: (chase(data, None)[0], {"f": open}))
    with pytest.raises(StateError, match=r"state\['f'\]"):
        run(tmp_path, DAYS[2], unsaveable, dry_run=True)
    assert run(tmp_path, DAYS[1], dry_run=True).repeated


def test_a_dry_run_does_not_wait_for_a_writer(tmp_path):
    run(tmp_path, DAYS[0])
    with state.Store(tmp_path / "chase").lock():
        assert run(tmp_path, DAYS[1], dry_run=True).state["n"] == 2


def test_the_result_tells_parent_training_and_repetition_and_is_json(tmp_path):
    strategy = qlstm.Strategy(
        train=lambda data: {"rows": data.sizes["time"]},
        predict=lambda models, data, state: chase(data, state),
        lookback_period=20,
        retrain_interval=5,
        name="trained",
    )
    first, second = run(tmp_path, DAYS[0], strategy), run(tmp_path, DAYS[1], strategy)
    assert (first.parent, first.retrained, first.repeated) == (None, True, False)
    assert (second.parent, second.retrained, second.repeated) == (DAYS[0], False, False)
    assert run(tmp_path, DAYS[1], strategy).repeated
    known = json.loads(json.dumps(second.to_dict()))
    assert (known["date"], known["parent"], known["trained_at"]) == (D[1], D[0], D[0])
    assert known["weights"] == second.positions
    assert list(known["weights"].values()) == sorted(known["weights"].values(), reverse=True)
    assert [os.path.basename(path) for path in known["files"]] == ["state.pickle.gz", "fractions.nc.gz"]


def test_the_state_of_another_strategy_is_refused_by_name(tmp_path, monkeypatch):
    first = run(tmp_path / "a", DAYS[0])
    monkeypatch.setenv("IN_STATE_PATH", str(first.folder / "state.pickle.gz"))
    other = dataclasses.replace(CHASE, name="another")
    with pytest.raises(StateError, match=r"is the state of strategy \w+, not of another"):
        qlstm.run(other, CUBE, state_dir=tmp_path / "b", date=DAYS[1], progress=False)
