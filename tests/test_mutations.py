"""Every guarantee is broken once, in a copy, and the tests that hold it must fail: tests of the tests."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

# guarantee -> (module, what stands there, what is put in its place, the tests that must notice)
MUTATIONS = {
    "bytes are flushed before the rename": (
        "files.py",
        "os.fsync(handle)\n    finally:\n        os.close(handle)\n\n\ndef write_files",
        "pass\n    finally:\n        os.close(handle)\n\n\ndef write_files",
        "test_files.py",
    ),
    "windows end today": (
        "cube.py",
        'slice(first, int(times.searchsorted(t, "right")))',
        'slice(first, int(times.searchsorted(t, "right")) + 1)',
        "test_cube.py test_engine.py",
    ),
    "windows are read-only": ("cube.py", "values.flags.writeable = False", "pass", "test_cube.py test_engine.py"),
    "the state is a copy": ("engine.py", "_copied(memory.state)", "memory.state", "test_engine.py"),
    "models are due on the day": ("schedule.py", "t >= trained_at +", "t > trained_at +", "test_schedule.py"),
    "weights are booked by label": (
        "weights.py",
        "self._assets.get_indexer(labels)",
        "np.arange(len(labels))",
        "test_weights.py",
    ),
    "calls are seeded": ("engine.py", "    generators.seed(strategy.seed, t)\n", "", "test_engine.py"),
    "infinite weights are refused": ("engine.py", "infinite.any()", "False", "test_engine.py"),
    "every asset starts from the seed": ("nn/prototypes.py", "torch.manual_seed(seed)", "pass", "test_nn.py"),
}


def run_tests(folder, files):
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-c", str(ROOT / "setup.cfg")]
    command += [str(ROOT / "tests" / file) for file in files.split()]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def copied(folder):
    shutil.copytree(ROOT / "qlstm", folder / "qlstm", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "qlstm"


@pytest.mark.parametrize("guarantee", MUTATIONS, ids=lambda text: text.replace(" ", "-"))
def test_breaking_a_guarantee_makes_its_tests_fail(guarantee, tmp_path):
    module, found, put, files = MUTATIONS[guarantee]
    path = copied(tmp_path) / module
    text = path.read_text()
    assert text.count(found) == 1, f"{module} has changed: this mutation no longer fits"
    path.write_text(text.replace(found, put))
    done = run_tests(tmp_path, files)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "failed" in done.stdout


def test_the_same_tests_pass_on_an_unbroken_copy(tmp_path):
    copied(tmp_path)
    done = run_tests(tmp_path, "test_cube.py test_schedule.py test_weights.py test_engine.py test_files.py test_nn.py")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
