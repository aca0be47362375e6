"""A worker seeds torch as the one process does, also where `train` is the first to import it."""

import subprocess
import sys

import torch
from conftest import ROOT
from toys import market

from qlstm import generators

WORKER = """
import sys

from qlstm import Strategy, training
from qlstm.cube import Windows
from toys import equal_weights, market


def train(data):
    assert "torch" not in sys.modules
    import torch

    print(torch.rand(3).tolist())
    return {}


strategy = Strategy(train=train, predict=lambda models, data: equal_weights(data), train_period=60)
windows = Windows(market(days=80, assets=2))
training._train_packed(strategy, windows, windows.times[-1])
"""


def test_a_worker_seeds_a_torch_that_train_is_the_first_to_import():
    path = [str(ROOT / "tests"), *sys.path]  # what is imported here, a mutated copy included
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}\n{WORKER}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with generators.kept():
        generators.seed(42, market(days=80, assets=2).time.values[-1])
        expected = torch.rand(3).tolist()
    assert done.stdout.strip() == str(expected)
