"""The state file: a memory comes back from it, equal ones have equal bytes, and damage is named."""

from __future__ import annotations

import datetime
import gzip
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stored import DAY, STRATEGY, Scorer, equal, memory, predict

from qlstm import nn as qnn
from qlstm import state
from qlstm.errors import StateCorruptError, StateError, StateForeignError, StateTooNewError
from qlstm.state import codec, envelope
from qlstm.state.plain import KIND, describe
from qlstm.strategy import Memory, Strategy


def test_memory_comes_back_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "state.out.pickle.gz"
    state.write(memory(), path)
    back = state.read(path)
    assert back.trained_at == DAY
    assert type(back.models) is qnn.Models
    assert list(back.models) == ["A", "B"]
    assert equal(back.models["A"].weight, memory().models["A"].weight)
    assert equal(back.state, memory().state)


def test_fitted_models_keep_what_they_know_beside_their_networks() -> None:
    models = qnn.Models(
        {"g": torch.nn.Linear(1, 1)}, failures={"C": "no rows"}, cut=("g",), groups={"A": "g", "B": "g"}
    )
    back = codec.decode(codec.encode(Memory(DAY, models))).models
    assert (back.failures, back.cut, back.groups) == ({"C": "no rows"}, ("g",), {"A": "g", "B": "g"})
    plain = describe(qnn.Models({"g": torch.nn.Linear(1, 1)}))
    assert set(plain) == {KIND, "items"}


def test_a_day_without_models_or_state_is_kept_too() -> None:
    assert codec.decode(codec.encode(Memory())) == Memory()


def test_plain_python_reads_the_file_as_the_contests_tuple(tmp_path: Path) -> None:
    path = tmp_path / "s"
    state.write(Memory(DAY, {"A": np.arange(3.0)}, {"previous": np.ones(2), "n": 1}), path)
    with gzip.open(path) as file:
        created, models, kept = pickle.load(file)
    assert equal([created, models], [DAY, {"A": np.arange(3.0)}])
    kept["previous"] += 1  # arrays come back writable
    assert kept["previous"].tolist() == [2, 2]


def test_the_payload_names_nothing_but_numpy_arrays_and_dates() -> None:
    content = gzip.decompress(codec.encode(memory()))
    names = {(a, b) for a, b in zip(*[iter(strings_before_globals(content))] * 2, strict=True)}
    assert names == {("numpy", "ndarray"), ("numpy", "datetime64"), ("builtins", "bytearray")}


def strings_before_globals(content: bytes) -> list[str]:
    found, last = [], []
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "STACK_GLOBAL":
            found += last[-2:]
        elif type(argument) is str:
            last.append(argument)
    return found


def test_equal_content_gives_equal_bytes_whatever_objects_it_is_made_of() -> None:
    one, twice = "previous", ["".join(["pre", "vious"]), "".join(["prev", "ious"])]
    assert codec.encode(Memory(state=[one, one])) == codec.encode(Memory(state=twice))
    assert codec.encode(memory()) == codec.encode(codec.decode(codec.encode(memory())))


def test_bytes_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "import hashlib; from qlstm.state import codec; from qlstm.strategy import Memory;"
        "print(hashlib.sha256(codec.encode(Memory(state={'s': {'a', 'b', 'c', ('d', 1)}, 'f': frozenset('xyz')}))).hexdigest())"
    )
    outs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "12"
    }
    assert len(outs) == 1


def test_the_header_tells_what_the_file_is_without_unpacking_it() -> None:
    data = codec.encode(memory(), strategy=STRATEGY, as_of=DAY, parent="ab" * 32)
    known = codec.header(data)
    assert known["schema"] == 1
    assert known["strategy"] == "mine"
    assert known["code_sha256"] == STRATEGY.code_hash
    assert known["as_of"] == "2020-01-03T00:00:00.000000000"
    assert known["parent_sha256"] == "ab" * 32
    assert known["versions"]["numpy"] == np.__version__
    assert data[4:8] == b"\x00\x00\x00\x00"  # no time of writing
    assert codec.header(gzip.compress(b"x")) == {}


def dump(models: Any) -> Any:
    return {"slope": models.slope}


class Line:
    def __init__(self, slope: float) -> None:
        self.slope = slope


def load(plain: Any) -> Line:
    return Line(plain["slope"])


def test_models_of_other_libraries_go_through_the_strategys_dump_and_load() -> None:
    strategy = Strategy(train=lambda data: None, predict=predict, name="line", dump=dump, load=load)
    data = codec.encode(Memory(DAY, Line(2.5), None), strategy=strategy)
    assert codec.decode(data, strategy).models.slope == 2.5
    assert codec.decode(data).models == {"slope": 2.5}
    with pytest.raises(StateError, match=r"saved by a dump function; give strategy mine .* the load"):
        codec.decode(data, STRATEGY)
    assert codec.decode(codec.encode(Memory(), strategy=strategy), strategy).models is None


