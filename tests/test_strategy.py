"""Strategies: their two functions are checked when they are made, their files when they are loaded."""

import numpy as np
import pytest

import qlstm
from qlstm import schedule
from qlstm.errors import ContestError, StrategyError
from qlstm.strategy import Memory, Strategy, load_strategy

GOOD = "import qlstm\ndef predict(data): return data\nstrategy = qlstm.Strategy(predict=predict)\n"


def file_with(tmp_path, text, name="idea.py"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_strategy_is_stateful_when_its_predict_takes_a_state():
    assert Strategy(predict=lambda data, state: None).is_stateful
    assert not Strategy(predict=lambda data: None).is_stateful
    assert Strategy(train=lambda data: None, predict=lambda models, data, state: None).is_stateful
    assert not Strategy(train=lambda data: None, predict=lambda models, data: None).is_stateful


def test_an_optional_setting_of_predict_is_not_taken_for_the_state():
    assert not Strategy(predict=lambda data, top=12: None).is_stateful
    assert Strategy(predict=lambda data, state=None: None).is_stateful


@pytest.mark.parametrize(
    ("functions", "words"),
    [
        (
            {"predict": lambda: None},
            r"predict\(\) takes the wrong arguments; write predict\(data\) or predict\(data, state\)",
        ),
        ({"predict": lambda a, b, c: None}, r"predict\(a, b, c\) takes the wrong arguments"),
        (
            {"train": lambda: None, "predict": lambda m, d: None},
            r"train\(\) takes the wrong arguments; write train\(data\)",
        ),
        (
            {"train": lambda d: None, "predict": lambda d: None},
            r"write predict\(models, data\) or predict\(models, data, state\)",
        ),
        ({"predict": 3}, "predict must be a function, got int"),
        ({"predict": lambda d: None, "features": lambda: None}, r"write features\(cube\)"),
    ],
)
def test_functions_with_the_wrong_arguments_are_refused_before_the_run(functions, words):
    with pytest.raises(StrategyError, match=words):
        Strategy(**functions)


@pytest.mark.parametrize(
    "period", ["train_period", "lookback_period", "retrain_interval", "retrain_interval_after_submit"]
)
@pytest.mark.parametrize("days", [0, -1, 1.5, "ten", True])
def test_a_period_must_be_a_positive_number_of_days(period, days):
    with pytest.raises(StrategyError, match=f"{period} must be a positive whole number of days.*, got {days!r}"):
        Strategy(predict=lambda data: None, **{period: days})


def test_a_schedule_that_was_not_called_is_told():
    with pytest.raises(StrategyError, match="got the function month_end: call it"):
        Strategy(predict=lambda data: None, retrain_interval=schedule.month_end)


def test_the_contest_is_checked():
    with pytest.raises(ContestError, match="did you mean 'futures'"):
        Strategy(predict=lambda data: None, contest="future")


def test_a_file_gives_its_strategy_its_name(tmp_path):
    assert load_strategy(file_with(tmp_path, GOOD)).name == "idea"
    named = GOOD.replace("predict=predict", "predict=predict, name='mine'")
    assert load_strategy(file_with(tmp_path, named)).name == "mine"


def test_a_file_may_import_modules_beside_it(tmp_path):
    file_with(tmp_path, "NUMBER = 7\n", "beside_me.py")
    path = file_with(tmp_path, "from beside_me import NUMBER\n" + GOOD)
    assert load_strategy(path).namespace["NUMBER"] == 7


def test_the_code_hash_follows_the_file(tmp_path):
    first = load_strategy(file_with(tmp_path, GOOD)).code_hash
    assert load_strategy(file_with(tmp_path, GOOD)).code_hash == first
    assert load_strategy(file_with(tmp_path, GOOD + "# changed\n")).code_hash != first


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", r"idea.py defines no strategy; add a line: strategy = qlstm.Strategy"),
        (
            "import qlstm\nqlstm.Strategy(predict=print, lookback=60)\n",
            r"idea.py, line 2: TypeError: .* unexpected keyword argument 'lookback'; did you mean 'lookback_period'\?",
        ),
        (
            GOOD + "other = qlstm.Strategy(predict=lambda data: 1)\n",
            r"idea.py defines 2 strategies \(strategy, other\); keep one",
        ),
        ("def predict(data:\n", r"idea.py, line 1: "),
        ("import qlstm\n\n1 / 0\n", r"idea.py, line 3: ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name\n", r"idea.py, line 1: ModuleNotFoundError"),
    ],
)
def test_a_file_without_one_sound_strategy_is_refused_by_name(tmp_path, text, words):
    with pytest.raises(StrategyError, match=words):
        load_strategy(file_with(tmp_path, text))


def test_the_same_strategy_under_two_names_is_one(tmp_path):
    assert load_strategy(file_with(tmp_path, GOOD + "alias = strategy\n")).name == "idea"


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(StrategyError, match=r"cannot read strategy file .*nowhere.py: No such file"):
        load_strategy(tmp_path / "nowhere.py")


def test_memory_is_empty_on_the_first_day():
    assert Memory() == Memory(None, None, None)
    assert qlstm.Memory(np.datetime64("2020-01-01"), {}, 1).state == 1


def test_a_file_that_exits_is_refused_not_obeyed(tmp_path):
    with pytest.raises(StrategyError, match=r"idea.py, line 2: SystemExit: 0"):
        load_strategy(file_with(tmp_path, "import sys\nsys.exit(0)\n"))


@pytest.mark.parametrize("name", ["../escaped", "a/b", "", ".hidden", "..", "a\\b", "a\nb"])
def test_a_name_that_is_no_folders_name_is_refused(name):
    with pytest.raises(StrategyError, match="name of its folder too"):
        Strategy(predict=lambda data: None, name=name)


def test_a_seed_must_be_a_number():
    with pytest.raises(StrategyError, match="seed must be a whole number, got None"):
        Strategy(predict=lambda data: None, seed=None)


@pytest.mark.parametrize(
    "functions",
    [
        {"predict": lambda models, data: None},  # train= was forgotten
        {"train": lambda data: None, "predict": lambda data, state: None},
        {"predict": lambda state, data: None},
        {"train": lambda state: None, "predict": lambda m, d: None},
    ],
)
def test_an_argument_in_anothers_place_is_refused(functions):
    with pytest.raises(StrategyError, match="takes the wrong arguments; write"):
        Strategy(**functions)


def test_helpers_of_one_argument_may_call_it_what_they_like():
    given = Strategy(predict=lambda data: None, features=lambda data: None, dump=lambda data: 0, load=lambda state: 0)
    assert given.features is not None


def test_the_code_hash_of_functions_without_a_file_follows_their_constants():
    def hash_of(text):
        names = {}
        exec(f"def predict(data):\n    return (lambda d: d * {text})(data)\n", names)
        return Strategy(predict=names["predict"]).code_hash

    assert hash_of("0.1") == hash_of("0.1") != hash_of("0.9")
