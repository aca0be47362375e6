"""An exported file, run as a contest's server would: processes of their own, another folder, no qlstm in sight."""

import ast
import dataclasses
import gzip
import json
import os
import pickle
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from conftest import ROOT
from packaging.requirements import Requirement
from toys import market

import qlstm
from qlstm import data, export, state, submission
from qlstm.cli_export import export as command
from qlstm.errors import DataError, OutputError, StrategyError

SERVER = ["bottleneck", "numba", "numpy", "pandas", "scipy", "torch", "xarray"]
# Stands in for the toolbox's two modules that a submission uses. Data end at the server's day, as on a server.
TOOLBOX_DATA = """
import os
import numpy as np, xarray as xr
def load_data_by_type(data_type, assets=None, min_date=None, max_date=None, tail=6 * 365):
    with np.load(os.environ["SERVER_CUBE"]) as z:
        coords = {"field": z["field"], "time": z["time"], "asset": z["asset"]}
        cube = xr.DataArray(z["values"], dims=list(coords), coords=coords, name=data_type)
    last = np.datetime64(os.environ["SERVER_TODAY"])
    first = np.datetime64(min_date) if min_date else last - np.timedelta64(tail, "D")
    return cube.sel(time=slice(first, last))[:, :, ::-1]
"""
TOOLBOX_OUTPUT = """
import gzip, os
def write(weights):
    raw = weights.rename("server").to_netcdf(engine="scipy")
    open(os.environ.get("OUTPUT_PATH", "fractions.nc.gz"), "wb").write(gzip.compress(bytes(raw)))
"""
# Runs the submission as the main program, or a notebook's code cells in order; then tells what was imported.
LAUNCH = """
import json, sys
sys.path[:0] = sys.argv[2:]
import importlib.util
assert importlib.util.find_spec("qlstm") is None, "the server has qlstm"
names = {"__name__": "__main__"}
text = open(sys.argv[1]).read()
cells = [text] if sys.argv[1].endswith(".py") else [
    "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
for cell in cells:
    exec(compile(cell, sys.argv[1], "exec"), names)
import numpy as np
raw = names["result"].raw
np.savez("raw.npz", raw=raw.values[0], assets=raw.asset.values.astype("U"), date=raw.time.values)
assert all(not getattr(m, "__file__", None) for n, m in sys.modules.items() if n.split(".")[0] == "qlstm")
"""


def required(packages):
    """Return distributions and all they require."""
    found, waiting = {}, list(packages)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name not in found:
            found[name] = metadata.distribution(name)
            needs = [Requirement(line) for line in found[name].requires or []]
            waiting += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return found.values()


def site(folder, packages):
    """Make a folder of installed packages that holds these, all they require, the toolbox, and nothing else."""
    (folder / "qnt").mkdir(parents=True)
    for name, text in (("__init__", ""), ("data", TOOLBOX_DATA), ("output", TOOLBOX_OUTPUT)):
        (folder / "qnt" / f"{name}.py").write_text(text)
    for distribution in required(packages):
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(distribution.locate_file(top))
    return folder


@pytest.fixture(scope="module")
def with_numba(tmp_path_factory):
    return site(tmp_path_factory.mktemp("server") / "site", SERVER)


@pytest.fixture(scope="module")
def without_numba(tmp_path_factory):
    return site(tmp_path_factory.mktemp("bare") / "site", [name for name in SERVER if name != "numba"])


