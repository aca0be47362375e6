"""A server's day in this process, where one of its own takes seconds: what is handed over, and what the log says."""

import dataclasses
import gzip
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from servers import expected, hostile, same, write_remembering, year

import qlstm
from qlstm import state, submission
from qlstm.errors import DataError, StrategyError


@pytest.fixture
def remembering(tmp_path):
    return write_remembering(tmp_path)


@pytest.fixture
def cube(tmp_path):
    return year(tmp_path)


def bad_state(kind, here):
    """Return what a server may hand over instead of yesterday's state, and what the log must say of it."""
    good = here.made.read_bytes()
    if kind == "truncated":
        return good[: len(good) // 2], "state.in.pickle.gz"
    if kind == "empty":
        return b"", "state.in.pickle.gz"
    if kind == "hostile":
        return gzip.compress(hostile("executed")), "mkdir"
    if kind == "of another program":
        plain = gzip.compress(pickle.dumps((None, None, {"another": "program"})))
        return plain, "another program wrote it, and it does not suit remembering"
    if kind == "later":
        state.write(
            state.read(here.made, here.strategy), "later", here.strategy, as_of=np.datetime64("2030-01-01", "ns")
        )
        return Path("later").read_bytes(), "is of 2030-01-01, but the data end 2015-12-18"
    state.write(qlstm.Memory(), "other", dataclasses.replace(here.strategy, name="other"))
    return Path("other").read_bytes(), "the state of strategy other, not of remembering"


class Here:
    """The same day in this process, where a server's takes seconds: only the toolbox is a stand-in."""

    def __init__(self, file, cube, monkeypatch, capsys):
        self.strategy, self.cube, self.capsys = qlstm.load_strategy(file), cube, capsys
        self.given, self.made = Path("state.in.pickle.gz"), Path("state.out.pickle.gz")
        monkeypatch.chdir(file.parent)
        self.toolbox = types.SimpleNamespace(write=lambda weights: None)
        for module in ("qnt", "qnt.data", "qnt.output"):
            monkeypatch.setitem(sys.modules, module, self.toolbox)

    def run(self, date):
        """Run a day; return its decision and the log."""
        self.capsys.readouterr()
        self.toolbox.load_data_by_type = lambda data_type, tail: self.cube.sel(
            time=slice(date - np.timedelta64(tail, "D"), date)
        )
        return submission.main(self.strategy), self.capsys.readouterr().err

    def next_day(self):
        self.made.replace(self.given)


@pytest.fixture
def here(remembering, cube, monkeypatch, capsys):
    return Here(remembering, cube, monkeypatch, capsys)


def equal(decision, result):
    same(result, decision.raw.isel(time=0, drop=True), decision.weights.isel(time=0, drop=True))


@pytest.mark.parametrize(
    "kind", ["truncated", "empty", "hostile", "of another strategy", "of another program", "later"]
)
def test_a_state_file_that_cannot_be_used_is_named_and_weights_are_decided_all_the_same(kind, here, remembering, cube):
    days = cube.time.values[250:252]
    here.run(days[0])
    content, sentence = bad_state(kind, here)
    here.given.write_bytes(content)
    decision, log = here.run(days[1])
    assert sentence in log
    assert "CANNOT BE USED" in log
    assert "STARTING AS ON THE FIRST DAY" in log
    equal(decision, expected(remembering, cube, days[1:], "fresh")[0])
    assert state.read(here.made, here.strategy).state["days"] == 1
    assert not Path("executed").exists()


def test_days_that_were_missed_are_decided_first(here, remembering, cube):
    days = cube.time.values[250:254]
    here.run(days[0])
    here.next_day()
    decision, log = here.run(days[-1])
    assert f"2 TRADING DAYS WERE MISSED since {str(days[0])[:10]}" in log
    equal(decision, expected(remembering, cube, days, "fresh")[-1])


def test_too_many_missed_days_are_left_out(here, remembering, cube):
    days = cube.time.values[[240, 252]]
    here.run(days[0])
    here.next_day()
    decision, log = here.run(days[-1])
    assert "11 TRADING DAYS WERE MISSED" in log
    assert "too many" in log
    equal(decision, expected(remembering, cube, days, "fresh")[-1])


def test_a_day_that_was_decided_before_leaves_the_state_as_it_is(here, cube):
    here.run(cube.time.values[250])
    here.next_day()
    handed_over = here.given.read_bytes()
    _, log = here.run(cube.time.values[250])
    assert "THE STATE IS OF" in log
    assert here.made.read_bytes() == handed_over


def test_a_strategy_that_fails_on_its_own_state_says_so_and_keeps_it(cube, tmp_path, monkeypatch, capsys):
    file = tmp_path / "failing.py"
    file.write_text(
        "import qlstm\n"
        "def predict(data, state):\n"
        "    field = 'close' if state is None else 'earnings'\n"
        "    close = data.sel(field=field, drop=True).isel(time=-1, drop=True)\n"
        "    return close / close.sum(), {'seen': 1}\n"
        "strategy = qlstm.Strategy(predict=predict, lookback_period=5)\n"
    )
    here = Here(file, cube, monkeypatch, capsys)
    here.run(cube.time.values[250])
    here.next_day()
    with pytest.raises(StrategyError, match=r"strategy failing .*: predict failed on 2015-12-18: KeyError"):
        here.run(cube.time.values[251])
    assert "the server's data have the fields open, high, low, close, vol, is_liquid" in capsys.readouterr().err
    assert not here.made.exists()


def test_features_are_computed_from_the_same_first_day_every_day(cube, tmp_path, monkeypatch, capsys):
    file = tmp_path / "featured.py"
    file.write_text(
        "import qlstm\n"
        "from qlstm import ta\n"
        "def features(cube):\n"
        "    return {'level': ta.ema(cube.sel(field='close', drop=True), 40)}\n"
        "def predict(data):\n"
        "    level = data.sel(field='level', drop=True).isel(time=-1, drop=True)\n"
        "    return level / level.sum()\n"
        "strategy = qlstm.Strategy(predict=predict, features=features, lookback_period=5)\n"
    )
    here = Here(file, cube, monkeypatch, capsys)
    asked = []
    here.toolbox.load_data_by_type = lambda data_type, min_date: (asked.append(min_date), cube)[1]
    decision = submission.main(here.strategy)
    assert asked == ["2005-12-27"]  # the contest's start, less the lookback
    equal(decision, expected(file, cube, cube.time.values[-1:], "fresh")[0])


def test_where_there_is_no_toolbox_the_message_says_what_the_file_is_for(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "qnt.data", None)
    with pytest.raises(DataError, match=r"cannot import qnt\.data .* this file is for a contest's server"):
        submission.main(here.strategy)


def test_the_history_asked_for_reaches_back_to_the_last_training_of_a_study_period(cube, tmp_path, monkeypatch, capsys):
    file = tmp_path / "study.py"
    file.write_text(
        "import qlstm\n"
        "from qlstm import schedule\n"
        "def predict(models, data):\n"
        "    return data.sel(field='close', drop=True).isel(time=-1, drop=True) * 0 + 0.01\n"
        "strategy = qlstm.Strategy(train=lambda data: 1, predict=predict, train_period=60, lookback_period=5,\n"
        "                          retrain_interval=schedule.study_periods(40, 200))\n"
    )
    here = Here(file, cube, monkeypatch, capsys)
    asked = []
    here.toolbox.load_data_by_type = lambda data_type, tail: (asked.append(tail), cube)[1]
    submission.main(here.strategy)
    assert asked == [280 + 90]  # 200 rows are 280 calendar days
