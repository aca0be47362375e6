"""Other values for a strategy file's constants: only plain values at module level, each once named, nothing else changed."""

import pytest

from qlstm import load_strategy
from qlstm.errors import StrategyError

TEXT = '''"""An idea."""

from __future__ import annotations

import qlstm

LENGTH = 4 * 5
LOW, HIGH = 0.1, 0.9
SHARE: float = -0.5
SIDE = "long"
FIRST = SECOND = 1
NAMES = list("ab")
DOUBLE = 2 * LENGTH


def predict(data):
    return data.sel(field="close", drop=True).isel(time=-1) * LENGTH


strategy = qlstm.Strategy(predict=predict, lookback_period=LENGTH)
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "idea.py"
    path.write_text(TEXT)
    return path


def test_constants_are_replaced_wherever_the_file_uses_them(file):
    strategy = load_strategy(file, LENGTH=33, HIGH=0.8, SHARE=2, SIDE=None)
    seen = strategy.namespace
    assert [seen[name] for name in ("LENGTH", "DOUBLE", "LOW", "HIGH", "SHARE", "SIDE")] == [33, 66, 0.1, 0.8, 2, None]
    assert (strategy.lookback_period, strategy.name) == (33, "idea")
    assert strategy.constants == {"LENGTH": 33, "HIGH": 0.8, "SHARE": 2, "SIDE": None}


def test_without_other_values_the_file_is_what_it_was(file):
    assert load_strategy(file).namespace["LENGTH"] == 20
    assert load_strategy(file, LENGTH=20).namespace["SIDE"] == "long"
    assert load_strategy(file).constants == {}


def test_other_values_are_other_code_and_are_named_in_errors(file):
    hashes = {load_strategy(file, **constants).code_hash for constants in ({}, {"LENGTH": 20}, {"LENGTH": 21})}
    assert len(hashes) == 3
    assert load_strategy(file, HIGH=1, LENGTH=2).code_hash == load_strategy(file, LENGTH=2, HIGH=1).code_hash
    assert load_strategy(file, LENGTH=21).where.endswith("idea.py), LENGTH=21")


def test_a_constant_assigned_twice_is_replaced_twice(tmp_path):
    (tmp_path / "idea.py").write_text(TEXT.replace("SIDE =", "LENGTH = 7\nSIDE ="))
    assert load_strategy(tmp_path / "idea.py", LENGTH=3).lookback_period == 3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("LENGHT", "idea.py assigns no plain value to LENGHT at module level; did you mean 'LENGTH'?"),
        ("NAMES", "assigns no plain value to NAMES at module level"),
        ("FIRST", "assigns no plain value to FIRST at module level"),
        ("predict", "assigns no plain value to predict at module level"),
    ],
)
def test_a_name_that_is_no_constant_is_refused_with_one_near_it(file, name, told):
    with pytest.raises(StrategyError) as caught:
        load_strategy(file, **{name: 1})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_constants_says_so_without_a_list(tmp_path):
    (tmp_path / "idea.py").write_text("def predict(data): ...\n")
    with pytest.raises(StrategyError, match=r"assigns no plain value to LENGTH at module level$"):
        load_strategy(tmp_path / "idea.py", LENGTH=1)


def test_errors_name_the_line_of_the_file_as_written(tmp_path):
    (tmp_path / "idea.py").write_text(TEXT + "1 / (LENGTH - 3)\n")
    with pytest.raises(StrategyError, match=f"idea.py, line {TEXT.count(chr(10)) + 1}: ZeroDivisionError"):
        load_strategy(tmp_path / "idea.py", LENGTH=3)
