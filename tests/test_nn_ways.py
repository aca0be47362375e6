"""The fast ways of fitting against the plain loop, and each model against whatever else is in the batch."""

import copy
import gc
import logging
import threading
import time

import numba
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from test_nn import sequences

from qlstm import nn
from qlstm.errors import DataError, StrategyError
from qlstm.nn import batches
from qlstm.nn.stacked import is_stackable

OPTIMIZERS = [
    nn.LBFGS(lr=0.08),
    nn.Adam(lr=0.01),
    nn.RMSprop(lr=0.01),
    nn.SGD(lr=0.1, momentum=0.9),
    nn.Rprop(),
    nn.Adagrad(),
]
by_name = {"ids": lambda optimizer: type(optimizer).__name__}
SLACK = 1e-6  # a few roundings of float32, below which comparing errors is comparing noise


class Recurrent(torch.nn.Module):
    """A layer of torch's own with a linear output: what users bring."""

    def __init__(self, kind=torch.nn.LSTM, both=False):
        super().__init__()
        self.layer = kind(2, 3, num_layers=2, batch_first=True, bidirectional=both)
        self.output = torch.nn.Linear(6 if both else 3, 1)

    def forward(self, x):
        return self.output(self.layer(x)[0])[..., 0]


class Cells(torch.nn.Module):
    """Torch's own cells, stepped by hand."""

    def __init__(self, kind=torch.nn.LSTMCell):
        super().__init__()
        self.cell, self.output = kind(2, 3), torch.nn.Linear(3, 1)

    def forward(self, x):
        state, outputs = None, []
        for x_t in x.unbind(1):
            state = self.cell(x_t, state)
            outputs.append(self.output(state[0] if isinstance(state, tuple) else state))
        return torch.cat(outputs, 1)


class Mixing(torch.nn.Module):
    """No recurrence at all."""

    def __init__(self):
        super().__init__()
        self.inner, self.output = torch.nn.Linear(2, 4), torch.nn.Linear(4, 1)

    def forward(self, x):
        return self.output(torch.tanh(self.inner(x)))[..., 0]


def vector(network):
    return torch.cat([p.reshape(-1) for p in network.parameters()]).numpy().astype(float)


