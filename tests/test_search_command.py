"""The optimizer's command and its page."""

import re

import numpy as np
import pytest
from commands import call
from conftest import ROOT
from searches import CUBE, DAYS, write

from qlstm import data, optimizer
from qlstm.optimizer import Range


@pytest.fixture
def file(tmp_path):
    return write(tmp_path)


def test_the_command_prints_the_best_and_what_luck_would_have_shown(file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data.save(CUBE, tmp_path / "cube.nc")

    search = ("optimize", "idea.py", "--data", "cube.nc", "--start", str(DAYS[50])[:10])
    status, out, err = call(
        capsys, *search, "--set", "LENGTH=2,3,5,8,100", "--set", "SIDE=1,0.5,-0.5", "--end", str(DAYS[110])[:10]
    )
    assert status == 0, err
    assert out.split()[:3] == ["LENGTH", "SIDE", "score"]
    assert "... and 5 more" in out
    assert "15 trials of idea, 3 of them failed" in out
    assert "failed first: LENGTH=100, SIDE=1: " in out
    assert "the best of 15 without any skill is expected to show" in out
    assert "every trial is in trials/idea.jsonl" in out
    assert f"the days after {str(DAYS[110])[:10]} were not used: backtest the best on them, once" in err
    status, _, err = call(
        capsys, *search, "--set", "LENGTH=1:20", "--method", "random", "--trials", "2", "--record", "other.jsonl"
    )
    assert (status, "no day was kept back to test the best on; give an earlier --end" in err) == (0, True)
    assert optimizer.read_search("other.jsonl").n_trials == 2
    for sets, told in (("LENGTH", "'LENGTH' is not NAME=VALUES"), ("LENGTH=9:1", "the lower first, got 9 and 1")):
        status, _, err = call(capsys, *search, "--set", sets)
        assert status == 2
        assert told in err
        assert err.count("\n") == 1


def test_values_of_the_command_line_are_numbers_words_or_ranges():
    from qlstm.cli.optimize import _parse

    assert _parse("A=1,0.5, x ,None,True,'1'") == ("A", [1, 0.5, "x", None, True, "1"])
    assert _parse("A=1:9") == ("A", Range(1, 9))
    assert _parse("A=1e-4:0.1:log") == ("A", Range(1e-4, 0.1, log=True))
    assert _parse("A=12:30,13:30") == ("A", ["12:30", "13:30"])


def test_the_page_on_the_optimizer_runs_as_it_is_written(tmp_path, capsys, monkeypatch):
    page = (ROOT / "docs" / "optimizer.md").read_text()
    idea, python, *_ = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^qlstm .*$", page, flags=re.MULTILINE)
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idea.py").write_text(idea)
    printed = ""
    for command in commands:
        words = command.replace("2017-12-29", "2013-01-08").replace("--jobs 2", "").split()
        status, out, err = call(capsys, *words[1:])
        assert status == 0, err
        printed += out
    assert "6 trials of idea, 0 of them failed" in printed
    assert "10 trials of idea, 0 of them failed" in printed
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
