"""Data restated since yesterday: noted, with what changed and which weights would differ."""

import numpy as np
from chasing import CUBE, DAYS, D, chase, restated, run

import qlstm
from qlstm import state


def test_restated_data_are_noted_with_what_changed_and_which_weights_would_differ(tmp_path):
    for t in DAYS[:3]:
        run(tmp_path / "live", t)
    # The close of the day before the parent's is corrected, so what rose on the parent's day is another asset.
    cube = CUBE.copy(deep=True)
    cube.loc[{"field": "close", "time": DAYS[1], "asset": "TOY:001"}] *= 100
    result = run(tmp_path / "live", DAYS[3], cube=cube)
    (note,) = result.notes
    assert result.changes == {"data": note}
    assert f"the data up to {D[2]} have been restated since that day was run" in note
    assert f"field close, asset TOY:001, first row {D[1]}" in note
    # The plain way: go back one day and run that day again.
    live = state.Store(tmp_path / "live" / "chase")
    then = state.inspect(live.path(DAYS[2]) / "state.pickle.gz").weights
    for t in DAYS[:2]:
        run(tmp_path / "again", t)
    now = run(tmp_path / "again", DAYS[2], cube=cube).positions
    differ = {a for a in {*dict(then), *now} if abs(dict(then).get(a, 0.0) - now.get(a, 0.0)) > 1e-9}
    assert differ
    assert f"the weights of {D[2]} would differ: " in note
    asset = min(differ)
    assert f"{asset} {dict(then).get(asset, 0.0):.4f} would be {now.get(asset, 0.0):.4f}" in note


def test_a_split_that_rescales_the_past_is_noted_and_said_to_change_nothing(tmp_path):
    for t in DAYS[:2]:
        run(tmp_path, t)
    cube = CUBE.copy(deep=True)
    cube.values[:4, :, 2] /= 2
    first = str(CUBE.time.values[CUBE.time.values >= DAYS[1] - np.timedelta64(20, "D")][0])[:10]
    (note,) = run(tmp_path, DAYS[2], cube=cube).notes
    assert f"fields close, high, low, open, asset TOY:002, first row {first}" in note
    assert note.endswith(f"the weights of {D[1]} would be the same")


def test_equal_data_longer_or_wider_are_not_noted(tmp_path):
    run(tmp_path, DAYS[0], cube=CUBE.sel(time=slice(None, DAYS[0])))
    assert run(tmp_path, DAYS[1], cube=CUBE.sel(time=slice(DAYS[1] - np.timedelta64(20, "D"), DAYS[2]))).changes == {}
    assert run(tmp_path, DAYS[2]).changes == {}


def test_what_lies_before_the_window_may_change(tmp_path):
    run(tmp_path, DAYS[0])
    assert run(tmp_path, DAYS[1], cube=restated(rows=slice(None, -30))).changes == {}


def test_the_comparison_says_so_where_the_day_before_the_parent_is_not_kept(tmp_path):
    for t in DAYS[:3]:
        run(tmp_path, t)
    state.Store(tmp_path / "chase").prune(1)
    assert "since the day it started from is not kept" in run(tmp_path, DAYS[3], cube=restated()).changes["data"]


def test_the_comparison_of_a_first_day_starts_from_nothing(tmp_path):
    run(tmp_path, DAYS[0])
    assert f"the weights of {D[0]} would be" in run(tmp_path, DAYS[1], cube=restated()).changes["data"]


def test_restated_data_are_noted_where_a_contest_hands_the_state_over(tmp_path, monkeypatch):
    first = run(tmp_path / "a", DAYS[0])
    monkeypatch.setenv("IN_STATE_PATH", str(first.folder / "state.pickle.gz"))
    noted = run(tmp_path / "b", DAYS[1], cube=restated()).changes["data"]
    assert "asset TOY:001" in noted
    assert "the store does not keep that day" in noted


def test_a_strategy_that_fails_on_restated_data_does_not_stop_the_day(tmp_path):
    def picky(data, state):
        if data.time.values[-1] == DAYS[1] and float(data.min()) < 0:
            raise RuntimeError("a price below zero")
        return chase(data, state)

    strategy = qlstm.Strategy(predict=picky, lookback_period=20, name="picky")
    for t in DAYS[:2]:
        run(tmp_path, t, strategy)
    result = run(tmp_path, DAYS[2], strategy, cube=restated(-1.0, rows=slice(None, -5)))
    assert "its weights cannot be compared: " in result.changes["data"]
    assert "a price below zero" in result.changes["data"]


def test_the_comparison_leaves_the_days_own_result_as_it_is(tmp_path):
    """It runs the strategy once more; that must not show in seeds, memory or weights."""

    def draw(data):
        return {"drawn": np.random.random(3)}

    def noisy(models, data, state):
        book, state = chase(data, state)
        return book * np.random.random(), {**state, "drawn": models["drawn"].sum() + np.random.random()}

    strategy = qlstm.Strategy(train=draw, predict=noisy, lookback_period=20, retrain_interval=1, name="noisy")
    for name in ("seen", "unseen"):
        for t in DAYS[:2]:
            run(tmp_path / name, t, strategy)
    store = state.Store(tmp_path / "unseen" / "noisy")
    cube = restated()
    seen = run(tmp_path / "seen", DAYS[2], strategy, cube=cube)
    _without_imprint(store, DAYS[1], strategy)
    unseen = run(tmp_path / "unseen", DAYS[2], strategy, cube=cube)
    assert (set(seen.changes), unseen.changes) == ({"data"}, {})
    np.testing.assert_array_equal(seen.raw.values, unseen.raw.values)
    assert seen.state["drawn"] == unseen.state["drawn"]


def _without_imprint(store, t, strategy):
    """Commit a generation again as a version of qlstm that knew no imprint would have."""
    memory, (_, weights) = store.read(t, strategy), store.contents(t)
    before = store.newest(before=t)
    store.rollback(before)
    store.commit(t, memory, weights, strategy=strategy, parent=before)