def identical(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def exact(factory, X, Y, optimizer, epochs, seed=42):
    """The loop in float64, from the same float32 start: what all ways are measured against."""
    fitted = {}
    for asset in X.asset.values:
        torch.manual_seed(seed)
        network = factory().double()
        x = torch.tensor(X.sel(asset=asset).values[None].astype(np.float32), dtype=torch.float64)
        y = torch.tensor(Y.sel(asset=asset).values.astype(np.float32), dtype=torch.float64)
        steps = optimizer.build(network.parameters())

        def closure(network=network, x=x, y=y, steps=steps):
            steps.zero_grad()
            loss = torch.nn.functional.mse_loss(network(x)[0], y)
            loss.backward()
            return loss

        for _ in range(epochs):
            steps.step(closure)
        fitted[asset] = network.requires_grad_(False)
    return fitted


def gap(models, reference):
    """Return the largest difference of any parameter."""
    return max(np.abs(vector(models[asset]) - vector(reference[asset])).max() for asset in reference)


def distance(models, reference):
    """Return the root mean square of the differences: the largest alone is a lottery between two equal roundings."""
    return max(np.sqrt(((vector(models[asset]) - vector(reference[asset])) ** 2).mean()) for asset in reference)


@pytest.mark.parametrize("mode", ["stacked", "fused"])
def test_in_the_seeds_configuration_the_fast_ways_equal_the_loop(mode):
    X, Y = sequences(days=70, assets=1, seed=5)
    plain, fast = (nn.fit(nn.LSTM(hidden=34), X, Y, optimizer=nn.LBFGS(lr=0.08), mode=way) for way in ("loop", mode))
    for asset in plain:
        np.testing.assert_allclose(vector(fast[asset]), vector(plain[asset]), rtol=0, atol=1e-5)
    np.testing.assert_allclose(nn.predict(fast, X), nn.predict(plain, X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, **by_name)
@pytest.mark.parametrize("mode", ["stacked", "fused"])
def test_no_way_is_three_times_as_far_from_float64_as_the_loop(mode, optimizer):
    X, Y = sequences(days=12, assets=2, features=2, seed=6)
    reference = exact(lambda: nn.LSTM(2, 5), X, Y, optimizer, epochs=2)
    loop, fast = (
        nn.fit(lambda: nn.LSTM(2, 5), X, Y, optimizer=optimizer, epochs=2, mode=way) for way in ("loop", mode)
    )
    assert distance(fast, reference) <= 3 * distance(loop, reference) + SLACK


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    days=st.integers(1, 40),
    features=st.integers(1, 4),
    hidden=st.integers(1, 19),
    layers=st.integers(1, 3),
    seed=st.integers(0, 99),
    optimizer=st.sampled_from(OPTIMIZERS),
)
def test_the_kernels_are_as_exact_as_the_loop_for_any_shape(days, features, hidden, layers, seed, optimizer):
    X, Y = sequences(days=days, assets=1, features=features, seed=seed)

    def factory():
        return nn.LSTM(features, hidden, layers)

    reference = exact(factory, X, Y, optimizer, 1, seed)
    loop, fused = (nn.fit(factory, X, Y, optimizer=optimizer, seed=seed, mode=mode) for mode in ("loop", "fused"))
    assert distance(fused, reference) <= 3 * distance(loop, reference) + SLACK


@pytest.mark.parametrize(
    "factory",
    [
        Recurrent,
        lambda: Recurrent(torch.nn.GRU, both=True),
        lambda: Recurrent(torch.nn.RNN),
        Cells,
        lambda: Cells(torch.nn.GRUCell),
        lambda: Cells(torch.nn.RNNCell),
        Mixing,
    ],
    ids=["LSTM", "GRU both ways", "RNN", "LSTMCell", "GRUCell", "RNNCell", "Linear"],
)
def test_any_module_that_can_be_stacked_equals_the_loop(factory):
    X, Y = sequences(days=20, assets=3, features=2, seed=7)
    X[:, 1, 0] = np.where(np.arange(20) < 5, np.nan, X[:, 1, 0])  # one sequence is shorter: it stands alone
    plain, stacked = (nn.fit(factory, X, Y, optimizer=OPTIMIZERS[3], epochs=5, mode=m) for m in ("loop", "stacked"))
    assert gap(stacked, plain) < 2e-6
    assert is_stackable(factory(), 2, torch.nn.functional.mse_loss)


@pytest.mark.parametrize(("mode", "factory"), [("fused", lambda: nn.LSTM(2, 5)), ("stacked", Recurrent)])
@pytest.mark.parametrize("optimizer", [nn.LBFGS(lr=0.1), nn.Adam(lr=0.01)], **by_name)
def test_a_model_is_bit_for_bit_the_same_in_any_batch(mode, factory, optimizer, monkeypatch):
    X, Y = sequences(days=8, assets=40, features=2, seed=8)  # more than one stack
    Y[:3, 5] = np.nan
    order = np.random.default_rng(0).permutation(40)
    whole = nn.fit(factory, X, Y, optimizer=optimizer, mode=mode)
    turned = nn.fit(factory, X.isel(asset=order), Y.isel(asset=order), optimizer=optimizer, mode=mode)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)
    for asset in ("A0", "A5", "A39"):
        alone = nn.fit(factory, X.sel(asset=[asset]), Y.sel(asset=[asset]), optimizer=optimizer, mode=mode)
        assert identical(whole[asset], alone[asset])
        assert identical(whole[asset], turned[asset])
    assert list(turned) == [f"A{i}" for i in order]


@pytest.mark.parametrize(("mode", "factory"), [("fused", lambda: nn.LSTM(2, 5)), ("loop", lambda: nn.LSTM(2, 5))])
def test_a_group_is_fitted_to_the_same_bits_whatever_the_order_of_its_assets(mode, factory):
    X, Y = sequences(days=8, assets=7, features=2, seed=8)
    order = np.random.default_rng(0).permutation(7)
    fits = [
        nn.fit(
            factory, X.isel(asset=at), Y.isel(asset=at), optimizer=nn.Adam(lr=0.01), epochs=3, mode=mode, groups="all"
        )
        for at in (np.arange(7), order)
    ]
    assert identical(fits[0]["all"], fits[1]["all"])


