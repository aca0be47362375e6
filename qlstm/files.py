"""Atomic, durable writing: the only module that touches the disk for results and state.

Nothing is ever half-written under its final name: bytes go to a temporary file in the same folder, are flushed to the
disk (fsync), renamed over the final name in one step, and the folder is flushed too, so that the rename itself survives
a power cut. A reader finds the old file or the new one.

Whole folders are published the same way. A folder cannot be renamed over one that has files in it, so the old one
steps aside first::

    .new-NAME   being written; worthless until renamed
    NAME        published
    .old-NAME   the one before, for the moment between two renames; stands in for NAME where that is missing
    .gone-NAME  withdrawn; worthless

`find_folder` follows that rule, so a reader finds the old folder or the new one at every instant, and `recover_folders`
puts the names in order again after a crash.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import logging
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .errors import OutputError

__all__ = [
    "UNFLUSHED",
    "ensure_folder",
    "find_folder",
    "fsync_folder",
    "list_folders",
    "make_folder",
    "publish_folder",
    "recover_folders",
    "remove",
    "withdraw_folder",
    "write_bytes",
    "write_files",
]

_log = logging.getLogger("qlstm.files")

UNFLUSHED = "this file system cannot flush folders; after a power cut the day before may be found, never half a day"
"""What is said of a file system on which `fsync_folder` returns False."""
_NEW, _OLD, _GONE = ".new-", ".old-", ".gone-"
# What a file system answers that cannot flush a folder. Anything else (EIO, ENOSPC, EROFS) is a failure, and an error.
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def ensure_folder(folder: str | Path) -> Path:
    """Create `folder` if needed, prove that a file can be made in it, and return its path.

    Raises
    ------
    OutputError
        When it cannot be created or written.
    """
    path = Path(folder)
    try:
        make_folder(path)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".probe-"):
            pass
    except OSError as error:
        raise OutputError(f"cannot write into folder {path}: {error.strerror or error}; choose another") from error
    return path


def make_folder(folder: Path) -> None:
    """Create `folder` and its missing parents, each flushed to the disk.

    Raises
    ------
    OSError
        When the operating system refuses.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):  # another process was faster; a file in the way fails on first use
        os.mkdir(folder)
    fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> bool:
    """Flush a folder's entries to the disk, so that a rename inside it survives a power cut.

    Returns
    -------
    bool
        False where the file system has no such thing, which is logged once; the rename is then as safe as it makes it.

    Raises
    ------
    OSError
        When the disk fails.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _warn_unflushed(os.fstat(handle).st_dev)
        return False
    finally:
        os.close(handle)
    return True


@functools.cache
def _warn_unflushed(device: int) -> None:
    """Say so, once for each file system."""
    _log.warning("device %d:%d: %s", os.major(device), os.minor(device), UNFLUSHED)


def _create(path: Path, content: bytes) -> None:
    """Create `path`, which must not exist, with `content`, flushed to the disk."""
    # 0o666 lets the user's umask decide who may read the results.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(content)
        while rest:  # a signal or a full disk may end a write early
            written = os.write(handle, rest)
            if not written:
                raise OSError(errno.EIO, "the disk takes nothing more")
            rest = rest[written:]
        os.fsync(handle)
    finally:
        os.close(handle)


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write several files, all or (short of a crash between two renames) none, each atomically.

    Every file is complete on the disk under a temporary name before the first one is renamed.

    Parameters
    ----------
    contents : mapping of Path to bytes
        Final name -> content. Missing parent folders are made.

    Raises
    ------
    OutputError
        When one of them cannot be written; no final name has been touched then.
    """
    temporary: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            make_folder(path.parent)
            temporary[path] = path.with_name(f".{path.name}-{secrets.token_hex(6)}.tmp")
            _create(temporary[path], content)
        for path, written in temporary.items():
            os.replace(written, path)
        for folder in {path.parent for path in contents}:
            fsync_folder(folder)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        for written in temporary.values():
            with contextlib.suppress(OSError):
                written.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write one file atomically and durably.

    Raises
    ------
    OutputError
        When it cannot be written; an older file of that name is untouched.
    """
    write_files({Path(path): content})


def remove(path: Path) -> None:
    """Remove a file, if it is there, and what killed writers of it left half-written beside it."""
    path.unlink(missing_ok=True)
    for unfinished in path.parent.glob(f".{glob.escape(path.name)}-*.tmp"):
        unfinished.unlink(missing_ok=True)


def _remove_folder(folder: Path) -> None:
    """Remove a folder of plain files."""
    for name in os.listdir(folder):
        os.unlink(folder / name)
    os.rmdir(folder)


def publish_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files under its final name at once, in place of one of that name if there is one.

    The caller keeps other writers out. A crash or a failing call at any point leaves the old folder or the new one (see
    the module's docstring); what else it leaves, `recover_folders` clears away.

    Parameters
    ----------
    folder : Path
        The final name; its parent exists.
    contents : mapping of str to bytes
        File name -> content.

    Raises
    ------
    OutputError
        When a call to the operating system fails.
    """
    parent = folder.parent
    new, old = parent / f"{_NEW}{folder.name}", parent / f"{_OLD}{folder.name}"
    try:
        recover_folders(parent)
        os.mkdir(new)
        for name, content in contents.items():
            _create(new / name, content)
        fsync_folder(new)
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
        fsync_folder(parent)
    except OSError as error:
        _undo(new, old, folder)
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    # Only now is the new one sure to survive a power cut. What cannot be removed is cleared away next time.
    with contextlib.suppress(OSError):
        _remove_folder(old)


