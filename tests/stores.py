"""Stores that tests share: three days, a memory and weights for each, other processes, system calls that fail."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlstm.errors import OutputError, StateError
from qlstm.state import Store
from qlstm.strategy import Memory


def day(text: str) -> np.datetime64:
    return np.datetime64(text, "ns")


D1, D2, D3 = day("2020-01-01"), day("2020-01-02"), day("2020-01-03")


def memory(n: int) -> Memory:
    return Memory(D1, {"A": np.full(3, n)}, {"n": n})


def weights(n: int) -> bytes:
    return f"weights {n}".encode()


def filled(store: Store, days: int) -> list[np.datetime64]:
    """Commit that many days in a row, each the parent of the next, and return their dates."""
    dates = [D1 + np.timedelta64(n, "D") for n in range(days)]
    for n, date in enumerate(dates):
        store.commit(date, memory(n), weights(n), parent=dates[n - 1] if n else None)
    return dates


def child(code: str, *arguments: Any, stderr: int | None = None) -> subprocess.Popen[str]:
    """Start a Python process in which the store is imported."""
    script = "import sys, time, numpy as np\nfrom qlstm.state import Store\nfrom qlstm.strategy import Memory\n" + code
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=stderr, text=True)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


CALLS = ("open", "write", "fsync", "rename", "replace", "mkdir", "pwrite", "ftruncate", "unlink", "rmdir")


SHORT = 0
"""In place of an error's number: the write stores half of what it is given, and whatever comes later finds a full disk."""


def failing(change: Callable[[], Any], k: int, folder: Path, number: int = errno.EIO, for_good: bool = False) -> bool:
    """Make a change to a store with the k-th system call failing (and all later ones, if `for_good`).

    Returns whether one did. The error, where there is one, names the store's folder and what the system said.
    """
    count, said = 0, os.strerror(number or errno.ENOSPC)

    def fails(*args: Any, name: str, real: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == k and not number and name in ("write", "pwrite"):
            return real(args[0], bytes(args[1])[: len(args[1]) // 2], *args[2:])
        if count == k or (for_good and count > k):
            raise OSError(number or errno.ENOSPC, said)
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, partial(fails, name=name, real=getattr(os, name)))
        try:
            change()
        except (OutputError, StateError) as error:
            assert said in str(error)  # noqa: PT017 -- whether it raises depends on k
            assert str(folder) in str(error)  # noqa: PT017
    return count >= k


FAILURES = [
    *((number, False) for number in (errno.EIO, errno.ENOSPC, errno.EINTR, errno.EROFS, errno.EXDEV)),
    *((number, True) for number in (errno.EIO, errno.ENOSPC, errno.EINTR, errno.EROFS, errno.EXDEV)),
    *((SHORT, for_good) for for_good in (False, True)),
]


def name_of_failure(value: object) -> str:
    """Return what a parameter of FAILURES is called in the name of a test."""
    if isinstance(value, bool):
        return "for good" if value else "once"
    return errno.errorcode.get(int(str(value)), "short")


# Put before the code of a `child`: file systems that lack something.
WITHOUT = """
import errno, fcntl, os
def flock(handle, kind):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
fcntl.flock = flock
"""
UNFLUSHED = """
import errno, os, stat
def fsync(handle, real=os.fsync):
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    real(handle)
os.fsync = fsync
"""


def failing_with(number: int) -> Callable[..., None]:
    def flock(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return flock
