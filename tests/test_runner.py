"""The daily run: one day booked once, catch-up in order, the contest's environment variables honoured."""

import dataclasses
import gzip
import io

import numpy as np
import pytest
import xarray as xr
from conftest import ROOT
from toys import blend, equal_weights, market, predict_below_mean, train_mean

import qlstm
from qlstm import state
from qlstm.errors import DataError, StateCorruptError, StateError, StrategyError

CUBE = market()
DAYS = CUBE.time.values[-6:]
BLEND = qlstm.Strategy(predict=blend, lookback_period=20, name="blend")
ML = qlstm.Strategy(
    train=train_mean, predict=predict_below_mean, train_period=60, lookback_period=10, retrain_interval=30,
    retrain_interval_after_submit=2, name="ml",
)  # fmt: skip


def files_below(folder):
    return {
        p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"
    }


def run(tmp_path, t, strategy=BLEND, **settings):
    return qlstm.run(strategy, CUBE, state_dir=tmp_path, date=t, progress=False, **settings)


def fractions(path):
    return xr.open_dataarray(io.BytesIO(gzip.decompress(path.read_bytes()))).load()


def test_each_day_starts_from_the_day_before(tmp_path):
    counts = [run(tmp_path, t).state["n"] for t in DAYS]
    assert counts == [1, 2, 3, 4, 5, 6]


def test_running_a_day_again_gives_the_same_bytes(tmp_path):
    """Trap Q21: the usual way averages the day with itself."""
    for t in DAYS[:3]:
        run(tmp_path, t)
    before = files_below(tmp_path)
    again = run(tmp_path, DAYS[2])
    assert again.state["n"] == 3
    assert files_below(tmp_path) == before


def test_the_newest_day_of_the_data_is_the_default(tmp_path):
    assert qlstm.run(BLEND, CUBE, state_dir=tmp_path, progress=False).date == CUBE.time.values[-1]


def test_later_rows_of_the_data_are_not_looked_at(tmp_path):
    early = qlstm.run(BLEND, CUBE, state_dir=tmp_path / "a", date=DAYS[0], progress=False)
    cut = qlstm.run(BLEND, CUBE.sel(time=slice(None, DAYS[0])), state_dir=tmp_path / "b", progress=False)
    assert files_below(early.folder) == files_below(cut.folder)


def test_the_result_is_one_row_and_what_was_written(tmp_path):
    result = run(tmp_path, DAYS[0])
    assert result.weights.dims == result.raw.dims == ("time", "asset")
    assert result.weights.sizes["time"] == result.raw.sizes["time"] == 1
    written = fractions(result.folder / "fractions.nc.gz")
    np.testing.assert_array_equal(written.values, result.weights.values)


def test_missing_days_are_named_and_catching_up_runs_them_in_order(tmp_path):
    run(tmp_path / "gap", DAYS[0])
    late = run(tmp_path / "gap", DAYS[4])
    assert late.state["n"] == 2
    assert any("3 trading days since" in note and "--catch-up" in note for note in late.notes)
    run(tmp_path / "full", DAYS[0])
    caught = run(tmp_path / "full", DAYS[4], catch_up=True)
    assert caught.state["n"] == 5
    assert caught.caught_up == list(DAYS[1:4])
    for t in DAYS[:4]:
        run(tmp_path / "daily", t)
    daily = run(tmp_path / "daily", DAYS[4])
    assert files_below(caught.folder) == files_below(daily.folder)


def test_models_are_trained_by_the_interval_after_submission(tmp_path):
    trained = [run(tmp_path, t, ML).memory.trained_at for t in DAYS]
    gaps = np.diff(np.unique(trained)) / np.timedelta64(1, "D")
    assert (gaps >= 2).all()
    assert len(gaps) >= 2