def _undo(new: Path, old: Path, folder: Path) -> None:
    """Give back the space and the old folder, as far as the failing disk allows; readers find it either way."""
    with contextlib.suppress(OSError):
        _remove_folder(new)
    with contextlib.suppress(OSError):
        if not folder.exists():
            os.rename(old, folder)


def withdraw_folder(folder: Path) -> None:
    """Remove a published folder at once: by one rename, flushed to the disk before its files are removed.

    The caller keeps other writers out. A crash or a failing call leaves the folder whole or gone; what else it leaves,
    `recover_folders` clears away.

    Raises
    ------
    OutputError
        When a call to the operating system fails.
    """
    gone = folder.parent / f"{_GONE}{folder.name}"
    try:
        recover_folders(folder.parent)
        os.rename(folder, gone)
        fsync_folder(folder.parent)
    except OSError as error:
        raise OutputError(f"cannot remove {folder}: {error.strerror or error}") from error
    with contextlib.suppress(OSError):  # nobody sees it any more; cleared away next time
        _remove_folder(gone)


def recover_folders(parent: Path) -> None:
    """Finish or undo what a crash in `publish_folder` or `withdraw_folder` left in `parent`, other writers kept out.

    Raises
    ------
    OSError
        When a call to the operating system fails; readers still find the old folder or the new one.
    """
    for entry in sorted(os.listdir(parent)):
        if entry.startswith((_NEW, _GONE)):
            _remove_folder(parent / entry)
        elif entry.startswith(_OLD):
            final = parent / entry.removeprefix(_OLD)
            if not final.exists():
                os.rename(parent / entry, final)
                continue
            fsync_folder(parent)  # the crash may have come before the new name was on the disk
            _remove_folder(parent / entry)


def find_folder(folder: Path) -> Path:
    """Return where the published `folder` is at this instant: under its name, or aside while it is being replaced."""
    old = folder.parent / f"{_OLD}{folder.name}"
    return old if not folder.exists() and old.exists() else folder


def list_folders(parent: Path) -> list[str]:
    """Return the names published in `parent`, sorted; none when it does not exist.

    Raises
    ------
    OutputError
        When it cannot be listed.
    """
    try:
        names = {entry.removeprefix(_OLD) for entry in os.listdir(parent)}
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"cannot list {parent}: {error.strerror or error}") from error
    return sorted(name for name in names if not name.startswith("."))
