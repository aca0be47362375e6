"""Many steps: against a plain loop, with every trap of the established toolbox designed out."""

import numpy as np
import pytest
import xarray as xr
from toys import blend, equal_weights, market, momentum, predict_below_mean, train_mean

import qlstm
from qlstm import contests
from qlstm.errors import DataError, StrategyError

CUBE = market()
DAYS = CUBE.time.values
ML = {
    "train": train_mean,
    "predict": predict_below_mean,
    "train_period": 60,
    "lookback_period": 20,
    "retrain_interval": 30,
    "predict_each_day": True,
    "start_date": "2015-06-01",
    "end_date": "2015-12-31",
    "build_plots": False,
    "progress": False,
}


def plain_walk(cube, start, end, train_days, lookback, interval):
    """Walk forward in the plainest way: slices by date, a dict of rows."""
    day = np.timedelta64(1, "D")
    rows, trained, models, state, trainings = {}, None, None, None, 0
    for t in cube.time.values:
        if not np.datetime64(start) <= t <= np.datetime64(end):
            continue
        if trained is None or t >= trained + interval * day:
            models, trained = train_mean(cube.sel(time=slice(t - train_days * day, t))), t
            trainings += 1
        rows[t], state = predict_below_mean(models, cube.sel(time=slice(t - lookback * day, t)), state)
    weights = xr.concat(list(rows.values()), "time").assign_coords(time=np.array(list(rows)))
    return weights, state, trainings


def test_a_walk_equals_the_plain_loop():
    result = qlstm.backtest_ml(data=CUBE, **ML)
    weights, state, _ = plain_walk(CUBE, "2015-06-01", "2015-12-31", 60, 20, 30)
    xr.testing.assert_equal(result.raw, weights.reindex_like(result.raw))
    assert result.raw.sizes == weights.sizes
    assert result.state == state


def test_windows_that_leave_few_days_to_predict_are_told_with_the_way_out():
    size = len(DAYS) - 2  # rows; a window of so many calendar days reaches some days farther
    days = int((DAYS[size] - DAYS[0]) / np.timedelta64(1, "D"))
    result = qlstm.backtest(strategy=equal_weights, data=CUBE, lookback_period=days, build_plots=False, progress=False)
    told = f"windows of {days} calendar days leave 2 of {len(DAYS)} days to predict; an earlier start"
    assert any(note.startswith(told) for note in result.notes), result.notes
    early = qlstm.backtest(
        strategy=equal_weights, data=CUBE, lookback_period=days, start_date=DAYS[-2], build_plots=False, progress=False
    )
    assert not any("earlier start" in note for note in early.notes)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (DAYS[0], None, [f"data begin {str(DAYS[0])[:10]}: windows before 2015-01-31 hold less than 30 calendar days"]),
        (None, "2030-01-01", [f"data end {str(DAYS[-1])[:10]}, before the end date 2030-01-01"]),
        (DAYS[60], DAYS[-1] + np.timedelta64(2, "D"), []),  # a weekend
    ],
)
def test_data_too_short_for_what_was_asked_are_told(start, end, told):
    call = {"strategy": equal_weights, "data": CUBE, "lookback_period": 30, "build_plots": False, "progress": False}
    result = qlstm.backtest(**call, start_date=start, end_date=end)
    assert [note for note in result.notes if note.startswith("data ")] == told


def test_a_model_is_trained_exactly_once_per_retrain_date():
    trained = []

    def train(data):
        trained.append(data.time.values[-1])
        return train_mean(data)

    qlstm.backtest_ml(data=CUBE, **ML | {"train": train})
    assert len(trained) == len(set(trained)) == plain_walk(CUBE, "2015-06-01", "2015-12-31", 60, 20, 30)[2]


def test_the_result_unpacks_as_weights_and_state():
    weights, state = qlstm.backtest_ml(data=CUBE, **ML)
    assert weights.dims == ("time", "asset")
    assert state["days"] == weights.sizes["time"]
    _, states = qlstm.backtest_ml(data=CUBE, **ML | {"collect_all_states": True})
    assert [s["days"] for s in states] == list(range(1, weights.sizes["time"] + 1))


def test_load_data_is_asked_for_enough_days_and_may_return_a_time_axis():
    asked = []

    def load_data(days):
        asked.append(days)
        return CUBE, CUBE.time

    one = qlstm.backtest_ml(load_data=load_data, **ML)
    xr.testing.assert_equal(one.raw, qlstm.backtest_ml(data=CUBE, **ML).raw)
    needed = (np.datetime64("now") - np.datetime64("2015-06-01")) / np.timedelta64(1, "D") + 60
    assert asked[0] > needed
    assert len(asked) == 1


