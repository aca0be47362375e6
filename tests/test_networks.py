"""Networks for windows: shapes, causality, state carried on, and pooled fits against the same thing by hand."""

import logging
import re

import numpy as np
import pytest
import torch
import xarray as xr
from conftest import ROOT

from qlstm import nn
from qlstm.data import synthetic
from qlstm.errors import DataError, StrategyError
from qlstm.nn import kernels, lockstep
from qlstm.nn.networks import step_by_step
from qlstm.nn.observers import observing
from qlstm.state import codec
from qlstm.strategy import Memory

PER_STEP = {
    "lstm": lambda: nn.LSTM(3, 8, 2),
    "mlp": lambda: nn.MLP(3, (8, 8), "relu", dropout=0.2, norm=True),
    "linear": lambda: nn.MLP(3, ()),
    **{kind: lambda kind=kind: nn.Recurrent(3, 8, 2, kind, dropout=0.2) for kind in ("rnn", "gru")},
    "lstm with dropout": lambda: nn.Recurrent(3, 8, 1, "lstm", dropout=0.2),
    **{
        f"transformer, {kind}": lambda kind=kind: nn.Transformer(3, 8, 2, 2, kind, longest=20, dropout=0.2)
        for kind in ("sinusoidal", "learned", "none")
    },
}
PER_WINDOW = {
    "concatenated": lambda: nn.concatenated(3, 8, 0.2),
    "layered": lambda: nn.layered(3, 8, dropout=0.2),
    "layered transformer": lambda: nn.layered_transformer(3, 8, longest=20, dropout=0.2),
    "slim transformer": lambda: nn.slim_transformer(3, 8, longest=20, dropout=0.2),
}
RECURRENT = [name for name in PER_STEP if isinstance(PER_STEP[name](), (nn.LSTM, nn.Recurrent))]
ALL = PER_STEP | PER_WINDOW


def built(name, seed=0):
    torch.manual_seed(seed)
    network = ALL[name]()
    for buffer in network.buffers():  # the statistics of a batch norm that has seen something
        buffer.data += 0.3 if buffer.dtype.is_floating_point else 1
    return network.eval()


def windows(n=5, rows=12, features=3, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, rows, features)).astype(np.float32))


@pytest.mark.parametrize("name", ALL)
def test_networks_take_windows_and_give_one_output_per_row_or_per_window(name):
    assert built(name)(windows()).shape == ((5, 12) if name in PER_STEP else (5,))


