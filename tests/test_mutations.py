"""Every guarantee is broken once, in a copy, and the tests that hold it must fail: tests of the tests."""

import os
import re
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
    "windows are read-only": (
        "cube.py",
        "values.flags.writeable = False",
        "pass",
        "test_cube.py test_engine.py test_calls.py",
    ),
    "the state is a copy": ("engine.py", "_copied(memory.state)", "memory.state", "test_engine.py"),
    "models are due on the day": (
        "schedule.py",
        "np.asarray(t) >= _following(",
        "np.asarray(t) > _following(",
        "test_schedule.py",
    ),
    "weights are booked by label": (
        "weights.py",
        "self._assets.get_indexer(labels)",
        "np.arange(len(labels))",
        "test_weights.py",
    ),
    "calls are seeded": ("calls.py", "    generators.seed(strategy.seed, t)\n", "", "test_calls.py"),
    "infinite weights are refused": ("engine.py", "infinite.any()", "False", "test_engine.py"),
    "every asset starts from the seed": (
        "nn/prototypes.py",
        "(torch.manual_seed if torch.cuda.is_initialized() else torch.default_generator.manual_seed)(seed)",
        "pass",
        "test_nn.py",
    ),
    "names looked at too early are looked at again": (
        "training.py",
        "if not any(job.misled for job in jobs):",
        "if True:",
        "test_training.py",
    ),
    "a put off fit keeps its own data": (
        "nn/samples.py",
        "np.array(inputs, dtype",
        "np.asarray(inputs, dtype",
        "test_training.py",
    ),
    "stored models are of this data": (
        "modelstore.py",
        "{self._code} {t} {data}",
        "{self._code} {t}",
        "test_modelstore.py",
    ),
    "stored models are of this code": ("modelstore.py", "{self._code} {t} {data}", "{t} {data}", "test_modelstore.py"),
    "a checkpoint is of this run": (
        "checkpoint.py",
        'if described["run"] == self._run:',
        "if True:",
        "test_resume.py",
    ),
    "a generation is flushed before its rename": ("files.py", "        fsync_folder(new)\n", "", "test_files.py"),
    "a removed generation goes by one rename": (
        "files.py",
        "        os.rename(folder, gone)\n        fsync_folder(folder.parent)\n",
        "        _remove_folder(folder)\n",
        "test_store_crashes.py::test_removing_a_generation_is_one_rename_flushed_before_its_files_go",
    ),
    "the rename of a removal is flushed": (
        "files.py",
        "        os.rename(folder, gone)\n        fsync_folder(folder.parent)\n",
        "        os.rename(folder, gone)\n",
        "test_store_crashes.py::test_removing_a_generation_is_one_rename_flushed_before_its_files_go",
    ),
    "a rollback removes the newest first": (
        "state/store.py",
        "self._withdraw(reversed(later))",
        "self._withdraw(later)",
        "test_store_crashes.py::test_removing_a_generation_is_one_rename_flushed_before_its_files_go",
    ),
    "a generation is published by one rename": (
        "files.py",
        "        os.mkdir(new)\n        for name",
        "        new = folder\n        os.makedirs(new, exist_ok=True)\n        for name",
        "test_store_crashes.py::test_whichever_system_call_fails_the_old_or_the_new_generation_is_there",
    ),
    "one process writes at a time": (
        "state/locking.py",
        "        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "        pass\n",
        "test_store_lock.py",
    ),
    "one process writes at a time without flock": (
        "state/locking.py",
        "        if _lives(holder) and",
        "        if False and",
        "test_store_lock.py",
    ),
    "a failing disk is not a file system without flock": (
        "state/locking.py",
        "if error.errno not in _UNSUPPORTED:",
        "if False:",
        "test_store_lock.py",
    ),
    "a failing disk is not a file system without flushing": (
        "files.py",
        "if error.errno not in _UNSUPPORTED:",
        "if False:",
        "test_files.py",
    ),
    "a name in a pickle gives a maker of ours, not what it names": (
        "state/payload.py",
        "        return self.names[module, name]\n",
        "        return super().find_class(module, name)\n",
        "test_state_hostile.py::test_nothing_but_values_gets_out_of_a_pickle",
    ),
    "a past day is not rewritten": ("state/store.py", "if dates and dates[-1] > as_of:", "if False:", "test_store.py"),
    "weights belong to their day": (
        "state/store.py",
        'if known.get("weights_sha256") not in (None, hashlib.sha256(weights).hexdigest()):',
        "if False:",
        "test_store_lineage.py",
    ),
    "the payload matches its hash": (
        "state/envelope.py",
        'if known and hashlib.sha256(payload).hexdigest() != known.get("payload_sha256"):',
        "if False:",
        "test_state_file.py",
    ),
    "an unpacked file is bounded": (
        "state/envelope.py",
        "parts, left, at = [], size + 1, 0",
        "parts, left, at = [], 1 << 40, 0",
        "test_state_hostile.py",
    ),
    "only listed names are read": (
        "state/opcodes.py",
        "        elif (module, name) not in self.allowed:",
        "        elif False:",
        "test_state_hostile.py",
    ),
    "nesting is bounded": ("state/opcodes.py", "if depth > MAX_DEPTH:", "if False:", "test_state_hostile.py"),
    "an array has the bytes of its shape": (
        "state/makers.py",
        "if len(buffer) != count * dtype.itemsize:",
        "if False:",
        "test_state_hostile.py",
    ),
    "a class is one of the strategy's own": (
        "state/networks.py",
        'or kind.__module__ != namespace.get("__name__"):',
        "or False:",
        "test_state_foreign.py",
    ),
    "what is saved can be read back": (
        "state/codec.py",
        "    _check_way_back(content, namespace)\n",
        "",
        "test_state_values.py",
    ),
    "missing days are refused": ("runner.py", "if gap and not skip_gap:", "if False:", "test_precautions.py"),
    "a dry run writes nothing": (
        "runner.py",
        "save = _rehearse if dry_run else _save",
        "save = _save",
        "test_precautions.py",
    ),
    "a dry run is refused what a run is": (
        "runner.py",
        "    store.is_new(decision.date, store.pack(*_parts(strategy, data, decision, kept)))\n",
        "    store.pack(*_parts(strategy, data, decision, kept))\n",
        "test_precautions.py",
    ),
    "strict refuses what has changed": ("precautions.py", "if strict and found:", "if False:", "test_precautions.py"),
    "another contest is refused": (
        "precautions.py",
        'if "contest" in found and not allow_changes:',
        "if False:",
        "test_precautions.py",
    ),
    "restated data are noticed": (
        "imprint.py",
        '        found.update(self.values[field][:, row][:, :, asset].astype("<f8").tobytes())\n',
        "",
        "test_imprint.py",
    ),
    "names in html are escaped": (
        "state/rendering.py",
        "html.escape(chr(10).join(lines))",
        "chr(10).join(lines)",
        "test_state_cli.py",
    ),
}


