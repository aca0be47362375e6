"""Losses: three cases by hand each, and every term's slope."""

import math
import re

import numpy as np
import pytest
import torch
import xarray as xr
from conftest import ROOT

from qlstm import nn

OUTPUT = torch.tensor([0.5, -2.0, 3.0])
TARGET = torch.tensor([1.0, 1.0, -1.0])  # errors -0.5, -3, 4; the second and the third have the wrong sign
RIGHT = torch.tensor([0.5, 2.0, -3.0])
ZERO = torch.zeros(3)

SOFT = [math.log1p(math.exp(-x)) for x in (0.5, -2.0, -3.0)]  # of output times the target's sign, temperature 1
CHANCE = [1 / (1 + math.exp(x)) for x in (0.5, -2.0, -3.0)]

BY_HAND = [
    (nn.MSE(), OUTPUT, (0.25 + 9 + 16) / 3),
    (nn.MSE(), RIGHT, (0.25 + 1 + 4) / 3),
    (nn.MSE(), ZERO, 1.0),
    (nn.Huber(), OUTPUT, (0.125 + 2.5 + 3.5) / 3),
    (nn.Huber(delta=2.0), OUTPUT, (0.125 + 4.0 + 6.0) / 3),
    (nn.Huber(), ZERO, 0.5),
    (nn.MSEWithSignPenalty(), OUTPUT, (0.25 + 9 + 16) / 3 + 2 * (2 + 3) / 3),
    (nn.MSEWithSignPenalty(), RIGHT, (0.25 + 1 + 4) / 3),
    (nn.MSEWithSignPenalty(weight=1.0), ZERO, 1.0),
    (nn.HuberWithSignPenalty(), OUTPUT, (0.125 + 2.5 + 3.5) / 3 + 2 * 2 / 3),
    (nn.HuberWithSignPenalty(), RIGHT, (0.125 + 0.5 + 1.5) / 3),
    (nn.HuberWithSignPenalty(), ZERO, 0.5 + 2),  # a zero has neither sign
    (nn.SignErrorRatio(), OUTPUT, 0.5 * (0.25 + 9 + 16) / 3 + 2 * 2 / 3),
    (nn.SignErrorRatio(), RIGHT, 0.5 * (0.25 + 1 + 4) / 3),
    (nn.SignErrorRatio(weight=3.0), ZERO, 0.5 + 3),
    (nn.MSEWithSignPenalty(smooth=True, temperature=1.0), OUTPUT, (0.25 + 9 + 16) / 3 + 2 * sum(SOFT) / 3),
    (nn.HuberWithSignPenalty(smooth=True, temperature=1.0), OUTPUT, (0.125 + 2.5 + 3.5) / 3 + 2 * sum(CHANCE) / 3),
    (nn.SignErrorRatio(smooth=True, temperature=1.0), OUTPUT, 0.5 * (0.25 + 9 + 16) / 3 + 2 * sum(CHANCE) / 3),
    (nn.MSEWithSignPenalty(smooth=True), ZERO, 1.0 + 2 * 0.1 * math.log(2)),
    (nn.HuberWithSignPenalty(smooth=True), ZERO, 0.5 + 2 * 0.5),
    (nn.SignErrorRatio(smooth=True), ZERO, 0.5 + 2 * 0.5),
]


@pytest.mark.parametrize(("loss", "output", "expected"), BY_HAND, ids=str)
def test_a_loss_is_what_it_is_by_hand(loss, output, expected):
    value = loss(output, TARGET)
    assert value.ndim == 0
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_takes_logits_or_probabilities():
    chance = torch.tensor([0.9, 0.2, 0.5])
    target = torch.tensor([1.0, 0.0, 1.0])
    expected = -(math.log(0.9) + math.log(0.8) + math.log(0.5)) / 3
    assert float(nn.BCE(logits=False)(chance, target)) == pytest.approx(expected, rel=1e-6)
    assert float(nn.BCE()(torch.logit(chance), target)) == pytest.approx(expected, rel=1e-6)
    assert float(nn.BCE()(torch.tensor([100.0, -100.0]), torch.tensor([0.0, 1.0]))) == pytest.approx(100.0)