def test_a_class_of_the_strategys_file_needs_that_strategy_to_be_read() -> None:
    data = codec.encode(Memory(DAY, {"A": Scorer()}, None), strategy=STRATEGY)
    assert type(codec.decode(data, STRATEGY).models["A"]) is Scorer
    with pytest.raises(StateError, match=r"class Scorer of the strategy's file; read it with that strategy"):
        codec.decode(data)
    other = Strategy(predict=eval("lambda data: 1", {"__name__": "other"}), name="other")
    with pytest.raises(StateError, match=r"'Scorer', which 'strategy' does not define"):
        codec.decode(data, other)


def test_absent_is_none_and_unreadable_is_an_error(tmp_path: Path) -> None:
    assert state.read(tmp_path / "absent") is None
    with pytest.raises(StateError, match=r"cannot read .*: Is a directory"):
        state.read(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(StateCorruptError, match=r"empty is damaged: it is no gzip file"):
        state.read(tmp_path / "empty")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    state.write(Memory(state=1), tmp_path / "s")
    with pytest.raises(StateError):
        state.write(Memory(state=[len]), tmp_path / "s")
    assert state.read(tmp_path / "s").state == 1


SMALL = Memory(DAY, {"A": np.arange(4, dtype="f4")}, {"w": np.array(["x"]), "n": [1, 2.5, None, {3}]})


def test_a_file_cut_at_any_length_is_a_named_error() -> None:
    data = codec.encode(SMALL, as_of=DAY)
    for length in range(len(data)):
        with pytest.raises(StateCorruptError, match="damaged"):
            codec.decode(data[:length])
    with pytest.raises(StateCorruptError, match="damaged"):
        codec.decode(data + b"\x00")


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_file_with_any_byte_flipped_is_equal_or_a_named_error(flip: int) -> None:
    data = codec.encode(SMALL, as_of=DAY)
    harmless = []
    for place in range(len(data)):
        bad = bytearray(data)
        bad[place] ^= flip
        try:
            back = codec.decode(bytes(bad))
        except StateError:
            continue
        assert equal([back.trained_at, back.models, back.state], [SMALL.trained_at, SMALL.models, SMALL.state])
        harmless.append(place)
    # Flags, time, system, and the subfield's id, without which the file counts as another program's; and the
    # bits that fill up the last byte of the compressed data.
    assert set(harmless) <= {3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, len(data) - 9}


def test_a_payload_that_does_not_match_its_hash_is_damage_even_where_gzip_sees_none() -> None:
    first, second = codec.encode(Memory(state=1)), codec.encode(Memory(state=2))
    _, start = envelope._split(second, "")
    _, end = envelope._split(first, "")
    with pytest.raises(StateCorruptError, match="SHA-256"):
        codec.decode(first[:end] + second[start:])


def test_a_later_schema_asks_for_an_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "SCHEMA", 2)
    data = codec.encode(Memory())
    monkeypatch.undo()
    with pytest.raises(StateTooNewError, match=r"s.gz has schema 2, this qlstm reads up to 1; upgrade"):
        codec.decode(data, what="s.gz")


# Files of other programs


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_tuples_of_other_programs_are_read(protocol: int) -> None:
    kept = {
        "w": np.arange(4.0).reshape(2, 2).T,
        "names": np.array(["a", None], dtype=object),
        "when": np.array(["2020-01-01"], "M8[ns]"),
        "big": np.array([1, 2], dtype=">i4"),
        "one": np.float32(0.5),
        "day": datetime.date(2020, 1, 2),
        "ids": {1, 2},
        "empty": np.zeros((0, 2)),
        "text": np.array(["x", "yz"]),
    }
    data = gzip.compress(pickle.dumps((DAY, {"A": 1.5}, kept), protocol))
    back = codec.decode(data)
    assert back.trained_at == DAY
    assert back.models == {"A": 1.5}
    assert equal(back.state, kept)
    assert all(array.flags.writeable for array in back.state.values() if isinstance(array, np.ndarray))


def test_both_spellings_of_numpys_core_are_read() -> None:
    old = pickle.dumps((None, None, np.arange(3)), 3).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in old
    assert codec.decode(gzip.compress(old)).state.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"previous_weights": [1.0], "n": 1},
            r"f.gz holds a dict with keys 'previous_weights', 'n', not \(created, models, state\)",
        ),
        ([1, 2], r"f.gz holds a list of 2, not"),
        (
            ("2020-01-01", None, None),
            r"its first entry, the training day, is '2020-01-01'; it must be a numpy.datetime64",
        ),
    ],
)
def test_plain_files_of_another_shape_are_told_what_they_are(content: Any, message: str) -> None:
    with pytest.raises(StateError, match=message):
        codec.decode(gzip.compress(pickle.dumps(content)), what="f.gz")


def test_pickled_objects_of_other_classes_are_refused_by_name() -> None:
    data = gzip.compress(pickle.dumps((DAY, {"A": Line(1.0)}, datetime.datetime.now)))
    with pytest.raises(
        StateForeignError, match=r"f.gz holds objects .*: test_state_file.Line, .*getattr; .*qlstm.state.write"
    ):
        codec.decode(data, None, "f.gz")
