"""Training ahead: fits of many retrain dates in one batch, with the bits, the errors and the order of one at a time."""

import copy
import pickle

import numpy as np
import pytest
import torch
import xarray as xr
from toys import market

import qlstm
from qlstm import ahead, engine, nn, schedule, training
from qlstm.cube import Windows
from qlstm.errors import StrategyError
from qlstm.strategy import Memory

CUBE = market(days=140, assets=4)
DAYS = CUBE.time.values[60:]


def inputs(data):
    change = data.sel(field="close", drop=True)
    change = change / change.shift(time=1) - 1
    return 100 * change, (change.shift(time=-1) > 0).astype(float).where(change.notnull())


def train(data):
    X, Y = inputs(data)
    return nn.fit(nn.LSTM(hidden=3, layers=1), X, Y, optimizer=nn.LBFGS(lr=0.1, max_iter=4))


def predict(models, data):
    scores = nn.predict(models, inputs(data)[0]).isel(time=-1, drop=True)
    return scores.clip(0, 1) / 10


def strategy(train=train, predict=predict, **settings):
    return qlstm.Strategy(
        **{"train": train, "predict": predict, "train_period": 40, "lookback_period": 10, "retrain_interval": 30}
        | settings
    )


def plain_walk(chosen):
    """Fold the engine's step, which trains one date after the other."""
    windows, memory, rows = Windows(CUBE), Memory(), []
    for t in DAYS:
        row, memory = engine.step(chosen, memory, windows, t)
        rows.append(row.reindex(asset=CUBE.asset.values, fill_value=0.0).values)
    return np.array(rows)


def walked(chosen, **settings):
    result = qlstm.backtest(
        strategy=chosen, data=CUBE, start_date=DAYS[0], analyze=False, progress=False, build_plots=False, **settings
    )
    return result.raw.reindex(asset=CUBE.asset.values, fill_value=0.0).values


def batches_of(monkeypatch):
    """Count how many calls of fit each batch carries out."""
    sizes, solve = [], ahead.solve

    def counted(jobs):
        jobs = list(jobs)
        sizes.append(len(jobs))
        solve(jobs)

    monkeypatch.setattr(ahead, "solve", counted)
    return sizes


def test_all_retrain_dates_but_the_first_are_one_batch_with_the_bits_of_one_at_a_time(monkeypatch):
    sizes = batches_of(monkeypatch)
    expected = plain_walk(strategy())
    assert sizes == []
    np.testing.assert_array_equal(walked(strategy()), expected)
    assert sizes == [1, len(list(schedule.blocks(DAYS, 30))) - 1]


def test_a_batch_is_bounded_by_the_bytes_of_its_models(monkeypatch):
    sizes = batches_of(monkeypatch)
    monkeypatch.setattr(training, "_ROOM", 1)
    np.testing.assert_array_equal(walked(strategy()), plain_walk(strategy()))
    assert set(sizes) == {1}


@pytest.mark.parametrize(
    "network", [lambda: nn.LSTM(hidden=3, layers=1), lambda: recurrent(), lambda: recurrent(dropout=0.2)]
)
def test_every_way_of_fitting_is_the_same_in_a_batch(network, monkeypatch):
    def train(data):
        X, Y = inputs(data)
        return nn.fit(network(), X, Y, optimizer=nn.Adam(lr=0.1), epochs=2)

    sizes = batches_of(monkeypatch)
    np.testing.assert_array_equal(walked(strategy(train)), plain_walk(strategy(train)))
    assert max(sizes) > 1


def recurrent(dropout=0.0):
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.drop = torch.nn.GRU(1, 3, batch_first=True), torch.nn.Dropout(dropout)
            self.output = torch.nn.Linear(3, 1)

        def forward(self, x):
            return self.output(self.drop(self.cell(x)[0]))[..., 0]

    torch.manual_seed(0)
    return Net()


def postponed():
    X, Y = inputs(CUBE)
    X = X.where(X.asset != "TOY:003")
    with ahead.collecting() as jobs:
        models = nn.fit(nn.LSTM(hidden=3, layers=1), X, Y)
    return models, jobs


def test_names_and_their_number_do_not_wait_for_the_fit():
    models, (job,) = postponed()
    names = ["TOY:000", "TOY:001", "TOY:002"]
    assert (list(models), len(models), "TOY:003" in models, list(models.keys())) == (names, 3, False, names)
    assert "to come" in repr(models)
    assert not job.is_done


@pytest.mark.parametrize(
    "use",
    [
        lambda models: models["TOY:001"],
        lambda models: models.get("TOY:001"),
        lambda models: list(models.values()),
        lambda models: list(models.items()),
        lambda models: models.failures,
        lambda models: models.cut,
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
    ],
)
def test_what_needs_a_network_waits_for_it(use):
    models, (job,) = postponed()
    use(models)
    assert job.is_done
    assert isinstance(models["TOY:001"], nn.LSTM)
    assert list(models.failures) == ["TOY:003"]


def test_a_put_off_fit_has_the_bits_of_one_carried_out_at_once():
    models, jobs = postponed()
    X, Y = inputs(CUBE)
    at_once = nn.fit(nn.LSTM(hidden=3, layers=1), X.where(X.asset != "TOY:003"), Y)
    ahead.solve(jobs)
    assert at_once.failures == models.failures
    for name in at_once:
        for one, other in zip(at_once[name].parameters(), models[name].parameters(), strict=True):
            assert bool((one == other).all())


