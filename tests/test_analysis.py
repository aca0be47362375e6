"""Analyses of models and inputs: they find what was planted, find nothing where nothing is, and add up."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy import stats as scipy_stats

from qlstm import analysis, labels
from qlstm.analysis.ablating import _shuffled
from qlstm.data import synthetic
from qlstm.errors import DataError

COLUMNS = ["margin_net", "margin_gross", "margin_operating", "eps_surprise", "sentiment"]


def panel(seed=0, rows=80, assets=20, features=4, strength=0.0):
    """Return random features and a label that follows feature f0."""
    random = np.random.default_rng(seed)
    times, names = pd.bdate_range("2015-01-01", periods=rows), [f"A{i}" for i in range(assets)]
    x = random.normal(size=(rows, assets, features))
    y = strength * x[..., 0] + random.normal(size=(rows, assets))
    coords = {"time": times, "asset": names}
    given = xr.DataArray(
        x, dims=("time", "asset", "feature"), coords=coords | {"feature": [f"f{i}" for i in range(features)]}
    )
    return given, xr.DataArray(y, dims=("time", "asset"), coords=coords)


def quarters(seed):
    """Return changes of the columns of P7, standardised, with the executed return."""
    data, truth = synthetic.market("P7", seed=seed)
    columns = data.sel(field=COLUMNS).transpose("time", "asset", "field").rename(field="feature")
    change = columns - columns.shift(time=1)
    assert truth.facts["planted"] == "change of margin_net"
    return change / change.std(), labels.executed_return(data)


def least_squares(features, label):
    """Return a linear model fitted to the first half, and the halves after it."""
    half = features.sizes["time"] // 2
    x, y = features.values[:half].reshape(-1, features.sizes["feature"]), label.values[:half].ravel()
    known = np.isfinite(x).all(axis=1) & np.isfinite(y)
    weights = np.linalg.lstsq(x[known], y[known], rcond=None)[0]

    def forecast(given):
        return xr.dot(
            given, xr.DataArray(weights, dims="feature", coords={"feature": features["feature"]}), dim="feature"
        )

    return forecast, features[half:], label[half:]


# --- correlation with the label ----------------------------------------------------------------------------------------------


def test_of_52_idle_inputs_as_many_pass_as_chance_allows_and_none_after_correction():
    found = analysis.label_correlation(*panel(seed=1, features=52))
    assert found.chance == pytest.approx(2.6)
    assert scipy_stats.binomtest(found.below_level, 52, 0.05).pvalue > 0.01
    assert found.found == []
    assert "2.6 expected by chance; after Holm: none" in str(found)
    assert set(found.table["band"]) == {"very weak"}


def test_the_planted_input_comes_first_and_survives_the_correction():
    found = analysis.label_correlation(*quarters(seed=1))
    assert found.table.index[0] == "margin_net"
    assert found.found == ["margin_net"]
    assert found.table.loc["margin_net", "correlation"] == pytest.approx(0.3, abs=0.05)
    assert found.table.loc["margin_net", "band"] == "weak"


def test_the_numbers_are_those_of_numpy_and_of_bonferroni():
    given, happened = panel(strength=0.2)
    given.values[3:6, 2, 0] = np.nan
    table = analysis.label_correlation(given, happened).table
    known = np.isfinite(given.values[..., 0])
    expected = np.corrcoef(given.values[..., 0][known], happened.values[known])[0, 1]
    assert table.loc["f0", "correlation"] == pytest.approx(expected, abs=1e-12)
    daily = [
        scipy_stats.spearmanr(x, y, nan_policy="omit")[0]
        for x, y in zip(given.values[..., 0], happened.values, strict=True)
    ]
    assert table.loc["f0", "ic"] == pytest.approx(np.mean(daily), abs=1e-12)
    np.testing.assert_allclose(table["bonferroni"], np.minimum(1.0, 4 * table["p"]))
    assert (table["holm"] <= table["bonferroni"] + 1e-15).all()


def test_an_input_that_is_the_same_for_all_assets_is_tested_over_days():
    given, happened = panel(rows=400)
    market = np.random.default_rng(9).normal(size=(400, 1))
    given.values[..., 1] = market
    table = analysis.label_correlation(given, happened + 0.5 * market).table
    assert table.index[0] == "f1"
    assert table.loc["f1", "test"] == "market"
    assert np.isnan(table.loc["f1", "ic"])
    assert table.loc["f1", "holm"] < 1e-3
    assert table.loc["f0", "test"] == "ic"
    # Twenty copies of one day are one day: the t must not grow with the assets.
    alone = analysis.label_correlation(given[:, :1], (happened + 0.5 * market)[:, :1]).table
    assert abs(table.loc["f1", "t"]) < 3 * abs(alone.loc["f1", "t"])


def test_inputs_that_say_nothing_or_everything_are_refused_by_name():
    given, happened = panel()
    changed = given.copy()
    changed.values[..., 2] = happened
    with pytest.raises(DataError, match="feature 'f2' is the label itself"):
        analysis.label_correlation(changed, happened)
    changed.values[..., 1] = 3.0
    with pytest.raises(DataError, match="feature 'f1' does not vary"):
        analysis.label_correlation(changed, happened)
    with pytest.raises(DataError, match="feature 'f0' has 5 days"):
        analysis.label_correlation(given[:5], happened)
    with pytest.raises(DataError, match=r"the label must have dims \(asset, time\)"):
        analysis.label_correlation(given, happened[0])
    with pytest.raises(DataError, match="no time and asset in common"):
        analysis.label_correlation(given[:5], happened[5:])
    with pytest.raises(DataError, match="features hold 1 infinite values"):
        analysis.label_correlation(xr.where(given == given[0, 0, 0], np.inf, given), happened)


# --- ablation ----------------------------------------------------------------------------------------------------------------


def test_shuffling_stays_within_the_day_and_leaves_gaps_where_they_are():
    column = np.arange(40.0).reshape(8, 5)
    column[2, 3] = column[5] = np.nan
    drawn = _shuffled(column, np.random.default_rng(0))
    np.testing.assert_array_equal(np.isnan(drawn), np.isnan(column))
    np.testing.assert_array_equal(np.sort(drawn, axis=1), np.sort(column, axis=1))
    assert not np.array_equal(np.nan_to_num(drawn), np.nan_to_num(column))


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_input_costs_most(seed):
    found = analysis.ablation(*least_squares(*quarters(seed)), repeats=5)
    assert found.table.index[0] == "margin_net"
    assert "margin_net" in found.helpful
    assert set(found.table["how"]) == {"shuffled"}


@pytest.mark.soak
def test_the_planted_input_costs_most_on_95_of_100_markets_and_intervals_of_idle_ones_cover_0():
    first, covered = 0, []
    for seed in range(100):
        table = analysis.ablation(*least_squares(*quarters(seed)), repeats=5).table
        first += table.index[0] == "margin_net"
        idle = table.drop("margin_net")
        covered.append(((idle["low"] <= 0) & (idle["high"] >= 0)).mean())
    assert first >= 95
    assert np.mean(covered) > 0.9


def test_intervals_of_idle_inputs_cover_0():
    covered = []
    for seed in range(12):
        table = analysis.ablation(*least_squares(*panel(seed, strength=0.3)), repeats=5).table
        idle = table.drop("f0")
        covered += list((idle["low"] <= 0) & (idle["high"] >= 0))
    assert np.mean(covered) > 0.85


def test_an_input_the_model_does_not_use_costs_exactly_nothing():
    given, happened = panel(strength=0.5)
    table = analysis.ablation(lambda x: 0.5 * x.sel(feature="f0", drop=True), given, happened, repeats=3).table
    assert (table.drop("f0")[["change", "low", "high"]] == 0).all(axis=None)
    # (w x' - y)² - (w x - y)² averages to 2 w cov(x, y) = 2 w² within days.
    assert table.loc["f0", "change"] == pytest.approx(0.5, abs=0.15)


def test_an_input_of_the_market_is_held_at_its_training_mean():
    given, happened = panel(strength=0.5)
    given.values[..., 1] = np.random.default_rng(3).normal(size=(80, 1))
    happened = happened + given.sel(feature="f1", drop=True)

    def forecast(x):
        return x.sel(feature="f1", drop=True)

    with pytest.raises(DataError, match="feature 'f1' never differs between assets; pass means"):
        analysis.ablation(forecast, given, happened)
    means = given.mean(["time", "asset"])
    table = analysis.ablation(forecast, given, happened, means=means, repeats=2).table
    assert table.index[0] == "f1"
    assert table.loc["f1", "how"] == "mean"
    assert table.loc["f1", "low"] > 0
    with pytest.raises(DataError, match="means lack feature 'f1'"):
        analysis.ablation(forecast, given, happened, means=means.drop_sel(feature="f1"), repeats=2)


def test_another_loss_can_be_asked_for_and_a_seed_repeats():
    given, happened = panel(strength=0.5)

    def forecast(x):
        return x.sel(feature="f0", drop=True)

    def misses(guess, outcome):
        return np.where(np.isfinite(outcome), np.sign(guess) != np.sign(outcome), np.nan)

    one, other = (analysis.ablation(forecast, given, happened, loss=misses, repeats=3) for _ in range(2))
    pd.testing.assert_frame_equal(one.table, other.table)
    assert one.loss == pytest.approx(0.5 - np.arcsin(0.5 / np.sqrt(1.25)) / np.pi, abs=0.03)
    assert one.helpful == ["f0"]
    with pytest.raises(DataError, match="9 days have a loss"):
        analysis.ablation(forecast, given[:9], happened)


# --- integrated gradients ------------------------------------------------------------------------------------------------------


class Reader(torch.nn.Module):
    """An LSTM with dropout and a batch norm that would mix the samples of a batch in training mode."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 8, 2, batch_first=True, dropout=0.5)
        self.norm = torch.nn.BatchNorm1d(8)
        self.out = torch.nn.Linear(8, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.norm(self.lstm(x)[0][:, -1])))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_the_parts_of_a_linear_model_are_its_weights_times_the_distance(generator):
    model = torch.nn.Linear(5, 1)
    x = torch.randn(40, 5, generator=generator)
    found = analysis.integrated_gradients(model, x, x.mean(0), steps=3)
    expected = model.weight.detach() * (x - x.mean(0))
    torch.testing.assert_close(found.parts, expected, rtol=0, atol=1e-6)
    assert float(found.base) == pytest.approx(float(model(x.mean(0)[None]).detach()), abs=1e-6)