def test_names_of_files_are_refused_with_the_way_to_load_them():
    with pytest.raises(DataError, match=r'data must be a cube; qlstm.data.load\("sample"\) reads one'):
        qlstm.backtest_ml(**ML | {"data": "sample"})
    for use in (lambda file: qlstm.backtest(strategy=file, data=CUBE), lambda file: qlstm.run(file, CUBE)):
        with pytest.raises(StrategyError, match=r'got str; load it first: qlstm.load_strategy\("idea.py"\)'):
            use("idea.py")
    with pytest.raises(StrategyError, match=r"must be a qlstm.Strategy, got NoneType$"):
        qlstm.audit.check(None, CUBE)


def test_data_come_from_exactly_one_place():
    for sources in ({}, {"data": CUBE, "load_data": lambda days: CUBE}):
        with pytest.raises(DataError, match=r"either data= .a cube. or load_data="):
            qlstm.backtest_ml(**sources, **ML)


def test_weights_are_booked_by_label_when_the_assets_change_in_number_and_order():
    """Traps Q1 and Q3 of the established toolbox: a crash, or weights on the wrong asset."""
    names = list(CUBE.asset.values)

    def predict(data):
        n = data.sizes["time"] + data.time.dt.day.values[-1]
        chosen = [names[(n + i) % 5] for i in range(1 + n % 3)]  # one to three assets in rotating order
        return xr.DataArray([0.1 * (names.index(c) + 1) for c in chosen], dims="asset", coords={"asset": chosen})

    result = qlstm.backtest(strategy=predict, data=CUBE, lookback_period=30, start_date="2015-06-01", progress=False)
    for i, name in enumerate(names):
        values = np.unique(result.raw.sel(asset=name))
        np.testing.assert_allclose(values[values != 0], 0.1 * (i + 1))
    assert (result.raw != 0).any("time").all()


def test_nothing_after_the_end_date_is_seen():
    """Trap Q4."""
    seen = []

    def predict(data):
        seen.append(data.time.values[-1])
        return equal_weights(data)

    qlstm.backtest(
        strategy=predict, data=CUBE, lookback_period=30, start_date="2015-06-01", end_date="2015-08-31", progress=False
    )
    assert max(seen) == np.datetime64("2015-08-31")


def test_a_longer_history_never_changes_the_past():
    settings = {"strategy": blend, "lookback_period": 30, "start_date": "2015-06-01", "progress": False}
    short = qlstm.backtest(data=CUBE.isel(time=slice(0, 200)), **settings)
    whole = qlstm.backtest(data=CUBE, **settings)
    xr.testing.assert_equal(short.raw, whole.raw.sel(time=short.raw.time))
    xr.testing.assert_equal(short.weights, whole.weights.sel(time=short.weights.time))


def test_permuting_the_assets_permutes_the_weights():
    settings = {"strategy": blend, "lookback_period": 30, "start_date": "2015-11-01", "progress": False}
    one = qlstm.backtest(data=CUBE, **settings)
    other = qlstm.backtest(data=CUBE.isel(asset=[3, 1, 4, 0, 2]), **settings)
    xr.testing.assert_allclose(one.raw, other.raw.sel(asset=one.raw.asset), rtol=1e-12)


def test_batch_mode_gives_the_rows_of_a_causal_predict():
    settings = ML | {"train": lambda data: None, "predict": lambda models, data: momentum(data)}
    daily = qlstm.backtest_ml(data=CUBE, **settings | {"lookback_period": 60})
    batch = qlstm.backtest_ml(data=CUBE, **settings | {"predict_each_day": False})
    xr.testing.assert_allclose(daily.raw, batch.raw)


def test_batch_mode_refuses_a_predict_that_looks_ahead():
    """Trap Q23."""

    def predict(models, data):
        close = data.sel(field="close", drop=True)
        return (close / close.mean("time") - 1) / 10

    with pytest.raises(
        StrategyError, match=r"predict looks ahead: on 2015-06-01 asset TOY:000 gets .* use predict_each_day=True"
    ):
        qlstm.backtest_ml(data=CUBE, **ML | {"train": lambda data: None, "predict": predict, "predict_each_day": False})