def test_what_the_caller_does_to_its_inputs_and_model_afterwards_changes_nothing():
    import torch

    X, Y = (array.astype(np.float32).transpose("asset", "time") for array in inputs(CUBE))
    X, Y = (array.copy(data=np.ascontiguousarray(array.values)) for array in (X, Y))  # as the fit lays them out
    model = nn.LSTM(hidden=3, layers=1)
    expected = nn.fit(model, X.copy(deep=True), Y.copy(deep=True))
    with ahead.collecting():
        models = nn.fit(model, X, Y)
        X[:], Y[:] = 0.0, 1.0
        model.cells[0] = torch.nn.LSTMCell(1, 3, bias=False)
    for one, other in zip(expected["TOY:000"].parameters(), models["TOY:000"].parameters(), strict=True):
        assert bool((one == other).all())


def test_a_budget_is_kept_where_it_was_asked_for():
    X, Y = inputs(CUBE)
    with ahead.collecting() as jobs:
        models = nn.fit(nn.LSTM(hidden=3), X, Y, budget_s=100.0)
    assert jobs == []
    assert models.is_settled


def diverging(data):
    """Fit with a loss that is NaN for one asset from the fourth retrain date on."""
    X, Y = inputs(data)
    bad = data.time.values[-1] > DAYS[60]
    Y = Y.where((Y.asset != "TOY:002") | (not bad), 1e30)
    return nn.fit(nn.LSTM(hidden=3, layers=1), X, Y, optimizer=nn.LBFGS(lr=0.1, max_iter=4))


def test_a_train_that_looks_at_names_sees_the_same_when_a_fit_diverges():
    seen = {}

    def counting(data):
        models = diverging(data)
        return {"models": {name: models[name] for name in models}, "count": len(models)}

    def length(data):
        models = diverging(data)
        return {"models": models, "count": len(models)}

    def predict_all(models, data):
        seen.setdefault(models["count"], 0)
        return predict(models["models"], data)

    for chosen in (counting, length):
        expected = plain_walk(strategy(chosen, predict_all))
        assert set(seen) == {3, 4}
        seen.clear()
        np.testing.assert_array_equal(walked(strategy(chosen, predict_all)), expected)
        assert set(seen) == {3, 4}


def test_an_error_of_a_later_date_comes_after_the_days_before_it():
    predicted = []

    def failing(data):
        if data.time.values[-1] > DAYS[60]:
            raise ValueError("no luck")
        return train(data)

    def noting(models, data):
        predicted.append(data.time.values[-1])
        return predict(models, data)

    first_bad = next(b[0] for b in schedule.blocks(DAYS, 30) if b[0] > DAYS[60])
    with pytest.raises(StrategyError, match=f"train failed on {str(first_bad)[:10]}: ValueError: no luck"):
        walked(strategy(failing, noting))
    assert predicted == list(DAYS[first_bad > DAYS])


def test_a_loss_that_raises_at_a_later_date_names_that_date():
    def loss(output, target):
        if len(target) < 25:  # fewer rows than usual
            raise TypeError("too short")
        return ((output - target) ** 2).mean()

    def short(data):
        X, Y = inputs(data)
        if data.time.values[-1] > DAYS[60]:
            X, Y = X.isel(time=slice(0, 20)), Y.isel(time=slice(0, 20))
        return nn.fit(nn.LSTM(hidden=3, layers=1), X, Y, loss=loss)

    first_bad = next(b[0] for b in schedule.blocks(DAYS, 30) if b[0] > DAYS[60])
    with pytest.raises(StrategyError, match=f"train failed on {str(first_bad)[:10]}: TypeError: too short"):
        walked(strategy(short))


def test_an_ordinary_train_is_called_once_per_date_when_it_is_due():
    order = []

    def ordinary(data):
        order.append(("train", data.time.values[-1]))
        return float(data.mean())

    def follow(models, data):
        order.append(("predict", data.time.values[-1]))
        return xr.full_like(data[0, -1], 0.1).drop_vars(["field", "time"])

    walked(strategy(ordinary, follow))
    dates = [block[0] for block in schedule.blocks(DAYS, 30)]
    assert [t for kind, t in order if kind == "train"] == dates
    for t in dates:
        assert order.index(("train", t)) + 1 == order.index(("predict", t))


def test_batch_mode_trains_ahead_too(monkeypatch):
    def first_row(models, data):  # causal: each row of its own
        X = inputs(data)[0].fillna(0.0)
        return xr.concat([nn.predict(models, X.isel(time=[i])) for i in range(X.sizes["time"])], "time").clip(0, 1)

    sizes = batches_of(monkeypatch)
    walked(strategy(predict=first_row, predict_each_day=False))
    assert max(sizes) > 1


def test_a_put_off_fit_takes_what_its_functions_enclose_as_it_is_at_the_call(monkeypatch):
    class Scaled(torch.nn.Module):
        def __init__(self, by):
            super().__init__()
            self.by, self.weight = by, torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            return self.by * self.weight * x[..., 0]

    def train_two(data):
        # The functions take the loop's variable as it is at each call, not as the last round leaves it.
        X, Y = inputs(data)
        found = {}
        for by in (1.0, 3.0):
            loss = lambda output, target: by * ((output - target) ** 2).mean()  # noqa: B023 (what users write)
            found[by] = nn.fit(lambda: Scaled(by), X, Y, loss=loss, mode="loop")  # noqa: B023
        return found

    def predict_both(models, data):
        asset = CUBE.asset.values[0]
        both = [float(models[by][asset].by) * float(models[by][asset].weight.detach()) for by in (1.0, 3.0)]
        return xr.DataArray([both[0], both[1] / 10], dims="asset", coords={"asset": CUBE.asset.values[:2]}) / 100

    chosen = strategy(train_two, predict_both)
    np.testing.assert_array_equal(walked(chosen), plain_walk(chosen))


# What it will cost
