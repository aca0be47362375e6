"""The forward of nn.LSTM as one operation, and scores: against the same cells one by one."""

import copy

import numpy as np
import torch
import xarray as xr
from test_nn import sequences

from qlstm import nn
from qlstm.nn.networks import step_by_step


def test_the_one_operation_forward_and_its_slopes_equal_cell_by_cell():
    torch.manual_seed(0)
    network = nn.LSTM(3, 7, 2)
    x = torch.randn(4, 11, 3, requires_grad=True)
    weights = torch.randn(4, 11)
    fast = network(x)
    slopes = torch.autograd.grad((fast * weights).sum(), [x, *network.parameters()])
    with step_by_step():
        plain = network(x)
    expected = torch.autograd.grad((plain * weights).sum(), [x, *network.parameters()])
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-6)
    for mine, theirs in zip(slopes, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_the_forward_is_plain_where_the_one_operation_does_not_fit():
    network = nn.LSTM(2, 3)
    x = torch.randn(2, 5, 2)
    doubled = copy.deepcopy(network).double()(x.double())
    torch.testing.assert_close(doubled.float(), network(x), rtol=0, atol=1e-6)
    per_sample = torch.func.vmap(lambda one: network(one[None])[0])(x)
    torch.testing.assert_close(per_sample, network(x), rtol=0, atol=1e-6)
    seen = []
    network.output.register_forward_hook(lambda *_: seen.append(1))
    network(x)
    assert len(seen) == 5


def test_scores_are_those_of_the_networks_own_forward_and_see_every_change_of_it():
    X, Y = sequences(days=15, assets=3, seed=1)
    X[3, 1] = np.nan
    models = nn.fit(nn.LSTM(hidden=6), X, Y)
    scores = nn.predict(models, X)
    assert np.isnan(scores[3, 1])
    for asset in models:
        x = X.sel(asset=asset).dropna("time")
        with torch.no_grad():
            own = models[asset](torch.tensor(x.values[None], dtype=torch.float32))[0].numpy()
        np.testing.assert_array_equal(scores.sel(asset=asset, time=x.time), own)
        np.testing.assert_array_equal(nn.predict({asset: models[asset]}, X).sel(asset=asset), scores.sel(asset=asset))
    first = nn.predict(models, X.isel(time=[0]))
    np.testing.assert_array_equal(first, scores.isel(time=[0]))
    models["A0"].output.bias.data += 1.0  # no version counter sees this
    np.testing.assert_allclose(nn.predict(models, X).sel(asset="A0"), scores.sel(asset="A0") + 1, atol=1e-6)
    models["A0"].output.bias = torch.nn.Parameter(models["A0"].output.bias - 1.0)
    np.testing.assert_allclose(nn.predict(models, X).sel(asset="A0"), scores.sel(asset="A0"), atol=1e-6)


def test_scores_carry_plain_labels_whatever_the_order_of_the_inputs():
    X, Y = sequences(days=6, assets=3, seed=1)
    models = nn.fit(nn.LSTM(hidden=2), X, Y)
    turned = X.isel(feature=0, drop=True).assign_coords(field="close").rename("x").transpose("asset", "time")
    scores = nn.predict(models, turned.isel(asset=[2, 0, 1]))
    xr.testing.assert_identical(scores, nn.predict(models, X))
    assert scores.name is None
    assert set(scores.coords) == {"time", "asset"}
