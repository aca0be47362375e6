"""The generations as a chain: listed with what each follows from, and verified to the last byte."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from stores import D1, D2, filled, memory, weights

from qlstm import state
from qlstm.errors import StateCorruptError, StateError
from qlstm.state import Store, codec


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state" / "mine")


def test_every_generation_is_listed_with_what_it_follows_from(store: Store) -> None:
    filled(store, 3)
    store.prune(2)
    found = state.generations(store)
    assert [(one.date, one.parent) for one in found] == [("2020-01-02", None), ("2020-01-03", "2020-01-02")]
    assert found[1].parent_sha256 == found[0].sha256
    assert found[0].parent_sha256 is not None
    (store.folder / "2020-01-02" / "state.pickle.gz").write_bytes(b"x")
    assert "damaged" in str(state.generations(store)[0].problem)


def swap_states(store: Store) -> None:
    one, two = (store.folder / name / "state.pickle.gz" for name in ("2020-01-02", "2020-01-03"))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second), two.write_bytes(first)


def rewrite_the_middle(store: Store) -> None:
    data = codec.encode(memory(77), as_of=D2, weights=hashlib.sha256(weights(1)).hexdigest())
    (store.folder / "2020-01-02" / "state.pickle.gz").write_bytes(data)


def append(store: Store, name: str) -> None:
    path = store.folder / "2020-01-02" / name
    path.write_bytes(path.read_bytes() + b"!")


@pytest.mark.parametrize(
    ("harm", "sentences"),
    [
        (lambda store: append(store, "state.pickle.gz"), ["2020-01-02/state.pickle.gz is damaged"]),
        (lambda store: append(store, "fractions.nc.gz"), ["fractions.nc.gz is not what was committed on 2020-01-02"]),
        (
            lambda store: (store.folder / "2020-01-02" / "fractions.nc.gz").unlink(),
            ["2020-01-02 is incomplete: fractions.nc.gz is missing"],
        ),
        (swap_states, ["is the state of 2020-01-03", "is the state of 2020-01-02", "no earlier generation"]),
        (rewrite_the_middle, ["2020-01-03 follows from a state [0-9a-f]{12} that is no earlier generation"]),
        (lambda store: shutil.rmtree(store.folder / "2020-01-02"), ["2020-01-03 follows from .* removed by hand"]),
    ],
    ids=["state", "weights", "incomplete", "swapped", "rewritten", "removed"],
)
def test_verify_names_what_is_wrong_and_read_refuses_it(store: Store, harm: Any, sentences: list[str]) -> None:
    filled(store, 3)
    assert state.verify(store.folder) == state.Verification(str(store.folder), 3, ())
    harm(store)
    problems = state.verify(store.folder.parent).problems
    for sentence in sentences:
        assert any(re.search(sentence, problem) for problem in problems), problems


def test_weights_that_are_not_those_of_the_day_are_refused_when_reading(store: Store) -> None:
    filled(store, 3)
    append(store, "fractions.nc.gz")
    with pytest.raises(StateCorruptError, match=r"fractions.nc.gz is not what was committed on 2020-01-02; restore it"):
        store.read(D2)


def test_generations_committed_before_weights_were_hashed_are_verified_by_their_gzip(store: Store) -> None:
    folder = store.commit(D1, memory(1), gzip.compress(b"weights"))
    (folder / "state.pickle.gz").write_bytes(codec.encode(memory(1), as_of=D1))
    assert state.verify(folder.parent).problems == ()
    (folder / "fractions.nc.gz").write_bytes(b"weights")
    (problem,) = state.verify(folder.parent).problems
    assert "fractions.nc.gz is damaged: it is no gzip file" in problem


def test_verify_takes_a_single_file_too(store: Store, tmp_path: Path) -> None:
    folder = store.commit(D1, memory(1), weights(1))
    assert state.verify(folder).problems == ()
    (tmp_path / "s.gz").write_bytes((folder / "state.pickle.gz").read_bytes()[:-5])
    assert "s.gz is damaged" in state.verify(tmp_path / "s.gz").problems[0]
    with pytest.raises(StateError, match="there is no"):
        state.verify(tmp_path / "absent")
