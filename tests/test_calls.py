"""A call of the user's functions: seeded, and what they raise told with function, day, line and likely cause."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_engine import CUBE, WEIGHTS, T, step
from toys import equal_weights, predict_below_mean

from qlstm import engine, generators
from qlstm.cube import Windows
from qlstm.errors import StrategyError, WeightsError
from qlstm.strategy import Memory, Strategy


def test_an_error_of_the_users_names_function_and_day():
    def predict(data):
        raise KeyError("volume")

    with pytest.raises(StrategyError, match=r"predict failed on 2015-10-08: KeyError: 'volume'") as caught:
        step(predict)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_of_the_users_names_the_last_line_of_the_strategys_own_code():
    file = {"__name__": "__main__"}  # as in a notebook, whose functions have no file
    cells = [
        "def share(data):\n    helper = sum\n    return helper(ww for w in data)\n",
        "def predict(data):\n    return share(data)\n",
    ]
    for number, cell in enumerate(cells):
        exec(compile(cell, f"<cell {number}>", "exec"), file)
    with pytest.raises(
        StrategyError, match=r"^strategy toy, line 3: predict failed on 2015-10-08: NameError: name 'ww'"
    ):
        step(file["predict"])

    def predict(data):
        raise WeightsError("too much")

    line = predict.__code__.co_firstlineno + 1
    with pytest.raises(WeightsError, match=rf"strategy toy \(.*test_calls.py, line {line}\): predict failed on .*much"):
        step(predict)


def test_a_label_that_the_data_lack_is_named_with_the_nearest():
    with pytest.raises(StrategyError, match=r"no field 'Close'; did you mean 'close'\? the data have open, high, low"):
        step(lambda data: data.sel(field="Close"))
    with pytest.raises(StrategyError, match="KeyError: no asset 'zzz'; the data have TOY:000, TOY:001"):
        step(lambda data: data.sel(asset="zzz"))
    with pytest.raises(StrategyError, match="no asset 'TOY:001' in that selection, though the data have it"):
        step(lambda data: data[:, :, :1].sel(asset="TOY:001"))
    with pytest.raises(StrategyError, match="not all values found in index 'field': the data have open, high"):
        step(lambda data: data.sel(field=["open", "Close"]))


def test_a_train_without_return_is_suspected_when_predict_fails_on_its_models():
    with pytest.raises(StrategyError, match=r"not iterable; train returned None, has it a return\?"):
        step(lambda models, data: list(models), train=lambda data: None)


def test_a_state_used_on_the_first_day_is_said_to_be_none():
    with pytest.raises(StrategyError, match="not subscriptable; the state is None on the first day"):
        step(lambda data, state: (WEIGHTS, state["days"] + 1))


def test_a_train_that_fails_on_a_later_day_is_named_with_it():
    def train(data):
        if data.time.values[-1] > T:
            raise ValueError("singular matrix")
        return {"mean": 0.0, "rows": 0}

    strategy = Strategy(train=train, predict=predict_below_mean, retrain_interval=1, train_period=30, lookback_period=5)
    windows = engine.prepare(strategy, Windows(CUBE))
    _, memory = engine.step(strategy, Memory(), windows, T)
    with pytest.raises(StrategyError, match=r"train failed on 2015-10-09: ValueError: singular matrix"):
        engine.step(strategy, memory, windows, CUBE.time.values[201])


def test_writing_into_a_window_is_refused_with_the_way_out():
    def predict(data):
        data.values[0] = 0.0
        return equal_weights(data)

    with pytest.raises(
        StrategyError, match=r"windows are read-only: data = data.copy\(deep=True\) first, or copy_windows=True"
    ):
        step(predict)
    strategy = Strategy(predict=predict, lookback_period=30)
    engine.step(strategy, Memory(), engine.prepare(strategy, Windows(CUBE, copy_windows=True)), T)
    assert float(CUBE.isel(field=0).min()) > 0


def test_each_call_is_seeded_by_strategy_and_day_and_the_users_generators_come_back():
    drawn = []

    def predict(data):
        drawn.append((random.random(), np.random.random()))
        return equal_weights(data)

    random.seed(1)
    np.random.seed(1)
    expected = (random.random(), np.random.random())
    random.seed(1)
    np.random.seed(1)
    with generators.kept():
        step(predict)
        step(predict)
        step(predict, t=CUBE.time.values[201])
        step(predict, seed=7)
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    assert (random.random(), np.random.random()) == expected


def test_the_generators_of_a_gpu_in_use_come_back(monkeypatch):
    states = ["as the user left it"]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: list(states))
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", lambda given: states.__setitem__(slice(None), given))
    with generators.kept():
        states[:] = ["seeded"]
    assert states == ["as the user left it"]


def test_an_exit_in_a_users_function_is_an_error():
    def predict(data):
        raise SystemExit(0)

    with pytest.raises(StrategyError, match=r"predict failed on 2015-10-08: SystemExit: 0"):
        step(predict)


TORCH_FIRST = """
import random, numpy as np, sys
from qlstm import engine, generators
from qlstm.cube import Windows
from qlstm.strategy import Memory, Strategy
sys.path.insert(0, sys.argv[1])
from toys import equal_weights, market
drawn = []
def predict(data):
    import torch
    drawn.append(float(torch.rand(1)))
    return equal_weights(data)
cube = market(days=60)
strategy = Strategy(predict=predict, lookback_period=10)
windows = engine.prepare(strategy, Windows(cube))
with generators.kept():
    assert "torch" not in sys.modules
    for _ in range(2):
        engine.step(strategy, Memory(), windows, cube.time.values[50])
import torch
print(drawn[0].hex(), drawn[1].hex(), float(torch.rand(1)).hex())
"""


def test_a_torch_that_the_strategy_is_the_first_to_import_is_seeded_too():
    def drawn():
        folder = str(Path(__file__).parent)
        done = subprocess.run([sys.executable, "-c", TORCH_FIRST, folder], capture_output=True, text=True, check=True)
        return done.stdout.split()

    one, two = drawn(), drawn()
    assert one[0] == one[1] == two[0]
    assert one[2] != two[2]  # what the user draws afterwards is not the strategy's


def test_the_users_torch_generator_comes_back():
    import torch

    def predict(data):
        torch.rand(3)
        return equal_weights(data)

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with generators.kept():
        step(predict)
    assert torch.equal(torch.rand(1), expected)


def test_a_label_that_the_data_lack_is_named_with_those_they_have():
    def wants(**labels):
        return lambda data: data.sel(**labels)

    with pytest.raises(StrategyError, match=r"index 'field': the data have open, high, low, close, vol"):
        step(wants(field=["clos"]))
    with pytest.raises(StrategyError, match=r"index 'asset': the data have TOY:000, TOY:001"):
        step(wants(asset=["SPY"]))


def test_every_way_of_writing_into_a_window_names_the_way_out():
    def assigns(data):
        data[0, 0, 0] = 1.0

    def overwrites(data):
        data.values[0] = 1.0

    for writes in (assigns, overwrites):
        with pytest.raises(StrategyError, match="copy_windows=True"):
            step(writes)