@pytest.mark.parametrize(("mode", "factory"), [("loop", nn.LSTM), ("fused", nn.LSTM), ("stacked", Mixing)])
def test_what_goes_wrong_with_one_asset_is_named_and_touches_no_other(mode, factory, caplog):
    features = 2 if factory is Mixing else 1
    X, Y = sequences(days=12, assets=4, features=features, seed=9)
    clean = nn.fit(factory, X, Y, optimizer=nn.SGD(lr=0.05), epochs=3, mode=mode)
    X[:, 0], X[4, 1, 0], Y[:, 2] = np.nan, np.inf, 1e30
    with caplog.at_level(logging.WARNING):
        models = nn.fit(factory, X, Y, optimizer=nn.SGD(lr=0.05), epochs=3, mode=mode)
    assert list(models) == ["A3"]
    assert identical(models["A3"], clean["A3"])
    assert list(models.failures) == ["A0", "A1", "A2"]
    assert "A0 has no row" in caplog.text
    assert "A1 has an infinite input on 2020-01-05" in caplog.text
    assert "A2: the loss became NaN" in caplog.text


@pytest.mark.parametrize("mode", ["loop", "fused", "stacked"])
def test_one_row_and_a_constant_feature_are_enough(mode):
    X, Y = sequences(days=12, assets=2, seed=9)
    X[:, 0] = 3.0
    Y[1:, 1] = np.nan
    models, plain = (nn.fit(nn.LSTM(hidden=3), X, Y, optimizer=nn.Adam(), epochs=3, mode=m) for m in (mode, "loop"))
    assert list(models) == ["A0", "A1"]
    assert gap(models, plain) < 1e-4


@pytest.mark.parametrize("mode", ["loop", "fused"])
def test_a_loss_that_is_no_number_is_named_for_each_asset(mode):
    X, Y = sequences(days=8, assets=2)
    vectors = nn.fit(nn.LSTM(hidden=3), X, Y, loss=lambda a, b: (a - b) ** 2, mode=mode)
    assert "shape (8,); end it with .mean()" in vectors.failures["A1"]
    numbers = nn.fit(nn.LSTM(hidden=3), X, Y, loss=lambda a, b: 1.0, mode=mode)
    assert "the loss returned a float" in numbers.failures["A0"]
    missing = nn.fit(nn.LSTM(hidden=3), X, Y, loss=lambda a, b: (a - b).mean() * float("nan"), mode=mode)
    assert "the loss became NaN" in missing.failures["A0"]


def test_an_output_of_another_shape_is_named():
    class Wide(Mixing):
        def forward(self, x):
            return self.inner(x)

    X, Y = sequences(days=8, assets=1, features=2)
    assert "returned (1, 8, 4) for an input of shape (1, 8, 2)" in nn.fit(Wide, X, Y).failures["A0"]


@pytest.mark.parametrize("mode", ["fused", "stacked"])
def test_another_loss_equals_the_loop(mode):
    X, Y = sequences(days=20, assets=2, seed=2)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    plain, fast = (
        nn.fit(nn.LSTM(hidden=4), X, Y, loss=loss, optimizer=nn.Adam(), epochs=3, mode=m) for m in ("loop", mode)
    )
    assert gap(fast, plain) < 1e-6


@pytest.mark.parametrize("mode", ["loop", "fused", "stacked"])
def test_early_stopping_keeps_the_best_epoch_on_the_latest_rows(mode):
    X, Y = sequences(days=30, assets=2, seed=3)
    rule = nn.Validation(fraction=0.2, patience=2)
    arguments = {"optimizer": nn.Adam(lr=0.2), "mode": mode}
    models = nn.fit(nn.LSTM(hidden=4), X, Y, epochs=12, validation=rule, **arguments)
    early = {"X": X.isel(time=slice(24)), "Y": Y.isel(time=slice(24))}
    for asset in models:
        losses, networks = [], []
        for epochs in range(1, 13):
            network = nn.fit(nn.LSTM(hidden=4), **early, epochs=epochs, **arguments)[asset]
            score = nn.predict({asset: network}, X).isel(time=slice(24, None)) - Y.isel(time=slice(24, None))
            losses.append(float((score.sel(asset=asset) ** 2).mean()))
            networks.append(network)
            best = int(np.argmin(losses))
            if epochs - 1 - best >= rule.patience:
                break
        assert identical(models[asset], networks[best])


