"""The store: one generation per day, the newest found by its date, none rewritten, removed only when asked."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from stores import D1, D2, D3, day, filled, memory, weights

from qlstm import state
from qlstm.errors import StateCorruptError, StateError
from qlstm.state import Store, codec
from qlstm.strategy import Memory


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state" / "mine")


def test_a_new_store_has_nothing_and_makes_nothing(store: Store) -> None:
    assert store.dates() == []
    assert store.newest() is None
    assert not store.folder.exists()


def test_generations_are_kept_by_date(store: Store) -> None:
    for n, date in enumerate([D1, D2, D3]):
        folder = store.commit(date, memory(n), weights(n), parent=store.newest())
        assert folder == store.folder / str(date)[:10]
        assert (folder / "fractions.nc.gz").read_bytes() == weights(n)
    assert store.dates() == [D1, D2, D3]
    assert store.newest() == D3
    assert store.newest(before=D3) == D2
    assert store.newest(before=D1) is None
    assert [store.read(date).state["n"] for date in store.dates()] == [0, 1, 2]


def test_a_generation_knows_the_hash_of_its_parent(store: Store) -> None:
    import hashlib

    first = store.commit(D1, memory(1), weights(1)) / "state.pickle.gz"
    second = store.commit(D2, memory(2), weights(2), parent=D1) / "state.pickle.gz"
    assert codec.header(first.read_bytes())["parent_sha256"] is None
    assert codec.header(second.read_bytes())["parent_sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    with pytest.raises(StateError, match=r"has no generation 2020-01-03; the newest are: .*02"):
        store.commit(day("2020-01-04"), memory(3), weights(3), parent=D3)


def test_times_of_day_name_generations_to_the_minute(store: Store) -> None:
    at = day("2020-01-01T14:30")
    assert store.commit(at, memory(1), weights(1)).name == "2020-01-01T1430"
    assert store.dates() == [at]
    with pytest.raises(StateError, match=r"2020-01-01T14:30:05.* cannot name a generation"):
        store.commit(at + np.timedelta64(5, "s"), memory(1), weights(1))


def test_the_same_day_again_with_the_same_content_changes_nothing(store: Store) -> None:
    folder = store.commit(D1, memory(1), weights(1))
    store.commit(D2, memory(2), weights(2), parent=D1)
    before = (folder / "state.pickle.gz").stat()
    store.commit(D1, memory(1), weights(1))
    after = (folder / "state.pickle.gz").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize(("n", "w"), [(9, 2), (2, 9)])
def test_the_newest_day_is_replaced_when_its_content_differs(store: Store, n: int, w: int) -> None:
    store.commit(D1, memory(1), weights(1))
    store.commit(D2, memory(2), weights(2), parent=D1)
    folder = store.commit(D2, memory(n), weights(w), parent=D1)
    assert store.read(D2).state["n"] == n
    assert (folder / "fractions.nc.gz").read_bytes() == weights(w)
    assert sorted(os.listdir(store.folder)) == [".lock", "2020-01-01", "2020-01-02"]


@pytest.mark.parametrize(
    ("date", "fix"),
    [
        (D1, "roll back first: qlstm state rollback .*mine 2020-01-01$"),
        (D2, "roll back first: qlstm state rollback .*mine 2020-01-01$"),
        (D1 - np.timedelta64(1, "D"), "2019-12-31 is before all of them: move .*mine away first"),
    ],
)
def test_a_day_before_the_newest_is_not_rewritten(store: Store, date: np.datetime64, fix: str) -> None:
    store.commit(D1, memory(1), weights(1))
    store.commit(D3, memory(3), weights(3), parent=D1)
    with pytest.raises(StateError, match=f"up to 2020-01-03.*{fix}"):
        store.commit(date, memory(9), weights(9))
    assert store.dates() == [D1, D3]
    assert store.read(D1).state["n"] == 1


def test_a_memory_that_cannot_be_saved_leaves_the_store_as_it_was(store: Store) -> None:
    store.commit(D1, memory(1), weights(1))
    with pytest.raises(StateError, match=r"state\['f'\]: objects of class"):
        store.commit(D2, Memory(state={"f": len}), weights(2))
    assert sorted(os.listdir(store.folder)) == [".lock", "2020-01-01"]


@pytest.mark.parametrize("name", ["state.pickle.gz", "fractions.nc.gz"])
def test_an_incomplete_generation_is_an_error_never_absent(store: Store, name: str) -> None:
    folder = store.commit(D1, memory(1), weights(1))
    (folder / name).unlink()
    assert store.newest() == D1
    with pytest.raises(StateCorruptError, match=rf"2020-01-01 is incomplete: {name} is missing"):
        store.read(D1)


def test_a_damaged_or_misplaced_generation_is_named(store: Store) -> None:
    folder = store.commit(D1, memory(1), weights(1))
    os.rename(folder, store.folder / "2020-02-01")
    with pytest.raises(
        StateCorruptError, match=r"is the state of 2020-01-01T.*, not of 2020-02-01; was the folder renamed"
    ):
        store.read(day("2020-02-01"))
    path = store.folder / "2020-02-01" / "state.pickle.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StateCorruptError, match=r"2020-02-01/state.pickle.gz is damaged"):
        store.read(day("2020-02-01"))
    (store.folder / "2020-03-01").write_bytes(b"a file")
    with pytest.raises(StateError, match=r"cannot read .*2020-03-01/state.pickle.gz: Not a directory"):
        store.read(day("2020-03-01"))


def test_other_names_in_the_folder_are_left_alone(store: Store) -> None:
    store.commit(D1, memory(1), weights(1))
    for name in ("notes", "2020-13-45", "2020-01-01T0000", "2020-01-02-copy"):
        (store.folder / name).mkdir()
    assert store.dates() == [D1]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match=r"cannot write into .*file/mine: Not a directory"):
        Store(tmp_path / "file" / "mine").commit(D1, memory(1), weights(1))


def test_rollback_makes_a_date_the_newest_and_days_after_it_can_be_committed_anew(store: Store) -> None:
    dates = filled(store, 5)
    assert store.rollback(dates[2]) == dates[3:]
    assert store.dates() == dates[:3]
    assert sorted(os.listdir(store.folder)) == [".lock", "2020-01-01", "2020-01-02", "2020-01-03"]
    store.commit(dates[3], memory(9), weights(9), parent=dates[2])
    assert store.read(dates[3]).state["n"] == 9
    assert state.verify(store.folder).problems == ()
    assert store.rollback(dates[3]) == []


def test_rollback_to_a_date_without_generation_changes_nothing(store: Store) -> None:
    dates = filled(store, 2)
    with pytest.raises(StateError, match=r"has no generation 2021-01-01; the newest are: 2020-01-01, 2020-01-02"):
        store.rollback(day("2021-01-01"))
    assert store.dates() == dates


def test_prune_keeps_the_newest_and_the_chain_stays_whole(store: Store) -> None:
    dates = filled(store, 5)
    assert store.prune(7) == []
    assert store.prune(2) == dates[:3]
    assert store.dates() == dates[3:]
    assert state.verify(store.folder).problems == ()
    with pytest.raises(StateError, match=r"cannot keep 0 generations of .*; keep at least 1"):
        store.prune(0)


def test_rollback_and_prune_wait_for_no_other_writer(store: Store) -> None:
    dates = filled(store, 2)
    with Store(store.folder).lock():
        for change in (lambda: store.rollback(dates[0]), lambda: store.prune(1)):
            with pytest.raises(StateError, match=f"is being written by process {os.getpid()}"):
                change()
    assert store.dates() == dates
