"""Networks of the literature find what takes a memory and nothing where nothing is; lists chosen without the future."""

import numpy as np
import pytest
import torch
from test_networks import table

import qlstm
from qlstm import audit, labels, nn, universe
from qlstm.data import synthetic

FINDERS = {
    "two cells": (lambda: nn.LSTM(1, 24, 2), 0.005),
    "gru": (lambda: nn.Recurrent(1, 16, kind="gru"), 0.01),
    "lstm with dropout": (lambda: nn.Recurrent(1, 24, dropout=0.1), 0.01),
    "convolution, then lstm": (
        lambda: torch.nn.Sequential(nn.Convolution(1, 16), nn.Memory(16, 16), nn.LastStep(), nn.MLP(16)),
        0.005,
    ),
    "lstm, then attention": (
        lambda: torch.nn.Sequential(nn.Memory(1, 16), nn.StepAttention(16), nn.MLP(16)),
        0.005,
    ),
    "concatenated": (lambda: nn.concatenated(1, 24), 0.005),
    "layered": (lambda: nn.layered(1, 16), 0.005),
    "transformer": (lambda: nn.Transformer(1, 32, 4), 0.002),
    "layered transformer": (lambda: nn.layered_transformer(1, 32, 4), 0.002),
    "slim transformer": (lambda: nn.slim_transformer(1, 32, 4), 0.002),
}
BLIND = {
    "transformer": lambda: nn.Transformer(1, 32, 4, positions="none"),
    "layered transformer": lambda: nn.layered_transformer(1, 32, 4, positions="none"),
    "slim transformer": lambda: nn.slim_transformer(1, 32, 4, positions="none"),
}
WITHOUT_MEMORY = {"perceptron": lambda: nn.MLP(1, (16,)), "logistic regression": lambda: nn.MLP(1, ())}


def hits(market, model, n_days=1500, epochs=30, lr=0.01, seed=0):
    """Return the share of right signs after the training, its standard error, and the market's truth."""
    cube, truth = synthetic.market(market, seed=seed, n_days=n_days)
    close = cube.sel(field="close", drop=True)
    returns = 80.0 * (close / close.shift(time=1) - 1.0)
    target = labels.direction(labels.executed_return(cube))
    sequences = nn.Sequences(returns, target, length=6, horizon=labels.horizon())
    known, test = sequences.split(0.3)
    settings = {"loss": nn.BCE(), "optimizer": nn.Adam(lr=lr), "batch": 256, "epochs": epochs, "patience": epochs}
    fitted = nn.fit_pooled(model, *known.split(0.2), **settings)
    scores = nn.predict_pooled(fitted.network, test).values[test.rows, test.columns]
    right = (scores > 0) == (test.targets() > 0.5)
    return float(right.mean()), 0.5 / np.sqrt(len(right)), truth


def test_a_memory_is_found_by_an_lstm():
    hit, error, truth = hits("P3", nn.LSTM(1, 16, 1), n_days=1000, epochs=20)
    assert hit > truth.must_find
    assert hit - 3 * error > 0.5


@pytest.mark.parametrize("name", WITHOUT_MEMORY)
def test_a_memory_is_not_found_from_the_last_row(name):
    hit, error, _ = hits("P3", WITHOUT_MEMORY[name], n_days=1000, epochs=8)
    assert abs(hit - 0.5) < 3 * error


@pytest.mark.parametrize("name", ["convolution, then lstm", "lstm, then attention", "concatenated", "layered"])
def test_networks_with_a_memory_learn_the_sign_of_a_product_of_two_rows(name):
    X = table(160, 16)
    before = X.shift(time=1) * X.shift(time=3)  # the same link as in P3, without its noise
    known, test = nn.Sequences(X, (before > 0).where(before.notnull()), length=5).split(0.3, embargo=0)
    fitted = nn.fit_pooled(FINDERS[name][0], known, loss=nn.BCE(), optimizer=nn.Adam(lr=0.01), batch=64, epochs=8)
    scores = nn.predict_pooled(fitted.network, test).values[test.rows, test.columns]
    assert ((scores > 0) == (test.targets() > 0.5)).mean() > 0.9


def test_nothing_is_found_where_nothing_is():
    for model in (nn.LSTM(1, 16, 1), nn.concatenated(1, 8)):
        hit, error, _ = hits("N0", model, n_days=700, epochs=3)
        assert abs(hit - 0.5) < 3 * error


@pytest.mark.soak
@pytest.mark.parametrize("name", FINDERS)
def test_every_network_with_a_memory_finds_it(name):
    model, lr = FINDERS[name]
    hit, error, truth = hits("P3", model, epochs=40, lr=lr)
    assert hit > truth.must_find, hit
    assert hit - 3 * error > 0.5


@pytest.mark.soak
@pytest.mark.parametrize("name", BLIND)
def test_a_transformer_loses_it_without_positions(name):
    hit, _, truth = hits("P3", BLIND[name], epochs=40, lr=0.002)
    assert hit < truth.must_find, hit


@pytest.mark.soak
@pytest.mark.parametrize("name", FINDERS)
def test_no_network_finds_anything_where_nothing_is(name):
    model, lr = FINDERS[name]
    hit, error, _ = hits("N0", model, epochs=10, lr=lr)
    assert abs(hit - 0.5) < 3 * error, hit


def test_a_list_of_uncorrelated_assets_does_not_depend_on_what_comes_after_its_training():
    def train(data):
        return {
            "first": (first := universe.uncorrelated(data, 4)),
            "next": universe.uncorrelated(data, 4, excluded=first),
        }

    def predict(models, data):
        close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
        return close.asset.isin(models["first"]) / 8 - close.asset.isin(models["next"]) / 8

    cube, _ = synthetic.market("P13", seed=0, n_days=160)
    strategy = qlstm.Strategy(train=train, predict=predict, train_period=100, lookback_period=5, retrain_interval=30)
    report = audit.check(strategy, cube, ["look-ahead"], progress=False)
    assert report.ok, str(report)