def test_a_share_is_a_validation():
    X, Y = sequences(days=10, assets=1)
    by_share = nn.fit(nn.LSTM(hidden=2), X, Y, validation=0.3, epochs=2)
    assert identical(by_share["A0"], nn.fit(nn.LSTM(hidden=2), X, Y, validation=nn.Validation(0.3), epochs=2)["A0"])
    with pytest.raises(StrategyError, match="fraction between 0 and 1"):
        nn.fit(nn.LSTM(hidden=2), X, Y, validation=1.5)


def test_pooled_networks_see_every_sequence_of_their_group_from_a_zero_state():
    X, Y = sequences(days=20, assets=4, seed=4)
    Y[:7, 1] = np.nan
    groups = {"A0": "g", "A1": "g", "A3": "h"}
    rule = nn.LBFGS(lr=0.08)
    loop, fused = (
        nn.fit(nn.LSTM(hidden=4), X, Y, groups=groups, optimizer=rule, mode=mode) for mode in ("loop", "fused")
    )
    assert list(fused) == ["g", "h"]
    assert gap(fused, loop) < 1e-5
    alone = nn.fit(nn.LSTM(hidden=4), X.sel(asset=["A3"]), Y.sel(asset=["A3"]), optimizer=rule)
    assert identical(fused["h"], alone["A3"])
    scores = nn.predict(fused, X)
    assert list(scores.asset.values) == ["A0", "A1", "A3"]
    alone = nn.predict({"A1": fused["g"]}, X)
    np.testing.assert_array_equal(scores.sel(asset="A1"), alone.sel(asset="A1"))
    everything = nn.fit(nn.LSTM(hidden=4), X, Y, groups="all", mode="fused")
    assert list(everything) == ["all"]
    assert nn.predict(everything, X).sizes["asset"] == 4


@pytest.mark.parametrize("mode", ["loop", "fused", "stacked"])
def test_a_spent_budget_returns_what_there_is_and_says_what_was_cut(mode, caplog):
    X, Y = sequences(days=12, assets=3)
    with caplog.at_level(logging.WARNING):
        nothing = nn.fit(nn.LSTM(hidden=3), X, Y, mode=mode, budget_s=0)
    assert list(nothing) == []
    assert "budget of 0 s was spent" in nothing.failures["A2"]
    started = time.monotonic()
    some = nn.fit(nn.LSTM(hidden=3), X, Y, mode=mode, optimizer=nn.SGD(lr=1e-4), epochs=10**6, budget_s=0.3)
    assert time.monotonic() - started < 60  # of the hours that so many epochs take
    assert some.cut
    assert set(some.cut) <= set(some)
    assert set(some) | set(some.failures) == {"A0", "A1", "A2"}
    assert "cut the fit of" in caplog.text


