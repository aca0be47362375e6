"""What a search tries: grids, random sets, ranges, Optuna; each repeatable."""

import sys

import numpy as np
import pytest
from searches import CUBE, PERIOD, outcome, write

from qlstm import optimizer
from qlstm.errors import QlstmError
from qlstm.optimizer import Range, proposals, trials


@pytest.fixture
def file(tmp_path):
    return write(tmp_path)


def test_a_missing_optuna_is_named_with_the_command(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(QlstmError, match=r"needs optuna.*pip install 'qlstm\[tune\]'"):
        optimizer.search(file, CUBE, {"LENGTH": [3]}, method="optuna", trials=1, **PERIOD)


def listed(space, method, number, seed=1):
    return [found for asked in proposals.rounds(space, method, number, seed, lambda found: 0.0) for found in asked]


def test_random_sets_are_new_each_time_and_more_begin_with_those_of_fewer():
    space = {"a": Range(0, 99), "b": Range(1e-4, 1.0, log=True), "c": ["x", None, True]}
    some, more = listed(space, "random", 20), listed(space, "random", 50)
    assert more[:20] == some
    assert len({trials.key(found) for found in more}) == 50
    assert listed(space, "random", 20, seed=2) != some
    assert len(listed({"a": [1, 2], "b": [1, 2, 2]}, "random", 50)) == 4


@pytest.mark.parametrize("method", ["random", "optuna"])
def test_a_range_is_drawn_from_end_to_end_in_its_own_type(method):
    if method == "optuna":
        pytest.importorskip("optuna")
    space = {"whole": Range(2, 5), "real": Range(-0.5, 1), "log": Range(1e-4, 1e4, log=True)}
    found = listed(space, method, 120)
    whole, real, log = ([one[name] for one in found] for name in space)
    assert set(whole) == {2, 3, 4, 5}
    assert all(type(n) is int for n in whole)
    assert -0.5 <= min(real) < -0.4
    assert 0.9 < max(real) <= 1
    if method == "random":
        assert 30 < sum(value < 1 for value in log) < 90


def test_random_draws_of_a_range_are_uniform_to_its_ends():
    shares = np.linspace(0, np.nextafter(1, 0), 60001)
    for whole, counts in ((Range(1, 3), [1 / 3] * 3), (Range(1, 3, log=True), np.log([2, 3 / 2, 4 / 3]) / np.log(4))):
        drawn = [whole.draw(share) for share in shares]
        np.testing.assert_allclose(np.bincount(drawn, minlength=4)[1:] / len(shares), counts, atol=1e-4)
    assert (Range(0.1, 0.7).draw(0.0), Range(0.1, 0.7).draw(1.0)) == (0.1, 0.7)


@pytest.mark.parametrize("bounds", [(2, 1), (1, 1), (0, np.inf), ("a", "b"), (np.nan, 1), (True, 3)])
def test_a_range_without_two_bounds_is_refused(bounds):
    with pytest.raises(QlstmError, match="a range needs two finite numbers, the lower first, got "):
        Range(*bounds)
    with pytest.raises(QlstmError, match="a logarithmic range must begin above 0, got 0"):
        Range(0, 1, log=True)


def test_optuna_finds_its_way_and_is_repeated_by_its_seed():
    pytest.importorskip("optuna")
    space = {"a": Range(-10.0, 10.0), "b": ["good", "bad", "broken"]}

    def score(found):
        return -np.inf if found["b"] == "broken" else -abs(found["a"] - 3) - 20 * (found["b"] == "bad")

    def scores(number, seed):
        return [score(f) for asked in proposals.rounds(space, "optuna", number, seed, score) for f in asked]

    assert scores(20, 1) == scores(20, 1) != scores(20, 2)
    tried = np.clip([scores(100, seed) for seed in range(3)], -30, None)
    assert tried[:, 80:].mean() > tried[:, :10].mean() + 5


def test_an_optuna_search_resumed_goes_the_same_way_for_any_number_of_workers(file, tmp_path):
    pytest.importorskip("optuna")
    call = {"data": CUBE, "space": {"LENGTH": Range(1, 25), "SIDE": Range(0.1, 1.0)}, "method": "optuna", **PERIOD}
    whole = optimizer.search(file, trials=18, **call)
    record = tmp_path / "record.jsonl"
    optimizer.search(file, trials=18, record=record, jobs=2, **call)
    rows = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(rows[:11]) + rows[11][:50])
    resumed = optimizer.search(file, trials=18, record=record, **call)
    assert outcome(resumed) == outcome(whole)


def test_optunas_own_storage_gets_a_copy_that_a_resumed_search_renews(file, tmp_path):
    optuna = pytest.importorskip("optuna")
    storage = optuna.storages.InMemoryStorage()
    other = optuna.create_study(storage=storage, study_name="mine")
    call = {"data": CUBE, "space": {"LENGTH": Range(1, 30)}, "method": "optuna", "storage": storage, **PERIOD}
    for number in (5, 9):
        found = optimizer.search(file, trials=number, record=tmp_path / "record.jsonl", **call)
        mine, study = sorted(optuna.get_all_study_summaries(storage), key=lambda s: s.study_name != "mine")
        assert (mine.study_name, study.n_trials) == (other.study_name, number)
        assert study.study_name.startswith("idea ")
        assert study.best_trial.params == found.best.arguments