def test_a_damaged_state_stops_the_run_and_is_left_as_it_is(tmp_path):
    """Trap Q10: corruption is never taken for the first day."""
    for t, way in ((0, "restore it from a copy$"), (1, f"or: qlstm state rollback .* {str(DAYS[0])[:10]}, and run")):
        file = run(tmp_path, DAYS[t]).folder / "state.pickle.gz"
        whole = file.read_bytes()
        file.write_bytes(whole[:-20])
        before = files_below(tmp_path)
        with pytest.raises(StateCorruptError, match=rf"state\.pickle\.gz.*; .*{way}"):
            run(tmp_path, DAYS[t + 1])
        assert files_below(tmp_path) == before
        file.write_bytes(whole)


def test_a_failing_strategy_leaves_everything_as_it_was(tmp_path):
    run(tmp_path, DAYS[0])
    before = files_below(tmp_path)

    def predict(data, state):
        raise RuntimeError("no")

    broken = qlstm.Strategy(predict=predict, lookback_period=20, name="blend")
    with pytest.raises(StrategyError, match="predict failed on"):
        run(tmp_path, DAYS[1], broken)
    assert files_below(tmp_path) == before


def test_a_state_that_cannot_be_saved_leaves_everything_as_it_was(tmp_path):
    run(tmp_path, DAYS[0])
    before = files_below(tmp_path)
    unsaveable = qlstm.Strategy(
        predict=lambda data, state: (equal_weights(data), {"f": open}), lookback_period=20, name="blend"
    )
    with pytest.raises(StateError, match=r"state\['f'\]"):
        run(tmp_path, DAYS[1], unsaveable)
    assert files_below(tmp_path) == before


def test_a_stateless_strategy_keeps_its_generations_too(tmp_path):
    """Trap Q22: without a file for a day that does not retrain, the next day would train again."""
    strategy = qlstm.Strategy(train=train_mean, predict=lambda m, d: equal_weights(d), name="s", retrain_interval=30)
    for t in DAYS[:3]:
        result = run(tmp_path, t, strategy)
    assert result.memory.trained_at == DAYS[0]
    assert len(state.Store(tmp_path / "s").dates()) == 3


