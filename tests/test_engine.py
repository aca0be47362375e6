"""One step: what the user's functions see, what they may return, and that two calls never share anything."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from toys import blend, equal_weights, market, momentum, predict_below_mean, train_mean

from qlstm import engine, generators
from qlstm.cube import Windows
from qlstm.errors import DataError, StrategyError, WeightsError
from qlstm.strategy import Memory, Strategy

CUBE = market()
T = CUBE.time.values[200]


def step(predict, cube=CUBE, t=T, memory=None, **settings):
    strategy = Strategy(predict=predict, name="toy", **{"lookback_period": 30} | settings)
    return engine.step(strategy, memory or Memory(), engine.prepare(strategy, Windows(cube)), t)


def test_train_and_predict_see_windows_that_end_today():
    seen = {}

    def train(data):
        seen["train"] = data
        return "models"

    def predict(models, data, state):
        seen["predict"] = data
        assert models == "models"
        assert state is None
        return equal_weights(data), 1

    _, memory = step(predict, train=train, train_period=50)
    for name, days in (("train", 50), ("predict", 30)):
        expected = CUBE.sel(time=slice(T - np.timedelta64(days, "D"), T))
        xr.testing.assert_equal(seen[name], expected)
    assert (memory.trained_at, memory.models, memory.state) == (T, "models", 1)


def test_a_model_is_kept_until_it_is_due():
    strategy = Strategy(
        train=train_mean, predict=predict_below_mean, train_period=50, lookback_period=5, retrain_interval=7
    )
    windows = engine.prepare(strategy, Windows(CUBE))
    memory, trained = Memory(), []
    for t in CUBE.time.values[200:220]:
        _, memory = engine.step(strategy, memory, windows, t)
        trained.append(memory.trained_at)
    gaps = np.diff(np.unique(trained)) / np.timedelta64(1, "D")
    assert len(gaps) == 3
    assert (gaps >= 7).all()


def test_a_state_is_never_shared_between_two_calls():
    state = {"n": 5, "weights": equal_weights(CUBE)}
    _, memory = step(blend, memory=Memory(state=state))
    assert state["n"] == 5
    assert memory.state["n"] == 6


def test_a_row_is_taken_by_its_date_from_weights_over_time():
    rows, _ = step(lambda data: momentum(data).isel(time=slice(None, None, -1)))
    xr.testing.assert_allclose(
        rows.drop_vars("time"), momentum(CUBE.sel(time=slice(T - np.timedelta64(30, "D"), T))).isel(time=-1, drop=True)
    )


WEIGHTS = equal_weights(CUBE)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (
            None,
            r"predict returned NoneType, not an xarray.DataArray over asset, or time and asset; has it a return\? \(2015-10-08\)",
        ),
        (np.zeros(5), "returned ndarray"),
        (WEIGHTS.expand_dims("field"), "returned dims .field, asset., want"),
        (WEIGHTS.astype(str), "weights of dtype"),
        (WEIGHTS.where(WEIGHTS.asset != "TOY:002", np.inf), r"returned weight inf for asset TOY:002 \(2015-10-08\)"),
        (WEIGHTS.where(WEIGHTS.asset != "TOY:002", -np.inf), "returned weight -inf for asset TOY:002"),
        (
            WEIGHTS.assign_coords(asset=["TOY:000", "TOY:001", "ELSE", "TOY:003", "TOY:004"]),
            "weight 0.2 for asset ELSE, which the data lack",
        ),
        (xr.concat([WEIGHTS, WEIGHTS], "asset"), "asset TOY:000 twice"),
        (WEIGHTS.expand_dims(time=[CUBE.time.values[100]]), "weights that lack that day, they end 2015-05-21"),
        (WEIGHTS.assign_coords(time=CUBE.time.values[100]), "weights dated 2015-05-21"),
        (WEIGHTS.drop_vars("asset"), "weights without asset labels"),
    ],
)
def test_what_are_not_weights_of_the_day_is_refused_with_strategy_and_date(returned, words):
    with pytest.raises(StrategyError, match=words) as caught:
        step(lambda data: returned)
    assert str(caught.value).startswith("strategy toy")


def test_a_stateful_predict_must_return_a_pair():
    with pytest.raises(StrategyError, match=r"must return \(weights, state\); on 2015-10-08 it returned DataArray"):
        step(lambda data, state: WEIGHTS)
    with pytest.raises(StrategyError, match=r"it returned NoneType; has it a return\?"):
        step(lambda data, state: None)


def test_nothing_for_an_unknown_asset_is_no_fault():
    extra = xr.concat([WEIGHTS, xr.zeros_like(WEIGHTS[:1]).assign_coords(asset=["GONE"])], "asset")
    row, _ = step(lambda data: extra)
    assert float(row.sum()) == pytest.approx(1.0)


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
    with pytest.raises(
        WeightsError, match=rf"strategy toy \(.*test_engine.py, line {line}\): predict failed on .*much"
    ):
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


@pytest.mark.parametrize("each_day", [True, False])
def test_a_state_from_a_predict_that_takes_none_is_refused_with_the_way_out(each_day):
    strategy = Strategy(
        train=lambda data: 1, predict=lambda models, data: (WEIGHTS, 1), lookback_period=30, predict_each_day=each_day
    )
    windows = engine.prepare(strategy, Windows(CUBE))
    with pytest.raises(StrategyError, match=r"tuple.*; write predict\(models, data, state\) to keep a state"):
        engine.step(strategy, Memory(), windows, T) if each_day else engine.batch(
            strategy, Memory(), windows, CUBE.time.values[200:210]
        )


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


def moving(cube):
    return {"mean5": cube.sel(field="close").rolling(time=5).mean()}


def test_features_become_fields_computed_once():
    calls = []

    def features(cube):
        calls.append(cube.sizes["time"])
        return moving(cube)

    def predict(data):
        return (data.sel(field="mean5").isel(time=-1) > 0).astype(float) / 5

    strategy = Strategy(predict=predict, features=features, lookback_period=3)
    windows = engine.prepare(strategy, Windows(CUBE))
    made = len(calls)
    for t in CUBE.time.values[100:110]:
        row, _ = engine.step(strategy, Memory(), windows, t)
    assert float(row.sum()) == pytest.approx(1.0)
    assert len(calls) == made


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (lambda cube: {"ahead": cube.sel(field="close").shift(time=-1)}, "features look ahead: ahead of asset"),
        (
            lambda cube: {"z": cube.sel(field="close") / cube.sel(field="close").mean("time")},
            "features look ahead: z of asset",
        ),
        (lambda cube: {"close": cube.sel(field="close")}, "returned field 'close', which the data have already"),
        (lambda cube: {"short": cube.sel(field="vol").isel(time=slice(1, None))}, "the cube's own time labels"),
    ],
)
def test_features_that_look_ahead_or_are_mislabelled_are_refused(features, words):
    with pytest.raises(StrategyError, match=words):
        engine.prepare(Strategy(predict=equal_weights, features=features), Windows(CUBE))


def test_several_cubes_reach_the_strategy_by_name():
    other = market(seed=3).sel(field=["close"])
    row, _ = step(
        lambda data: equal_weights(data["traded"]) * float(data["index"].sizes["time"] > 0),
        {"traded": CUBE, "index": other},
    )
    assert float(row.sum()) == pytest.approx(1.0)


def test_the_traded_cube_must_have_all_fields():
    with pytest.raises(DataError, match=r"data\['a'\] lacks field 'open'"):
        step(equal_weights, {"a": CUBE.sel(field=["close"])})


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


def test_a_state_is_handed_over_as_a_tree_of_values_as_a_file_would_give_it_back():
    shared = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    state = {"a": shared, "b": [shared, (shared.T,)], "w": equal_weights(CUBE)}
    seen = {}

    def predict(data, given):
        seen.update(given)
        given["a"] *= 0.0
        return equal_weights(data), given

    step(predict, memory=Memory(state=state))
    assert seen["a"].flags.c_contiguous
    assert seen["b"][1][0].flags.c_contiguous
    np.testing.assert_array_equal(seen["b"][0], shared)
    np.testing.assert_array_equal(seen["b"][1][0], shared.T)
    xr.testing.assert_identical(seen["w"], state["w"])
    assert shared.sum() == 66.0


@pytest.mark.parametrize(
    "weights", [CUBE, WEIGHTS, WEIGHTS.expand_dims(time=3), None], ids=["cube", "one row", "no labels", "none"]
)
def test_batch_mode_names_what_is_not_weights_over_time(weights):
    strategy = Strategy(predict=lambda data: weights, lookback_period=20, predict_each_day=False)
    windows = engine.prepare(strategy, Windows(CUBE))
    with pytest.raises(StrategyError, match=r"in batch mode predict must return weights with dims \(time, asset\)"):
        engine.batch(strategy, Memory(), windows, CUBE.time.values[100:110])


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
