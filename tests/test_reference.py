"""The reference results beside the project, when they are there: functions, whole backtests, the seed end to end."""

import subprocess
import sys

import pytest
from conftest import ROOT

FUNCTIONS = [
    "ta.lwma", "ta.roc", "ta.shift", "ta.sma", "ta.ema", "ta.atr", "filter.filter_volatility", "exposure.", "output.", "stats.",
]  # fmt: skip


def check(shared, *arguments):
    command = [sys.executable, "-W", "ignore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=900)


@pytest.mark.parametrize("prefix", FUNCTIONS)
def test_functions_agree_with_the_reference(shared, prefix):
    done = check(shared, shared / "golden" / "check.py", "public", "--impl", "qlstm", "--only", prefix)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " pass" in done.stdout
    assert not done.stdout.startswith("0/")


@pytest.mark.parametrize("case", ["bt_", "ml_", "sub_", "seed_single_pass"])
def test_backtests_agree_with_the_reference(shared, case):
    done = check(shared, shared / "golden" / "check_backtests.py", "public", "--only", case)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not done.stdout.startswith("0/")


@pytest.mark.soak
def test_the_seed_end_to_end_agrees_with_the_reference(shared):
    done = check(shared, shared / "golden" / "check_backtests.py", "public", "--only", "seed_e2e_180")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