class Server:
    """A contest's server: a folder, its data, and one process per day, from whose state the next one starts."""

    def __init__(self, folder, packages, cube):
        folder.mkdir()
        self.folder, self.packages = folder, packages
        (folder / "launch.py").write_text(LAUNCH)
        labels = {dim: cube[dim].values for dim in cube.dims}
        labels |= {dim: labels[dim].astype("U") for dim in ("field", "asset")}
        np.savez(folder / "cube.npz", values=cube.values, **labels)

    @property
    def state(self):
        return self.folder / "state.in.pickle.gz"

    def start(self, file, date):
        outer = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
        environment = {
            "SUBMISSION_ID": "-1", "SERVER_CUBE": str(self.folder / "cube.npz"), "SERVER_TODAY": str(date)[:10]
        }  # fmt: skip
        command = [sys.executable, "-I", "-S", "launch.py", str(file), str(self.packages)]
        return subprocess.run(
            command, cwd=self.folder, env=outer | environment, capture_output=True, text=True, timeout=300
        )

    def run(self, file, date):
        """Run a day that must succeed; return its raw weights, those in the contest's file, and the log."""
        done = self.start(file, date)
        assert done.returncode == 0, done.stderr
        with np.load(self.folder / "raw.npz") as z:
            raw = xr.DataArray(z["raw"], dims="asset", coords={"asset": z["assets"]})
        book = xr.open_dataarray(self.folder / "fractions.nc.gz", engine="scipy").load()
        assert book.name == "server", "the toolbox did not write the weights"
        assert book.time.values == [np.datetime64(str(date)[:10])]
        return raw, book.isel(time=0, drop=True), done.stderr

    def next_day(self):
        (self.folder / "state.out.pickle.gz").replace(self.state)


REMEMBERING = """
import xarray as xr
import qlstm
from qlstm import ta
from calm import smoothing

def train(data):
    return {"level": data.sel(field="close", drop=True).mean("time"), "rows": data.sizes["time"]}

def predict(models, data, state):
    close = data.sel(field="close", drop=True)
    new = (ta.ema(close, smoothing.DAYS).isel(time=-1, drop=True) < models["level"]).astype(float)
    new = new / max(1.0, float(new.sum()))
    if state is not None:
        new = (new + state["weights"].reindex(asset=new.asset, fill_value=0.0)) / 2
    return new, {"weights": new, "days": 1 if state is None else state["days"] + 1}

strategy = qlstm.Strategy(train=train, predict=predict, train_period=60, lookback_period=60, retrain_interval=3)
"""


@pytest.fixture
def remembering(tmp_path):
    """A strategy with state, retrains every third day, an indicator, and a package beside it."""
    (tmp_path / "mine" / "calm").mkdir(parents=True)
    (tmp_path / "mine" / "calm" / "__init__.py").write_text("")
    (tmp_path / "mine" / "calm" / "smoothing.py").write_text("from . import numbers\nDAYS = numbers.TEN\n")
    (tmp_path / "mine" / "calm" / "numbers.py").write_text("TEN = 10\n")
    file = tmp_path / "mine" / "remembering.py"
    file.write_text(REMEMBERING)
    return file


@pytest.fixture
def cube(tmp_path):
    data.save(market(days=300, assets=5, seed=7), tmp_path / "cube.nc")
    return data.load(tmp_path / "cube.nc")


def expected(file, cube, days, folder):
    """Return what `qlstm.run` decides on these days, raw and cleaned."""
    strategy = qlstm.load_strategy(file)
    return [qlstm.run(strategy, cube, state_dir=folder, date=t) for t in days]


def same(result, raw, book, exact=True):
    compare = np.testing.assert_array_equal if exact else lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5)
    for ours, theirs in ((result.raw, raw), (result.weights, book)):
        ours, theirs = xr.align(ours.isel(time=0, drop=True), theirs, join="outer", fill_value=0.0)
        compare(theirs.values, ours.values)


def check_parity(file, cube, days, server, tmp_path):
    exported = export.write(file, tmp_path / "submission.py").path
    results = expected(file, cube, days, tmp_path / "state")
    for t, result in zip(days, results, strict=True):
        raw, book, log = server.run(exported, t)
        same(result, raw, book)
        assert ("THERE IS NO STATE FILE" in log) == (t == days[0])
        server.next_day()
    assert len({result.memory.trained_at for result in results}) == 1 + bool(qlstm.load_strategy(file).train)
    return server


