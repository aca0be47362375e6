"""Measure what saving and reading state costs, and a whole day from disk.

    python benchmarks/state.py             prints a table; medians on this machine, now

The state is the contest's example: 12 networks of two LSTM cells of 34, and the weights of 100 assets. The store is in
the system's folder for temporary files. The last two rows are wall clock of a fresh process, imports included.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from engine import market

from qlstm import data, nn, output, state
from qlstm.strategy import Memory

MODELS, HIDDEN, ASSETS, REPEATS, PROCESSES = 12, 34, 100, 31, 7
STRATEGY = Path(__file__).resolve().parents[1] / "strategies" / "lstm_state.py"
DAY = np.timedelta64(1, "D")


def median_ms(work, repeats: int = REPEATS) -> float:
    work()  # the first call imports
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


def process_s(*arguments: str) -> float:
    """Return the wall clock of `qlstm` with these arguments."""
    started = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "qlstm", *arguments], check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def seed_memory(start: np.datetime64) -> tuple[Memory, bytes]:
    """Return the memory of the contest's example after a day, and its weights as the contest's file."""
    torch.manual_seed(0)
    assets = [f"NAS:{i:03d}" for i in range(ASSETS)]
    models = nn.Models({asset: nn.LSTM(input_dim=1, hidden=HIDDEN) for asset in assets[:MODELS]})
    row = xr.DataArray(np.random.default_rng(0).dirichlet(np.ones(ASSETS)), {"asset": assets}, ("asset",))
    weights = output.to_bytes(row.expand_dims(time=[start]).rename("stocks_nasdaq100"))
    return Memory(start, models, {"previous_weights": row}), weights


def daily_passes(folder: Path) -> float:
    """Return the median wall clock of a daily run, each day after the one before."""
    cube = market(400, ASSETS)
    data.save(cube, folder / "cube.nc")
    days = np.datetime_as_string(cube.time.values[-PROCESSES - 1 :], unit="D")
    arguments = ["--data", str(folder / "cube.nc"), "--state-dir", str(folder / "daily")]
    times = [process_s("run", str(STRATEGY), *arguments, "--date", day) for day in days]
    return statistics.median(times[1:])  # the first compiles on a fresh installation


def main() -> None:
    start = np.datetime64("2024-01-01", "ns")
    memory, weights = seed_memory(start)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, days = state.Store(folder / "lstm_state"), count()
        commit_ms = median_ms(lambda: store.commit(start + next(days) * DAY, memory, weights, parent=store.newest()))
        newest = store.newest()
        file = store.path(newest) / "state.pickle.gz"
        show_s = statistics.median(process_s("state", "show", str(file)) for _ in range(PROCESSES))
        rows = [
            ("saving a day (state and weights, durable)", f"{commit_ms:8.1f} ms", "goal under 30 ms"),
            ("reading it", f"{median_ms(lambda: store.read(newest)):8.1f} ms", ""),
            ("verifying it", f"{median_ms(lambda: state.verify(file.parent)):8.1f} ms", ""),
            ("size of the state file", f"{file.stat().st_size / 1024:8.0f} KB", ""),
            ("qlstm state show, cold", f"{show_s:8.2f} s", "goal under 0.4 s"),
            ("qlstm run lstm_state.py, 100 assets, cold", f"{daily_passes(folder):8.2f} s", "goal under 4 s"),
        ]
    print(f"{MODELS} networks of hidden {HIDDEN}; medians of {REPEATS}, of processes {PROCESSES}; "
          f"Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, "
          f"load average {os.getloadavg()[0]:.1f}")  # fmt: skip
    for label, value, remark in rows:
        print(f"{label:<44} {value:<12} {remark}".rstrip())


if __name__ == "__main__":
    main()
