"""S1, lstm_careful and lstm_state: what 69 rows can tell, a label that cannot be traded, and the careful weights."""

import numpy as np
import pytest
import xarray as xr
from systems import finds, functions, hits, seeds
from toys import market

from qlstm import labels, nn
from qlstm.data import synthetic

ROWS = 69  # of the window that lstm_state and lstm_careful train on


def careful_forecasts(cube, blocks):
    """Return out-of-sample scores of lstm_careful, trained on 69 rows before each block of 60."""
    careful, found = functions("lstm_careful"), []
    for start in 120 + 60 * np.arange(blocks):
        models = careful["train"](cube.isel(time=slice(start - ROWS, start)))
        for t in range(start, start + 60):
            score = careful["score"](models, cube.isel(time=slice(t - 105, t + 1)))
            found.append(score.expand_dims(time=[cube.time.values[t]]))
    return xr.concat(found, "time", join="outer")


def careful_hits(seed):
    cube, truth = synthetic.market("P1f", seed=seed, n_assets=24, n_days=400)
    return *hits(careful_forecasts(cube, 4), labels.executed_return(cube))[:2], truth


def test_lstm_careful_finds_what_its_feature_knows_from_69_rows():
    share, n, truth = careful_hits(0)
    assert finds(share, n, truth), share


@pytest.mark.soak
def test_lstm_careful_finds_it_in_the_median_of_five_markets():
    shares, counts, truths = zip(*map(careful_hits, range(5)), strict=True)
    assert finds(np.median(shares), counts[0], truths[0]), shares
    assert min(shares) > 0.5 + 1.5 / np.sqrt(counts[0])


@seeds(1, 5)
@pytest.mark.parametrize("name", ["N0", "N1"])
def test_lstm_careful_finds_nothing_where_there_is_nothing(name, seed):
    cube, _ = synthetic.market(name, seed=seed, n_assets=24, n_days=400)
    share, n, luck = hits(careful_forecasts(cube, 4), labels.executed_return(cube))
    # In N1 assets share a factor, a third of their variance, so that 12 of them count as about 3.
    assert abs(share - luck) < 1.5 / np.sqrt(n / (1 if name == "N0" else 4))


def test_the_label_of_lstm_state_can_be_learned_and_not_traded():
    state = functions("lstm_state")
    cube, _ = synthetic.market("N0", seed=0, n_assets=24, n_days=500)
    inputs, label = state["features"](cube), state["labels"](cube)
    train, test = slice(120 - ROWS, 120), slice(120, -2)
    # As lstm_careful fits: the 20 steps of the source's own optimiser are too few to learn even this label.
    optimizer = nn.Adam(lr=0.01)
    models = nn.fit(nn.LSTM(hidden=34), inputs[train], label[train], optimizer=optimizer, epochs=60, groups="all")
    called = nn.predict(models, inputs)[test] - 0.5
    own, n, _ = hits(called, label[test] - 0.5)
    tradable, _, _ = hits(called, labels.executed_return(cube)[test])
    assert own >= 0.58
    assert abs(tradable - 0.5) < max(0.018, 1.5 / np.sqrt(n))


def constant_scores(careful, monkeypatch, assets):
    monkeypatch.setitem(
        careful,
        "score",
        lambda models, data: xr.DataArray(np.full(len(assets), 0.1), dims="asset", coords={"asset": assets}),
    )


def test_lstm_careful_gives_equal_weights_to_equal_scores_whenever_they_came(monkeypatch):
    careful = functions("lstm_careful")
    cube = market(days=40, assets=15)
    early, late = list(cube.asset.values[:10]), list(cube.asset.values[:12])
    state = None
    for t in range(10, 40):
        constant_scores(careful, monkeypatch, early if t < 15 else late)
        weights, state = careful["predict"]({}, cube[:, :t], state)
        if t == 15:
            assert float(weights.sel(asset=late[-1])) == pytest.approx(1 / 24)  # half of its share on the first day
    np.testing.assert_allclose(weights.sel(asset=late), 1 / 12, rtol=1e-5)


def test_lstm_careful_lets_go_by_halves_and_at_once_of_what_is_not_liquid(monkeypatch):
    careful = functions("lstm_careful")
    cube = market(days=14, assets=12)
    cube.loc[{"field": "is_liquid", "asset": cube.asset[11], "time": cube.time[13]}] = 0.0
    constant_scores(careful, monkeypatch, list(cube.asset.values))
    before, state = careful["predict"]({}, cube[:, :13], None)
    constant_scores(careful, monkeypatch, list(cube.asset.values[:10]))
    after, _ = careful["predict"]({}, cube, state)
    assert float(after[10]) == float(before[10]) / 2 > 0
    assert float(after[11]) == 0.0


def test_lstm_careful_gives_the_same_weights_when_a_day_is_run_twice():
    careful = functions("lstm_careful")
    cube = market(days=120, assets=14)
    models, state = careful["train"](cube[:, 30:100]), None
    for t in (100, 101, 102):
        weights, state = careful["predict"](models, cube[:, :t], state)
    again, same = careful["predict"](models, cube[:, :102], state)
    xr.testing.assert_identical(again, weights)
    xr.testing.assert_identical(same["before"], state["before"])


def test_lstm_careful_scores_are_the_last_outputs_of_the_whole_sequence():
    careful = functions("lstm_careful")
    cube = market(days=120, assets=14)
    models = careful["train"](cube[:, :70])
    whole = careful["score"](models, cube)
    known = cube.sel(asset=whole.asset)
    with nn.networks.step_by_step():
        slow = nn.predict(models, careful["features"](known), dict.fromkeys(whole.asset.values, "calm"))[-1] - 0.5
    np.testing.assert_allclose(whole, slow, atol=1e-6)
    alone = careful["score"](models, cube[:, -12:])
    assert float(abs(whole - alone).max()) > 1e-4  # a cold network says something else
