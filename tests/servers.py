"""A contest's server for tests: a folder, its installed packages, its toolbox, and one process per day."""

import os
import pickle
import subprocess
import sys
from importlib import metadata

import numpy as np
import xarray as xr
from packaging.requirements import Requirement
from toys import market

import qlstm
from qlstm import data

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


def write_remembering(folder):
    """Write a strategy with state, retrains every third day, an indicator, and a package beside it; return its file."""
    (folder / "mine" / "calm").mkdir(parents=True)
    (folder / "mine" / "calm" / "__init__.py").write_text("")
    (folder / "mine" / "calm" / "smoothing.py").write_text("from . import numbers\nDAYS = numbers.TEN\n")
    (folder / "mine" / "calm" / "numbers.py").write_text("TEN = 10\n")
    file = folder / "mine" / "remembering.py"
    file.write_text(REMEMBERING)
    return file


def year(folder):
    """Return a cube as a contest's file gives it."""
    data.save(market(days=300, assets=5, seed=7), folder / "cube.nc")
    return data.load(folder / "cube.nc")


def expected(file, cube, days, folder):
    """Return what `qlstm.run` decides on these days, raw and cleaned."""
    strategy = qlstm.load_strategy(file)
    return [qlstm.run(strategy, cube, state_dir=folder, date=t) for t in days]


def same(result, raw, book, exact=True):
    compare = np.testing.assert_array_equal if exact else lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5)
    for ours, theirs in ((result.raw, raw), (result.weights, book)):
        ours, theirs = xr.align(ours.isel(time=0, drop=True), theirs, join="outer", fill_value=0.0)
        compare(theirs.values, ours.values)


def hostile(path):
    return pickle.dumps((None, None, Hostile(path)))


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)
