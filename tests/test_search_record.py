"""The record of a search: whole, never run twice, and what a crash, a full disk or another writer does to it."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
from searches import CUBE, DAYS, IDEA, PERIOD, lines, outcome, write

from qlstm import data, optimizer
from qlstm.errors import OutputError, QlstmError
from qlstm.optimizer import searching, trials


@pytest.fixture
def file(tmp_path):
    return write(tmp_path)


def test_the_record_holds_all_that_a_trial_was(file, tmp_path):
    record = tmp_path / "deep" / "record.jsonl"
    optimizer.search(file, CUBE, {"SIDE": [0.0, 1]}, record=record, seed=7, **PERIOD)
    zero, one = (json.loads(line) for line in record.read_text().splitlines())
    assert set(zero) == {f.name for f in dataclasses.fields(trials.Trial)} | {
        "status",
        *(f.name for f in dataclasses.fields(trials.Setting)),
    }
    assert (zero["arguments"], one["arguments"]) == ({"SIDE": 0.0}, {"SIDE": 1})
    assert zero["figures"]["sharpe_ratio"] is None
    assert (one["seed"], one["start"], one["end"]) == (7, str(DAYS[50])[:10], str(DAYS[110])[:10])
    assert one["seconds"] > 0
    assert len(one["code"]) == len(one["data"]) == 64


def test_a_record_alone_gives_the_search_back(file, tmp_path):
    record = tmp_path / "record.jsonl"
    found = optimizer.search(file, CUBE, {"LENGTH": [3, 100, 8]}, record=record, **PERIOD)
    again = optimizer.read_search(record)
    assert outcome(again) == outcome(found)
    assert str(again) == str(found)
    assert again.best == found.best


def test_what_is_on_record_is_not_run_again_and_counts(file, tmp_path, monkeypatch):
    made, seen = searching._made, []
    monkeypatch.setattr(searching, "_made", lambda make, found: seen.append(found["LENGTH"]) or made(make, found))
    call = {"data": CUBE, "record": tmp_path / "record.jsonl", **PERIOD}
    optimizer.search(file, space={"LENGTH": [3, 8, 100]}, **call)
    found = optimizer.search(file, space={"LENGTH": [100, 5, 3]}, **call)
    assert seen == [3, 8, 100, 5]
    assert [t.arguments["LENGTH"] for t in found.trials] == [3, 8, 100, 5]


def test_a_record_of_other_data_code_or_days_is_refused_by_name(file, tmp_path):
    record = tmp_path / "record.jsonl"
    optimizer.search(file, CUBE, {"LENGTH": [3]}, record=record, **PERIOD)
    before = record.read_bytes()
    file.write_text(IDEA.replace("/ 3", "/ 4"))
    for cube, period, told in [
        (CUBE, {}, "code"),
        (CUBE * 2, {}, "code"),
        (CUBE, {"start_date": DAYS[51]}, "code"),
    ]:
        with pytest.raises(QlstmError, match=f"record.jsonl, line 1 is of another {told}"):
            optimizer.search(file, cube, {"LENGTH": [3]}, record=record, **{**PERIOD, **period})
    file.write_text(IDEA)
    for cube, period, told in [
        (CUBE * 2, {}, "data"),
        (CUBE, {"start_date": DAYS[51]}, "first day: 2015-03-12, not 2015-03-13"),
        (CUBE[:, :105], {}, "last day"),
    ]:
        with pytest.raises(QlstmError, match=f"record.jsonl, line 1 is of another {told}"):
            optimizer.search(file, cube, {"LENGTH": [3]}, record=record, **{**PERIOD, **period})
    assert record.read_bytes() == before
    grown = CUBE[:, :140]  # days after the last are not part of it
    assert optimizer.search(file, grown, {"LENGTH": [3]}, record=record, **PERIOD).n_trials == 1


def test_a_line_cut_short_by_a_crash_is_run_again_and_other_damage_is_an_error(file, tmp_path):
    record = tmp_path / "record.jsonl"
    call = {"data": CUBE, "space": {"LENGTH": [3, 5, 8]}, "record": record, **PERIOD}
    optimizer.search(file, **call)
    whole, rows = record.read_bytes(), lines(record)
    first, second, third = whole.splitlines(keepends=True)
    for cut in (1, len(third) // 2, len(third) - 1):
        record.write_bytes(first + second + third[:cut])
        assert optimizer.read_search(record).n_trials == 2
        optimizer.search(file, **call)
        assert lines(record) == rows
    for damaged in (first + second[9:] + third, first + b"{}\n" + third, first + b"7\n" + third):
        record.write_bytes(damaged)
        with pytest.raises(QlstmError, match=r"record.jsonl, line 2 is no trial"):
            optimizer.search(file, **call)
        assert record.read_bytes() == damaged


@pytest.mark.parametrize(("content", "told"), [(None, "No such file"), (b"", "has no trial"), (b"{", "has no trial")])
def test_a_record_that_holds_nothing_is_named(tmp_path, content, told):
    if content is not None:
        (tmp_path / "record.jsonl").write_bytes(content)
    with pytest.raises(QlstmError, match=f"record.*{told}"):
        optimizer.read_search(tmp_path / "record.jsonl")


def test_a_full_disk_ends_the_search_and_keeps_the_trials_before(file, tmp_path, monkeypatch):
    record = tmp_path / "record.jsonl"
    write, room = os.write, [2]

    def full(handle, content):
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        room[0] -= 1
        return write(handle, bytes(content)[: 40 if room[0] == 0 else None])

    call = {"data": CUBE, "space": {"LENGTH": [3, 5, 8]}, "record": record, **PERIOD}
    with monkeypatch.context() as patch:
        patch.setattr(trials.os, "write", full)
        with pytest.raises(OutputError, match=r"cannot write the record .*record.jsonl: No space left on device"):
            optimizer.search(file, **call)
    assert optimizer.read_search(record).n_trials == 1
    assert optimizer.search(file, **call).n_trials == len(lines(record)) == 3


def test_a_second_search_is_kept_out_of_a_record(file, tmp_path):
    record = tmp_path / "record.jsonl"
    setting = trials.Setting("idea", "", "", "", "")
    with (
        trials.Record.opened(setting, record),
        pytest.raises(QlstmError, match=r"another search is writing the record .*record.jsonl"),
    ):
        optimizer.search(file, CUBE, {"LENGTH": [3]}, record=record, **PERIOD)


def test_a_record_that_cannot_be_written_is_named(file, tmp_path):
    with pytest.raises(OutputError, match=f"cannot write the record {tmp_path}"):
        optimizer.search(file, CUBE, {"LENGTH": [3]}, record=tmp_path, **PERIOD)


def test_a_killed_worker_ends_the_search_by_name_and_what_was_recorded_stays(file, tmp_path):
    killing = "    if LENGTH == 6:\n        import os, signal, time\n        time.sleep(1), os.kill(os.getpid(), signal.SIGKILL)\n"
    file.write_text(IDEA.replace("    if PAUSE:", killing + "    if PAUSE:"))
    call = {"data": CUBE, "record": tmp_path / "record.jsonl", "jobs": 2, **PERIOD}
    with pytest.raises(QlstmError, match=r"a worker process was killed while trial LENGTH=\d was waited for"):
        optimizer.search(file, space={"LENGTH": [3, 4, 5, 6, 7]}, **call)
    kept = optimizer.read_search(tmp_path / "record.jsonl").n_trials
    assert 1 <= kept <= 3
    assert optimizer.search(file, space={"LENGTH": [3, 4, 5, 7]}, **call).n_trials == 4


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.soak)])
def test_a_killed_search_goes_on_where_it_stopped(file, tmp_path, jobs):
    data.save(CUBE, tmp_path / "cube.nc")
    record, whole = tmp_path / "record.jsonl", tmp_path / "whole.jsonl"
    run = [sys.executable, "-m", "qlstm", "optimize", str(file), "--data", str(tmp_path / "cube.nc")]
    run += ["--set", "LENGTH=3,4,5,6,7,8", "--set", "PAUSE=0.004", "--jobs", jobs]
    run += ["--start", str(DAYS[50])[:10], "--end", str(DAYS[110])[:10], "--record"]
    process = subprocess.Popen([*run, str(record)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(3000):
        if record.exists() and record.read_bytes().count(b"\n") >= 2:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = record.read_bytes()
    assert 2 <= kept.count(b"\n") < 6
    done = subprocess.run([*run, str(record)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cube, space = data.load(str(tmp_path / "cube.nc")), {"LENGTH": [3, 4, 5, 6, 7, 8], "PAUSE": [0.004]}
    optimizer.search(file, cube, space, record=whole, **PERIOD)
    assert record.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert outcome(optimizer.read_search(record)) == outcome(optimizer.read_search(whole))
    assert "6 trials of idea" in done.stdout


def test_infinite_figures_come_back_from_a_record_as_they_were():
    given = trials.Trial({"A": 1}, {"x": math.inf, "y": -math.inf, "z": math.nan, "w": 0.5}, None, 1.0, "now", 42)
    back, _ = trials._parse(trials._line(given, trials.Setting("idea", "a", "b", "c", "d")), "here")
    assert repr(back.figures) == repr(given.figures)
