"""The store: a day is kept whole or not at all, whatever is killed or fails, and one process writes at a time."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlstm import files
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


@pytest.mark.parametrize("date", [D1, D2])
def test_a_day_before_the_newest_is_not_rewritten(store: Store, date: np.datetime64) -> None:
    store.commit(D1, memory(1), weights(1))
    store.commit(D3, memory(3), weights(3), parent=D1)
    with pytest.raises(StateError, match=f"up to 2020-01-03.*roll back to before {str(date)[:10]} first"):
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


def commit_failing(store: Store, date: np.datetime64, n: int, k: int) -> bool:
    """Commit with the k-th system call failing; return whether one did."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "write", "fsync", "rename", "replace", "mkdir", "pwrite", "ftruncate", "unlink", "rmdir"):
            real = getattr(os, name)

            def failing(*args: Any, real: Any = real, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count == k:
                    raise OSError(errno.EIO, "Input/output error")
                return real(*args, **kwargs)

            patch.setattr(os, name, failing)
        try:
            store.commit(date, memory(n), weights(n), parent=D1)
        except StateError as error:
            assert "Input/output error" in str(error)  # noqa: PT017 -- whether it raises depends on k
    return count >= k


@pytest.mark.parametrize("date", [D2, D3], ids=["replacing", "adding"])
def test_whichever_system_call_fails_the_old_or_the_new_generation_is_there(
    tmp_path: Path, date: np.datetime64
) -> None:
    found = []
    for k in range(1, 100):
        store = Store(tmp_path / str(k))
        store.commit(D1, memory(1), weights(1))
        store.commit(D2, memory(2), weights(2), parent=D1)
        failed = commit_failing(store, date, 3, k)
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


WRITER = """
store, start, seed = Store(sys.argv[1]), np.datetime64("2020-01-01", "ns"), int(sys.argv[2])
Store(sys.argv[1] + "-warm").commit(start, Memory(), b"")  # first-time imports are not what is to be killed
print("ready", flush=True)
while True:
    newest = store.newest()
    n = 0 if newest is None else int((newest - start) / np.timedelta64(1, "D"))
    for date, value in ((n, seed), (n, seed + 1), (n + 1, seed)):  # replace twice, then add
        memory = Memory(start, {"A": np.full(2000, value)}, {"day": date, "value": value})
        store.commit(start + np.timedelta64(date, "D"), memory, f"{date} {value}".encode() * 100)
"""


def kill_writers(folder: Path, kills: int) -> int:
    """Kill that many writers at random moments, check all generations after each, and return how many there are."""
    chance = random.Random(7)
    store = Store(folder)
    last = -1
    for seed in range(kills):
        process = child(WRITER, folder, 10 * seed)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.001, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        dates = store.dates()
        assert len(dates) - 1 >= last, "a generation is gone"
        last = len(dates) - 1
        for n, date in list(enumerate(dates))[-5:] if seed < kills - 1 else enumerate(dates):
            kept = store.read(date).state
            assert kept["day"] == n
            assert (store.path(date) / "fractions.nc.gz").read_bytes() == f"{n} {kept['value']}".encode() * 100
    with store.lock():
        pass
    assert not {name for name in os.listdir(folder) if name.startswith(".")} - {".lock"}
    return len(store.dates())


def test_writers_killed_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    assert kill_writers(tmp_path / "mine", 20) > 2


@pytest.mark.soak
def test_five_hundred_killed_writers_lose_nothing(tmp_path: Path) -> None:
    assert kill_writers(tmp_path / "mine", 500) > 50


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
