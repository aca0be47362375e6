"""Networks and their fit: against the same thing written out by hand in torch."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

from qlstm import nn
from qlstm.errors import DataError, StrategyError


def sequences(days=40, assets=3, features=1, seed=0):
    random = np.random.default_rng(seed)
    coords = {}
    coords["time"] = (np.datetime64("2020-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")).astype(
        "datetime64[ns]"
    )
    coords["asset"] = [f"A{i}" for i in range(assets)]
    X = xr.DataArray(random.standard_normal((days, assets, features)), dims=("time", "asset", "feature"), coords=coords)
    Y = xr.DataArray((random.random((days, assets)) > 0.5).astype(float), dims=("time", "asset"), coords=coords)
    return X, Y


def by_hand(x, y, hidden=5, lr=0.08, seed=42):
    """Fit two LSTM cells and a linear output with one LBFGS step, written out."""
    torch.manual_seed(seed)
    cell1, cell2 = torch.nn.LSTMCell(x.shape[-1], hidden), torch.nn.LSTMCell(hidden, hidden)
    linear = torch.nn.Linear(hidden, 1)
    x, y = torch.tensor(x[None], dtype=torch.float32), torch.tensor(y[None], dtype=torch.float32)

    def forward(x):
        h1 = c1 = h2 = c2 = torch.zeros(1, hidden)
        outputs = []
        for t in range(x.shape[1]):
            h1, c1 = cell1(x[:, t], (h1, c1))
            h2, c2 = cell2(h1, (h2, c2))
            outputs.append(linear(h2))
        return torch.cat(outputs, 1)

    parameters = [*cell1.parameters(), *cell2.parameters(), *linear.parameters()]
    optimizer = torch.optim.LBFGS(parameters, lr=lr)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(forward(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    return [p.detach().numpy() for p in parameters], forward(x).detach().numpy()[0]


@pytest.mark.parametrize(("mode", "tolerance"), [("loop", 1e-7), ("auto", 1e-5)])
def test_a_fit_equals_the_same_network_written_out_by_hand(mode, tolerance):
    X, Y = sequences()
    models = nn.fit(nn.LSTM(hidden=5), X, Y, optimizer=nn.LBFGS(lr=0.08), mode=mode)
    scores = nn.predict(models, X)
    for asset in X.asset.values:
        parameters, expected = by_hand(X.sel(asset=asset).values, Y.sel(asset=asset).values)
        for mine, theirs in zip(models[asset].parameters(), parameters, strict=True):
            np.testing.assert_allclose(mine.numpy(), theirs, atol=tolerance)
        np.testing.assert_allclose(scores.sel(asset=asset), expected, atol=2e-6)


def test_a_model_does_not_depend_on_what_else_is_fitted_or_in_which_order():
    X, Y = sequences()
    whole = nn.fit(nn.LSTM(hidden=4), X, Y)
    alone = nn.fit(nn.LSTM(hidden=4), X.isel(asset=[2]), Y.isel(asset=[2]))
    turned = nn.fit(nn.LSTM(hidden=4), X.isel(asset=[2, 1, 0]), Y.isel(asset=[2, 1, 0]))
    for other in (alone, turned):
        for a, b in zip(whole["A2"].parameters(), other["A2"].parameters(), strict=True):
            assert torch.equal(a, b)
    assert list(whole) == ["A0", "A1", "A2"]
    assert len(whole) == 3


def test_the_callers_generator_and_threads_are_left_alone():
    X, Y = sequences(days=10, assets=1)
    network = nn.LSTM(hidden=3)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    nn.fit(network, X, Y, optimizer=nn.Adam())
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == threads


def test_rows_with_nan_are_left_out():
    X, Y = sequences(days=30, assets=1)
    gaps = [3, 4, 17]
    Y[gaps] = np.nan
    kept = np.setdiff1d(np.arange(30), gaps)
    with_gaps = nn.fit(nn.LSTM(hidden=3), X, Y)
    without = nn.fit(nn.LSTM(hidden=3), X.isel(time=kept), Y.isel(time=kept))
    for a, b in zip(with_gaps["A0"].parameters(), without["A0"].parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_asset_without_rows_or_that_diverges_is_left_out_and_named(caplog):
    X, Y = sequences(days=20)
    Y[:, 1] = np.nan
    with caplog.at_level(logging.WARNING):
        models = nn.fit(nn.LSTM(hidden=3), X, Y)
    assert list(models) == ["A0", "A2"]
    assert "A1 has no row" in caplog.text
    with caplog.at_level(logging.WARNING):
        assert list(nn.fit(nn.LSTM(hidden=3), X, Y, optimizer=nn.SGD(lr=1e38), epochs=3)) == []
    assert "A0: the loss became NaN" in caplog.text


@pytest.mark.parametrize("optimizer", [nn.LBFGS(lr=0.1), nn.Adam(lr=0.01), nn.RMSprop(lr=0.01), nn.SGD(lr=0.1)])
def test_every_optimiser_lowers_the_loss(optimizer):
    X, Y = sequences(assets=1)
    loss = [
        float(((nn.predict(nn.fit(nn.LSTM(hidden=6), X, Y, optimizer=optimizer, epochs=n), X) - Y) ** 2).mean())
        for n in (1, 15)
    ]
    assert loss[1] < loss[0]


def test_a_factory_and_another_loss_are_taken():
    X, Y = sequences(assets=1, features=2)

    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(2, 1)

        def forward(self, x):
            return self.linear(x)[..., 0]

    models = nn.fit(
        Last, X, Y, loss=torch.nn.functional.binary_cross_entropy_with_logits, optimizer=nn.Adam(), epochs=2
    )
    assert nn.predict(models, X).dims == ("time", "asset")


def test_an_asset_without_inputs_is_refused_by_name():
    X, Y = sequences(days=10, assets=2)
    models = nn.fit(nn.LSTM(hidden=3), X, Y)
    with pytest.raises(DataError, match="no inputs for asset A1"):
        nn.predict(models, X.sel(asset=["A0"]))


def test_labels_that_differ_are_refused():
    X, Y = sequences(days=10)
    with pytest.raises(DataError, match="different asset labels"):
        nn.fit(nn.LSTM(), X, Y.isel(asset=[1, 0, 2]))
    with pytest.raises(DataError, match=r"inputs want dims \(time, asset, feature\), got"):
        nn.fit(nn.LSTM(), X.isel(asset=0), Y)


@pytest.mark.parametrize("learn", [lambda X, Y: nn.fit(nn.LSTM(), X, Y), partial(nn.Sequences, length=3)])
def test_what_is_no_labelled_array_is_refused_with_the_way_to_join_several(learn):
    X, Y = sequences(days=10)
    with pytest.raises(DataError, match=r"inputs want one xarray.DataArray .* got list; xr.concat.* joins several"):
        learn([X, X], Y)
    with pytest.raises(DataError, match=r"targets want dims \(time, asset\), got ndarray"):
        learn(X, Y.values)


@pytest.mark.parametrize("mode", ["auto", "loop", "stacked", "fused"])
def test_a_network_for_another_number_of_features_is_refused_with_the_argument(mode):
    X, Y = sequences(days=10, features=2)
    with pytest.raises(StrategyError, match=r"LSTM\(input_dim=1\), but X has 2 features a row; say input_dim=2"):
        nn.fit(nn.LSTM(), X, Y, mode=mode)


def test_a_network_that_cannot_be_drawn_anew_is_refused():
    class Fixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return x[..., 0] * self.a

    X, Y = sequences(days=10, assets=1)
    with pytest.raises(StrategyError, match=r"Fixed has parameters but no reset_parameters\(\)"):
        nn.fit(Fixed(), X, Y)
    assert list(nn.fit(Fixed, X, Y)) == ["A0"]
