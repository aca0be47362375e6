"""Networks that go on from a carried state give, day by day, what all rows at once give; and start over where they must."""

import numpy as np
import pytest
import torch
import xarray as xr
from test_networks import table
from toys import market

import qlstm
from qlstm import nn
from qlstm.errors import StrategyError

NETWORKS = {
    "lstm": lambda: nn.LSTM(2, 34, 2),
    "lstm of one cell": lambda: nn.LSTM(2, 5, 1),
    "torch's lstm": lambda: nn.Recurrent(2, 6, 2),
    "gru": lambda: nn.Recurrent(2, 6, 1, "gru"),
}
EXACT = ("lstm", "lstm of one cell")


def models_of(make, assets=("A00", "A01", "A02"), seed=0):
    torch.manual_seed(seed)
    return {asset: make().eval().requires_grad_(False) for asset in assets}


def inputs(days=60):
    """Return inputs with a gap of one asset, and another that begins late."""
    X = xr.concat([table(days, 3, seed) for seed in (0, 1)], "feature").transpose("time", "asset", "feature")
    X[10:12, 1], X[:40, 2] = np.nan, np.nan
    return X


def carried_on(models, X, first, rows, window):
    """Return the scores from `first` on, where each call sees a window and brings `rows` new ones."""
    scores, carried = nn.advance(models, X[:first])
    found = [scores]
    for t in range(first + rows, X.sizes["time"] + 1, rows):
        scores, carried = nn.advance(models, X[max(0, t - window) : t], carried)
        assert scores[:-rows].isnull().all()
        found.append(scores[-rows:])
    return xr.concat(found, "time")


@pytest.mark.parametrize("name", NETWORKS)
def test_day_by_day_gives_the_scores_of_all_rows_at_once(name):
    models, X = models_of(NETWORKS[name]), inputs()
    whole = nn.predict(models, X)
    for rows, window in ((1, 20), (4, 5)):
        got = carried_on(models, X, 20, rows, window)
        assert got.time.equals(whole.time)
        if name in EXACT:
            np.testing.assert_array_equal(got, whole)
        else:
            np.testing.assert_allclose(got, whole, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(carried_on(models, X, 20, 1, 20), nn.advance(models, X)[0])


def test_one_network_for_all_assets_has_a_state_for_each():
    network = models_of(NETWORKS["lstm"])["A00"]
    X = inputs()
    got, carried = nn.advance({"all": network}, X, groups=dict.fromkeys(X.asset.values, "all"))
    np.testing.assert_array_equal(got, nn.predict(dict.fromkeys(X.asset.values, network), X))
    assert set(carried) == set(X.asset.values)
    assert not np.array_equal(carried["A00"]["state"][0], carried["A01"]["state"][0])


def test_a_network_trained_anew_or_a_day_missed_starts_over_at_the_window():
    models, X = models_of(NETWORKS["lstm"]), inputs()
    _, carried = nn.advance(models, X[:30])
    others = models | {"A01": models_of(NETWORKS["lstm"], ("A01",), seed=1)["A01"]}
    again, _ = nn.advance(others, X[20:31], carried)
    np.testing.assert_array_equal(again[:, 1], nn.predict(others, X[20:31])[:, 1])
    assert again[:-1, 0].isnull().all()
    late, _ = nn.advance(models, X[30:41], carried)  # without the row that was seen last
    np.testing.assert_array_equal(late, nn.predict(models, X[30:41]))


def test_an_asset_without_any_row_carries_nothing_and_one_without_new_rows_what_it_had():
    models, X = models_of(NETWORKS["lstm"]), inputs()
    _, carried = nn.advance(models, X[:30])
    assert set(carried) == {"A00", "A01"}
    quiet = X[:32].copy()
    quiet[30:, 0] = np.nan
    _, later = nn.advance(models, quiet, carried)
    assert later["A00"]["time"] == X.time.values[31]
    for before, after in zip(carried["A00"]["state"], later["A00"]["state"], strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_network_without_a_memory_is_named():
    with pytest.raises(StrategyError, match=r"advance: MLP keeps no state; use nn\.LSTM or nn\.Recurrent"):
        nn.advance(models_of(lambda: nn.MLP(2)), inputs())


def carried_by(make):
    models, X = models_of(make, ("A00",)), inputs()
    return models, X, nn.advance(models, X[:30])[1]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_carried_state_of_other_shapes_is_refused(name):
    models, X, carried = carried_by(NETWORKS[name])
    kept = carried["A00"]["state"]
    for state in ([part[:, :1] for part in kept], [part[None] for part in kept], kept + kept[:1], ()):
        carried["A00"]["state"] = state
        with pytest.raises(
            StrategyError, match=r"^advance: A00 carries a state of shapes .*, its .* or None to start over$"
        ):
            nn.advance(models, X[:31], carried)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda carried: 3.0, "carried is of type float"),
        (lambda carried: carried["A00"]["state"], "carried is of type tuple"),
        (lambda carried: carried["A00"], "carried holds 'time', which is not an asset's"),
        (lambda carried: {"memory": carried}, "carried holds 'memory'"),
        (lambda carried: carried | {"previous_weights": xr.DataArray(1.0)}, "carried holds 'previous_weights'"),
        (lambda carried: {"A00": carried["A00"] | {"time": "2020-01-01"}}, "carried holds 'A00'"),
        (lambda carried: {"A00": carried["A00"] | {"state": [[0.0]]}}, "carried holds 'A00'"),
    ],
)
def test_what_advance_did_not_return_is_refused(change, message):
    models, X, carried = carried_by(NETWORKS["lstm"])
    with pytest.raises(StrategyError, match=f"^advance: {message}.*; give what advance returned second"):
        nn.advance(models, X[:31], change(carried))


