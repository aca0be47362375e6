"""The command line as a user meets it: files, tables, one-line errors, exit statuses."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from commands import call
from toys import market

from qlstm import audit, cli, data

STRATEGY = """
import qlstm
def predict(data, state):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    weights = close.notnull() / close.size
    return weights, {"days": (state or {"days": 0})["days"] + 1, "previous_weights": weights}
strategy = qlstm.Strategy(predict=predict, lookback_period=20)
"""


TWICE = ["--data", "a.nc", "--data", "b.nc"]
COMMANDS = [[name, "idea.py"] for name in ("backtest", "run", "check")]
COMMANDS.append(["optimize", "idea.py", "--set", "A=1", "--set", "B=1", "--start", "2015-06-01"])


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a strategy and a cube, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idea.py").write_text(STRATEGY)
    data.save(market(), tmp_path / "cube.nc")
    return tmp_path


def test_an_audit_that_cannot_be_made_costs_nothing_of_the_backtest(work, capsys):
    status, out, err = call(
        capsys, "backtest", "idea.py", "--data", "cube.nc", "--end", "2015-01-08", "--start", "2015-01-05", "--check"
    )
    assert status == 2
    assert "the backtest is written, but was not checked: no day to predict" in err
    assert (work / "results" / "idea" / "report.html").exists()
    assert "Sharpe ratio" in out


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_backtest_prints_a_table_and_writes_its_files(work, capsys):
    status, out, err = call(
        capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2015-06-01", "--end", "2015-12-31"
    )
    assert status == 0, err
    for words in ("Sharpe ratio", "largest drawdown", "2015-06-01 to 2015-12-31", "stocks_nasdaq100"):
        assert words in out
    folder = work / "results" / "idea"
    names = {"weights.nc", "fractions.nc.gz", "stats.csv", "state.out.pickle.gz", "report.html", "manifest.json"}
    assert set(contents(folder)) == names
    weights = xr.load_dataarray(folder / "weights.nc")
    assert str(weights.time.values[0])[:10] == "2015-06-01"
    assert "sharpe_ratio" in (folder / "stats.csv").read_text().splitlines()[0]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == names - {"manifest.json"}
    assert len(manifest["strategy"]["sha256"]) == len(manifest["data"]["sha256"]) == 64


def test_the_same_backtest_gives_the_same_bytes(work, capsys):
    for out in ("a", "b"):
        call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2016-01-04", "--out", out)
    assert contents(work / "a") == contents(work / "b")


def test_a_backtest_with_the_audit_puts_it_on_the_page(work, capsys, monkeypatch):
    whole = audit.check
    monkeypatch.setattr(audit, "check", lambda *given, **named: whole(*given, ["prices"], **named))
    _, out, _ = call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2016-01-04", "--check")
    assert "1 check" in out.splitlines()[-2]
    assert '<section id="audit"' in (work / "results" / "idea" / "report.html").read_text()


def test_a_backtest_with_the_audit_prints_what_failed(work, capsys, monkeypatch):
    found = tuple(
        audit.Finding("labels", "look-ahead", severity, "labels", f"message of a {severity}")
        for severity in ("fail", "warning")
    )
    report = audit.Report("idea", ("a", "b"), found, {"labels": 1.0})
    monkeypatch.setattr(audit, "check", lambda *_, **__: report)
    _, out, _ = call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2016-01-04", "--check")
    assert "message of a fail" in out.splitlines()[-3]
    assert "message of a warning" not in out
    assert out.splitlines()[-2] == "idea, a to b: 1 check, 1 failure, 1 warning (on the report's page)"


def test_the_report_needs_no_network_and_says_what_the_table_says(work, capsys):
    _, out, _ = call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2016-01-04")
    page = (work / "results" / "idea" / "report.html").read_text()
    sharpe = next(line.split()[-1] for line in out.splitlines() if line.startswith("Sharpe"))
    assert f"<td>{sharpe}</td>" in page
    assert 'src="http' not in page
    for panel in ("Equity", "Underwater", "Sharpe ratio of the last", "Exposure"):
        assert panel in page


def test_run_keeps_weights_and_state_day_by_day(work, capsys):
    for date in ("2016-02-01", "2016-02-02"):
        status, out, err = call(capsys, "run", "idea.py", "--data", "cube.nc", "--date", date)
        assert status == 0, err
        assert f"{date}: 5 positions, 1.0000 of the capital" in out
    assert sorted(p.name for p in (work / "state" / "idea").iterdir() if p.is_dir()) == ["2016-02-01", "2016-02-02"]
    status, out, _ = call(capsys, "run", "idea.py", "--data", "cube.nc", "--date", "2016-02-08", "--catch-up")
    assert status == 0
    assert "caught up 3 days from 2016-02-03" in out


@pytest.mark.parametrize("path", ["state/idea/2016-02-02/state.pickle.gz", "state/idea", "state"])
def test_state_show_takes_a_file_a_strategys_folder_or_a_state_folder(work, capsys, path):
    for date in ("2016-02-01", "2016-02-02"):
        call(capsys, "run", "idea.py", "--data", "cube.nc", "--date", date)
    status, out, err = call(capsys, "state", "show", path)
    assert status == 0, err
    for words in ("2016-02-02", "idea", "previous_weights", "TOY:003"):
        assert words in out
    status, out, _ = call(capsys, "state", "show", path, "--json")
    assert json.loads(out)["strategy"] == "idea"


def test_state_show_answers_without_torch_and_without_the_strategy(work, capsys):
    call(capsys, "run", "idea.py", "--data", "cube.nc")
    (work / "idea.py").unlink()
    code = (
        "import sys\nfrom qlstm import cli\n"
        "try:\n    cli.main(['state', 'show', 'state'])\n"
        "finally:\n    print([m for m in ('torch', 'xarray', 'pandas', 'numba') if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_data_info_validate_and_import(work, capsys):
    status, out, _ = call(capsys, "data", "info", "cube.nc")
    assert status == 0
    assert "2015-01-01" in out
    assert call(capsys, "data", "validate", "cube.nc")[0] == 0
    bad = market()
    bad.loc[{"field": "high", "time": bad.time[5], "asset": "TOY:001"}] = 0.5
    data.save(bad, work / "bad.nc")
    status, out, _ = call(capsys, "data", "validate", "bad.nc")
    assert status == 1
    assert "high below low: 1 of 1500 cells, worst TOY:001 2015-01-08" in out
    status, _, _ = call(capsys, "data", "import", "cube.nc", "copy.nc")
    assert status == 0
    xr.testing.assert_equal(data.load("copy.nc"), data.load("cube.nc"))


def test_version_and_help_answer_at_once(capsys):
    status, out, _ = call(capsys, "--version")
    assert (status, out.strip()) == (0, "qlstm, version 0.1.0")
    code = (
        "import sys\nfrom qlstm import cli\ntry:\n    cli.main(['--help'])\n"
        "finally:\n    print([m for m in ('numpy', 'xarray', 'torch', 'numba', 'rich') if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for command in ("backtest", "run", "state", "data"):
        assert command in done.stdout


def strategy_that(body, arguments="data"):
    return f"import qlstm, numpy as np\ndef predict({arguments}):\n    {body}\nstrategy = qlstm.Strategy(predict=predict, lookback_period=20)\n"


@pytest.mark.parametrize("command", [["run"], ["check", "--only", "contest"]])
def test_what_a_strategy_prints_stays_out_of_the_json(work, capfd, command):
    noisy = STRATEGY.replace("(data, state):", "(data, state):\n    print('hello')") + "print('loaded')\n"
    (work / "noisy.py").write_text(noisy)
    status, out, err = call(capfd, command[0], "noisy.py", "--data", "cube.nc", "--json", *command[1:])
    assert (status, "hello" in err, "loaded" in err) == (0, True, True)
    assert json.loads(out)["strategy"]


ZERO = "close = data.sel(field='close', drop=True).isel(time=-1, drop=True) * 0"
BAD_STRATEGIES = {
    "no strategy": ("x = 1\n", ["defines no strategy"]),
    "two strategies": (STRATEGY + "b = qlstm.Strategy(predict=lambda data: data)\n", ["defines 2 strategies"]),
    "syntax error": ("def predict(:\n", ["bad.py, line 1"]),
    "wrong arguments": (strategy_that("return 1", "a, b, c"), ["predict(a, b, c) takes the wrong arguments"]),
    "returns None": (strategy_that("pass"), ["bad.py", "predict returned NoneType", "2015-06-01"]),
    "wrong type": (strategy_that("return 3.0"), ["predict returned float", "2015-06-01"]),
    "wrong dims": (strategy_that("return data"), ["predict returned dims (field, time, asset)", "2015-06-01"]),
    "infinite": (strategy_that(f"{ZERO}; return close + np.inf"), ["weight inf for asset TOY:000", "2015-06-01"]),
    "unknown asset": (
        strategy_that(f"{ZERO}; return (close + 1).assign_coords(asset=['A', 'B', 'C', 'D', 'E'])"),
        ["weight 1 for asset A, which the data lack", "2015-06-01"],
    ),
    "raises on a later day": (
        strategy_that(f"assert str(data.time.values[-1])[:10] < '2015-07-01', 'too late'; {ZERO}; return close"),
        ["predict failed on 2015-07-01", "too late"],
    ),
}


@pytest.mark.parametrize("case", BAD_STRATEGIES, ids=lambda case: case.replace(" ", "-"))
def test_a_bad_strategy_is_one_line_and_status_2_and_earlier_results_stay(work, capsys, case):
    text, words = BAD_STRATEGIES[case]
    call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2016-01-04", "--out", "results")
    call(capsys, "run", "idea.py", "--data", "cube.nc")
    before = contents(work / "results"), contents(work / "state")
    (work / "bad.py").write_text(text)
    status, _, err = call(
        capsys, "backtest", "bad.py", "--data", "cube.nc", "--start", "2015-06-01", "--out", "results"
    )
    assert status == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    for word in words:
        assert word in err
    assert (contents(work / "results"), contents(work / "state")) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backtest", "nowhere.py"], "cannot read strategy file nowhere.py: No such file"),
        (["backtest", "idea.py", "--data", "nowhere.nc"], "nowhere.nc"),
        (
            ["backtest", "idea.py", "--data", "cube.nc", "--start", "2031-01-01"],
            "start date 2031-01-01 is after the data, which end 2016-02-24",
        ),
        (["backtest", "idea.py", "--data", "cube.nc", "--start", "soon"], "start date 'soon' is not a date"),
        (["run", "idea.py", "--data", "cube.nc", "--date", "2031-01-01"], "no row for 2031-01-01"),
        (["state", "show", "nowhere"], "nowhere"),
        (["data", "import", "cube.nc", "cube.txt"], "a cube's file ends with '.nc'"),
        (
            ["backtest", "idea.py", "--data", "cube.nc", "--start", "3000-01-01"],
            "start date '3000-01-01' is not a date",
        ),
        *((command + TWICE, "--data is given 2 times, a.nc and b.nc; give it once") for command in COMMANDS),
        (["state", "show", "--state-dir", "a", "--state-dir", "b"], "--state-dir is given 2 times, a and b"),
        (["backtest"], "Missing argument"),
        (["fly"], "No such command"),
    ],
)
def test_bad_usage_is_status_2_and_names_what_is_wrong(work, capsys, arguments, words):
    status, _, err = call(capsys, *arguments)
    assert status == 2
    assert words in err
    assert len(err.splitlines()) == 1


def test_bad_cubes_are_one_line(work, capsys):
    cube = market().astype(np.float32)
    cube[3, 5, 1] = np.inf
    cube.to_netcdf(work / "inf.nc")
    status, _, err = call(capsys, "backtest", "idea.py", "--data", "inf.nc")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "field close, 2015-01-08, asset TOY:001: inf" in err


def test_an_output_folder_that_cannot_be_written_is_refused_before_the_run(work, capsys):
    (work / "taken").write_text("a file")
    status, _, err = call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--out", "taken/below")
    assert status == 2
    assert "cannot write into folder taken/below" in err


def test_a_traceback_is_shown_only_when_asked_for(work):
    (work / "bad.py").write_text(strategy_that("return 1 / 0"))
    command = [sys.executable, "-m", "qlstm", "backtest", "bad.py", "--data", "cube.nc"]
    quiet = subprocess.run(command, capture_output=True, text=True)
    loud = subprocess.run([*command, "--debug"], capture_output=True, text=True)
    assert "Traceback" not in quiet.stderr
    assert "ZeroDivisionError: division by zero" in quiet.stderr
    assert "Traceback" in loud.stderr


def test_a_fault_of_our_own_is_one_line_too(work, capsys, monkeypatch):
    from qlstm import backtester

    def broken(**settings):
        raise RuntimeError("not foreseen\nat all")

    monkeypatch.setattr(backtester, "backtest", broken)
    status, _, err = call(capsys, "backtest", "idea.py", "--data", "cube.nc")
    assert (status, err) == (2, "error: unexpected RuntimeError: not foreseen at all (--debug shows where)\n")
    with pytest.raises(RuntimeError, match="not foreseen"):
        cli.main(["backtest", "idea.py", "--data", "cube.nc", "--debug"])


def test_a_file_of_an_earlier_run_that_the_new_one_cannot_make_is_removed(work, capsys):
    call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2016-02-01", "--out", "results")
    (work / "idea.py").write_text(STRATEGY.replace('"previous_weights": weights', '"f": open'))
    status, _, err = call(
        capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2016-02-01", "--out", "results"
    )
    assert status == 0
    assert "note: no state.out.pickle.gz" in err
    assert "state.out.pickle.gz" not in contents(work / "results")


def test_an_interrupt_is_status_130_and_leaves_earlier_results(work, capsys):
    call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2016-01-04", "--out", "results")
    before = contents(work / "results")
    marker = work / "started"
    (work / "slow.py").write_text(strategy_that(f"import time; open({str(marker)!r}, 'w').close(); time.sleep(60)"))
    command = [sys.executable, "-m", "qlstm", "backtest", "slow.py", "--data", "cube.nc", "--out", "results"]
    # A suite that was started in the background ignores interrupts, and its children would inherit that.
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=work, preexec_fn=listening)
    deadline = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert err.splitlines() == ["interrupted: earlier results and state are untouched"]
    assert contents(work / "results") == before
