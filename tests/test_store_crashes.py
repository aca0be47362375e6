"""A day is kept whole or not at all, whatever is killed or fails."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import (
    D1,
    D2,
    D3,
    FAILURES,
    UNFLUSHED,
    WITHOUT,
    child,
    failing,
    failing_with,
    filled,
    memory,
    name_of_failure,
    weights,
)

from qlstm import files, state
from qlstm.state import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state" / "mine")


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


@pytest.mark.parametrize(("number", "for_good"), FAILURES, ids=name_of_failure)
@pytest.mark.parametrize("date", [D2, D3], ids=["replacing", "adding"])
def test_whichever_system_call_fails_the_old_or_the_new_generation_is_there(
    tmp_path: Path, date: np.datetime64, number: int, for_good: bool
) -> None:
    found = []
    for k in range(1, 100):
        store = Store(tmp_path / str(k))
        store.commit(D1, memory(1), weights(1))
        store.commit(D2, memory(2), weights(2), parent=D1)
        failed = failing(
            partial(store.commit, date, memory(3), weights(3), parent=D1), k, store.folder, number, for_good
        )
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
import gzip, mmap, os, pickle, random, signal
from pathlib import Path
from qlstm import files, state
folder, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store, start, chance = Store(folder), np.datetime64("2020-01-01", "ns"), random.Random(seed)
Store(folder + "-warm").commit(start, Memory(), b"")
DAY = np.timedelta64(1, "D")
migrated = Path(folder + "-migrated.gz")
phase = mmap.mmap(-1, 1)  # what the writer is at, seen by its parent too
PHASES = ["start", "add", "replace", "rollback", "prune", "migrate"]

def at(name):
    phase[0] = PHASES.index(name)

def commit(store, n, value):
    memory = Memory(start, {"A": np.full(2000, value)}, {"day": n, "value": value})
    store.commit(start + n * DAY, memory, f"{n} {value}".encode() * 100, parent=store.newest(before=start + n * DAY))

def migrate(value):
    # A file of another program in its place becomes one of ours, as `state convert` makes it.
    content = pickle.dumps((None, {"A": np.full(2000, value)}, {"value": value}))
    files.write_bytes(migrated, gzip.compress(content, 1))
    state.write(state.read(migrated), migrated)

def write(seed):
    while True:
        newest = store.newest()
        n = 0 if newest is None else int((newest - start) / DAY)
        at("replace")
        for value in (seed, seed + 1):
            commit(store, n, value)
        at("add")
        commit(store, n + 1, seed)
        commit(store, n + 2, seed)
        at("migrate")
        migrate(seed)
        at("rollback")
        store.rollback(start + (n + 1) * DAY)
        at("prune")
        store.prune(3)

def check():
    dates = store.dates()
    numbers = [int((date - start) / DAY) for date in dates]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True, numbers
    for n, date in zip(numbers, dates):
        kept = store.read(date).state
        assert kept["day"] == n, (kept, n)
        weights = (store.path(date) / "fractions.nc.gz").read_bytes()
        assert weights == f"{n} {kept['value']}".encode() * 100
    memory = state.read(migrated)
    assert memory is None or (memory.models["A"] == memory.state["value"]).all()
    return len(dates)

most, killed = 0, dict.fromkeys(PHASES, 0)
for kill in range(kills):
    phase[0] = 0
    child = os.fork()
    if not child:
        try:
            write(10 * kill)
        finally:
            os._exit(1)
    time.sleep(chance.expovariate(1 / 0.015))
    # Each kind of change in turn, and some time into it, which may be when the next one has begun.
    while phase[0] != 1 + kill % (len(PHASES) - 1) and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.0001)
    time.sleep(chance.expovariate(1 / 0.001))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status
    killed[PHASES[phase[0]]] += 1
    most = max(most, check())
with store.lock():
    pass
assert not {name for name in os.listdir(folder) if name.startswith(".")} - {".lock"}
found = state.verify(folder)
assert found.problems == (), found.problems
print(sum(killed.values()), most, min(killed[name] for name in PHASES[1:]), len(found.notes))
"""


def kill_writers(folder: Path, kills: int, seed: int = 7, before: str = "") -> int:
    """Kill that many writers at random moments, check everything after each; return how many notes `verify` has."""
    killer = child(before + KILLER, folder, kills, seed)
    out, _ = killer.communicate()
    assert killer.returncode == 0
    done, most, rarest, notes = map(int, out.split())
    assert done == kills
    assert most > 3
    assert rarest > 0  # each kind of change was cut short
    return notes


def test_two_hundred_writers_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    assert kill_writers(tmp_path / "mine", 200) == 0


def test_writers_killed_on_a_file_system_without_flock_or_flushing_of_folders_lose_nothing(tmp_path: Path) -> None:
    assert kill_writers(tmp_path / "mine", 100, before=WITHOUT + UNFLUSHED) == 2


@pytest.mark.soak
def test_ten_thousand_killed_writers_lose_nothing(tmp_path: Path) -> None:
    for seed in range(9):
        assert kill_writers(tmp_path / str(seed), 1000, seed) == 0
    assert kill_writers(tmp_path / "without", 1000, before=WITHOUT + UNFLUSHED) == 2


def test_whichever_system_call_fails_without_flock_or_flushing_of_folders_either_generation_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(fcntl, "flock", failing_with(errno.ENOLCK))
    for number, for_good in FAILURES:
        test_whichever_system_call_fails_the_old_or_the_new_generation_is_there(
            tmp_path / f"{number}{for_good}", D2, number, for_good
        )


@pytest.mark.parametrize(("number", "for_good"), FAILURES, ids=name_of_failure)
def test_whichever_system_call_fails_a_single_file_is_the_old_or_the_new_one(
    tmp_path: Path, number: int, for_good: bool
) -> None:
    path = tmp_path / "s.gz"
    for k in range(1, 100):
        state.write(memory(1), path)
        failed = failing(partial(state.write, memory(2), path), k, path.parent, number, for_good)
        kept = state.read(path)
        assert kept is not None
        assert kept.state["n"] in (1, 2)
        if not failed:
            break
    assert not failed
    assert kept.state["n"] == 2
    assert k > 5


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


@pytest.mark.parametrize(("number", "for_good"), FAILURES, ids=name_of_failure)
@pytest.mark.parametrize("change", ["rollback", "prune"])
def test_whichever_system_call_fails_a_rollback_or_pruning_leaves_days_in_a_row(
    tmp_path: Path, change: str, number: int, for_good: bool
) -> None:
    for k in range(1, 100):
        store = Store(tmp_path / str(k))
        dates = filled(store, 4)
        run = partial(store.rollback, dates[1]) if change == "rollback" else partial(store.prune, 2)
        failed = failing(run, k, store.folder, number, for_good)
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
