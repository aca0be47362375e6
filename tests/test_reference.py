"""The reference results beside the project, when they are there: functions, whole backtests, the seed end to end."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

# Runs a program of the reference once for each choice of cases, in one process.
EACH = """
import runpy, sys
program, *choices = sys.argv[1:]
for choice in choices:
    sys.argv = [program, "public", "--only", choice]
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
"""


def check(shared, program, *choices):
    command = [sys.executable, "-W", "ignore", "-c", EACH, str(shared / "golden" / program), *choices]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = re.findall(r"^(\d+)/(\d+) (?:pass|comparisons agree)", done.stdout, flags=re.MULTILINE)
    assert len(found) == len(choices)
    assert all(0 < int(right) == int(asked) for right, asked in found)


def test_functions_agree_with_the_reference(shared):
    check(shared, "check.py", "")


def test_backtests_agree_with_the_reference(shared):
    check(shared, "check_backtests.py", "bt_", "ml_", "sub_", "seed_single_pass")


@pytest.mark.soak
def test_the_seed_end_to_end_agrees_with_the_reference(shared):
    check(shared, "check_backtests.py", "seed_e2e_180")