def test_what_is_carried_for_assets_without_a_network_is_let_go():
    _, X, carried = carried_by(NETWORKS["lstm"])
    others = models_of(NETWORKS["lstm"], ("A01",))
    scores, kept = nn.advance(others, X[:31], carried)
    np.testing.assert_array_equal(scores, nn.predict(others, X[:31]))
    assert set(kept) == {"A01"}


@pytest.mark.parametrize("use", [nn.predict, nn.advance])
def test_one_network_without_its_asset_is_refused(use):
    with pytest.raises(
        StrategyError, match=r"^models is of type LSTM, not networks by asset; give \{asset: network\}, or"
    ):
        use(nn.LSTM(2, 3), inputs())


# Through the engine

FIRST = 70  # row of the first day


def moves(data):
    close = data.sel(field="close", drop=True)
    return 100.0 * (close / close.shift(time=1) - 1.0)


def train(data):
    X = moves(data)
    return nn.fit(nn.LSTM(1, 4, 2), X, X.shift(time=-1), optimizer=nn.Adam(lr=0.01), epochs=3)


def predict(models, data, state):
    scores, state = nn.advance(models, moves(data), state)
    return scores.isel(time=-1, drop=True) / 10.0, state


def remembering():
    interval = {"retrain_interval": 7, "retrain_interval_after_submit": 7}
    return qlstm.Strategy(
        train=train, predict=predict, train_period=80, lookback_period=10, name="remembering", **interval
    )


def test_state_files_carry_the_memory_from_day_to_day_and_a_retrain_replays_the_window(tmp_path):
    cube = market(days=100, assets=3, seed=3)
    days = cube.time.values[FIRST : FIRST + 8]
    strategy = remembering()
    whole = qlstm.backtest(
        strategy=strategy, data=cube, start_date=days[0], end_date=days[-1], analyze=False, progress=False
    )
    daily = [qlstm.run(strategy, data=cube, state_dir=tmp_path, date=t).raw for t in days]
    np.testing.assert_array_equal(xr.concat(daily, "time").values, whole.raw.values)
    retrain = next(i for i, t in enumerate(days) if t >= days[0] + np.timedelta64(7, "D"))
    for begin, end in ((0, retrain), (retrain, 8)):
        window = moves(cube.sel(time=slice(days[begin] - np.timedelta64(10, "D"), days[end - 1])))
        models = train(cube.sel(time=slice(days[begin] - np.timedelta64(80, "D"), days[begin])))
        full = nn.predict(models, window).sel(time=days[begin:end]) / 10.0
        np.testing.assert_array_equal(whole.raw.sel(time=days[begin:end], asset=full.asset), full)