def test_the_parts_of_a_network_with_memory_add_up_and_it_is_left_as_it_was(generator):
    torch.manual_seed(1)
    model, x = Reader(), 2 * torch.randn(16, 12, 3, generator=generator)
    model.lstm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = analysis.integrated_gradients(model, x, x.mean(0))
    assert found.parts.shape == x.shape
    assert found.gap <= 1e-4
    torch.testing.assert_close(found.parts.sum((1, 2)), found.forecasts - found.base, rtol=0, atol=1e-4)
    assert model.training
    assert model.norm.training
    assert not model.lstm.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    alone = analysis.integrated_gradients(model, x[:1], x.mean(0))
    torch.testing.assert_close(alone.parts, found.parts[:1], rtol=1e-4, atol=1e-6)


def test_too_few_steps_are_refused_with_the_gap(generator):
    x = torch.randn(8, 4, generator=generator)
    with pytest.raises(DataError, match=r"parts miss the forecast of sample \d by .*; give more than 1 steps"):
        analysis.integrated_gradients(lambda v: torch.sin(5 * v).sum(1), x, torch.zeros(4), steps=1)


def test_models_and_inputs_that_do_not_fit_are_refused(generator):
    x = torch.randn(8, 4, generator=generator)
    with pytest.raises(DataError, match=r"one number per sample, got shape \(8, 4\)"):
        analysis.integrated_gradients(lambda v: v, x, x[0])
    with pytest.raises(DataError, match="no gradient"):
        analysis.integrated_gradients(lambda v: v.detach().sum(1), x, x[0])
    with pytest.raises(DataError, match=r"baseline must have shape \(4,\), got \(3,\)"):
        analysis.integrated_gradients(lambda v: v.sum(1), x, x[0, :3])
    with pytest.raises(DataError, match="inputs must be floats"):
        analysis.integrated_gradients(lambda v: v.sum(1), x.long(), x[0].long())