# The same, of results: (module, what stands there, what is put in its place, the one test that must notice).
RESULTS = {
    "a trade earns the night before it is closed": (
        "ledger/booking.py",
        "slice(start, exit_ + 1)",
        "slice(start, exit_)",
        "test_the_return_of_a_trade_is_that_of_a_book_kept_by_hand",
    ),
    "training rows near a test block are left out": (
        "significance/overfitting.py",
        "near[max(0, first - purge) : end + purge] = True",
        "near[max(0, first - purge) : end] = True",
        "test_purged_splits_keep_training_rows_away_from_test_rows",
    ),
    "tries are compared on what is left after purging": (
        "significance/overfitting.py",
        "sums = _Sums(tries, edges, purge)",
        "sums = _Sums(tries, edges, 0)",
        "test_the_probability_of_overfitting_is_the_definition",
    ),
    "persistence knows no outcome too early": (
        "metrics/cells.py",
        "before[known_after:] = happened[:-known_after]",
        "before[1:] = happened[:-1]",
        "test_outcomes_known_later_make_an_older_persistence",
    ),
    "an outcome of zero has no percentage": (
        "metrics/relative.py",
        "moved, both = size > 0,",
        "moved, both = size >= 0,",
        "test_an_outcome_of_zero_has_no_percentage_and_two_zeros_are_a_right_forecast",
    ),
    "batches are kept, not borrowed": (
        "metrics/batches.py",
        "np.array(plain, dtype=np.float64)",
        "np.asarray(plain, dtype=np.float64)",
        "test_batches_are_copies_and_can_be_forgotten",
    ),
    "a late correction hides nothing newer": (
        "asof.py",
        "np.maximum.accumulate(order)",
        "order",
        "test_a_late_correction_of_an_old_quarter_does_not_hide_a_newer_one",
    ),
    "what is stopped stays stopped": (
        "risk.py",
        "stopped.add(asset)",
        "pass",
        "test_a_fall_of_60_percent_means_no_position_until_released",
    ),
    "a basis point is a ten thousandth": (
        "report/market.py",
        "extra_bps / 1e4",
        "extra_bps / 1e3",
        "test_extra_costs_take_exactly_their_share_of_what_is_traded",
    ),
    "names on the page are escaped": (
        "report/page.py",
        '"autoescape": True',
        '"autoescape": False',
        "test_names_cannot_write_markup_into_the_page",
    ),
    "data files are seen wherever they lie": (
        "audit/watching.py",
        "(not is_data and any(",
        "(any(",
        "test_a_data_file_is_seen_wherever_it_lies_and_other_files_of_libraries_are_not",
    ),
    "the future of every cube is another one": (
        "audit/alterations.py",
        "    for name, cube in data.items():\n        yield",
        "    for name, cube in list(data.items())[:1]:\n        yield",
        "test_a_finding_names_the_cube_whose_future_was_seen",
    ),
    "a training is told from a prediction": (
        "audit/determinism.py",
        '"predict" if _disagree(first, same) else "train"',
        '"predict"',
        "test_threads_and_processors_are_told_from_threads_that_change_nothing",
    ),
    "workers seed a torch that train imports": (
        "training.py",
        "with generators.kept():  # seeds",
        "if True:  # seeds",
        "test_a_worker_seeds_a_torch_that_train_is_the_first_to_import",
    ),
}