PENALISED = [nn.MSEWithSignPenalty, nn.HuberWithSignPenalty, nn.SignErrorRatio]
LOSSES = [nn.BCE(), nn.MSE(), nn.Huber(), *(kind(smooth=smooth) for kind in PENALISED for smooth in (False, True))]
IDLE = {("HuberWithSignPenalty", False, "sign"), ("SignErrorRatio", False, "sign")}


def slopes(loss, term, output, target):
    leaf = output.clone().requires_grad_(True)
    value = loss.terms(leaf, target)[term]
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(value, leaf)[0]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_term_trains_but_for_the_counts_of_the_originals(loss):
    torch.manual_seed(0)
    output, target = torch.randn(64), torch.randn(64)
    target = (target > 0).float() if isinstance(loss, nn.BCE) else target
    for term in loss.terms(output, target):
        idle = (type(loss).__name__, getattr(loss, "smooth", None), term) in IDLE
        assert bool((slopes(loss, term, output, target) == 0).all()) == idle
    total = sum(loss.terms(output, target).values())
    torch.testing.assert_close(loss(output, target), total)


@pytest.mark.parametrize("kind", PENALISED)
def test_a_smooth_penalty_tends_to_the_original_and_pushes_towards_the_right_sign(kind):
    torch.manual_seed(0)
    output, target = torch.randn(200), torch.randn(200)
    original = float(kind().terms(output, target)["sign"])
    gaps = [
        abs(float(kind(smooth=True, temperature=t).terms(output, target)["sign"]) - original) for t in (1, 0.1, 1e-4)
    ]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-3
    push = slopes(kind(smooth=True, temperature=1.0), "sign", output, target)
    assert bool((torch.sign(push) == -torch.sign(target)).all())


def test_the_originals_train_as_the_loss_without_their_count():
    torch.manual_seed(0)
    output, target = torch.randn(64), torch.randn(64)
    for loss, plain, share in ((nn.HuberWithSignPenalty(), nn.Huber(), 1.0), (nn.SignErrorRatio(), nn.MSE(), 0.5)):
        leaf = output.clone().requires_grad_(True)
        (got,) = torch.autograd.grad(loss(leaf, target), leaf)
        (expected,) = torch.autograd.grad(share * plain(leaf, target), leaf)
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_the_documented_table_says_which_terms_train():
    page = (ROOT / "docs" / "learning.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|", page, flags=re.MULTILINE)
    told = {name: "nothing" not in original for name, original, _ in rows}
    for loss in LOSSES:
        name = type(loss).__name__
        assert name in told
        assert told[name] == all((name, False, term) not in IDLE for term in loss.terms(OUTPUT, TARGET.clamp(0, 1)))


@pytest.mark.parametrize("mode", ["loop", "stacked", "fused"])
def test_every_way_of_fitting_takes_them(mode):
    random = np.random.default_rng(0)
    coords = {"time": np.datetime64("2020-01-01", "ns") + np.arange(30) * np.timedelta64(1, "D"), "asset": ["A", "B"]}
    X = xr.DataArray(random.standard_normal((30, 2)), dims=("time", "asset"), coords=coords)
    loss = nn.MSEWithSignPenalty(smooth=True)
    models = nn.fit(nn.LSTM(hidden=4), X, X * 0.5, loss=loss, optimizer=nn.Adam(lr=0.01), epochs=20, mode=mode)
    reference = nn.fit(nn.LSTM(hidden=4), X, X * 0.5, loss=loss, optimizer=nn.Adam(lr=0.01), epochs=20, mode="loop")
    np.testing.assert_allclose(nn.predict(models, X), nn.predict(reference, X), atol=1e-5)