def test_a_day_without_weights_is_an_error_not_a_silent_hole():
    """Trap Q5."""
    with pytest.raises(StrategyError, match="weights that lack that day"):
        qlstm.backtest(
            strategy=lambda data: momentum(data).isel(time=slice(0, -1)), data=CUBE, lookback_period=30, progress=False
        )


def test_nan_weights_count_as_nothing_and_are_reported():
    def predict(data):
        weights = equal_weights(data)
        return weights.where(weights.asset != "TOY:001")

    result = qlstm.backtest(strategy=predict, data=CUBE, lookback_period=30, start_date="2016-02-01", progress=False)
    days = result.raw.sizes["time"]
    assert f"predict returned {days} NaN weights, first TOY:001 2016-02-01; they count as 0" in result.notes
    assert float(abs(result.raw).sel(asset="TOY:001").sum() if "TOY:001" in result.raw.asset else 0.0) == 0.0


@pytest.mark.parametrize("size", [0.0, np.nan, 0.1])
def test_a_strategy_that_never_holds_anything_is_told(size):
    call = {"data": CUBE, "lookback_period": 30, "start_date": "2016-01-04", "progress": False}
    result = qlstm.backtest(strategy=lambda data: equal_weights(data) * 0.0 + size, **call)
    assert any("all weights are 0, on every day" in note for note in result.notes) is (size != 0.1)


def test_what_the_rules_changed_is_reported():
    """Trap Q7: positions that a contest forbids do not vanish without a word."""
    cube = CUBE.copy()
    cube.loc[{"field": "is_liquid", "asset": "TOY:002"}] = 0.0
    result = qlstm.backtest(
        strategy=equal_weights, data=cube, lookback_period=30, start_date="2016-01-04", progress=False
    )
    assert float(result.weights.reindex(asset=["TOY:002"], fill_value=0.0).sum()) == 0.0
    assert any("liquid" in note and "TOY:002" in note for note in result.notes), result.notes


@pytest.mark.parametrize(("fall", "is_told"), [(0.5, True), (0.99, False)])
def test_a_book_that_rises_from_the_dead_is_reported_where_it_matters(fall, is_told):
    """Trap Q2: an asset that stops trading after a fall is valued at its last open by the contest's own booking."""
    cube = CUBE.copy()
    last = 250
    cube[{"time": slice(last + 1, None), "asset": 0}] = np.nan
    for field, factor in (("close", fall), ("low", fall)):
        cube.loc[{"field": field, "time": DAYS[last], "asset": "TOY:000"}] *= factor
    result = qlstm.backtest(
        strategy=equal_weights, data=cube, lookback_period=30, start_date="2015-06-01", progress=False
    )
    assert any("contest's own booking" in note for note in result.notes) is is_told


def test_a_result_is_shown_on_one_line():
    call = {
        "strategy": equal_weights,
        "data": CUBE,
        "lookback_period": 30,
        "start_date": "2016-02-01",
        "progress": False,
    }
    result = qlstm.backtest(**call)
    first, last = (str(t)[:10] for t in result.raw.time.values[[0, -1]])
    sharpe = f"{float(result.stats.sel(field='sharpe_ratio')[-1]):.2f}"
    start = f"<Result {result.strategy.name}: {first} to {last}, {result.raw.sizes['time']} days"
    assert repr(result) == f"{start}, Sharpe ratio {sharpe}>"
    assert repr(qlstm.backtest(**call, analyze=False)) == f"{start}>"


def test_every_step_th_day_can_be_predicted():
    result = qlstm.backtest(
        strategy=equal_weights, data=CUBE, lookback_period=30, start_date="2015-06-01", step=5, progress=False
    )
    np.testing.assert_array_equal(result.raw.time.values, CUBE.sel(time=slice("2015-06-01", None)).time.values[::5])


def test_a_strategy_brings_its_own_contest_and_periods():
    strategy = qlstm.Strategy(predict=equal_weights, contest="stocks_long", lookback_period=10, name="mine")
    result = qlstm.backtest(strategy=strategy, data=CUBE, start_date="2016-02-01", progress=False)
    assert result.contest == contests.get("stocks_long")
    assert result.weights.name == "stocks_long"


