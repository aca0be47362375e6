"""Time every way of fitting many small LSTMs, side by side in one run, beside the floor set by counting operations.

    python benchmarks/fitting.py [--repeats 5] [--many 12000]

The models are those of strategies/lstm_state.py: two LSTM cells of 34, one feature, 70 rows, L-BFGS with lr 0.08 and 20
iterations. Medians of rounds in which all ways take turns; the loop over LSTMCells, which takes seconds, runs in the
first rounds only. The floor is the multiplications and additions of a fit at the rate of this machine's large float32
matrix product over all cores. Where there is a GPU, and numba-cuda, fits of up to 120 000 models on it follow.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numba
import numpy as np
import pandas as pd
import torch
import xarray as xr

from qlstm import nn
from qlstm.nn.devices import has_kernels

HIDDEN, LAYERS, ROWS, ITERATIONS, LR = 34, 2, 70, 20, 0.08
SLOW_ROUNDS = 2
FIRST_USE = """
import sys, time; sys.path.insert(0, {folder!r}); import fitting
X, Y = fitting.panel(1)
fitting.nn.fit(fitting.nn.LSTM(hidden=2), X, Y, mode="loop")  # torch and xarray warm up on their own account
started = time.perf_counter(); fitting.ours(X, Y); print(time.perf_counter() - started)
"""


def panel(assets: int) -> tuple[xr.DataArray, xr.DataArray]:
    random = np.random.default_rng(0)
    coords = {"time": pd.bdate_range("2020-01-01", periods=ROWS), "asset": [f"A{i:05d}" for i in range(assets)]}
    X = xr.DataArray(random.standard_normal((ROWS, assets)), dims=("time", "asset"), coords=coords)
    return X, (X.copy(data=random.random((ROWS, assets))) > 0.5).astype(float)


class TorchLSTM(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers, self.output = torch.nn.LSTM(1, HIDDEN, LAYERS, batch_first=True), torch.nn.Linear(HIDDEN, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.layers(x)[0])[..., 0]


class Cells(torch.nn.Module):
    """The seed's network: cells stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = torch.nn.LSTMCell(1, HIDDEN), torch.nn.LSTMCell(HIDDEN, HIDDEN)
        self.output = torch.nn.Linear(HIDDEN, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = b = (torch.zeros(len(x), HIDDEN), torch.zeros(len(x), HIDDEN))
        outputs = []
        for x_t in x.unbind(1):
            a = self.one(x_t, a)
            b = self.two(a[0], b)
            outputs.append(self.output(b[0]))
        return torch.cat(outputs, 1)


def users_loop(factory: Callable[[], torch.nn.Module], X: xr.DataArray, Y: xr.DataArray) -> list[torch.nn.Module]:
    """What everybody writes."""
    fitted = []
    for asset in range(X.sizes["asset"]):
        torch.manual_seed(42)
        network = factory()
        x = torch.tensor(X.values[None, :, asset, None], dtype=torch.float32)
        y = torch.tensor(Y.values[None, :, asset], dtype=torch.float32)
        optimizer = torch.optim.LBFGS(network.parameters(), lr=LR, max_iter=ITERATIONS)

        def closure(network=network, optimizer=optimizer, x=x, y=y) -> torch.Tensor:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(network(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        fitted.append(network)
    return fitted


def ours(X: xr.DataArray, Y: xr.DataArray, mode: str = "auto", device: str = "cpu") -> nn.Models:
    rule = nn.LBFGS(lr=LR, max_iter=ITERATIONS)
    return nn.fit(nn.LSTM(1, HIDDEN, LAYERS), X, Y, optimizer=rule, mode=mode, device=device)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def operations() -> float:
    """Count the multiplications and additions of one fit's matrix products, forward and twice that back."""
    gates = 4 * HIDDEN
    per_row = gates * (1 + HIDDEN) + (LAYERS - 1) * gates * 2 * HIDDEN + HIDDEN
    return 3 * 2 * per_row * ROWS * ITERATIONS


def product_rate(size: int = 2048, device: str = "cpu") -> float:
    """Return float32 operations a second of a large matrix product over all cores."""
    torch.set_num_threads(os.cpu_count() or 1)
    a = torch.randn(size, size, device=device)
    fastest = min(seconds(lambda: float((a @ a)[0, 0])) for _ in range(5))  # one number is there when all are
    torch.set_num_threads(1)
    return 2 * size**3 / fastest


def first_use(cache: str) -> float:
    code = FIRST_USE.format(folder=os.path.dirname(os.path.abspath(__file__)))
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def scores_by_modules(models: nn.Models, X: xr.DataArray) -> np.ndarray:
    with torch.no_grad():
        return np.stack([models[a](torch.tensor(X.sel(asset=a).values[None, :, None]).float())[0] for a in models], 1)


def fits(repeats: int) -> dict[str, float]:
    """Return the median seconds of each way on 12 models, and of ours on 132."""
    X, Y = panel(12)
    ways: dict[str, Callable[[], object]] = {
        "loop over LSTMCells (the seed's)": lambda: users_loop(Cells, X, Y),
        "the same loop over torch.nn.LSTM": lambda: users_loop(TorchLSTM, X, Y),
        "the same loop over qlstm.nn.LSTM": lambda: users_loop(lambda: nn.LSTM(1, HIDDEN, LAYERS), X, Y),
        "nn.fit, mode='stacked'": lambda: ours(X, Y, "stacked"),
        "nn.fit, mode='fused' (what auto takes)": lambda: ours(X, Y),
    }
    slow = {"loop over LSTMCells (the seed's)", "nn.fit, mode='stacked'"}
    many = panel(132)
    for name, way in ways.items():
        if name not in slow:
            way()
    taken: dict[str, list[float]] = {name: [] for name in [*ways, "132 models"]}
    for turn in range(repeats):
        for name, way in ways.items():
            if turn < SLOW_ROUNDS or name not in slow:
                # Fast ways run several times a round: one run would be at the mercy of whatever else the machine does.
                taken[name] += [seconds(way) for _ in range(1 if name in slow else 3)]
        taken["132 models"].append(seconds(lambda: ours(*many)))
    return {name: statistics.median(times) for name, times in taken.items()}


def on_gpu() -> None:
    """Print what fits of several sizes take there, after one that compiles the kernels, and their floor."""
    rate = product_rate(8192, "cuda")
    print(f"counted floor at {rate / 1e12:.0f} TFLOP/s: {operations() / rate * 1e3:.4f} ms a model")
    ours(*panel(1), device="cuda")
    for n in (12, 132, 12000, 120000):
        X, Y = panel(n)
        took = seconds(lambda X=X, Y=Y: ours(X, Y, "fused", "cuda"))
        print(f"{n} models on {torch.cuda.get_device_name()}: {took:.3f} s, {took / n * 1e3:.3f} ms a model")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--many", type=int, default=12000, help="models of the largest fit, 0 for none")
    told = arguments.parse_args()
    torch.set_num_threads(1)
    rate = product_rate()
    floor = 12 * operations() / rate
    medians = fits(told.repeats)
    seed, torch_lstm = medians["loop over LSTMCells (the seed's)"], medians["the same loop over torch.nn.LSTM"]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"numba {numba.__version__}, {time.strftime('%Y-%m-%d')}; medians of {told.repeats} rounds")
    print(
        f"load average {os.getloadavg()[0]:.1f} (above 1 someone else is at work, and what uses all cores loses most)"
    )
    print(f"\n{'12 models':<42} {'seconds':>9} {'LSTMCells / it':>15} {'nn.LSTM / it':>13}")
    for name, median in medians.items():
        if name != "132 models":
            print(f"{name:<42} {median:9.4f} {seed / median:15.1f} {torch_lstm / median:13.1f}")
    print(f"{'counted floor at ' + format(rate / 1e9, '.0f') + ' GFLOP/s':<42} {floor:9.4f} {seed / floor:15.1f}")
    print(f"\n132 models: {medians['132 models'] / 132 * 1e3:.2f} ms a model")
    if told.many:
        X, Y = panel(told.many)
        few = panel(132)  # once more, since the machine is not the same from minute to minute
        beside = statistics.median(seconds(lambda: ours(*few)) for _ in range(15))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        took = seconds(lambda: ours(X, Y))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(
            f"{told.many} models: {took / told.many * 1e3:.2f} ms a model, {grown / told.many * 1e3:.0f} KB a model; "
            f"132 just before: {beside / 132 * 1e3:.2f} ms"
        )
    if has_kernels(HIDDEN):
        on_gpu()
    with tempfile.TemporaryDirectory() as cache:
        print(f"first fit on a machine {first_use(cache):.1f} s, of a later process {first_use(cache):.2f} s")
    X, Y = panel(12)
    models, day = ours(X, Y), X.isel(time=[-1])
    lean = statistics.median(seconds(lambda: nn.predict(models, day)) for _ in range(200))
    plain = statistics.median(seconds(lambda: scores_by_modules(models, day)) for _ in range(50))
    print(f"scores of 12 models on one day: nn.predict {lean * 1e6:.0f} µs, forwards one by one {plain * 1e6:.0f} µs")


if __name__ == "__main__":
    main()
