"""The store: a day is kept whole or not at all, whatever is killed or fails, and one process writes at a time."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlstm import files, state
from qlstm.errors import StateCorruptError, StateError
from qlstm.state import Store, codec
from qlstm.strategy import Memory


def day(text: str) -> np.datetime64:
    return np.datetime64(text, "ns")


D1, D2, D3 = day("2020-01-01"), day("2020-01-02"), day("2020-01-03")


def memory(n: int) -> Memory:
    return Memory(D1, {"A": np.full(3, n)}, {"n": n})


def weights(n: int) -> bytes:
    return f"weights {n}".encode()


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


# The lock


def child(code: str, *arguments: Any) -> subprocess.Popen[str]:
    script = "import sys, time, numpy as np\nfrom qlstm.state import Store\nfrom qlstm.strategy import Memory\n" + code
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_second_writer_is_told_who_holds_the_lock_and_a_dead_one_holds_nothing(store: Store) -> None:
    holder = child("with Store(sys.argv[1]).lock():\n    print('held', flush=True)\n    time.sleep(60)", store.folder)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StateError, match=rf"is being written by process {holder.pid}; wait until"):
            store.commit(D1, memory(1), weights(1))
        assert store.dates() == []  # reading needs no lock
    finally:
        end(holder)
    store.commit(D1, memory(1), weights(1))
    assert store.dates() == [D1]


def test_the_lock_is_free_inside_itself_and_given_back_after_an_error(store: Store) -> None:
    with store.lock(), store.lock():
        store.commit(D1, memory(1), weights(1))
        with pytest.raises(StateError, match=f"by process {os.getpid()}"), Store(store.folder).lock():
            pass
    with pytest.raises(ZeroDivisionError), store.lock():
        raise ZeroDivisionError
    with Store(store.folder).lock():
        assert store.dates() == [D1]


# Crashes and failing disks


def test_what_a_crash_left_between_two_renames_is_read_and_mended(store: Store) -> None:
    store.commit(D1, memory(1), weights(1))
    store.commit(D2, memory(2), weights(2), parent=D1)
    os.rename(store.folder / "2020-01-02", store.folder / ".old-2020-01-02")
    (store.folder / ".new-2020-01-02").mkdir()
    assert store.dates() == [D1, D2]
    assert store.read(D2).state["n"] == 2
    with store.lock():
        assert sorted(os.listdir(store.folder)) == [".lock", "2020-01-01", "2020-01-02"]
    assert store.read(D2).state["n"] == 2


def test_commit_flushes_files_and_folders_around_its_renames(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(D1, memory(1), weights(1))
    log: list[tuple[str, str]] = []
    opened: dict[int, str] = {}
    real = {name: getattr(os, name) for name in ("open", "fsync", "rename")}

    def note_open(path: Any, *args: Any, **kwargs: Any) -> int:
        handle: int = real["open"](path, *args, **kwargs)
        opened[handle] = Path(path).name
        return handle

    monkeypatch.setattr(os, "open", note_open)
    monkeypatch.setattr(os, "fsync", lambda handle: (log.append(("fsync", opened[handle])), real["fsync"](handle)))
    monkeypatch.setattr(os, "rename", lambda a, b: (log.append(("rename", Path(b).name)), real["rename"](a, b)))
    store.commit(D1, memory(2), weights(2))
    assert log == [
        ("fsync", "state.pickle.gz"),
        ("fsync", "fractions.nc.gz"),
        ("fsync", ".new-2020-01-01"),
        ("rename", ".old-2020-01-01"),
        ("rename", "2020-01-01"),
        ("fsync", "mine"),
    ]


CALLS = ("open", "write", "fsync", "rename", "replace", "mkdir", "pwrite", "ftruncate", "unlink", "rmdir")


def failing(change: Callable[[], Any], k: int, for_good: bool = False, number: int = errno.EIO) -> bool:
    """Make a change with the k-th system call failing (and all later ones, if `for_good`); return whether one did."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            real = getattr(os, name)

            def fails(*args: Any, real: Any = real, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count == k or (for_good and count > k):
                    raise OSError(number, os.strerror(number))
                return real(*args, **kwargs)

            patch.setattr(os, name, fails)
        try:
            change()
        except StateError as error:
            assert os.strerror(number) in str(error)  # noqa: PT017 -- whether it raises depends on k
    return count >= k


FAILURES = [
    *[(errno.EIO, False), (errno.EIO, True), (errno.ENOSPC, False), (errno.EROFS, True)],
    *[(errno.EINTR, False), (errno.EXDEV, False)],
]


@pytest.mark.parametrize(("number", "for_good"), FAILURES)
@pytest.mark.parametrize("date", [D2, D3], ids=["replacing", "adding"])
def test_whichever_system_call_fails_the_old_or_the_new_generation_is_there(
    tmp_path: Path, date: np.datetime64, number: int, for_good: bool
) -> None:
    found = []
    for k in range(1, 100):
        store = Store(tmp_path / str(k))
        store.commit(D1, memory(1), weights(1))
        store.commit(D2, memory(2), weights(2), parent=D1)
        failed = failing(partial(store.commit, date, memory(3), weights(3), parent=D1), k, for_good, number)
        for checked in (store, Store(store.folder)):
            assert checked.read(D1).state["n"] == 1
            newest = checked.newest()
            assert newest is not None
            n = checked.read(newest).state["n"]
            assert (newest, n) in [(D2, 2), (date, 3)]
            assert (checked.path(newest) / "fractions.nc.gz").read_bytes() == weights(n)
            with checked.lock():
                pass
            assert not {name for name in os.listdir(store.folder) if name.startswith(".")} - {".lock"}
        found.append(n)
        if not failed:
            break
    assert not failed
    assert found[0] == 2
    assert found[-1] == 3
    assert len(found) > 12


KILLER = """
# Forks writers and kills each at a random moment; everything is imported once, in the parent.
import os, random, signal
folder, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store, start, chance = Store(folder), np.datetime64("2020-01-01", "ns"), random.Random(seed)
Store(folder + "-warm").commit(start, Memory(), b"")
DAY = np.timedelta64(1, "D")

def commit(store, n, value):
    memory = Memory(start, {"A": np.full(2000, value)}, {"day": n, "value": value})
    store.commit(start + n * DAY, memory, f"{n} {value}".encode() * 100, parent=store.newest(before=start + n * DAY))

def write(seed):
    while True:
        newest = store.newest()
        n = 0 if newest is None else int((newest - start) / DAY)
        for value in (seed, seed + 1):  # replace twice, then add
            commit(store, n, value)
        commit(store, n + 1, seed)
        if n % 5 == 4:
            store.rollback(start + (n - 1) * DAY)
        if n % 7 == 6:
            store.prune(5)

def check():
    dates = store.dates()
    numbers = [int((date - start) / DAY) for date in dates]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True, numbers
    for n, date in zip(numbers, dates):
        kept = store.read(date).state
        assert kept["day"] == n, (kept, n)
        weights = (store.path(date) / "fractions.nc.gz").read_bytes()
        assert weights == f"{n} {kept['value']}".encode() * 100
    return len(dates)

most = 0
for kill in range(kills):
    child = os.fork()
    if not child:
        write(10 * kill)
    time.sleep(chance.expovariate(1 / 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    most = max(most, check())
with store.lock():
    pass
assert not {name for name in os.listdir(folder) if name.startswith(".")} - {".lock"}
from qlstm.state import verify
assert verify(folder).problems == (), verify(folder).problems
print(kills, most)
"""


def kill_writers(folder: Path, kills: int, seed: int = 7) -> int:
    """Kill that many writers at random moments, check all generations after each; return how many were kept at most."""
    killer = child(KILLER, folder, kills, seed)
    out, _ = killer.communicate()
    assert killer.returncode == 0
    done, most = out.split()
    assert int(done) == kills
    return int(most)


def test_two_hundred_writers_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    assert kill_writers(tmp_path / "mine", 200) > 3


@pytest.mark.soak
def test_ten_thousand_killed_writers_lose_nothing(tmp_path: Path) -> None:
    for seed in range(10):
        assert kill_writers(tmp_path / str(seed), 1000, seed) > 3


def test_a_reader_between_two_looks_at_a_folder_being_replaced_finds_the_new_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit(D1, memory(1), weights(1))
    real, first = files.find_folder, []

    def late(folder: Path) -> Path:
        if not first:
            first.append(folder)
            return folder.parent / ".old-2020-01-01"  # where it was a moment ago
        return real(folder)

    monkeypatch.setattr(files, "find_folder", late)
    assert store.read(D1).state["n"] == 1


# Rollback, retention, verification


def filled(store: Store, days: int) -> list[np.datetime64]:
    """Commit that many days in a row, each the parent of the next, and return their dates."""
    dates = [D1 + np.timedelta64(n, "D") for n in range(days)]
    for n, date in enumerate(dates):
        store.commit(date, memory(n), weights(n), parent=dates[n - 1] if n else None)
    return dates


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


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("change", ["rollback", "prune"])
def test_whichever_system_call_fails_a_rollback_or_pruning_leaves_days_in_a_row(
    tmp_path: Path, change: str, for_good: bool
) -> None:
    for k in range(1, 100):
        store = Store(tmp_path / str(k))
        dates = filled(store, 4)
        run = partial(store.rollback, dates[1]) if change == "rollback" else partial(store.prune, 2)
        failed = failing(run, k, for_good)
        left = store.dates()
        possible = [dates[:n] for n in (2, 3, 4)] if change == "rollback" else [dates[n:] for n in (0, 1, 2)]
        assert left in possible
        assert [store.read(date).state["n"] for date in left] == [dates.index(date) for date in left]
        run()  # again, on a good disk
        assert store.dates() == possible[0 if change == "rollback" else -1]
        assert not {name for name in os.listdir(store.folder) if name.startswith(".")} - {".lock"}
        if not failed:
            break
    assert not failed
    assert k > 10


def test_removing_a_generation_is_one_rename_flushed_before_its_files_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    dates = filled(store, 3)
    log: list[tuple[str, str]] = []
    for name in ("rename", "rmdir"):
        real = getattr(os, name)

        def noted(path: Any, *args: Any, name: str = name, real: Any = real) -> None:
            log.append((name, Path(path).name))
            real(path, *args)

        monkeypatch.setattr(os, name, noted)
    flush = files.fsync_folder
    monkeypatch.setattr(files, "fsync_folder", lambda folder: (log.append(("fsync", folder.name)), flush(folder)))
    store.rollback(dates[0])
    assert log == [
        *[("rename", "2020-01-03"), ("fsync", "mine"), ("rmdir", ".gone-2020-01-03")],
        *[("rename", "2020-01-02"), ("fsync", "mine"), ("rmdir", ".gone-2020-01-02")],
    ]


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
