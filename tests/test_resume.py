"""An interrupted multi-pass goes on where it stopped, and nobody can tell from its files that it was interrupted."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from toys import market

import qlstm
from qlstm import checkpoint, data, engine
from qlstm.errors import DataError

CODE = """
import time
import qlstm, numpy as np
def train(data):
    time.sleep(PAUSE)
    return {"mean": data.sel(field="close", drop=True).mean("time"), "draw": np.random.rand()}
def predict(models, data, state):
    time.sleep(PAUSE / 4)
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    weights = (close < models["mean"]) * 0.1 * models["draw"]
    state = state or {"days": 0, "weights": weights}
    weights = (weights + state["weights"]) / 2
    return weights.where(weights.asset != "TOY:001"), {"days": state["days"] + 1, "weights": weights}
strategy = qlstm.Strategy(train=train, predict=predict, train_period=30, lookback_period=10, retrain_interval=20)
"""
RUN = """
import sys
from qlstm import checkpoint, cli
checkpoint._EVERY_S, checkpoint._SHARE = 0.0, 1e9  # after each day
cli.main(sys.argv[1:])
"""
CUBE = market(days=120, assets=3)


def write(folder, pause):
    (folder / "idea.py").write_text(CODE.replace("PAUSE", str(pause)))
    if not (folder / "cube.nc").exists():
        data.save(CUBE, folder / "cube.nc")


def command(folder, out, *more):
    arguments = ["backtest", "idea.py", "--data", "cube.nc", "--start", "2015-03-02", "--out", out, "--models", "none"]
    return [sys.executable, "-c", RUN, *arguments, *more]


def files(folder):
    """Return what a run left; the report's figure has a new id each time, and the manifest holds its hash."""
    kept = {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in ("report.html", "manifest.json")}
    return kept | {"names": sorted(p.name for p in folder.iterdir())}


def check_kills(folder, kills, pause):
    """Kill a run at random moments, each time going on, and compare its files with those of one left alone."""
    write(folder, pause)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command(folder, "whole"), cwd=folder, env=environment, check=True, capture_output=True)
    moments, unfinished = random.Random(kills), folder / "cut" / "unfinished.qlstm"
    for _ in range(kills):
        size = unfinished.stat().st_mtime_ns if unfinished.exists() else 0
        running = subprocess.Popen(
            command(folder, "cut", "--resume"),
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        give_up = time.monotonic() + 60
        while (not unfinished.exists() or unfinished.stat().st_mtime_ns == size) and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(moments.random() * 60 * pause)
        running.send_signal(signal.SIGKILL)
        running.communicate()
    last = subprocess.run(
        command(folder, "cut", "--resume"), cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    assert files(folder / "cut") == files(folder / "whole")
    return last.stderr


def test_a_kill_and_a_resumed_run_give_the_same_bytes(tmp_path):
    assert "afresh" not in check_kills(tmp_path, 1, 0.02)


@pytest.mark.soak
def test_many_kills_and_resumed_runs_give_the_same_bytes(tmp_path):
    assert "afresh" not in check_kills(tmp_path, 8, 0.02)


class Stopped(BaseException):
    """Stands for a kill."""


@pytest.fixture
def each_day(monkeypatch):
    monkeypatch.setattr(checkpoint, "_EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "_SHARE", 1e9)


def strategy(folder):
    write(folder, 0.0)
    return qlstm.load_strategy(folder / "idea.py")


def run(loaded, path, **settings):
    given = {"data": CUBE, "start_date": "2015-03-02", "analyze": False, "progress": False} | settings
    return qlstm.backtest(strategy=loaded, checkpoint=path, **given)


def counted(monkeypatch, most=10**9):
    """Count calls of train and predict; stop the run instead of making one more than `most`."""
    calls, call = [], engine.call

    def counting(strategy, role, t, function, *arguments):
        if len(calls) == most:
            raise Stopped
        calls.append((role, t))
        return call(strategy, role, t, function, *arguments)

    monkeypatch.setattr(engine, "call", counting)
    return calls


def interrupted(folder, most, **settings):
    """Leave the checkpoint of a run that was stopped after so many calls of train and predict."""
    path = folder / "unfinished"
    with pytest.MonkeyPatch.context() as patch:
        counted(patch, most)
        with pytest.raises(Stopped):
            run(strategy(folder), path, **settings)
    return path


@pytest.mark.parametrize("calls", [2, 5, 15, 16, 17, 70])
def test_a_run_stopped_anywhere_goes_on_to_the_same_result(tmp_path, each_day, calls, caplog):
    whole = run(strategy(tmp_path), None, collect_all_states=True)
    path = interrupted(tmp_path, calls, collect_all_states=True)
    result = run(strategy(tmp_path), path, resume=True, collect_all_states=True)
    assert "afresh" not in caplog.text
    assert result.raw.identical(whole.raw)
    assert result.weights.identical(whole.weights)
    assert result.notes == whole.notes
    assert [s["days"] for s in result.states] == [s["days"] for s in whole.states]
    assert result.memory.models["draw"] == whole.memory.models["draw"]


def test_only_what_is_left_is_trained_and_predicted(tmp_path, each_day, monkeypatch):
    every = counted(monkeypatch)
    run(strategy(tmp_path), None)
    monkeypatch.undo()
    monkeypatch.setattr(checkpoint, "_EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "_SHARE", 1e9)
    path = interrupted(tmp_path, 40)
    left = counted(monkeypatch)
    run(strategy(tmp_path), path, resume=True)
    assert [call for call in left if call[0] == "predict"] == [call for call in every[40:] if call[0] == "predict"]
    assert left[1:] == every[40:]
    assert left[0] == [call for call in every[:40] if call[0] == "train"][-1]  # the models in force, of no store


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "unfinished").unlink(), "nothing to resume: there is no"),
        (lambda folder: (folder / "unfinished").write_bytes(b"x" * 100), "nothing to resume, started afresh"),
        (
            lambda folder: (folder / "idea.py").write_text((folder / "idea.py").read_text() + "# edited\n"),
            "is of other code, data or settings; started afresh",
        ),
    ],
)
def test_what_is_of_another_run_or_damaged_is_not_taken_up(tmp_path, each_day, caplog, change, words):
    expected = run(strategy(tmp_path), None)
    path = interrupted(tmp_path, 40)
    change(tmp_path)
    result = run(qlstm.load_strategy(tmp_path / "idea.py"), path, resume=True)
    assert words in caplog.text
    assert result.raw.identical(expected.raw)


@pytest.mark.parametrize(
    "settings", [{"data": CUBE * 2}, {"end_date": "2015-06-01"}, {"step": 2}, {"collect_all_states": True}]
)
def test_other_data_or_days_are_another_run(tmp_path, each_day, caplog, settings):
    path = interrupted(tmp_path, 40)
    run(strategy(tmp_path), path, resume=True, **settings)
    assert "is of other code, data or settings" in caplog.text


def test_a_state_that_cannot_be_saved_is_noted_and_does_not_stop_the_run(tmp_path, each_day, caplog):
    def predict(data, state):
        return data.sel(field="close", drop=True).isel(time=-1, drop=True) * 0, {"no value": object()}

    run(qlstm.Strategy(predict=predict, lookback_period=10), tmp_path / "unfinished")
    assert caplog.text.count("cannot be resumed") == 1
    assert not (tmp_path / "unfinished").exists()


def test_resume_needs_a_checkpoint(tmp_path):
    with pytest.raises(DataError, match="resume needs checkpoint="):
        run(strategy(tmp_path), None, resume=True)