@pytest.mark.parametrize("name", PER_STEP)
def test_no_output_depends_on_a_later_row(name):
    network, x = built(name), windows()
    expected = network(x)
    for t in (10, 5, 0):
        x[:, t + 1 :] = torch.randn_like(x[:, t + 1 :]) * 100
        torch.testing.assert_close(network(x)[:, : t + 1], expected[:, : t + 1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_an_output_does_not_depend_on_its_batch(name):
    network, x = built(name), windows(7)
    expected = network(x)
    torch.testing.assert_close(network(x.flip(0)).flip(0), expected, rtol=0, atol=1e-6)
    for i in range(7):
        torch.testing.assert_close(network(x[i : i + 1])[0], expected[i], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
def test_row_by_row_with_the_state_carried_on_equals_all_rows_at_once(name):
    network, x = built(name), windows(4, 30)
    whole = network(x)
    state, outputs = None, []
    for t in range(30):
        output, state = network.advance(x[:, t : t + 1], state)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, rtol=0, atol=1e-6)
    first, state = network.advance(x[:, :17])
    second, _ = network.advance(x[:, 17:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_a_memory_is_torchs_layer_and_a_head(kind):
    torch.manual_seed(5)
    mine = nn.Recurrent(3, 8, 2, kind)
    torch.manual_seed(5)
    layer, head = getattr(torch.nn, kind.upper())(3, 8, 2, batch_first=True), torch.nn.Linear(8, 1)
    x = windows()
    torch.testing.assert_close(mine(x), head(layer(x)[0])[..., 0], rtol=0, atol=0)


def test_sinusoidal_positions_are_those_of_the_paper():
    added = nn.Positions(6, "sinusoidal")(torch.zeros(1, 40, 6))[0]
    for place in (0, 1, 39):
        for i in range(3):
            angle = place / 10000 ** (2 * i / 6)
            assert float(added[place, 2 * i]) == pytest.approx(np.sin(angle), abs=1e-5)
            assert float(added[place, 2 * i + 1]) == pytest.approx(np.cos(angle), abs=1e-5)
    assert not nn.Positions(6, "none")(torch.zeros(1, 4, 6)).any()


def test_without_positions_one_layer_sees_the_past_as_a_set():
    shuffled = windows()[:, [4, 2, 0, 1, 3, 5]]
    for kind, same in (("none", True), ("sinusoidal", False), ("learned", False)):
        network = built(f"transformer, {kind}")
        network.layers = network.layers[:1]
        gap = (network(windows()[:, :6]) - network(shuffled))[:, -1].abs().max()
        assert bool(gap < 1e-6) == same


def test_without_positions_a_transformer_of_windows_cannot_tell_the_order_of_rows():
    x, order = windows(), torch.tensor([4, 2, 0, 1, 3, 7, 6, 5, 10, 8, 9, 11])  # the last row stays
    for make in (nn.layered_transformer, nn.slim_transformer):
        torch.manual_seed(0)
        ordered, blind = make(3, 8).eval(), make(3, 8, positions="none").eval()
        torch.testing.assert_close(blind(x[:, order]), blind(x), rtol=0, atol=1e-6)
        assert bool(((ordered(x[:, order]) - ordered(x)).abs() > 1e-3).any())


def test_attention_weighs_features_and_rows_by_a_softmax():
    x = windows()
    rows, features = nn.StepAttention(3), nn.FeatureAttention(3)
    with torch.no_grad():
        for part in (rows.scores, features.scores):
            part.weight.zero_()
            part.bias.fill_(0.0)
        torch.testing.assert_close(rows(x), x.mean(1))  # equal scores
        torch.testing.assert_close(features(x), x / 3)
        rows.scores.weight[0, 0] = 1e4  # all on the row with the largest first feature
        torch.testing.assert_close(rows(x), x[torch.arange(5), x[:, :, 0].argmax(1)])


def test_bad_settings_are_named():
    with pytest.raises(StrategyError, match="unknown kind of memory 'lstn'; did you mean 'lstm'"):
        nn.Memory(1, 2, kind="lstn")
    with pytest.raises(StrategyError, match="unknown activation 'relu6'"):
        nn.MLP(1, activation="relu6")
    with pytest.raises(StrategyError, match="unknown positions 'learnt'"):
        nn.Transformer(positions="learnt")
    with pytest.raises(StrategyError, match="5 hidden units cannot be shared by 2 heads"):
        nn.Transformer(hidden=5)
    with pytest.raises(StrategyError, match="spans 4 rows"):
        nn.Convolution(1, 2, 4)
    with pytest.raises(StrategyError, match="window of 21 rows is longer than the 20 places"):
        built("transformer, learned")(windows(rows=21))


@pytest.mark.parametrize("name", ALL)
def test_a_state_file_keeps_a_network(name, tmp_path):
    network = built(name)
    codec.write(Memory(np.datetime64("2020-01-01", "ns"), {"network": network}, None), tmp_path / "state.pickle.gz")
    kept = codec.read(tmp_path / "state.pickle.gz").models["network"]
    torch.testing.assert_close(kept(windows()), network(windows()), rtol=0, atol=0)


def test_networks_with_an_output_per_row_can_be_fitted_per_asset():
    X = table(40, 2)
    for name in ("gru", "mlp", "transformer, sinusoidal"):
        X3 = X.expand_dims(feature=3, axis=2)
        assert list(nn.fit(ALL[name], X3, X, optimizer=nn.Adam(), epochs=2)) == ["A00", "A01"]


# --- pooled ---------------------------------------------------------------------------------------------------------


def table(days, assets, seed=0):
    random = np.random.default_rng(seed)
    coords = {"time": np.datetime64("2020-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")}
    coords["asset"] = [f"A{i:02d}" for i in range(assets)]
    return xr.DataArray(random.standard_normal((days, assets)), dims=("time", "asset"), coords=coords)


def memory_task(days=60, assets=8):
    """Inputs, and a target that follows the input of two rows ago."""
    X = table(days, assets)
    return X, X.shift(time=2)


@pytest.mark.parametrize(("features", "hidden", "layers", "n"), [(1, 25, 1, 150), (3, 7, 2, 64), (2, 5, 3, 1)])
def test_lockstep_equals_the_network_cell_by_cell_in_outputs_and_slopes(features, hidden, layers, n):
    torch.manual_seed(0)
    network, x, y = nn.LSTM(features, hidden, layers), windows(n, 15, features), torch.rand(n)
    with lockstep.Lockstep(network) as fast:
        for _ in range(2):  # the second time in memory that was used before
            network.zero_grad()
            got = fast(x)
            ((got - y) ** 2).mean().backward()
            mine = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    with step_by_step():
        expected = network(x)[:, -1]
        ((expected - y) ** 2).mean().backward()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    for mine_, p in zip(mine, network.parameters(), strict=True):
        torch.testing.assert_close(mine_, p.grad, rtol=1e-4, atol=1e-6)


def test_lockstep_gives_a_window_the_same_bits_in_any_company():
    torch.manual_seed(0)
    network, x = nn.LSTM(2, 5, 2), windows(200, 9, 2)
    with lockstep.Lockstep(network) as fast, torch.no_grad():
        whole = fast(x)
        for some in (slice(0, 1), slice(63, 66), slice(130, 200), slice(5, 70)):
            assert torch.equal(fast(x[some]), whole[some])


def test_both_copies_of_the_logistic_function_are_the_same():
    x = np.concatenate([np.linspace(-100, 100, 4001), np.logspace(-8, 0, 200)]).astype(np.float32)
    for subtracted in (np.float32(0.0), np.float32(1.0)):
        for value in x:
            assert lockstep._logistic(value, subtracted) == kernels._logistic(value, subtracted)


def test_a_pooled_fit_equals_the_same_steps_written_out_by_hand():
    X, Y = memory_task()
    sequences = nn.Sequences(X, Y, length=5)
    settings = {"optimizer": nn.Adam(lr=0.01), "batch": 100, "epochs": 3, "seed": 3}
    fitted = nn.fit_pooled(nn.LSTM(1, 6, 1), sequences, **settings)
    torch.manual_seed(3)
    network = nn.LSTM(1, 6, 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    rng = np.random.default_rng(3)
    with step_by_step():
        for _ in range(3):
            for some in np.array_split(sequences.epoch(rng), -(-len(sequences) // 100)):
                optimizer.zero_grad()
                output = network(torch.from_numpy(sequences.inputs(some)))[:, -1]
                torch.nn.functional.mse_loss(output, torch.from_numpy(sequences.targets(some))).backward()
                optimizer.step()
        expected = network(torch.from_numpy(sequences.inputs()))[:, -1].detach()
    scores = nn.predict_pooled(fitted.network, sequences)
    np.testing.assert_allclose(scores.values[sequences.rows, sequences.columns], expected, atol=1e-5)
    assert int(scores.notnull().sum()) == len(sequences)
    assert [set(epoch) for epoch in fitted.history] == [{"train", "late", "lr"}] * 3


@pytest.mark.parametrize("name", ["lstm", "gru", "concatenated", "mlp"])
def test_equal_calls_give_equal_bits_and_leave_generators_and_threads_alone(name):
    X, Y = memory_task()
    X3 = X.expand_dims(feature=3, axis=2)
    turned = X3.isel(asset=slice(None, None, -1)), Y.isel(asset=slice(None, None, -1))
    torch.manual_seed(1)
    expected, threads = torch.rand(2), torch.get_num_threads()
    fits = []
    for data in ((X3, Y), (X3, Y), turned):
        torch.manual_seed(1)
        fits.append(nn.fit_pooled(ALL[name], nn.Sequences(*data, length=5), batch=64, epochs=2).network)
        assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == threads
    for other in fits[1:]:
        for a, b in zip(fits[0].parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)
    assert not fits[0].training
    assert not any(p.requires_grad for p in fits[0].parameters())


def test_the_best_epoch_in_validation_is_kept_and_patience_ends_the_fit():
    X, Y = memory_task(40, 4)
    earlier, late = nn.Sequences(X, Y + table(40, 4, seed=9), length=5).split(0.3, embargo=0)
    fitted = nn.fit_pooled(nn.LSTM(1, 16, 1), earlier, late, optimizer=nn.Adam(lr=0.05), epochs=200, patience=5)
    losses = [epoch["late"] for epoch in fitted.history]
    assert len(losses) == int(np.argmin(losses)) + 6 < 200
    errors = nn.predict_pooled(fitted.network, late).values[late.rows, late.columns] - late.targets()
    assert float((errors**2).mean()) == pytest.approx(min(losses), rel=1e-5)


def test_a_plateau_lowers_the_rate():
    X, Y = memory_task(40, 4)
    sequences = nn.Sequences(X, Y * 0.0 + table(40, 4, seed=9), length=5)
    plateau = nn.Plateau(factor=0.5, patience=0, cooldown=0)
    fitted = nn.fit_pooled(
        nn.LSTM(1, 4, 1), *sequences.split(0.3, 0), optimizer=nn.Adam(lr=0.1), epochs=12, plateau=plateau
    )
    rates = [epoch["lr"] for epoch in fitted.history]
    assert rates[0] == 0.1
    assert rates[-1] < rates[0]
    assert set(np.round(np.log2(np.array(rates) / 0.1), 9)) <= set(-np.arange(12.0))


def test_a_budget_ends_the_fit_and_says_so(caplog):
    X, Y = memory_task(200, 30)
    earlier, late = nn.Sequences(X, Y, length=5).split(0.3)
    with caplog.at_level(logging.WARNING):
        fitted = nn.fit_pooled(nn.LSTM(1, 8, 1), earlier, late, epochs=100_000, patience=100_000, budget_s=0.5)
    assert fitted.cut
    assert "budget of 0.5 s cut the fit short" in caplog.text
    assert nn.predict_pooled(fitted.network, late).notnull().any()
    assert not nn.fit_pooled(nn.LSTM(1, 8, 1), earlier, late, epochs=1).cut


def test_the_code_of_the_page_runs():
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "learning.md").read_text(), re.MULTILINE | re.DOTALL
    )
    data, _ = synthetic.market("N1", n_assets=2, n_days=800)
    names = {"data": data}
    exec(code, names)
    assert int(names["scores"].notnull().sum()) == 2 * (800 - 240)


def test_the_audit_is_told_of_pooled_fits_and_predictions():
    X, Y = memory_task(20, 3)
    sequences, seen = nn.Sequences(X, Y, length=5), []
    with observing(lambda event, arguments: seen.append((event, arguments["X"] is X, arguments.get("Y") is Y))):
        nn.predict_pooled(nn.fit_pooled(nn.LSTM(1, 3, 1), sequences, epochs=1).network, sequences)
    assert seen == [("fit", True, True), ("predict", True, False)]


def test_bad_pooled_fits_are_named():
    X, Y = memory_task(20, 3)
    sequences = nn.Sequences(X, Y, length=5)
    with pytest.raises(DataError, match="no complete sequence of 30 rows"):
        nn.fit_pooled(nn.LSTM(), nn.Sequences(X, Y, length=30))
    with pytest.raises(DataError, match=r"\(5, 1\), those to validate on \(4, 1\)"):
        nn.fit_pooled(nn.LSTM(), sequences, nn.Sequences(X, Y, length=4))
    with pytest.raises(StrategyError, match="batch, epochs and patience"):
        nn.fit_pooled(nn.LSTM(), sequences, batch=0)
    with pytest.raises(StrategyError, match="the loss became NaN"):
        nn.fit_pooled(nn.LSTM(), sequences, optimizer=nn.SGD(lr=1e38), epochs=3)
    with pytest.raises(StrategyError, match=r"returned \(48, 5, 1\) for an input of shape \(48, 5, 1\)"):
        nn.fit_pooled(lambda: torch.nn.Linear(1, 1), sequences)
    with pytest.raises(StrategyError, match="end it with"):
        nn.fit_pooled(nn.LSTM(), sequences, loss=torch.nn.MSELoss(reduction="none"))