def test_settings_that_make_no_sense_are_refused():
    X, Y = sequences(days=8, assets=1)
    for arguments, message in [
        ({"validation": 1}, "fraction between 0 and 1"),
        ({"validation": 0.2}, "fit: validation has nothing to stop or choose in one epoch; give epochs, say epochs=50"),
        ({"mode": "quick"}, "mode is 'quick'"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"budget_s": -1.0}, "budget_s is -1.0"),
    ]:
        with pytest.raises(StrategyError, match=message):
            nn.fit(nn.LSTM(hidden=2), X, Y, **arguments)
    with pytest.raises(StrategyError, match="use mode='auto'"):
        nn.fit(torch.nn.Linear(1, 1), X, Y, mode="fused")
    with pytest.raises(StrategyError, match="fit works in float32"):
        nn.fit(nn.LSTM(hidden=2).double(), X, Y)
    with pytest.raises(DataError, match="hold asset A0 twice"):
        nn.fit(nn.LSTM(hidden=2), xr.concat([X, X], "asset"), xr.concat([Y, Y], "asset"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    X, Y = sequences(days=8, assets=1)
    with pytest.raises(StrategyError, match="torch finds no such device"):
        nn.fit(nn.LSTM(hidden=2), X, Y, device="cuda")


def test_what_cannot_be_stacked_goes_through_the_loop():
    class Dropping(Mixing):
        def forward(self, x):
            return super().forward(torch.nn.functional.dropout(x, 0.5, self.training))

    X, Y = sequences(days=8, assets=2, features=2)
    assert not is_stackable(Dropping(), 2, torch.nn.functional.mse_loss)
    auto, loop = (nn.fit(Dropping, X, Y, optimizer=nn.Adam(), mode=mode) for mode in ("auto", "loop"))
    assert identical(auto["A0"], loop["A0"])
    with pytest.raises(StrategyError, match="Dropping cannot be stacked"):
        nn.fit(Dropping, X, Y, mode="stacked")


class Locked(nn.LSTM):
    """Cannot be copied."""

    def __init__(self):
        super().__init__(2, 3)
        self.lock = threading.Lock()


def locked():
    """Return a plain network, which the kernels know, that cannot be copied."""
    network = nn.LSTM(2, 3)
    network.lock = threading.Lock()
    return network


@pytest.mark.parametrize("factory", [Locked, locked])
def test_what_cannot_be_copied_goes_through_the_loop_or_is_named(factory):
    X, Y = sequences(days=8, assets=2, features=2)
    auto, loop = (nn.fit(factory, X, Y, optimizer=nn.Adam(), mode=mode) for mode in ("auto", "loop"))
    assert not auto.failures
    assert gap(auto, loop) == 0.0
    refused = r"^fit: \w+ cannot be copied \(cannot pickle '_thread.lock' object\); pass a function that builds it, and"
    for model, mode in ((factory, "stacked"), (factory, "fused"), (factory(), "auto"), (factory(), "loop")):
        with pytest.raises(StrategyError, match=refused):
            nn.fit(model, X, Y, mode=mode)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no fast LSTM layers here")
@pytest.mark.parametrize(("kind", "way"), [("lstm", "loop"), ("gru", "stacked"), ("rnn", "stacked")])
def test_recurrent_layers_go_the_way_that_is_faster_for_them(kind, way):
    X, Y = sequences(days=8, assets=2, features=2)
    auto, chosen = (nn.fit(nn.Recurrent(2, 3, 1, kind), X, Y, mode=mode, device="cpu") for mode in ("auto", way))
    assert gap(auto, chosen) == 0.0
    alone = nn.fit(nn.Recurrent(2, 3, 1, kind), X.sel(asset=["A1"]), Y.sel(asset=["A1"]), device="cpu")
    assert identical(alone["A1"], auto["A1"])


def test_frozen_parameters_stay_and_the_template_is_untouched():
    X, Y = sequences(days=8, assets=1, features=2)

    def half_frozen():
        network = Mixing()
        network.inner.requires_grad_(False)
        return network

    torch.manual_seed(42)
    start = half_frozen()
    for mode in ("loop", "stacked"):
        fitted = nn.fit(half_frozen, X, Y, optimizer=nn.SGD(lr=0.5), mode=mode)["A0"]
        assert torch.equal(fitted.inner.weight, start.inner.weight)
        assert not torch.equal(fitted.output.weight, start.output.weight)
    template = nn.LSTM(2, 3)
    before = copy.deepcopy(template)
    nn.fit(template, X, Y)
    assert identical(template, before)
    assert template.training
    assert all(p.requires_grad for p in template.parameters())


def test_networks_are_set_aside_while_many_are_fitted_and_looked_at_afterwards(monkeypatch):
    X, Y = sequences(days=8, assets=5, features=2)
    set_aside, freeze = [], gc.freeze
    monkeypatch.setattr(batches, "_MODELS_BETWEEN", 2)
    monkeypatch.setattr(batches.gc, "freeze", lambda: set_aside.append(freeze()))
    nn.fit(nn.LSTM(2, 3), X, Y)
    assert len(set_aside) == 3
    assert gc.get_freeze_count() == 0
    freeze()
    try:
        nn.fit(nn.LSTM(2, 3), X, Y)
        assert len(set_aside) == 3
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_the_settings_of_the_process_are_left_as_they_were():
    X, Y = sequences(days=8, assets=2, features=2)
    torch.set_default_dtype(torch.float64)
    try:
        template = nn.LSTM(2, 3).float()
        nn.fit(template, X, Y)
        nn.fit(Mixing().float(), X, Y)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.is_grad_enabled()
