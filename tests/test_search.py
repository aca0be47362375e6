"""A search over constants: every trial on record and run once, the same for any number of workers, honest about luck."""

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from clusters import cluster
from conftest import ROOT
from toys import market

import qlstm
from qlstm import cli, data, optimizer, stats
from qlstm.errors import DataError, OutputError, QlstmError, StrategyError
from qlstm.optimizer import Range, proposals, searching, trials
from qlstm.significance import deflated_sharpe

CUBE = market(days=150, assets=3)
DAYS = CUBE.time.values
PERIOD = {"start_date": DAYS[50], "end_date": DAYS[110], "progress": False}
TEXT = """
import numpy as np
import qlstm

LENGTH = 5
SIDE = 1.0
NOISE, PAUSE = 0.0, 0


def predict(data):
    if PAUSE:
        import time
        time.sleep(PAUSE)
    close = data.sel(field="close", drop=True)
    change = close.isel(time=-1, drop=True) / close.isel(time=-1 - LENGTH, drop=True) - 1
    return SIDE * (change > 0).astype(float) / 3 + NOISE * np.random.random(3)


strategy = qlstm.Strategy(predict=predict, lookback_period=40)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "idea.py"
    path.write_text(TEXT)
    return path


def make(length, side=1.0):
    def predict(data):
        close = data.sel(field="close", drop=True)
        return side * (close.isel(time=-1, drop=True) > close.isel(time=-1 - length, drop=True)).astype(float) / 3

    return qlstm.Strategy(predict=predict, lookback_period=40)


def outcome(found):
    """Return all that a search found but for clock times; NaN compares equal as text."""
    return [(t.arguments, {k: repr(v) for k, v in t.figures.items()}, t.error, t.seed) for t in found.trials]


def lines(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "at")} for row in rows]


# What a trial is


def test_a_trial_is_a_backtest_of_the_file_with_other_constants(file):
    found = optimizer.search(file, CUBE, {"LENGTH": [3, 8], "SIDE": [1, 0.5]}, **PERIOD)
    assert [t.arguments for t in found.trials] == [{"LENGTH": n, "SIDE": s} for n in (3, 8) for s in (1, 0.5)]
    for trial in found.trials:
        strategy = qlstm.load_strategy(file, **trial.arguments)
        result = qlstm.backtest(strategy=strategy, data=CUBE, start_date=DAYS[50], end_date=DAYS[110], progress=False)
        for name in ("equity", "sharpe_ratio", "avg_turnover"):
            assert trial.figures[name] == float(result.stats.sel(field=name)[-1])
        assert "relative_return" not in trial.figures
        assert (trial.status, trial.error, trial.seed) == ("done", None, 42)
    best = max(found.trials, key=lambda t: t.figures["sharpe_ratio"])
    assert found.best is best
    assert found.n_trials == len(found.table) == 4
    assert found.table["score"].tolist() == sorted(found.scores, reverse=True)
    assert found.table.iloc[0][["LENGTH", "SIDE"]].to_dict() == best.arguments


def test_a_function_that_makes_strategies_is_searched_too_and_its_arguments_are_part_of_the_code():
    seen = []

    def making(length):
        seen.append(length)
        return make(length)

    found = optimizer.search(making, CUBE, {"length": np.array([3, 8])}, **PERIOD)
    assert seen == [3, 8]
    assert all(type(t.arguments["length"]) is int for t in found.trials)
    file_like = optimizer.search(making, CUBE, {"length": [8]}, **PERIOD)
    assert outcome(file_like) == outcome(found)[1:]


def test_the_score_decides_which_is_best(file):
    calm = optimizer.search(file, CUBE, {"SIDE": [1, 0.2, 0.5]}, score=lambda f: -f["volatility"], **PERIOD)
    assert calm.best.arguments == {"SIDE": 0.2}


def test_no_trial_sees_a_day_after_the_last(file):
    later = CUBE.copy(deep=True)
    later[:, 111:] = 1e6
    space = {"LENGTH": [3, 8]}
    assert outcome(optimizer.search(file, CUBE, space, **PERIOD)) == outcome(
        optimizer.search(file, later, space, **PERIOD)
    )
    seen = []

    def spying(length):
        return qlstm.Strategy(predict=lambda data: seen.append(data.time.values[-1]) or make(length).predict(data))

    optimizer.search(spying, CUBE, {"length": [3]}, **PERIOD)
    assert (min(seen), max(seen)) == (DAYS[50], DAYS[110])


def test_the_result_is_the_same_for_any_number_of_workers_and_a_cluster(file):
    space = {"LENGTH": [3, 5, 100, 8], "NOISE": [0.0, 0.1]}  # one that fails, and one that draws random numbers
    plain = optimizer.search(file, CUBE, space, **PERIOD)
    assert sum(t.error is not None for t in plain.trials) == 2
    assert outcome(optimizer.search(file, CUBE, space, jobs=2, **PERIOD)) == outcome(plain)
    with cluster() as (address, _):
        assert outcome(optimizer.search(file, CUBE, space, dask=address, **PERIOD)) == outcome(plain)


# What goes wrong


def test_a_failing_trial_is_on_record_with_its_reason_and_counts(file, tmp_path):
    record = tmp_path / "record.jsonl"
    found = optimizer.search(file, CUBE, {"LENGTH": [100, 3, "x"]}, record=record, **PERIOD)
    assert [t.status for t in found.trials] == ["failed", "done", "failed"]
    assert "LENGTH=100: predict failed on 2015-03-12: IndexError" in found.trials[0].error
    assert found.best.arguments == {"LENGTH": 3}
    assert (found.n_trials, np.isnan(found.sharpe_ratios).tolist()) == (3, [True, False, True])
    assert found.table["score"].tolist()[1:] == [-np.inf, -np.inf]
    assert [row["status"] for row in lines(record)] == ["failed", "done", "failed"]


def test_when_every_trial_fails_the_first_is_named(file):
    with pytest.raises(QlstmError, match="all 2 trials failed, the first with LENGTH=100: strategy idea"):
        optimizer.search(file, CUBE, {"LENGTH": [100, 200]}, **PERIOD)


def test_a_strategy_that_never_holds_anything_has_no_score_and_never_wins(file):
    found = optimizer.search(file, CUBE, {"SIDE": [0.0, 1.0]}, **PERIOD)
    assert np.isnan(found.trials[0].figures["sharpe_ratio"])
    assert found.best.arguments == {"SIDE": 1.0}
    none = optimizer.search(file, CUBE, {"SIDE": [0.0]}, **PERIOD)
    with pytest.raises(QlstmError, match="none of 1 trials has a score; did any of them hold a position"):
        none.best


def test_what_does_not_make_a_strategy_fails_that_trial_alone():
    def making(length):
        return make(length) if length else "nothing"

    found = optimizer.search(making, CUBE, {"length": [0, 3]}, **PERIOD)
    assert found.trials[0].error == "it returned a str, not a Strategy"
    assert found.best.arguments == {"length": 3}


def test_equal_arguments_are_run_once():
    seen = []

    def making(length):
        seen.append(length)
        return make(length)

    found = optimizer.search(making, CUBE, {"length": [3, 3, 8, 3]}, **PERIOD)
    assert seen == [3, 8]
    assert found.n_trials == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"space": {}}, "the space is empty"),
        ({"space": {"LENGTH": []}}, "LENGTH has no value to try"),
        ({"space": {"LENGTH": 3}}, "LENGTH must be a list of values or a Range, got 3"),
        ({"space": {"LENGTH": "357"}}, "LENGTH must be a list of values or a Range, got '357'"),
        ({"space": {"LENGTH": [(1, 2)]}}, r"text, True, False or None, not \(1, 2\)"),
        ({"space": {"LENGTH": [np.nan]}}, "can be a finite number, text, True, False or None, not nan"),
        ({"space": {"LENGTH": Range(1, 5)}}, "a grid needs the values of LENGTH one by one, not a range"),
        ({"space": {"LENGHT": [1]}}, "assigns no plain value to LENGHT at module level; did you mean 'LENGTH'"),
        ({"trials": 3}, "a grid tries every combination; leave trials out"),
        ({"method": "random"}, "say how many with trials=, got None"),
        ({"method": "optuna", "trials": 0}, "say how many with trials=, got 0"),
        ({"method": "gird"}, "no method 'gird'; did you mean 'grid'"),
        ({"storage": "sqlite://"}, "only the method 'optuna' has a storage, not 'grid'"),
        ({"start_date": "soon"}, "start date 'soon' is not a date"),
        ({"strategy": make}, "make cannot be called with LENGTH: "),
        ({"strategy": make(3)}, "needs the strategy's file or a function .* got Strategy"),
        ({"strategy": "nowhere.py"}, "cannot read strategy file nowhere.py"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_it_starts(file, change, told):
    call = {"strategy": file, "data": CUBE, "space": {"LENGTH": [3]}, **PERIOD, **change}
    with pytest.raises(QlstmError, match=told):
        optimizer.search(**call)


def test_a_missing_optuna_is_named_with_the_command(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(QlstmError, match=r"needs optuna.*pip install qlstm\[tune\]"):
        optimizer.search(file, CUBE, {"LENGTH": [3]}, method="optuna", trials=1, **PERIOD)


# The record


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
    file.write_text(TEXT.replace("/ 3", "/ 4"))
    for cube, period, told in [
        (CUBE, {}, "code"),
        (CUBE * 2, {}, "code"),
        (CUBE, {"start_date": DAYS[51]}, "code"),
    ]:
        with pytest.raises(QlstmError, match=f"record.jsonl, line 1 is of another {told}"):
            optimizer.search(file, cube, {"LENGTH": [3]}, record=record, **{**PERIOD, **period})
    file.write_text(TEXT)
    for cube, period, told in [
        (CUBE * 2, {}, "data"),
        (CUBE, {"start_date": DAYS[51]}, "first day: 2015-03-12, not 2015-03-13"),
        (CUBE[:, :105], {}, "data"),
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
    file.write_text(TEXT.replace("    if PAUSE:", killing + "    if PAUSE:"))
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


# What is tried


def listed(space, method, number, seed=1):
    return [found for asked in proposals.rounds(space, method, number, seed, lambda found: 0.0) for found in asked]


def test_random_sets_are_new_each_time_and_more_begin_with_those_of_fewer():
    space = {"a": Range(0, 99), "b": Range(1e-4, 1.0, log=True), "c": ["x", None, True]}
    some, more = listed(space, "random", 20), listed(space, "random", 50)
    assert more[:20] == some
    assert len({trials.key(found) for found in more}) == 50
    assert listed(space, "random", 20, seed=2) != some
    assert len(listed({"a": [1, 2], "b": [1, 2, 2]}, "random", 50)) == 4


@pytest.mark.parametrize("method", ["random", "optuna"])
def test_a_range_is_drawn_from_end_to_end_in_its_own_type(method):
    if method == "optuna":
        pytest.importorskip("optuna")
    space = {"whole": Range(2, 5), "real": Range(-0.5, 1), "log": Range(1e-4, 1e4, log=True)}
    found = listed(space, method, 120)
    whole, real, log = ([one[name] for one in found] for name in space)
    assert set(whole) == {2, 3, 4, 5}
    assert all(type(n) is int for n in whole)
    assert -0.5 <= min(real) < -0.4
    assert 0.9 < max(real) <= 1
    if method == "random":
        assert 30 < sum(value < 1 for value in log) < 90


def test_random_draws_of_a_range_are_uniform_to_its_ends():
    shares = np.linspace(0, np.nextafter(1, 0), 60001)
    for whole, counts in ((Range(1, 3), [1 / 3] * 3), (Range(1, 3, log=True), np.log([2, 3 / 2, 4 / 3]) / np.log(4))):
        drawn = [whole.draw(share) for share in shares]
        np.testing.assert_allclose(np.bincount(drawn, minlength=4)[1:] / len(shares), counts, atol=1e-4)
    assert (Range(0.1, 0.7).draw(0.0), Range(0.1, 0.7).draw(1.0)) == (0.1, 0.7)


@pytest.mark.parametrize("bounds", [(2, 1), (1, 1), (0, np.inf), ("a", "b"), (np.nan, 1), (True, 3)])
def test_a_range_without_two_bounds_is_refused(bounds):
    with pytest.raises(QlstmError, match="a range needs two finite numbers, the lower first, got "):
        Range(*bounds)
    with pytest.raises(QlstmError, match="a logarithmic range must begin above 0, got 0"):
        Range(0, 1, log=True)


def test_optuna_finds_its_way_and_is_repeated_by_its_seed():
    pytest.importorskip("optuna")
    space = {"a": Range(-10.0, 10.0), "b": ["good", "bad", "broken"]}

    def score(found):
        return -np.inf if found["b"] == "broken" else -abs(found["a"] - 3) - 20 * (found["b"] == "bad")

    def scores(number, seed):
        return [score(f) for asked in proposals.rounds(space, "optuna", number, seed, score) for f in asked]

    assert scores(20, 1) == scores(20, 1) != scores(20, 2)
    tried = np.clip([scores(100, seed) for seed in range(3)], -30, None)
    assert tried[:, 80:].mean() > tried[:, :10].mean() + 5


def test_an_optuna_search_resumed_goes_the_same_way_for_any_number_of_workers(file, tmp_path):
    pytest.importorskip("optuna")
    call = {"data": CUBE, "space": {"LENGTH": Range(1, 25), "SIDE": Range(0.1, 1.0)}, "method": "optuna", **PERIOD}
    whole = optimizer.search(file, trials=18, **call)
    record = tmp_path / "record.jsonl"
    optimizer.search(file, trials=18, record=record, jobs=2, **call)
    rows = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(rows[:11]) + rows[11][:50])
    resumed = optimizer.search(file, trials=18, record=record, **call)
    assert outcome(resumed) == outcome(whole)


def test_optunas_own_storage_gets_a_copy_that_a_resumed_search_renews(file, tmp_path):
    optuna = pytest.importorskip("optuna")
    storage = optuna.storages.InMemoryStorage()
    other = optuna.create_study(storage=storage, study_name="mine")
    call = {"data": CUBE, "space": {"LENGTH": Range(1, 30)}, "method": "optuna", "storage": storage, **PERIOD}
    for number in (5, 9):
        found = optimizer.search(file, trials=number, record=tmp_path / "record.jsonl", **call)
        mine, study = sorted(optuna.get_all_study_summaries(storage), key=lambda s: s.study_name != "mine")
        assert (mine.study_name, study.n_trials) == (other.study_name, number)
        assert study.study_name.startswith("idea ")
        assert study.best_trial.params == found.best.arguments


# What it is worth


def test_the_best_is_deflated_by_all_that_was_tried(file):
    found = optimizer.search(file, CUBE, {"LENGTH": [2, 3, 5, 8, 13, 100]}, **PERIOD)
    strategy = qlstm.load_strategy(file, **found.best.arguments)
    result = qlstm.backtest(strategy=strategy, data=CUBE, start_date=DAYS[50], end_date=DAYS[110], progress=False)
    returns = result.stats.sel(field="relative_return").sel(time=slice(DAYS[50], None)).values
    points = stats.calc_avg_points_per_year(result.weights)
    ratio = returns.mean() / returns.std(ddof=1) * np.sqrt(points)
    assert found.sharpe_ratios[found.trials.index(found.best)] == pytest.approx(ratio)
    assert found.deflated() == deflated_sharpe(returns, found.sharpe_ratios, points)
    assert found.deflated().trials == 6
    assert "6 trials of idea, 1 of them failed" in str(found)
    assert f"its Sharpe ratio is {ratio:.2f} a year; the best of 6 without any skill" in str(found)


def test_a_search_too_small_to_judge_says_so(file):
    found = optimizer.search(file, CUBE, {"LENGTH": [3, 100]}, **PERIOD)
    with pytest.raises(DataError, match="1 of 2 tries have a Sharpe ratio"):
        found.deflated()
    assert "skill cannot be told from luck: 1 of 2 tries have a Sharpe ratio" in str(found)
    short = optimizer.search(file, CUBE, {"LENGTH": [3, 5]}, **{**PERIOD, "end_date": DAYS[60]})
    with pytest.raises(DataError, match=r"the best trial, LENGTH=\d, has no Sharpe ratio to be deflated"):
        short.deflated()


# The command


def test_the_command_prints_the_best_and_what_luck_would_have_shown(file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data.save(CUBE, tmp_path / "cube.nc")

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            cli.main(["optimize", "idea.py", "--data", "cube.nc", "--start", str(DAYS[50])[:10], *arguments])
        return stopped.value.code or 0, *capsys.readouterr()

    status, out, err = call("--set", "LENGTH=2,3,5,8,100", "--set", "SIDE=1,0.5,-0.5", "--end", str(DAYS[110])[:10])
    assert status == 0, err
    assert out.split()[:3] == ["LENGTH", "SIDE", "score"]
    assert "... and 5 more" in out
    assert "15 trials of idea, 3 of them failed" in out
    assert "the best of 15 without any skill is expected to show" in out
    assert "every trial is in trials/idea.jsonl" in out
    assert f"the days after {str(DAYS[110])[:10]} were not used: backtest the best on them, once" in err
    status, _, err = call("--set", "LENGTH=1:20", "--method", "random", "--trials", "2", "--record", "other.jsonl")
    assert (status, "no day was kept back" in err) == (0, True)
    assert optimizer.read_search("other.jsonl").n_trials == 2
    for sets, told in (("LENGTH", "'LENGTH' is not NAME=VALUES"), ("LENGTH=9:1", "the lower first, got 9 and 1")):
        status, _, err = call("--set", sets)
        assert status == 2
        assert told in err
        assert err.count("\n") == 1


def test_values_of_the_command_line_are_numbers_words_or_ranges():
    from qlstm.cli_optimize import _parse

    assert _parse("A=1,0.5, x ,None,True,'1'") == ("A", [1, 0.5, "x", None, True, "1"])
    assert _parse("A=1:9") == ("A", Range(1, 9))
    assert _parse("A=1e-4:0.1:log") == ("A", Range(1e-4, 0.1, log=True))
    assert _parse("A=12:30,13:30") == ("A", ["12:30", "13:30"])


def test_an_unknown_constant_is_named_before_anything_runs(file):
    with pytest.raises(StrategyError, match="did you mean 'LENGTH'"):
        optimizer.search(file, CUBE, {"LENGTH_": [3]}, **PERIOD)


def test_the_page_on_the_optimizer_runs_as_it_is_written(tmp_path, capsys, monkeypatch):
    page = (ROOT / "docs" / "optimizer.md").read_text()
    idea, python = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^qlstm .*$", page, flags=re.MULTILINE)
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idea.py").write_text(idea)
    for command in commands:
        words = command.replace("2017-12-29", "2013-01-08").replace("--jobs 2", "").split()
        with pytest.raises(SystemExit) as stopped:
            cli.main(words[1:])
        assert not stopped.value.code, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "6 trials of idea, 0 of them failed" in out
    assert "10 trials of idea, 0 of them failed" in out
    names = {}
    exec(python.replace("2017-12-29", "2013-03-28").replace("2018-01-02", "2020-12-28"), names)
    assert names["found"].n_trials == 3
    assert names["best"].constants == names["found"].best.arguments
    assert names["unseen"].weights.sizes["time"] == 4


def test_the_pages_table_of_luck_is_what_the_formula_gives():
    page = (ROOT / "docs" / "optimizer.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", page, flags=re.MULTILINE)
    assert len(rows) == 3
    for tries, *shown in rows:
        draws = np.random.default_rng(0).standard_normal((20_000, int(tries))).max(axis=1)
        want = [draws.mean() / np.sqrt(years) for years in (1, 3, 10)]
        np.testing.assert_allclose([float(text) for text in shown], want, atol=0.07)


def test_infinite_figures_come_back_from_a_record_as_they_were():
    given = trials.Trial({"A": 1}, {"x": math.inf, "y": -math.inf, "z": math.nan, "w": 0.5}, None, 1.0, "now", 42)
    back, _ = trials._parse(trials._line(given, trials.Setting("idea", "a", "b", "c", "d")), "here")
    assert repr(back.figures) == repr(given.figures)
