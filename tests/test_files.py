"""Atomic writing of files and folders: order of system calls, and what is left when one of them fails."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qlstm import files
from qlstm.errors import OutputError

CALLS = ("open", "write", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir")
OLD, NEW = {"a": b"old a", "b": b"old b"}, {"a": b"new a", "b": b"new b"}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files.find_folder(folder).iterdir()}


def watch(monkeypatch: pytest.MonkeyPatch, before: Callable[[str, Any], None]) -> None:
    """Call `before(name, first argument)` ahead of each system call that writes; a handle is named by its path."""
    names: dict[int, str] = {}
    for call in CALLS:
        real = getattr(os, call)

        def patched(first: Any, *args: Any, call: str = call, real: Any = real, **kwargs: Any) -> Any:
            path = names.get(first, "?") if isinstance(first, int) else os.fspath(first)
            before(call, path)
            result = real(first, *args, **kwargs)
            if call == "open":
                names[result] = path
            return result

        monkeypatch.setattr(os, call, patched)


def test_a_file_is_written_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "sub" / "x", b"1")
    files.write_bytes(tmp_path / "sub" / "x", b"22")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["x"]
    assert (tmp_path / "sub" / "x").read_bytes() == b"22"


def test_files_get_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "x", b"1")
    finally:
        os.umask(previous)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data)[:3]))
    files.write_bytes(tmp_path / "x", b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_file_is_flushed_before_its_rename_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[tuple[str, str]] = []
    watch(monkeypatch, lambda call, path: log.append((call, path)))
    files.write_bytes(tmp_path / "x", b"1")
    calls = [call for call, _ in log if call != "unlink"]
    assert calls == ["open", "write", "fsync", "replace", "open", "fsync"]
    assert log[2][1].endswith(".tmp")
    assert log[5] == ("fsync", str(tmp_path))


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_bytes(tmp_path / "x", b"old")

    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match=r"x: No space left on device"):
        files.write_bytes(tmp_path / "x", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"old"}


def test_several_files_are_all_on_the_disk_before_the_first_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    watch(monkeypatch, lambda call, path: log.append(call))
    files.write_files({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert log.index("replace") > [i for i, call in enumerate(log) if call == "fsync"][1]


def test_a_folder_is_flushed_inside_out_before_its_rename_and_its_parent_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[tuple[str, str]] = []
    watch(monkeypatch, lambda call, path: log.append((call, Path(path).name)))
    files.publish_folder(tmp_path / "day", NEW)
    flushes = [(call, name) for call, name in log if call in ("fsync", "rename")]
    assert flushes == [
        ("fsync", "a"),
        ("fsync", "b"),
        ("fsync", ".new-day"),
        ("rename", ".new-day"),
        ("fsync", tmp_path.name),
    ]
    assert content(tmp_path / "day") == NEW


def test_the_old_folder_goes_only_after_the_parent_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.publish_folder(tmp_path / "day", OLD)
    seen: list[bool] = []

    def check(call: str, path: str) -> None:
        if (call, path) == ("fsync", str(tmp_path)):
            seen.append((tmp_path / ".old-day").exists())

    watch(monkeypatch, check)
    files.publish_folder(tmp_path / "day", NEW)
    assert seen == [True]
    assert sorted(os.listdir(tmp_path)) == ["day"]


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("for_good", [False, True])
def test_whichever_call_fails_readers_find_the_old_folder_or_the_new_one(
    tmp_path: Path, existing: bool, for_good: bool
) -> None:
    results = []
    for k in range(100):
        parent = tmp_path / str(k)
        parent.mkdir()
        if existing:
            files.publish_folder(parent / "day", OLD)
        failed = publish_failing(parent / "day", k, for_good)
        found = content(parent / "day") if files.list_folders(parent) else {}
        assert found in (OLD if existing else {}, NEW), k
        files.recover_folders(parent)
        assert (content(parent / "day") if files.list_folders(parent) else {}) == found
        assert not [name for name in os.listdir(parent) if name.startswith(".")]
        results.append(found)
        if not failed:
            break
    assert not failed
    assert results[0] != NEW
    assert results[-1] == NEW
    assert len(results) > 10


def publish_failing(folder: Path, k: int, for_good: bool) -> bool:
    """Publish NEW with the k-th call failing (and all later ones, if `for_good`); return whether one did."""
    count = 0

    def fail(call: str, path: str) -> None:
        nonlocal count
        count += 1
        if count == k + 1 or (for_good and count > k):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        watch(patch, fail)
        try:
            files.publish_folder(folder, NEW)
        except OutputError as error:
            return str(folder) in str(error)
    return False


def test_a_folder_that_was_aside_during_a_crash_is_put_back(tmp_path: Path) -> None:
    files.publish_folder(tmp_path / "day", OLD)
    os.rename(tmp_path / "day", tmp_path / ".old-day")
    (tmp_path / ".new-day").mkdir()
    assert files.list_folders(tmp_path) == ["day"]
    assert content(tmp_path / "day") == OLD
    files.recover_folders(tmp_path)
    assert os.listdir(tmp_path) == ["day"]
    assert content(tmp_path / "day") == OLD


def test_a_folder_that_cannot_be_made_names_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot write into folder .*file/sub: Not a directory"):
        files.ensure_folder(tmp_path / "file" / "sub")
    assert files.list_folders(tmp_path / "absent") == []


def flushing_fails_with(number: int, real: Callable[[int], None]) -> Callable[[int], None]:
    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        real(handle)

    return fsync


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def test_where_folders_cannot_be_flushed_files_are_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    files._warn_unflushed.cache_clear()
    monkeypatch.setattr(os, "fsync", flushing_fails_with(number, os.fsync))
    files.publish_folder(tmp_path / "day", OLD)
    files.publish_folder(tmp_path / "day", NEW)
    files.write_bytes(tmp_path / "x", b"1")
    assert content(tmp_path / "day") == NEW
    assert sorted(os.listdir(tmp_path)) == ["day", "x"]
    (record,) = caplog.records
    assert record.getMessage().endswith(files.UNFLUSHED)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EINTR], ids=errno.errorcode.get)
def test_a_disk_that_fails_to_flush_a_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    files.publish_folder(tmp_path / "day", OLD)
    monkeypatch.setattr(os, "fsync", flushing_fails_with(number, os.fsync))
    with pytest.raises(OutputError, match=os.strerror(number)):
        files.publish_folder(tmp_path / "day", NEW)
    with pytest.raises(OutputError, match=os.strerror(number)):
        files.withdraw_folder(tmp_path / "day")


def test_a_file_that_cannot_be_flushed_is_an_error_whatever_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match="x: Invalid argument"):
        files.write_bytes(tmp_path / "x", b"1")


def test_a_disk_that_takes_nothing_more_and_says_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", lambda handle, data: 0)
    with pytest.raises(OutputError, match="x: the disk takes nothing more"):
        files.write_bytes(tmp_path / "x", b"1")


def test_a_removed_file_takes_what_killed_writers_left_with_it_and_nothing_else(tmp_path):
    for name in ("run.qlstm", ".run.qlstm-a5eb.tmp", ".other.qlstm-a5eb.tmp", "run.qlstm.bak"):
        (tmp_path / name).write_bytes(b"")
    files.remove(tmp_path / "run.qlstm")
    files.remove(tmp_path / "run.qlstm")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.qlstm-a5eb.tmp", "run.qlstm.bak"]