def run_tests(folder, files, *options):
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", "-c", str(ROOT / "setup.cfg")]
    command += [str(ROOT / "tests" / file) for file in files.split()]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def copied(folder):
    shutil.copytree(ROOT / "qlstm", folder / "qlstm", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "qlstm"


def located(name):
    """Return a test as pytest is told of it, in whichever file it stands."""
    (file,) = (path.name for path in (ROOT / "tests").glob("test_*.py") if f"def {name}(" in path.read_text())
    return f"{file}::{name}"


def mutate(package, module, found, put):
    text = (package / module).read_text()
    assert text.count(found) == 1, f"{module} has changed: this mutation no longer fits"
    (package / module).write_text(text.replace(found, put))


# These tests take long, so their mutations run with the soak tests.
CASES = [
    pytest.param(name, marks=pytest.mark.soak)
    if (
        files.startswith(
            ("test_state", "test_store_", "test_resume", "test_training", "test_precautions", "test_modelstore")
        )
        and "::" not in files
    )
    or files == "test_nn.py"
    else name
    for name, (_, _, _, files) in MUTATIONS.items()
]
CASES += [pytest.param(name, marks=pytest.mark.soak) for name in RESULTS]  # the short form breaks them all at once


@pytest.mark.parametrize("guarantee", CASES, ids=lambda text: text.replace(" ", "-"))
def test_breaking_a_guarantee_makes_its_tests_fail(guarantee, tmp_path):
    *mutation, tests = (MUTATIONS | RESULTS)[guarantee]
    mutate(copied(tmp_path), *mutation)
    done = run_tests(tmp_path, located(tests) if guarantee in RESULTS else tests, "-x")
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "failed" in done.stdout


def test_breaking_results_all_at_once_makes_the_test_of_each_fail(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # a copy would compile every kernel anew, for a few rows
    package = copied(tmp_path)
    for *mutation, _ in RESULTS.values():
        mutate(package, *mutation)
    tests = {located(name) for *_, name in RESULTS.values()}
    done = run_tests(tmp_path, " ".join(tests), "-rf", "-W", "ignore::RuntimeWarning")  # numpy's, of kernels' 0 / 0
    failed = set(re.findall(r"^FAILED \S*?(test_\w+\.py::\w+)", done.stdout, re.MULTILINE))
    assert failed == tests, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_same_tests_pass_on_an_unbroken_copy(tmp_path):
    copied(tmp_path)
    done = run_tests(
        tmp_path, "test_cube.py test_schedule.py test_weights.py test_engine.py test_calls.py test_files.py"
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