def test_the_contests_variables_are_honoured(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTPUT_PATH", str(tmp_path / "out" / "fractions.nc.gz"))
    monkeypatch.setenv("OUT_STATE_PATH", str(tmp_path / "out" / "state.out.pickle.gz"))
    first = run(tmp_path / "one", DAYS[0])
    np.testing.assert_array_equal(fractions(tmp_path / "out" / "fractions.nc.gz").values, first.weights.values)
    # The evaluator hands yesterday's output back as input, to a machine that has no store.
    moved = tmp_path / "state.in.pickle.gz"
    moved.write_bytes((tmp_path / "out" / "state.out.pickle.gz").read_bytes())
    monkeypatch.setenv("IN_STATE_PATH", str(moved))
    second = run(tmp_path / "two", DAYS[1])
    assert second.state["n"] == 2
    with pytest.raises(StateError, match="not before"):
        run(tmp_path / "three", DAYS[0])


def test_on_a_contests_server_its_default_files_are_read_and_written(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBMISSION_ID", "7")
    monkeypatch.chdir(tmp_path)
    first = run(tmp_path / "one", DAYS[0])
    assert (tmp_path / "state.out.pickle.gz").read_bytes() == (first.folder / "state.pickle.gz").read_bytes()
    np.testing.assert_array_equal(fractions(tmp_path / "fractions.nc.gz").values, first.weights.values)
    (tmp_path / "state.out.pickle.gz").rename(tmp_path / "state.in.pickle.gz")
    assert run(tmp_path / "two", DAYS[1]).state["n"] == 2


def test_the_given_state_replaces_the_stores_newest_generation(tmp_path, monkeypatch):
    first = run(tmp_path / "a", DAYS[0])
    for t in DAYS[:3]:
        run(tmp_path / "b", t)
    monkeypatch.setenv("IN_STATE_PATH", str(first.folder / "state.pickle.gz"))
    assert run(tmp_path / "b", DAYS[3]).state["n"] == 2


def test_a_given_state_that_is_not_there_is_a_first_day(tmp_path, monkeypatch):
    monkeypatch.setenv("IN_STATE_PATH", str(tmp_path / "nowhere.pickle.gz"))
    assert run(tmp_path, DAYS[0]).state["n"] == 1


def test_the_contests_rules_hold_in_the_single_pass_too(tmp_path):
    """Trap Q8: a long-only contest's single pass wrote short positions."""
    strategy = qlstm.Strategy(
        predict=lambda data: equal_weights(data) * np.array([-1, 1, 1, 1, 1]), contest="stocks_long", name="long"
    )
    weights = run(tmp_path, DAYS[0], strategy).weights
    assert float(weights.min()) == 0.0
    assert float(fractions(tmp_path / "long" / str(DAYS[0])[:10] / "fractions.nc.gz").min()) == 0.0


def test_a_day_the_data_lack_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no row for 2015-01-17; .*; the trading day before is 2015-01-16"):
        run(tmp_path, "2015-01-17")
    with pytest.raises(DataError, match="no row for 2030-01-01; they run 2015-01-01 to"):
        run(tmp_path, "2030-01-01")


def test_a_second_writer_is_kept_out(tmp_path):
    with state.Store(tmp_path / "blend").lock(), pytest.raises(StateError, match=r"being written by process \d+"):
        run(tmp_path, DAYS[0])


def test_features_see_nothing_after_the_day(tmp_path):
    seen = []

    def features(cube):
        seen.append(cube.time.values[-1])
        return {"mean": cube.sel(field="close").rolling(time=5).mean()}

    run(tmp_path, DAYS[1], qlstm.Strategy(predict=equal_weights, features=features, lookback_period=10, name="f"))
    assert max(seen) == DAYS[1]


def test_a_given_state_whose_models_are_of_a_later_day_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "state.in.pickle.gz"
    state.write(qlstm.Memory(DAYS[3], {"mean": 0.0, "rows": 1}, None), path)
    monkeypatch.setenv("IN_STATE_PATH", str(path))
    with pytest.raises(StateError, match="holds models trained on"):
        run(tmp_path, DAYS[1], ML)


def test_a_state_written_by_other_code_is_noted(tmp_path):
    file = tmp_path / "idea.py"
    text = "import qlstm\nfrom toys import blend\ndef predict(data, state):\n    return blend(data, state)\n"
    file.write_text(text + "strategy = qlstm.Strategy(predict=predict, lookback_period=20)\n")
    run(tmp_path, DAYS[0], qlstm.load_strategy(file))
    assert not any("other code" in note for note in run(tmp_path, DAYS[1], qlstm.load_strategy(file)).notes)
    file.write_text(file.read_text() + "# edited\n")
    assert any("other code" in note for note in run(tmp_path, DAYS[2], qlstm.load_strategy(file)).notes)


def test_catching_up_keeps_the_notes_of_every_day(tmp_path):
    def predict(data, state):
        weights, state = blend(data, state)
        return weights.where(weights.asset != "TOY:001"), state

    strategy = qlstm.Strategy(predict=predict, lookback_period=20, name="n")
    run(tmp_path, DAYS[0], strategy)
    notes = run(tmp_path, DAYS[3], strategy, catch_up=True).notes
    assert sum("1 NaN weights" in note for note in notes) == 3


def test_the_seeds_strategy_goes_on_when_a_held_asset_leaves_the_data(tmp_path):
    strategy = qlstm.load_strategy(ROOT / "strategies" / "lstm_state.py")
    for interval in (1, 180):
        each = dataclasses.replace(strategy, retrain_interval_after_submit=interval, name=f"every{interval}")
        first = run(tmp_path, DAYS[0], each)
        assert float(first.weights.sel(asset="TOY:002").sum()) > 0
        left = CUBE.drop_sel(asset="TOY:002")
        second = qlstm.run(each, left, state_dir=tmp_path, date=DAYS[1], progress=False)
        assert "TOY:002" not in second.weights.asset.values
        assert float(second.weights.sum()) > 0.3
