"""One process writes at a time, with the kernel's lock or without; a dead one holds nothing."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
from pathlib import Path

import pytest
from stores import D1, D2, WITHOUT, child, end, failing_with, memory, weights

from qlstm import state
from qlstm.errors import StateError
from qlstm.state import Store, locking


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state" / "mine")


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


# File systems without flock

HOLD = "with Store(sys.argv[1]).lock():\n    print('held', flush=True)\n    time.sleep(60)"
NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@pytest.fixture
def without_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    locking._warn.cache_clear()
    monkeypatch.setattr(fcntl, "flock", failing_with(errno.ENOSYS))


def holder_of(store: Store, who: str) -> Path:
    """Leave a lock behind as a process of that name would."""
    path = store.folder / ".lock.held"
    path.mkdir(parents=True)
    (path / who).touch()
    return path


def me(start: str | None = None) -> str:
    pid, host, mine = locking._identity().split(" ")
    return f"{pid} {host} {start or mine}"


@pytest.mark.parametrize("number", NO_FLOCK, ids=errno.errorcode.get)
def test_without_flock_a_folder_is_the_lock_and_that_is_said_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    locking._warn.cache_clear()
    monkeypatch.setattr(fcntl, "flock", failing_with(number))
    for date in (D1, D2):
        with store.lock():
            assert os.listdir(store.folder / ".lock.held") == [me()]
            store.commit(date, memory(1), weights(1))
            with pytest.raises(StateError, match=f"by process {os.getpid()}"), Store(store.folder).lock():
                pass
    assert sorted(os.listdir(store.folder)) == [".lock", "2020-01-01", "2020-01-02"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"no flock ({os.strerror(number)}); .lock.held keeps other writers out" in warning
    found = state.verify(store.folder)
    assert (found.problems, len(found.notes)) == ((), 1)
    assert "no flock" in found.notes[0]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EINTR], ids=errno.errorcode.get)
def test_a_disk_that_fails_is_not_taken_for_one_without_flock(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing_with(number))
    with pytest.raises(StateError, match=rf"cannot lock .*mine: {os.strerror(number)}"):
        store.commit(D1, memory(1), weights(1))
    assert os.listdir(store.folder) == [".lock"]


def test_without_flock_a_second_writer_is_told_who_holds_it_and_a_dead_one_holds_nothing(
    store: Store, without_flock: None
) -> None:
    holder = child(WITHOUT + HOLD, store.folder)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StateError, match=rf"by process {holder.pid}; wait until .*, or remove .*\.lock\.held if"):
            store.commit(D1, memory(1), weights(1))
    finally:
        end(holder)
    assert (store.folder / ".lock.held").exists()
    store.commit(D1, memory(1), weights(1))
    assert sorted(os.listdir(store.folder)) == [".lock", "2020-01-01"]


def test_who_was_given_a_lock_by_the_kernel_and_who_was_not_keep_each_other_out(store: Store) -> None:
    """A lock server that comes and goes answers one process and not another."""
    for one, other in (("", WITHOUT), (WITHOUT, "")):
        holder = child(one + HOLD, store.folder)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            second = child(
                other + "Store(sys.argv[1]).commit(np.datetime64('2020-01-01'), Memory(), b'')",
                store.folder,
                stderr=subprocess.PIPE,
            )
            _, error = second.communicate()
            assert second.returncode == 1
            assert f"is being written by process {holder.pid};" in error
        finally:
            end(holder)
    store.commit(D1, memory(1), weights(1))
    assert store.dates() == [D1]


def test_a_process_that_was_given_the_pid_of_a_dead_holder_is_told_from_it(store: Store, without_flock: None) -> None:
    if locking._start(os.getpid()) is None:
        pytest.skip("no /proc here, where the start of a process can be read")
    holder_of(store, me(start="1"))
    store.commit(D1, memory(1), weights(1))
    assert store.dates() == [D1]


@pytest.mark.parametrize(
    ("who", "said"),
    [("4711 elsewhere 99", "process 4711 of host elsewhere;"), ("scribble", "process unknown;")],
)
def test_a_holder_of_which_nothing_can_be_known_is_taken_to_be_alive(
    store: Store, without_flock: None, who: str, said: str
) -> None:
    path = holder_of(store, who)
    with pytest.raises(StateError, match=rf"{said} wait until it has ended, or remove {path} if it has"):
        store.commit(D1, memory(1), weights(1))
    assert store.dates() == []


def test_the_slower_of_two_who_find_a_dead_holder_leaves_the_lock_of_the_faster(
    store: Store, without_flock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = holder_of(store, f"{2**22 + 1} {os.uname().nodename} 1")
    real, faster = locking._lives, []

    def slow(holder: str) -> bool:
        found = real(holder)
        if not faster:
            faster.append(child(WITHOUT + HOLD, store.folder))
            assert faster[0].stdout.readline() == "held\n"
        return found

    monkeypatch.setattr(locking, "_lives", slow)
    try:
        with pytest.raises(StateError, match="is being written by process"):
            store.commit(D1, memory(1), weights(1))
        (holder,) = os.listdir(path)
        assert holder.startswith(f"{faster[0].pid} ")
    finally:
        end(faster[0])


CONTENDERS = (
    WITHOUT
    + """
# Each takes the lock, puts its name into a file, waits, takes it out, over and over; they are killed at random moments.
# A name of somebody who lives, found there, is one who has the lock too.
import random, signal
from pathlib import Path
from qlstm.errors import StateError
from qlstm.state import locking
folder, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
chance, store = random.Random(seed), Store(folder)
with store.lock():
    pass
inside, turns = Path(folder) / "inside", Path(folder) / "turns"

def contend(seed):
    chance = random.Random(seed)
    while True:
        try:
            with store.lock():
                name = inside.read_text() if inside.exists() else ""
                if name and locking._lives(name):
                    os._exit(9)
                inside.write_text(locking._identity())
                time.sleep(chance.random() / 500)
                with turns.open("a") as file:
                    file.write(".")
                inside.unlink()
        except StateError:
            time.sleep(chance.random() / 1000)

children = {}
end, fresh = time.monotonic() + seconds, 0
bad = 0
while time.monotonic() < end:
    while len(children) < 4:
        fresh += 1
        pid = os.fork()
        if not pid:
            try:
                contend(seed * 1000 + fresh)
            finally:
                os._exit(8)
        children[pid] = None
    time.sleep(chance.random() / 20)
    victim = chance.choice(list(children))
    os.kill(victim, signal.SIGKILL)
    _, status = os.waitpid(victim, 0)
    bad += not os.WIFSIGNALED(status)
    del children[victim]
for pid in children:
    os.kill(pid, signal.SIGKILL)
    bad += not os.WIFSIGNALED(os.waitpid(pid, 0)[1])
print(bad, fresh, len(turns.read_text()))
"""
)


def contenders(folder: Path, seconds: float, seed: int) -> None:
    parent = child(CONTENDERS, folder, seconds, seed)
    out, _ = parent.communicate()
    assert parent.returncode == 0
    bad, killed, written = map(int, out.split())
    assert bad == 0
    assert killed > 5
    assert written > 20


def test_without_flock_writers_that_are_killed_all_the_time_never_write_at_once(tmp_path: Path) -> None:
    contenders(tmp_path / "mine", 2, seed=1)


@pytest.mark.soak
def test_without_flock_many_killed_writers_never_write_at_once(tmp_path: Path) -> None:
    for seed in range(10):
        contenders(tmp_path / str(seed), 20, seed)
