"""Fits on a GPU: the kernels in numba's simulator, in a process of its own, and on a card where there is one."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_nn import sequences
from test_nn_ways import OPTIMIZERS, Recurrent, by_name, gap, identical

from qlstm import nn
from qlstm.nn.devices import has_kernels, place

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
kernels = pytest.mark.skipif(not has_kernels(1), reason="no GPU, or no numba-cuda")


def test_the_kernels_hold_what_they_promise_in_the_simulator():
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "setup.cfg", "tests/simulated_gpu.py"]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_auto_is_the_cpu():
    assert place("auto").type == "cpu"
    assert not has_kernels(1)


@kernels
def test_in_the_seeds_configuration_the_gpu_equals_the_loop():
    X, Y = sequences(days=70, assets=12, seed=5)
    told = {"optimizer": nn.LBFGS(lr=0.08)}
    there = nn.fit(nn.LSTM(hidden=34), X, Y, mode="fused", device="cuda", **told)
    some = {"X": X.isel(asset=[0]), "Y": Y.isel(asset=[0])}
    assert gap(there, nn.fit(nn.LSTM(hidden=34), **some, mode="loop", device="cpu", **told)) < 1e-5
    assert gap(there, nn.fit(nn.LSTM(hidden=34), X, Y, device="cpu", **told)) < 1e-5
    assert identical(nn.fit(nn.LSTM(hidden=34), **some, **told)["A0"], there["A0"])


@kernels
@pytest.mark.parametrize("hidden", [3, 100, 257, 1024])
def test_blocks_of_any_size_start(hidden):
    X, Y = sequences(days=4, assets=2, features=2)
    told = {"optimizer": nn.SGD(lr=0.1)}
    there, here = (nn.fit(nn.LSTM(2, hidden), X, Y, device=device, **told) for device in ("cuda", "cpu"))
    assert gap(there, here) < 1e-5


@gpu
@pytest.mark.parametrize(("mode", "factory"), [("fused", lambda: nn.LSTM(2, 5)), ("stacked", Recurrent)])
@pytest.mark.parametrize("optimizer", [nn.LBFGS(lr=0.1), nn.Adam(lr=0.01)], **by_name)
def test_on_a_gpu_a_model_is_bit_for_bit_the_same_in_any_batch(mode, factory, optimizer):
    if mode == "fused" and not has_kernels(5):
        pytest.skip("no numba-cuda")
    X, Y = sequences(days=8, assets=40, features=2, seed=8)
    Y[:3, 5] = np.nan
    order = np.random.default_rng(0).permutation(40)
    told = {"optimizer": optimizer, "mode": mode, "device": "cuda"}
    whole = nn.fit(factory, X, Y, **told)
    turned = nn.fit(factory, X.isel(asset=order), Y.isel(asset=order), **told)
    for asset in ("A0", "A5", "A39"):
        alone = nn.fit(factory, X.sel(asset=[asset]), Y.sel(asset=[asset]), **told)
        assert identical(whole[asset], alone[asset])
        assert identical(whole[asset], turned[asset])


@gpu
@pytest.mark.parametrize("mode", ["loop", "stacked", "auto"])
def test_on_a_gpu_every_way_equals_the_loop_on_the_cpu(mode):
    X, Y = sequences(days=20, assets=3)
    told = {"optimizer": OPTIMIZERS[3], "epochs": 5}
    plain = nn.fit(nn.LSTM(hidden=5), X, Y, mode="loop", device="cpu", **told)
    assert gap(nn.fit(nn.LSTM(hidden=5), X, Y, mode=mode, device="cuda", **told), plain) < 1e-5


@gpu
def test_on_a_gpu_what_goes_wrong_with_one_asset_touches_no_other():
    X, Y = sequences(days=12, assets=3, seed=9)
    told = {"optimizer": nn.SGD(lr=0.05), "epochs": 3, "device": "cuda"}
    clean = nn.fit(nn.LSTM(), X, Y, **told)
    X[4, 0, 0], Y[:, 1] = np.inf, 1e30
    models = nn.fit(nn.LSTM(), X, Y, **told)
    assert list(models.failures) == ["A0", "A1"]
    assert identical(models["A2"], clean["A2"])


@gpu
def test_on_a_gpu_pooled_networks_equal_those_of_the_cpu_and_repeat_themselves():
    X, Y = sequences(days=40, assets=4, features=2)
    windows = nn.Sequences(X, Y, 8)
    fit = {"train": windows, "batch": 16, "epochs": 2}
    here, there, again = (nn.fit_pooled(nn.LSTM(2, 4), device=d, **fit) for d in ("cpu", "cuda", "cuda"))
    assert gap({"a": there.network}, {"a": here.network}) < 1e-4
    assert identical(there.network, again.network)


@gpu
def test_a_fit_on_a_gpu_leaves_its_generator_as_it_was():
    X, Y = sequences(days=8, assets=1)
    torch.cuda.manual_seed(7)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(7)
    nn.fit(nn.LSTM(hidden=2), X, Y, device="cuda")
    assert torch.equal(torch.rand(3, device="cuda"), expected)


@kernels
@pytest.mark.soak
def test_twelve_thousand_models_take_the_memory_of_a_chunk():
    X, Y = sequences(days=70, assets=12000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    models = nn.fit(nn.LSTM(hidden=34), X, Y, optimizer=nn.LBFGS(lr=0.08), device="cuda")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    kept = sum(p.numel() * 4 for p in models["A0"].parameters()) * len(models)
    assert len(models) == 12000
    assert grown < 2 * kept + 2 * 2**31