def test_statistics_begin_with_the_first_output():
    result = qlstm.backtest(
        strategy=equal_weights, data=CUBE, lookback_period=30, start_date="2015-06-01", progress=False
    )
    equity = result.stats.sel(field="equity").dropna("time")
    assert equity.time.values[0] == result.raw.time.values[0]
    assert float(equity[0]) == pytest.approx(1.0)
    quiet = qlstm.backtest(
        strategy=equal_weights, data=CUBE, lookback_period=30, start_date="2016-02-01", analyze=False, progress=False
    )
    assert quiet.stats is None


def test_a_user_is_told_what_was_not_checked():
    result = qlstm.backtest(
        strategy=equal_weights,
        data=CUBE,
        lookback_period=30,
        start_date="2016-02-01",
        check_correlation=True,
        progress=False,
    )
    assert any("correlation" in note for note in result.notes)


def test_progress_is_plain_lines_when_not_on_a_terminal(monkeypatch, capsys):
    from qlstm import progress

    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    monkeypatch.setattr(progress, "_REDRAW_S", 0.0)
    qlstm.backtest(strategy=equal_weights, data=CUBE, lookback_period=30, start_date="2016-02-01", analyze=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("backtest equal_weights: 18 of 18 days, 100 %")
    assert ["left" in line for line in lines] == [False] * 10 + [True] * 8  # once some days have shown it


def test_memory_does_not_grow_with_the_days():
    """One day more costs one more row of weights and nothing else."""
    import tracemalloc

    cube = market(days=1200, assets=20)
    weights = xr.DataArray(np.full(20, 0.05), dims="asset", coords={"asset": cube.asset.values})

    def peak(end):
        tracemalloc.start()
        qlstm.backtest(
            strategy=lambda data: weights, data=cube, lookback_period=100, end_date=end, analyze=False, progress=False
        )
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(cube.time.values[300])
    few, many = peak(cube.time.values[300]), peak(cube.time.values[1199])
    assert many - few < 900 * 20 * 8 * 12  # rows of weights, and the copies that cleaning makes of them


def mean_field(cube):
    return {"mean": cube.sel(field="close").rolling(time=5).mean()}


def test_features_see_nothing_after_the_end_date_and_leave_the_users_generators_alone():
    import random

    seen = []

    def features(cube):
        seen.append(cube.time.values[-1])
        random.random()
        return mean_field(cube)

    strategy = qlstm.Strategy(predict=equal_weights, features=features, lookback_period=10)
    random.seed(1)
    expected = random.random()
    random.seed(1)
    qlstm.backtest(strategy=strategy, data=CUBE, start_date="2015-06-01", end_date="2015-06-30", progress=False)
    assert max(seen) == np.datetime64("2015-06-30")
    assert random.random() == expected


def test_a_huge_interval_trains_once_on_all_there_is():
    rows = []

    def train(data):
        rows.append(data.sizes["time"])
        return train_mean(data)

    qlstm.backtest_ml(data=CUBE, **ML | {"train": train, "retrain_interval": 100_000, "train_period": 10**7})
    assert rows == [CUBE.sel(time=slice(None, "2015-06-01")).sizes["time"]]


def test_load_data_is_asked_for_more_when_the_test_ends_long_ago():
    long = market(days=3000, start="2005-01-03")

    def load_data(days):
        since = np.datetime64("now", "ns") - np.timedelta64(days, "D")
        return long.sel(time=slice(since, None))

    settings = {"strategy": equal_weights, "lookback_period": 30, "test_period": 365, "end_date": "2010-12-31"}
    one = qlstm.backtest(load_data=load_data, progress=False, analyze=False, **settings)
    two = qlstm.backtest(data=long, progress=False, analyze=False, **settings)
    xr.testing.assert_equal(one.raw, two.raw)


def test_days_that_batch_mode_leaves_out_are_noted():
    def predict(models, data):
        rows = momentum(data)
        return rows.where(rows.time != np.datetime64("2015-06-01"))

    result = qlstm.backtest_ml(
        data=CUBE, **ML | {"train": lambda data: None, "predict": predict, "predict_each_day": False}
    )
    assert "predict returned no row for 1 days, first 2015-06-01" in result.notes
    assert np.datetime64("2015-06-01") not in result.raw.time.values


def test_the_first_days_can_be_traded_because_slippage_has_its_warm_up():
    result = qlstm.backtest(
        strategy=equal_weights, data=CUBE, lookback_period=30, start_date="2015-06-01", progress=False
    )
    returns = result.stats.sel(field="relative_return", time=slice("2015-06-01", "2015-06-12"))
    assert (returns.values[1:] != 0).all()