@pytest.mark.parametrize("name", ["buy_and_hold", pytest.param("trend", marks=pytest.mark.soak)])
def test_the_server_finds_the_weights_of_qlstm_run(name, cube, with_numba, tmp_path):
    server = Server(tmp_path / "server", with_numba, cube)
    check_parity(ROOT / "strategies" / f"{name}.py", cube, cube.time.values[250:252], server, tmp_path)


def test_the_server_finds_the_weights_of_qlstm_run_across_a_retrain(remembering, cube, with_numba, tmp_path):
    server = Server(tmp_path / "server", with_numba, cube)
    days = cube.time.values[[249, 250, 251, 252]]
    check_parity(remembering, cube, days, server, tmp_path)
    saved = state.read(server.state, qlstm.load_strategy(remembering))
    assert saved.state["days"] == 4
    assert state.inspect(server.state).parent_sha256


def lstm(tmp_path, interval):
    """Return the LSTM strategy with another retrain interval, and the sample's last year."""
    text = (ROOT / "strategies" / "lstm_state.py").read_text()
    old = "retrain_interval_after_submit=1,"
    assert old in text
    file = tmp_path / "lstm_state.py"
    file.write_text(text.replace(old, f"retrain_interval_after_submit={interval},"))
    return file, data.load("sample").isel(time=slice(-260, None))


@pytest.mark.soak
def test_the_server_fits_the_same_networks(with_numba, tmp_path):
    file, cube = ROOT / "strategies" / "lstm_state.py", data.load("sample").isel(time=slice(-260, None))
    server = Server(tmp_path / "server", with_numba, cube)
    (result,) = expected(file, cube, cube.time.values[-1:], tmp_path / "state")
    same(result, *server.run(export.write(file, tmp_path / "submission.py").path, result.date)[:2])


@pytest.mark.soak
def test_networks_cross_the_servers_days_and_a_retrain(with_numba, tmp_path):
    file, cube = lstm(tmp_path, interval=3)
    server = Server(tmp_path / "server", with_numba, cube)
    check = expected(file, cube, cube.time.values[-4:], tmp_path / "state")
    assert len({result.memory.trained_at for result in check}) > 1
    exported = export.write(file, tmp_path / "submission.py").path
    for result in check:
        same(result, *server.run(exported, result.date)[:2])
        server.next_day()


@pytest.mark.soak
def test_without_numba_networks_go_through_torch(without_numba, tmp_path):
    file, cube = lstm(tmp_path, interval=3)
    server = Server(tmp_path / "server", without_numba, cube)
    (result,) = expected(file, cube, cube.time.values[-1:], tmp_path / "state")
    raw, book, log = server.run(export.write(file, tmp_path / "submission.py").path, result.date)
    same(result, raw, book, exact=False)
    assert "NO NUMBA" in log


def test_without_numba_kernels_run_as_plain_python(remembering, cube, without_numba, tmp_path):
    server = Server(tmp_path / "server", without_numba, cube)
    exported = export.write(remembering, tmp_path / "submission.py").path
    days = cube.time.values[250:252]
    for t, result in zip(days, expected(remembering, cube, days, tmp_path / "state"), strict=True):
        raw, book, log = server.run(exported, t)
        same(result, raw, book, exact=False)
        assert "NO NUMBA" in log
        server.next_day()


def test_a_notebook_holds_the_same_submission(remembering, cube, with_numba, tmp_path):
    notebook = export.write(remembering, tmp_path / "submission.ipynb").path
    content = json.loads(notebook.read_text())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 4)
    kinds = [cell["cell_type"] for cell in content["cells"]]
    assert kinds == ["markdown", "code", "code", "code", "code"]
    keys = {"cell_type", "metadata", "source"}
    for cell in content["cells"]:
        assert set(cell) == keys | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set())
        assert isinstance(cell["metadata"], dict)
        assert all(isinstance(line, str) for line in cell["source"])
    server = Server(tmp_path / "server", with_numba, cube)
    days = cube.time.values[250:252]
    for t, result in zip(days, expected(remembering, cube, days, tmp_path / "state"), strict=True):
        same(result, *server.run(notebook, t)[:2])
        server.next_day()


