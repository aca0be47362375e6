"""One writer at a time: the kernel's lock on a file, or where a file system has none, a folder that names its maker.

``flock`` ends with the process that holds it, however that ends, so nothing is ever left to clear up. Some network
mounts and FUSE systems lack it and say so. There the lock is the folder ``.lock.held`` with one empty file in it, named
by pid, host and start of the holder. It is made under another name and renamed: a folder cannot be renamed over one
that has something in it, so one process alone wins, and nobody ever sees a lock that does not say whose it is. A dead
holder of the same host is known by its pid, and by its start where another process has been given that pid since. Of
another host nothing can be known: its processes are taken to be alive.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import files
from ..errors import StateError

__all__ = ["LOCK_FILE", "held", "shortfalls"]

_log = logging.getLogger("qlstm.state")

LOCK_FILE = ".lock"
_HELD, _GONE = ".held", ".gone-"
_NO_FLOCK = "no flock: "
# What a file system answers that has no flock. Anything else (EIO, ENOSPC, EROFS) is a failure, and an error.
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_ours: set[Path] = set()  # the folders that are locks of this process, as long as it means to hold them


class _HeldError(Exception):
    """Another process has the lock; the message says which."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other writers out of a folder, which exists.

    Raises
    ------
    StateError
        When another process holds the lock, names it; or when the folder cannot be written.
    """
    path = folder / LOCK_FILE
    with contextlib.ExitStack() as release:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            release.callback(os.close, handle)  # which gives the kernel's lock back
            _acquire(handle, path, release)
        except _HeldError as holder:
            raise StateError(f"{folder} is being written by process {holder}") from None
        except OSError as error:
            raise StateError(f"cannot lock {folder}: {error.strerror or error}") from error
        yield


def _acquire(handle: int, path: Path, release: contextlib.ExitStack) -> None:
    """Take the kernel's lock, or the folder in its place, and write down who has it.

    A lock server that comes and goes may answer one process and not another. So each looks for a holder of the other
    kind, after it has made itself known: two at once see at least one another.
    """
    mine, beside = _identity(), _beside(path, path.name, _HELD)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _HeldError(_asked(_read(path))) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _claim(beside, mine)
        _ours.add(beside.absolute())
        release.callback(_let_go, beside, mine)
        _refuse_living(path)
        _note(handle, f"{_NO_FLOCK}{os.strerror(error.errno)}")
        _warn(f"{path.parent}: {_without_flock(path, error.errno)}")
        return
    release.callback(_blank, handle)
    _note(handle, mine)
    _refuse_living(beside)


def _identity() -> str:
    """Return pid, host and start of this process, on one line."""
    return f"{os.getpid()} {os.uname().nodename} {_start(os.getpid()) or '-'}"


def _start(pid: int) -> str | None:
    """Return when a process started, in the kernel's ticks; None where that cannot be known, or it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _lives(holder: str) -> bool:
    """Return whether the process of that identity may still be there."""
    pid, _, rest = holder.partition(" ")
    host, _, start = rest.partition(" ")
    if not pid.isdecimal() or host != os.uname().nodename:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and somebody else's
        pass
    return not Path("/proc/self/stat").exists() or start in ("-", _start(int(pid)))


def _read(path: Path) -> str | None:
    """Return who holds a lock of either kind; None when there is no such file or folder."""
    try:
        if path.suffix != _HELD:
            return path.read_text("ascii", "replace").strip()
        return "".join(os.listdir(path)[:1])
    except FileNotFoundError:
        return None


def _asked(holder: str | None) -> str:
    """Return what to tell somebody who asked for a lock with a holder: who it is, and what to do."""
    pid, _, rest = (holder or "").partition(" ")
    return f"{pid if pid.isdecimal() else 'unknown'}{_of_host(rest)}; wait until it has ended"


def _of_host(rest: str) -> str:
    host = rest.split(" ")[0]
    return f" of host {host}" if host and host != os.uname().nodename else ""


def _refuse_living(path: Path) -> None:
    """Refuse when a file names somebody who may still be writing under the other kind of lock."""
    holder = _read(path)
    if holder and not holder.startswith(_NO_FLOCK) and _lives(holder):
        raise _HeldError(f"{_asked(holder)}, or remove {path} if it has")


def _claim(path: Path, mine: str) -> None:
    """Make the folder that is the lock; that of a dead holder is taken away first.

    Two may find the same dead holder, and the slower must not take away what the faster has made since. So each first
    makes a lock of this kind named after the dead one, and looks again.
    """
    if _made(path, mine):
        return
    holder = _read(path)
    if holder is not None:
        # One of our own that we do not hold is what a failing disk would not let us remove.
        if _lives(holder) and (holder != mine or path.absolute() in _ours):
            raise _HeldError(f"{_asked(holder)}, or remove {path} if it has")
        clearing = _beside(path, _GONE, holder.replace(" ", "-"), _HELD)
        _claim(clearing, mine)
        try:
            if _read(path) == holder:
                _remove(path)
        finally:
            _let_go(clearing, mine)
    if not _made(path, mine):
        raise _HeldError(_asked(_read(path)))


def _beside(path: Path, *name: str) -> Path:
    """Return a name that `qlstm.files.recover_folders` clears away, once the lock is held, if a crash leaves it."""
    return path.with_name("".join(name))


def _made(path: Path, mine: str) -> bool:
    """Make a lock by renaming a folder that has its maker's name in it; return whether nobody else has one there."""
    new = _beside(path, _GONE, secrets.token_hex(6))
    try:
        os.mkdir(new)
        os.close(os.open(new / mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        os.rename(new, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            _remove(new)
        # Not empty: somebody's lock. Not there: one who has the lock has cleared it away.
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            return False
        raise
    return True


def _remove(path: Path) -> None:
    """Remove a lock by one rename: emptied under its own name, it could be renamed over."""
    gone = _beside(path, _GONE, secrets.token_hex(6))
    os.rename(path, gone)
    for name in os.listdir(gone):
        os.unlink(gone / name)
    os.rmdir(gone)


def _let_go(path: Path, mine: str) -> None:
    """Remove a lock of our own; what cannot be removed now is taken away by whoever comes next."""
    _ours.discard(path.absolute())
    with contextlib.suppress(OSError):
        if _read(path) == mine:
            _remove(path)


def _note(handle: int, text: str) -> None:
    """Write into the file that the kernel locks who has it, or that it does not."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{text}\n".encode(), 0)


def _blank(handle: int) -> None:
    with contextlib.suppress(OSError):  # a process that is gone is told from a living one in any case
        os.ftruncate(handle, 0)


def _without_flock(path: Path, number: int | str) -> str:
    reason = os.strerror(number) if isinstance(number, int) else number
    return (
        f"this file system has no flock ({reason}); {path.name}{_HELD} keeps other writers out, which one computer "
        "alone can clear up after its own crash"
    )


@functools.cache
def _warn(message: str) -> None:
    """Log a warning, once in a process."""
    _log.warning("%s", message)


def shortfalls(folder: Path) -> tuple[str, ...]:
    """Return what the file system of a store lacks, a sentence each; nothing is written.

    Raises
    ------
    OSError
        When the folder cannot be read or flushed for another reason.
    """
    path, found = folder / LOCK_FILE, []
    noted = _read(path) or ""
    if noted.startswith(_NO_FLOCK):
        found.append(_without_flock(path, noted.removeprefix(_NO_FLOCK)))
    if not files.fsync_folder(folder):
        found.append(files.UNFLUSHED)
    return tuple(found)
