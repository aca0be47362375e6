"""The daily run as a scheduler meets it: exit statuses, JSON, and every command of docs/daily.md."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from test_cli import call
from toys import market

from qlstm import data, state
from qlstm.cli import run as cli_run

PAGE = (ROOT / "docs" / "daily.md").read_text()
DAYS = ["2017-11-07", "2017-11-08", "2017-11-09", "2017-11-10"]
CUBE = market(days=60, start=pd.bdate_range(end=DAYS[-1], periods=60)[0])
STRATEGY = """
import qlstm
def predict(data, state):
    close = data.sel(field="close", drop=True)
    rose = (close.isel(time=-1, drop=True) > close.isel(time=-2, drop=True)) * 1.0
    return rose / max(1.0, float(rose.sum())), {"days": (state or {"days": 0})["days"] + 1}
strategy = qlstm.Strategy(predict=predict, lookback_period=20, contest="CONTEST")
"""
RUN = ("run", "strategies/lstm_state.py", "--data", "us.nc")
STORE = "state/lstm_state"


@pytest.fixture
def trading(tmp_path, monkeypatch):
    """Return the folder that docs/daily.md speaks of, as the working directory: strategy, data, three days kept."""
    folder = tmp_path / "trading"
    (folder / "strategies").mkdir(parents=True)
    monkeypatch.chdir(folder)
    write_strategy("stocks_nasdaq100")
    data.save(CUBE, "us.nc")
    return folder


def write_strategy(contest, comment=""):
    text = STRATEGY.replace("CONTEST", contest) + comment
    with open("strategies/lstm_state.py", "w") as file:
        file.write(text)


def keep(capsys, *days):
    for date in days:
        status, _, err = call(capsys, *RUN, "--date", date)
        assert status == 0, err


def kept():
    return [str(date)[:10] for date in state.Store(STORE).dates()]


def column(heading):
    """Return the first column of the table under a heading: the spans in code, or the cell itself."""
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][1:]
    return [name for cell in cells for name in (re.findall(r"`([^`]+)`", cell) or [cell])]


def fenced(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


# --- exit statuses


def test_missing_days_are_status_2_and_one_line_until_told_what_to_do_with_them(trading, capsys):
    keep(capsys, DAYS[0])
    status, out, err = call(capsys, *RUN)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert f"2 trading days since {DAYS[0]} were not run: {DAYS[1]}, {DAYS[2]}; --catch-up" in err
    assert "--skip-gap" in err
    assert kept() == DAYS[:1]
    status, _, err = call(capsys, *RUN, "--skip-gap")
    assert status == 0
    assert f"note: 2 trading days since {DAYS[0]} were not run" in err
    assert kept() == [DAYS[0], DAYS[3]]


def test_catch_up_and_skip_gap_together_are_bad_usage(trading, capsys):
    status, _, err = call(capsys, *RUN, "--catch-up", "--skip-gap")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "give one" in err
    assert not os.path.exists("state")


def test_strict_is_status_1_and_one_line_and_nothing_is_saved(trading, capsys):
    keep(capsys, *DAYS[:2])
    cube = CUBE.copy(deep=True)
    cube.loc[{"field": ["open", "high", "low", "close"], "time": DAYS[0], "asset": "TOY:001"}] *= 2
    data.save(cube, "us.nc")
    status, out, err = call(capsys, *RUN, "--date", DAYS[2], "--strict", "--json")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert f"fields close, high, low, open, asset TOY:001, first row {DAYS[0]}" in err
    assert kept() == DAYS[:2]
    status, out, _ = call(capsys, *RUN, "--date", DAYS[2], "--json")
    assert status == 0
    assert set(json.loads(out)["changes"]) == {"data"}


def test_edited_code_is_a_note_or_status_1(trading, capsys):
    keep(capsys, DAYS[0])
    write_strategy("stocks_nasdaq100", "# edited\n")
    status, _, err = call(capsys, *RUN, "--date", DAYS[1], "--strict")
    assert (status, len(err.splitlines())) == (1, 1)
    status, _, err = call(capsys, *RUN, "--date", DAYS[1])
    assert status == 0
    assert "note: " in err
    assert "other code" in err


def test_another_contest_is_status_2_unless_allowed(trading, capsys):
    keep(capsys, DAYS[0])
    write_strategy("stocks_long")
    status, _, err = call(capsys, *RUN, "--date", DAYS[1])
    assert (status, len(err.splitlines())) == (2, 1)
    assert "stocks_long" in err
    assert "--allow-changes" in err
    assert kept() == DAYS[:1]
    assert call(capsys, *RUN, "--date", DAYS[1], "--allow-changes")[0] == 0


def test_data_that_end_before_the_day_are_status_2_and_the_last_day_is_named(trading, capsys):
    status, _, err = call(capsys, *RUN, "--date", "2017-11-13")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "no row for 2017-11-13" in err
    assert f"to {DAYS[3]}; get newer data first" in err


def test_a_second_run_ends_with_status_2_and_names_who_is_writing(trading, capsys):
    keep(capsys, DAYS[0])
    with state.Store(STORE).lock():
        status, _, err = call(capsys, *RUN, "--date", DAYS[1])
    assert status == 2
    assert f"written by process {os.getpid()}" in err


def test_the_statuses_of_the_page_are_those_of_the_command_line():
    assert column("Exit statuses") == ["0", "1", "2", "130"]
    for status in ("0: done", "1: refused", "2: bad"):
        assert status in cli_run.__doc__


# --- what is printed


def test_the_json_has_the_keys_of_the_page(trading, capsys):
    keep(capsys, DAYS[0])
    status, out, err = call(capsys, *RUN, "--catch-up", "--json")
    assert (status, err) == (0, "")
    known = json.loads(out)
    assert sorted(known) == sorted(column("JSON"))
    assert (known["date"], known["parent"], known["strategy"]) == (DAYS[3], DAYS[0], "lstm_state")
    assert (known["caught_up"], known["missing"]) == (DAYS[1:3], [])
    assert (known["retrained"], known["trained_at"], known["repeated"], known["dry_run"]) == (False, None, False, False)
    held = {a: w for a, w in known["weights"].items() if w}
    assert held == known["weights"]
    assert np.isclose(sum(held.values()), 1)
    assert all(os.path.isfile(path) for path in known["files"])


def test_a_dry_run_prints_what_would_happen_and_writes_nothing(trading, capsys):
    before = sorted(map(str, trading.rglob("*")))
    status, out, _ = call(capsys, *RUN, "--dry-run")
    assert status == 0
    assert f"{DAYS[3]}: " in out
    assert "a first day, never trained" in out
    assert "dry run, nothing was written; a run would write state/lstm_state/2017-11-10/state.pickle.gz" in out
    assert sorted(map(str, trading.rglob("*"))) == before


def test_the_text_names_the_day_before_and_a_repetition(trading, capsys):
    keep(capsys, *DAYS[:2])
    _, out, _ = call(capsys, *RUN, "--date", DAYS[1])
    assert f"from the memory of {DAYS[0]}, decided before, never trained" in out
    assert out.splitlines()[-1] == f"saved in state/lstm_state/{DAYS[1]}"


# --- the page's commands


def indented():
    """Return the commands of the page that are for qlstm, without their comments."""
    lines = [line.strip() for line in PAGE.splitlines() if line.startswith("    qlstm ")]
    return [line.split("  #")[0].replace('"$(date +%F)"', DAYS[3]).strip() for line in lines]


@pytest.mark.parametrize("line", sorted(set(indented())))
def test_a_command_of_the_page_works(line, trading, capsys):
    keep(capsys, *DAYS[:3])
    status, out, err = call(capsys, *shlex.split(line)[1:])
    assert status == 0, err
    assert out


def test_the_page_shows_every_option(capsys):
    shown = {word for line in indented() for word in shlex.split(line) if word.startswith("--")}
    options = {option for one in cli_run.run.params for option in one.opts if option.startswith("--")}
    assert options - shown <= {"--state-dir", "--strict", "--allow-changes"}
    for option in options - {"--state-dir"}:
        assert f"{option}" in PAGE


def install(trading):
    """Put down what the page's jobs call: a get-data that does nothing, and qlstm."""
    (trading / ".venv" / "bin").mkdir(parents=True)
    scripts = {"get-data": "#!/bin/sh\n", ".venv/bin/qlstm": f'#!/bin/sh\nexec {sys.executable} -m qlstm "$@"\n'}
    for name, text in scripts.items():
        (trading / name).write_text(text)
        (trading / name).chmod(0o755)


