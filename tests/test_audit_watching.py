"""Which files, folders, hosts and programs of a strategy are seen, and which of others are not."""

import asyncio
import concurrent.futures
import contextlib
import ctypes.util
import importlib
import os
import platform
import socket
import sqlite3
import subprocess
import sys
import threading

import pandas as pd
import pytest
from joblib.externals.loky.backend import context
from test_audit import CUBE, FAULTS

from qlstm.audit import (
    look_ahead,
    replay,
    watching,
)


def test_a_data_file_is_seen_wherever_it_lies_and_other_files_of_libraries_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_libraries", lambda: (tmp_path,))
    for name in ("prices.csv", "settings.json"):
        (tmp_path / name).write_text("date,close\n2016-01-04,1\n")
    seen = []
    with watching.watching(seen.append):
        for name in ("prices.csv", "settings.json"):
            (tmp_path / name).read_text()
    assert seen == [tmp_path / "prices.csv"]


PRICES = CUBE.sel(field="close").to_pandas().reset_index(names="date")


WHOLE = PRICES.date.dt.strftime("%Y%m%d").astype(int)  # 20160104, as CRSP writes it


TABLES = {
    "prices.csv.gz": lambda path: PRICES.to_csv(path, index=False),
    "prices.parquet": lambda path: PRICES.set_index("date").to_parquet(path),
    "long.csv": lambda path: PRICES.melt("date", var_name="asset")[["asset", "date", "value"]].to_csv(
        path, index=False
    ),
    "whole.csv": lambda path: PRICES.assign(date=WHOLE).to_csv(path, index=False),
    "gaps.csv": lambda path: PRICES.assign(date=WHOLE.where(PRICES.index % 9 != 0)).to_csv(path, index=False),
    "tabbed.txt": lambda path: PRICES.to_csv(path, sep="\t", index=False),
    "tabbed.tsv": lambda path: PRICES.to_csv(path, sep="\t", index=False),
    "stamps.json": lambda path: PRICES.set_index("date").to_json(path, date_format="iso"),
    "records.json": lambda path: PRICES.assign(date=WHOLE).to_json(path, orient="records"),
    "packed.json.gz": lambda path: PRICES.set_index(WHOLE).drop(columns="date").to_json(path),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_last_day_of_a_table_is_found_packed_or_not_and_wherever_its_dates_are(name, tmp_path):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path, seen = tmp_path / name, []
    TABLES[name](path)
    assert watching.last_row(path) == CUBE.time.values[-1]
    with watching.watching(seen.append), concurrent.futures.ThreadPoolExecutor(1) as pool:
        read = {".parquet": pd.read_parquet, ".json": pd.read_json}.get(watching._kind(path), pd.read_csv)
        pool.submit(read, path).result()
    assert set(seen) == {path}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("note.txt", "bought in may\nand sold, on monday\n"),
        ("empty.txt", ""),
        ("names.txt", "AAPL\nMSFT\nMAY\n"),
        ("settings.json", '{"lookback": 20, "networks": {"hidden": [8, 8]}}'),
        ("broken.json", '{"date": [20201231'),
        ("nested.json", '{"rows": [{"a": 1}, {"a": 2}], "n": [1, 2]}'),
        ("volumes.csv", "asset,volume\nA,20990000\nB,20001399\nC,19990101\nD,2.0e7\n"),
        ("binary.tsv", "\0\1\xff"),
    ],
)
def test_what_holds_no_dates_or_cannot_be_read_has_no_last_day(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    assert watching.last_row(tmp_path / name) is None


def test_hosts_folders_and_databases_are_seen_but_not_this_machine_or_what_python_imports_from(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: sys.audit("socket.getaddrinfo", host, port))
    monkeypatch.syspath_prepend("")  # as in a notebook
    monkeypatch.chdir(tmp_path)
    (tmp_path / "companies").mkdir()
    (tmp_path / "companies" / "lately.py").touch()
    (tmp_path / "prices.db").touch()
    seen = []
    with watching.watching(seen.append):
        for host in ("prices.example.com", "localhost"):
            socket.getaddrinfo(host, 80)
        importlib.import_module("companies.lately")
        for folder in (tmp_path, tmp_path / "companies"):
            os.listdir(folder)
        sqlite3.connect(tmp_path / "prices.db").close()
    assert seen == ["prices.example.com", tmp_path, tmp_path / "companies", tmp_path / "prices.db"]


@pytest.mark.parametrize(("what", "severity"), [("prices.example.com", "fail"), (FAULTS, "warning")])
def test_a_host_fails_and_a_folder_is_a_warning(what, severity):
    finding = look_ahead._of_file(replay.Opened("predict", CUBE.time.values[-1], what))
    assert (finding.severity, finding.value) == (severity, getattr(what, "name", what))
    assert finding.fix


async def started_by_asyncio():
    await (await asyncio.create_subprocess_exec("cat", os.devnull)).wait()


STARTS = {
    "by subprocess": lambda: subprocess.check_output(["cat", os.devnull]),
    "by the shell": lambda: os.system(f"cat {os.devnull}"),
    "by posix_spawn": lambda: os.waitpid(os.posix_spawn("/bin/cat", ["cat", os.devnull], {}), 0),
    "instead of Python": lambda: replaced_by("/nowhere/cat"),
    "from another thread": lambda: concurrent.futures.ThreadPoolExecutor(1).submit(STARTS["by subprocess"]).result(),
    "by asyncio": lambda: asyncio.run(started_by_asyncio()),
}


def replaced_by(path):
    with contextlib.suppress(FileNotFoundError):
        os.execv(path, ["cat"])


@pytest.mark.parametrize("how", STARTS)
def test_programs_that_a_strategy_starts_are_named(how):
    seen = []
    with watching.watching(seen.append):
        STARTS[how]()
    assert watching.Program("cat") in seen


@pytest.mark.parametrize(
    "start",
    [platform._Processor.from_subprocess, lambda: ctypes.util.find_library("nowhere"), context._count_physical_cores],
)
def test_programs_that_libraries_start_for_themselves_are_not_the_strategys(start, monkeypatch):
    seen = []
    monkeypatch.setattr(context, "physical_cores_cache", None)
    with watching.watching(seen.append):
        start()
    assert not any(isinstance(one, watching.Program) for one in seen)
    monkeypatch.setattr(watching, "_libraries", lambda: ())
    monkeypatch.setattr(context, "physical_cores_cache", None)
    with watching.watching(seen.append):
        start()
    assert any(isinstance(one, watching.Program) for one in seen)


def test_what_is_written_is_not_read_and_what_others_do_meanwhile_is_not_the_strategys(tmp_path):
    path, seen, go = tmp_path / "log.csv", [], threading.Event()
    path.touch()

    def other():
        go.wait()
        path.read_text()

    thread = threading.Thread(target=other)
    thread.start()
    with watching.watching(seen.append):
        path.write_text("x")
        os.close(os.open(path, os.O_WRONLY))
        go.set()
        thread.join()
        assert seen == []
        path.open("r+").close()
    assert seen == [path]
