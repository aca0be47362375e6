"""Fixtures that all tests share."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The command line keeps trained models in the user's cache: not those of tests.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="qlstm-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _no_contest_variables(monkeypatch):
    """A contest's environment variables of the machine must not steer the tests."""
    for name in ("IN_STATE_PATH", "OUT_STATE_PATH", "OUTPUT_PATH", "SUBMISSION_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shared():
    """Return the folder of real data and reference results beside the project, which a clone alone lacks."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared beside the project: real data and reference results are not part of it")
    return folder