def test_the_cron_line_runs(trading, capsys):
    keep(capsys, DAYS[0])
    install(trading)
    (line,) = fenced("cron")
    minute, hour, *rest, weekdays, command = line.strip().split(None, 5)
    assert (0 <= int(minute) < 60, 0 <= int(hour) < 24, rest, weekdays) == (True, True, ["*", "*"], "1-5")
    assert "%" not in command  # cron would end the line there
    environment = os.environ | {"HOME": str(trading.parent), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, cwd="/", timeout=120)
    log = (trading / "run.log").read_text()
    assert done.returncode == 0, log
    assert json.loads(log)["caught_up"] == DAYS[1:3]
    assert kept() == DAYS


def units():
    parsed = []
    for text in fenced("ini"):
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str
        unit.read_string(text)
        parsed.append(unit)
    return parsed


def test_the_service_calls_a_command_that_works_and_the_timer_makes_up_for_what_was_missed(trading, capsys):
    service, timer = units()
    keep(capsys, DAYS[0])
    program, *arguments = shlex.split(service["Service"]["ExecStart"])
    assert program == "%h/trading/.venv/bin/qlstm"
    assert call(capsys, *arguments)[0] == 0
    assert kept() == DAYS
    assert timer["Timer"]["Persistent"] == "true"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_takes_the_units(trading):
    install(trading)
    for text, kind in zip(fenced("ini"), ("service", "timer"), strict=True):
        (trading / f"qlstm.{kind}").write_text(text.replace("%h", str(trading.parent)))
    when = units()[1]["Timer"]["OnCalendar"]
    calendar = subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, text=True)
    assert calendar.returncode == 0, calendar.stderr
    files = [trading / "qlstm.service", trading / "qlstm.timer"]
    verify = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True)
    assert [line for line in verify.stderr.splitlines() if "qlstm" in line] == []


def test_the_pages_python_runs(trading, capsys):
    keep(capsys, *DAYS[:3])
    (block,) = fenced("python")
    exec(block, {})
    assert "2017-11-10" in capsys.readouterr().out
    assert kept() == DAYS[:3]
