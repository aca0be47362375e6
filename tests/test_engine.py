"""One step: what the user's functions see, what they may return, and that two calls never share anything."""

import numpy as np
import pytest
import xarray as xr
from toys import blend, equal_weights, market, momentum, predict_below_mean, train_mean

from qlstm import engine
from qlstm.cube import Windows
from qlstm.errors import DataError, StrategyError
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
