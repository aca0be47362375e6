"""What a run will still cost: trainings and days are told apart, counted down, and said when it is known."""

import dataclasses

import numpy as np
import xarray as xr
from test_training import CUBE, DAYS, strategy

import qlstm
from qlstm import ahead, multipass, parallel, schedule, training
from qlstm.cube import Windows
from qlstm.forecast import Forecast, Pace
from qlstm.progress import Progress


class Clock:
    """Stands still until it is told what something takes."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        for module in (training, multipass):
            monkeypatch.setattr(module, "perf_counter", lambda: self.now)

    def takes(self, function, first, then):
        """Return a function that takes `first` seconds at its first call, then `then`."""
        calls = []

        def timed(*arguments):
            self.now += then if calls else first
            calls.append(1)
            return function(*arguments)

        return timed


def told(chosen, capsys):
    """Return what a run says of its cost."""
    qlstm.backtest(strategy=chosen, data=CUBE, start_date=DAYS[0], analyze=False, build_plots=False)
    return capsys.readouterr().err.splitlines()


def constant(models, data):
    return xr.full_like(data[0, -1], 0.1).drop_vars(["field", "time"])


def test_a_forecast_leaves_the_first_training_and_the_first_day_out(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    train_s, predict_s = clock.takes(lambda data: 1.0, 29.0, 10.0), clock.takes(constant, 5.0, 0.2)
    (line,) = told(strategy(train_s, predict_s, retrain_interval=20), capsys)
    second = int(np.searchsorted(DAYS, [block[0] for block in schedule.blocks(DAYS, 20)][1]))
    left, days = len(list(schedule.blocks(DAYS, 20))) - 2, len(DAYS) - second - 1
    assert (left, days) == (4, 65)
    assert line == "backtest timed: 4 trainings at 10.00 s and 65 days at 200.0 ms to go, about 0:00:53"


def test_trainings_of_a_batch_are_not_to_come_once_it_is_done(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    monkeypatch.setattr(ahead, "solve", clock.takes(ahead.solve, 29.0, 30.0))
    assert told(strategy(), capsys) == []  # 3 more at 29 s would have been worth a line
    assert clock.now == 59.0


def test_trainings_elsewhere_are_known_after_a_burst_of_them(monkeypatch):
    clock = Clock(monkeypatch)
    monkeypatch.setattr(parallel, "each", lambda work, items, **how: (work(item) for item in items))
    chosen = strategy(clock.takes(lambda data: 1.0, 9.0, 2.0), constant, retrain_interval=7)
    for settings, first in (({"jobs": 2}, 1), ({"dask": "tcp://here"}, 0)):
        trainer = training.Trainer(chosen, Windows(CUBE), DAYS, **settings)
        for i, block in enumerate(schedule.blocks(DAYS, 7)):
            trainer.models(block[0])
            known = trainer.each_s
            assert (known is None) == (i + 1 - first < 10)
        assert trainer.left(block[0]) == 0
    assert known == 2.0


def test_how_many_trainings_are_left_is_counted_down():
    dates = [block[0] for block in schedule.blocks(DAYS, 30)]
    trainer = training.Trainer(strategy(lambda data: 1.0, constant), Windows(CUBE), DAYS)
    left = []
    for t in dates:
        trainer.models(t)
        left.append(trainer.left(t))
    assert left == [3, 2, 1, 0]


RULES = strategy().rules


HURRIED = dataclasses.replace(RULES, name="hurried", time_limit_s=1.0)


def test_each_thing_is_said_once_and_only_when_it_is_known():
    forecast = Forecast("backtest x", RULES)
    assert forecast.news(Pace(29.0, None, 100, 0.1, 2000)) == []  # a first training so short is start-up
    slow = Pace(600.0, None, 19, 0.1, 2000)
    assert slow.left_s is None
    expected = (
        "backtest x: the first training took 600 s; the 19 to come take 3:10:00 if each is as slow, less in a batch"
    )
    assert forecast.news(slow) == [expected]
    assert forecast.news(slow) == []
    known = Pace(600.0, 60.0, 19, 0.1, 2000)
    assert forecast.news(known) == [
        "backtest x: 19 trainings at 60.00 s and 2000 days at 100.0 ms to go, about 0:22:20"
    ]
    assert forecast.news(known) == []
    assert Forecast("x", RULES).news(Pace(9.0, 1.0, 19, 0.001, 2000)) == []


def test_a_daily_run_starts_cold_and_is_held_against_the_limit_so():
    (line,) = Forecast("x", HURRIED).news(Pace(2.0, 0.1, 3, 0.25, 10))
    assert line == "x: one training and one day take 2.2 s, more than the 1 s that hurried allows a daily run"
    assert Forecast("x", HURRIED).news(Pace(0.5, 0.1, 3, 0.25, 10)) == []


def test_the_progress_line_shows_the_time_left_where_it_is_known(monkeypatch, capsys):
    for constant in ("_PATIENCE_S", "_EVERY_S", "_REDRAW_S"):
        monkeypatch.setattr(f"qlstm.progress.{constant}", 0.0)
    left = iter([None, 65.0])
    with Progress("run", 2, left_s=lambda: next(left)) as bar:
        bar.advance()
        bar.advance()
    assert capsys.readouterr().err.splitlines() == ["run: 1 of 2 days, 50 %", "run: 2 of 2 days, 100 %, 0:01:05 left"]
