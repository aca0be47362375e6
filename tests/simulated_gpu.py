"""The GPU's kernels in numba's simulator; `test_nn_gpu.py` runs this file in a process of its own.

The simulator is chosen when numba is imported, and runs each GPU thread as a Python thread: shapes are tiny, and a block
has fewer threads than there are gates, so that every thread does more than one thing.
"""

import logging

import numpy as np
import pytest
import torch
from test_nn import sequences

from qlstm import nn
from qlstm.errors import StrategyError
from qlstm.nn import batches, fused_gpu
from qlstm.nn.networks import pack, step_by_step, unpack
from qlstm.nn.prototypes import outputs, twin
from qlstm.nn.samples import Rows, Samples

MSE = torch.nn.functional.mse_loss
LENGTHS = [[2], [2, 1, 2], [3]]  # of each model's sequences


def absolute(output, target):
    return (output - target).abs().mean()


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    """Have torch find a GPU, and give a block three threads."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(fused_gpu, "threads_for", lambda hidden: 3)


def samples(features):
    random = np.random.default_rng(0)
    made = []
    for lengths in LENGTHS:
        n = sum(lengths)
        x, y = random.standard_normal((n, features)), random.standard_normal(n)
        counted = np.array([False, True, True]) if lengths == [3] else None
        made.append(Rows(x.astype(np.float32), y.astype(np.float32), np.cumsum([0, *lengths]), counted))
    return made


def parameters(network):
    noise = np.random.default_rng(1).standard_normal((len(LENGTHS), len(pack(network))))
    return (pack(network) + 0.3 * noise).astype(np.float32)


def plainly(network, theta, rows, loss):
    """Return loss and gradient by torch's own operations."""
    moved = twin(network, unpack(theta, [p.shape for p in network.parameters()])).requires_grad_(True)
    counted = slice(None) if rows.counted is None else torch.tensor(rows.counted)
    with step_by_step():
        output = outputs(moved, torch.tensor(rows.x), rows.starts.tolist())
    value = loss(output[counted], torch.tensor(rows.y)[counted])
    slopes = torch.autograd.grad(value, list(moved.parameters()))
    return float(value.detach()), pack(twin(network, slopes))


@pytest.mark.parametrize(
    ("features", "hidden", "layers", "loss"), [(1, 1, 1, MSE), (2, 3, 2, MSE), (3, 2, 3, absolute)]
)
def test_losses_and_gradients_equal_those_of_torch(features, hidden, layers, loss):
    network, rows, wanted = nn.LSTM(features, hidden, layers), samples(features), [2, 0, 1]
    thetas = parameters(network)
    batch = fused_gpu._Batch(rows, network, loss)
    losses, gradients = batch(thetas, wanted)
    np.testing.assert_array_equal(batch.losses(thetas, wanted), losses)
    for i, value, gradient in zip(wanted, losses, gradients, strict=True):
        expected = plainly(network, thetas[i], rows[i], loss)
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-6)


def test_a_model_is_bit_for_bit_the_same_in_any_batch_and_over_any_number_of_threads(monkeypatch):
    network, rows = nn.LSTM(2, 3, 2), samples(2)
    thetas = parameters(network)
    losses, gradients = fused_gpu._Batch(rows, network, MSE)(thetas, [0, 1, 2])
    monkeypatch.setattr(fused_gpu, "threads_for", lambda hidden: 2)
    value, gradient = fused_gpu._Batch(rows[1:], network, MSE)(thetas[1:], [0])
    np.testing.assert_array_equal([value[0], *gradient[0]], [losses[1], *gradients[1]])


@pytest.mark.parametrize("optimizer", [nn.LBFGS(lr=0.1, max_iter=2), nn.Adam(lr=0.05)])
def test_a_fit_equals_that_of_the_cpu(optimizer):
    X, Y = sequences(days=4, assets=3, seed=1)
    Y[:2, 1], Y[1:, 2] = np.nan, np.nan  # one row is not enough to hold some out
    told = {"optimizer": optimizer, "epochs": 2, "validation": 0.4, "groups": {"A0": "g", "A1": "g", "A2": "h"}}
    there, here = (nn.fit(nn.LSTM(1, 2), X, Y, device=device, **told) for device in ("cuda", "cpu"))
    assert list(there) == ["g", "h"]
    for name in here:
        np.testing.assert_allclose(pack(there[name]), pack(here[name]), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*overflow encountered")  # which no GPU tells
def test_chunks_of_any_size_give_the_same_bits_and_a_failure_touches_no_other(monkeypatch, caplog):
    X, Y = sequences(days=3, assets=4)
    told = {"optimizer": nn.SGD(lr=0.05), "device": "cuda", "mode": "fused"}
    clean = nn.fit(nn.LSTM(hidden=2), X, Y, **told)
    X[1, 1, 0], Y[:, 2] = np.inf, 1e30
    monkeypatch.setattr(fused_gpu, "_CHUNK", 1)
    with caplog.at_level(logging.WARNING):
        models = nn.fit(nn.LSTM(hidden=2), X, Y, **told)
    assert list(models) == ["A0", "A3"]
    assert list(models.failures) == ["A1", "A2"]
    assert "infinite input" in models.failures["A1"]
    assert "the loss became NaN" in models.failures["A2"]
    for name in models:
        np.testing.assert_array_equal(pack(models[name]), pack(clean[name]))
    vectors = nn.fit(nn.LSTM(hidden=2), X[:, :1], Y[:, :1], loss=lambda a, b: (a - b) ** 2, device="cuda")
    assert "end it with .mean()" in vectors.failures["A0"]


@pytest.mark.parametrize(("hidden", "way"), [(2, ("fused", "cuda")), (1025, ("fused", "cpu"))])
def test_auto_takes_the_gpu_for_what_its_kernels_can_hold(hidden, way):
    mode, device = batches._way(nn.LSTM(1, hidden, 1), Samples(*sequences(), None, None), None, "auto", "auto")
    assert (mode, device.type) == way


def test_the_fused_way_is_refused_where_the_kernels_cannot_hold_the_network():
    with pytest.raises(StrategyError, match="at most 1024 hidden units"):
        batches._way(nn.LSTM(1, 1025, 1), Samples(*sequences(), None, None), None, "fused", "cuda")