# --- which loss to aim at ------------------------------------------------------------------------------------------------------


def test_the_published_numbers_follow_from_their_variance_and_range():
    aim = analysis.TargetLoss(variance=1.4121, spread=49.49, r2=0.8)
    assert aim.from_r2 == pytest.approx(0.2824, abs=5e-5)
    assert aim.from_range == pytest.approx(24.49, abs=5e-3)
    assert aim.suggested == aim.from_r2
    assert aim.rmse == pytest.approx(0.5314, abs=5e-5)
    assert aim.share_of_range == pytest.approx(0.01074, abs=5e-6)


def test_one_bad_label_flips_the_warning():
    clean = np.random.default_rng(0).normal(0, 0.1, 2000)
    assert analysis.target_loss(clean, r2=0.005).notes == ()
    dirty = analysis.target_loss(np.append(clean, [48.75, np.nan]), r2=0.005)
    assert dirty.notes == (
        f"one label, 48.75, makes up 99% of the variance, {clean.var():.4g} without it; check the data",
    )
    assert dirty.variance > 50 * clean.var()
    assert str(dirty).endswith("check the data")


def test_an_r2_that_daily_returns_do_not_have_is_said_to_be_one():
    assert "more than daily returns have" in analysis.target_loss([0.1, 0.0, -0.1, 0.05], r2=0.8).notes[0]


@pytest.mark.parametrize("label", [[1.0, 1.0, 1.0], [1.0, np.nan, 2.0], [1.0, 2.0, np.inf]])
def test_labels_without_a_variance_are_refused(label):
    with pytest.raises(DataError, match="3 finite values that differ"):
        analysis.target_loss(label, r2=0.01)
    with pytest.raises(DataError, match="r2 must be from 0 to 1, got 80"):
        analysis.target_loss([1, 2, 3], r2=80)