def test_the_sources_are_in_the_file_as_they_are(remembering, tmp_path):
    written = export.write(remembering, tmp_path / "submission.py")
    held = {}
    for node in ast.parse(written.path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            held[ast.literal_eval(node.targets[0].slice)] = ast.literal_eval(node.value)
    assert held["qlstm_strategy_remembering"] == REMEMBERING
    assert held["qlstm.engine"] == (ROOT / "qlstm" / "engine.py").read_text()
    assert list(held) == list(written.modules)
    assert "calm.numbers" in held
    assert not {"qlstm.nn.fitting", "qlstm.multipass", "qlstm.data"} & set(held)


def hostile(path):
    return pickle.dumps((None, None, Hostile(path)))


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def bad_state(kind, here):
    """Return what a server may hand over instead of yesterday's state, and what the log must say of it."""
    good = here.made.read_bytes()
    if kind == "truncated":
        return good[: len(good) // 2], "state.in.pickle.gz"
    if kind == "empty":
        return b"", "state.in.pickle.gz"
    if kind == "hostile":
        return gzip.compress(hostile("executed")), "mkdir"
    if kind == "of another program":
        plain = gzip.compress(pickle.dumps((None, None, {"another": "program"})))
        return plain, "another program wrote it, and it does not suit remembering"
    if kind == "later":
        state.write(
            state.read(here.made, here.strategy), "later", here.strategy, as_of=np.datetime64("2030-01-01", "ns")
        )
        return Path("later").read_bytes(), "is of 2030-01-01, but the data end 2015-12-18"
    state.write(qlstm.Memory(), "other", dataclasses.replace(here.strategy, name="other"))
    return Path("other").read_bytes(), "the state of strategy other, not of remembering"


class Here:
    """The same day in this process, where a server's takes seconds: only the toolbox is a stand-in."""

    def __init__(self, file, cube, monkeypatch, capsys):
        self.strategy, self.cube, self.capsys = qlstm.load_strategy(file), cube, capsys
        self.given, self.made = Path("state.in.pickle.gz"), Path("state.out.pickle.gz")
        monkeypatch.chdir(file.parent)
        self.toolbox = types.SimpleNamespace(write=lambda weights: None)
        for module in ("qnt", "qnt.data", "qnt.output"):
            monkeypatch.setitem(sys.modules, module, self.toolbox)

    def run(self, date):
        """Run a day; return its decision and the log."""
        self.capsys.readouterr()
        self.toolbox.load_data_by_type = lambda data_type, tail: self.cube.sel(
            time=slice(date - np.timedelta64(tail, "D"), date)
        )
        return submission.main(self.strategy), self.capsys.readouterr().err

    def next_day(self):
        self.made.replace(self.given)


@pytest.fixture
def here(remembering, cube, monkeypatch, capsys):
    return Here(remembering, cube, monkeypatch, capsys)


def equal(decision, result):
    same(result, decision.raw.isel(time=0, drop=True), decision.weights.isel(time=0, drop=True))


@pytest.mark.parametrize(
    "kind", ["truncated", "empty", "hostile", "of another strategy", "of another program", "later"]
)
def test_a_state_file_that_cannot_be_used_is_named_and_weights_are_decided_all_the_same(kind, here, remembering, cube):
    days = cube.time.values[250:252]
    here.run(days[0])
    content, sentence = bad_state(kind, here)
    here.given.write_bytes(content)
    decision, log = here.run(days[1])
    assert sentence in log
    assert "CANNOT BE USED" in log
    assert "STARTING AS ON THE FIRST DAY" in log
    equal(decision, expected(remembering, cube, days[1:], "fresh")[0])
    assert state.read(here.made, here.strategy).state["days"] == 1
    assert not Path("executed").exists()


def test_the_server_never_executes_a_state_file(remembering, cube, with_numba, tmp_path):
    server = Server(tmp_path / "server", with_numba, cube)
    server.state.write_bytes(gzip.compress(hostile(tmp_path / "executed")))
    date = cube.time.values[250]
    raw, book, log = server.run(export.write(remembering, tmp_path / "submission.py").path, date)
    assert "THE STATE FILE CANNOT BE USED: state.in.pickle.gz" in log
    same(expected(remembering, cube, [date], tmp_path / "state")[0], raw, book)
    assert not (tmp_path / "executed").exists()


def test_days_that_were_missed_are_decided_first(here, remembering, cube):
    days = cube.time.values[250:254]
    here.run(days[0])
    here.next_day()
    decision, log = here.run(days[-1])
    assert f"2 TRADING DAYS WERE MISSED since {str(days[0])[:10]}" in log
    equal(decision, expected(remembering, cube, days, "fresh")[-1])


def test_too_many_missed_days_are_left_out(here, remembering, cube):
    days = cube.time.values[[240, 252]]
    here.run(days[0])
    here.next_day()
    decision, log = here.run(days[-1])
    assert "11 TRADING DAYS WERE MISSED" in log
    assert "too many" in log
    equal(decision, expected(remembering, cube, days, "fresh")[-1])


def test_a_day_that_was_decided_before_leaves_the_state_as_it_is(here, cube):
    here.run(cube.time.values[250])
    here.next_day()
    handed_over = here.given.read_bytes()
    _, log = here.run(cube.time.values[250])
    assert "THE STATE IS OF" in log
    assert here.made.read_bytes() == handed_over


def test_a_strategy_that_fails_on_its_own_state_says_so_and_keeps_it(cube, tmp_path, monkeypatch, capsys):
    file = tmp_path / "failing.py"
    file.write_text(
        "import qlstm\n"
        "def predict(data, state):\n"
        "    field = 'close' if state is None else 'earnings'\n"
        "    close = data.sel(field=field, drop=True).isel(time=-1, drop=True)\n"
        "    return close / close.sum(), {'seen': 1}\n"
        "strategy = qlstm.Strategy(predict=predict, lookback_period=5)\n"
    )
    here = Here(file, cube, monkeypatch, capsys)
    here.run(cube.time.values[250])
    here.next_day()
    with pytest.raises(StrategyError, match=r"strategy failing .*: predict failed on 2015-12-18: KeyError"):
        here.run(cube.time.values[251])
    assert "the server's data have the fields open, high, low, close, vol, is_liquid" in capsys.readouterr().err
    assert not here.made.exists()


def test_features_are_computed_from_the_same_first_day_every_day(cube, tmp_path, monkeypatch, capsys):
    file = tmp_path / "featured.py"
    file.write_text(
        "import qlstm\n"
        "from qlstm import ta\n"
        "def features(cube):\n"
        "    return {'level': ta.ema(cube.sel(field='close', drop=True), 40)}\n"
        "def predict(data):\n"
        "    level = data.sel(field='level', drop=True).isel(time=-1, drop=True)\n"
        "    return level / level.sum()\n"
        "strategy = qlstm.Strategy(predict=predict, features=features, lookback_period=5)\n"
    )
    here = Here(file, cube, monkeypatch, capsys)
    asked = []
    here.toolbox.load_data_by_type = lambda data_type, min_date: (asked.append(min_date), cube)[1]
    decision = submission.main(here.strategy)
    assert asked == ["2005-12-27"]  # the contest's start, less the lookback
    equal(decision, expected(file, cube, cube.time.values[-1:], "fresh")[0])


def test_where_there_is_no_toolbox_the_message_says_what_the_file_is_for(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "qnt.data", None)
    with pytest.raises(DataError, match=r"cannot import qnt\.data .* this file is for a contest's server"):
        submission.main(here.strategy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import qlstm\ndef predict(data:\n    pass\n", r"bad\.py, line 2: '\(' was never closed"),
        ("import qlstm\nimport sklearn\nX", r"line 3: NameError"),
        ("import qlstm, lightgbm_made_up\nX", "No module named 'lightgbm_made_up'"),
        ("import qlstm\nimport click\nGOOD", r"bad\.py, line 2: imports click, which is neither .*--has click"),
        ("import qlstm\nfrom qlstm import optimizer\nGOOD", r"bad\.py uses qlstm\.\S+, which needs joblib|cloudpickle"),
        ("import qlstm\nfrom qlstm.ta import *\nGOOD", r"bad\.py, line 2: imports \* from qlstm.ta; name what it uses"),
        ("import qlstm\nTABLE = __file__\nGOOD", r"bad\.py, line 2: uses __file__, but only the file itself"),
        ("import qlstm\nqlstm.contests.register(qlstm.Contest('my_own', '2010-01-01'))\nOWN", "'my_own' is its own"),
    ],
)
def test_what_cannot_be_submitted_is_refused_by_name(text, message, tmp_path):
    good = "strategy = qlstm.Strategy(predict=lambda data: data, name='bad'{})\n"
    text = text.replace("GOOD", good.format("")).replace("OWN", good.format(", contest='my_own'"))
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(StrategyError, match=message):
        export.write(file, tmp_path / "submission.py")
    assert not (tmp_path / "submission.py").exists()


def test_a_package_that_the_server_has_may_be_named(tmp_path):
    file = tmp_path / "good.py"
    file.write_text("import click, qlstm\nstrategy = qlstm.Strategy(predict=lambda data: data, name='good')\n")
    assert export.write(file, tmp_path / "submission.py", has=["click"]).modules[0] == "qlstm_strategy_good"


@pytest.mark.parametrize("name", ["submission.txt", "good.py"])
def test_a_target_of_no_use_is_refused(name, tmp_path):
    file = tmp_path / "good.py"
    file.write_text("import qlstm\nstrategy = qlstm.Strategy(predict=lambda data: data, name='good')\n")
    before = file.read_text()
    with pytest.raises(OutputError, match=r"end its name with \.py or \.ipynb|over itself"):
        export.write(file, tmp_path / name)
    assert file.read_text() == before


def test_the_command_writes_and_says_what(tmp_path):
    target = tmp_path / "submission.py"
    done = CliRunner().invoke(command, [str(ROOT / "strategies" / "trend.py"), "--to", str(target)])
    assert done.exit_code == 0
    assert done.output.startswith(f"{target}: ")
    assert target.stat().st_size < 600_000  # reviewers read it, and servers store it


def test_a_source_with_awkward_quotes_reads_back(tmp_path):
    file = tmp_path / "quoted.py"
    file.write_text(
        "'''A docstring in single quotes, \\\\ and \"\"\" inside.'''\nimport qlstm\n"
        "strategy = qlstm.Strategy(predict=lambda data: data, name='quoted')  # no newline at the end"
    )
    text = export.write(file, tmp_path / "submission.py").path.read_text()
    (found,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and "qlstm_strategy_quoted" in ast.unparse(node.targets[0])
    ]
    assert found == file.read_text()


def test_only_a_short_part_of_the_library_is_needed_by_a_short_strategy():
    held = set(export.collect(ROOT / "strategies" / "buy_and_hold.py"))
    assert {"qlstm.decision", "qlstm.state.codec", "qlstm.submission"} <= held
    assert not {"qlstm.ta", "qlstm.nn.fitting", "qlstm.backtester", "qlstm.cli"} & held
