"""The state file: what goes in comes out, damage and strangers' objects are named, and reading runs nothing."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from qlstm import nn as qnn
from qlstm import state
from qlstm.errors import StateCorruptError, StateError, StateForeignError, StateTooNewError
from qlstm.state import codec, envelope, opcodes, payload
from qlstm.state.plain import KIND, describe, rebuild
from qlstm.strategy import Memory, Strategy

DAY = np.datetime64("2020-01-03", "ns")


class Scorer(torch.nn.Module):
    """A network of a strategy's own file: plain attributes, a shared parameter, both kinds of buffer, no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.names = ["a", "b"]
        self.scale = np.float64(2.0)
        self.first = torch.nn.Linear(3, 3, bias=False)
        self.second = torch.nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("seen", torch.arange(3))
        self.register_buffer("cache", torch.zeros(2), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x))) * float(self.scale)


def predict(models: Any, data: Any) -> Any:
    return models


STRATEGY = Strategy(train=lambda data: None, predict=predict, name="mine")


def weights(n: int = 5) -> xr.DataArray:
    assets = [f"SIM:{i:03}" for i in range(n)]
    return xr.DataArray(
        np.linspace(0, 0.1, n), {"asset": assets, "time": DAY}, ("asset",), name="w", attrs={"unit": "share"}
    )


def memory() -> Memory:
    torch.manual_seed(0)
    models = qnn.Models({"A": torch.nn.Linear(2, 2), "B": torch.nn.Linear(2, 1)})
    return Memory(DAY, models, {"previous_weights": weights(3), "n": 3})


def through(value: Any, namespace: Any = None) -> Any:
    return rebuild(payload.loads(payload.dumps(describe(value, namespace=namespace)), "file"), namespace)


def equal(a: Any, b: Any) -> bool:
    """Return whether two values are the same in type, content, labels and everything else that is kept."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and [*map(type, a)] == [*map(type, b)] and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, (set, frozenset)):
        return a == b and sorted(map(repr, a)) == sorted(map(repr, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and (a.astype(str) == b.astype(str)).all()
    if isinstance(a, torch.Tensor):
        same = a.dtype == b.dtype and a.requires_grad == b.requires_grad
        return same and a.shape == b.shape and bool((a.double() == b.double()).all())
    if isinstance(a, (pd.Series, pd.DataFrame)):
        return a.equals(b) and equal(a.index, b.index) and a.attrs == b.attrs and str(a.dtypes) == str(b.dtypes)
    if isinstance(a, pd.Index):
        freq = getattr(a, "freq", None) == getattr(b, "freq", None)
        return a.identical(b) and a.dtype == b.dtype and freq
    if isinstance(a, (xr.DataArray, xr.Dataset)):
        indexes = list(a.indexes) == list(b.indexes) and all(equal(a.indexes[k], b.indexes[k]) for k in a.indexes)
        return a.identical(b) and indexes and all(a[k].dtype == b[k].dtype for k in a.coords)
    return bool(a == b or a != a) and repr(a) == repr(b)


UTC = datetime.UTC
DAYS = pd.date_range("2020-01-01", periods=3, name="time")
VALUES = [
    *(None, True, 3, -(2**70), 0.1, float("nan"), float("-inf"), "", "é\ud800", b"\x00\xff"),
    *(
        [],
        [1, [2.0, "x"]],
        (),
        (1,),
        {},
        {"a": {1: None, None: 2, 0.5: b"", b"k": ()}},
        set(),
        {1, "a", (2, 3)},
        frozenset({1.5}),
    ),
    {(1, 2): "tuple keys", DAY: 1, frozenset({3}): [4]},
    {KIND: "scalar", "value": "the reserved key, used by somebody"},
    [
        datetime.date(2020, 1, 2),
        datetime.datetime(2020, 1, 2, 3, 4, 5, 6, fold=1),
        datetime.datetime(2020, 1, 2, tzinfo=UTC),
    ],
    [
        datetime.timedelta(-1, 2, 3),
        datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    ],
    [
        np.float32(0.1),
        np.int8(-1),
        np.bool_(True),
        np.str_("s"),
        np.complex128(1j),
        DAY,
        np.timedelta64(3, "D"),
        np.datetime64("NaT"),
    ],
    [
        np.arange(6).reshape(2, 3),
        np.zeros((0, 3)),
        np.array(1.5),
        np.asfortranarray(np.arange(4.0).reshape(2, 2)),
        np.arange(9)[::-2],
    ],
    [
        np.array([1, 2], dtype=">i4"),
        np.array(["a", "bcd"]),
        np.array([b"x"]),
        np.array(["2020", "NaT"], "M8[D]"),
        np.float16([1, 2]),
    ],
    [np.array(["a", None], dtype=object), np.array([["a", "b"]], dtype=object), np.array([1 + 2j]), np.array([True])],
    [pd.Timestamp("2020-01-02 03:04"), pd.Timestamp("2020-06-01", tz="Europe/Berlin"), pd.Timedelta("1h"), pd.NaT],
    [
        DAYS,
        DAYS.tz_localize("UTC"),
        pd.Index(["a", "b"]),
        pd.Index(["a", "b"], dtype=object),
        pd.RangeIndex(1, 9, 2, name="r"),
    ],
    [
        pd.Index([1.5, 2]),
        pd.to_timedelta([1, 2], unit="h"),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None]),
    ],
    [
        pd.Series([1.0, np.nan], index=["a", "b"], name="s"),
        pd.Series(["x", None]),
        pd.Series(DAYS.tz_localize("Asia/Tokyo")),
    ],
    pd.DataFrame(
        {"a": [1, 2], "b": ["x", "y"], "t": DAYS[:2], "f": np.float32([1, 2])}, index=pd.Index(["p", "q"], name="i")
    ),
    pd.DataFrame([[1, 2.5]], columns=["same", "same"]),
    pd.DataFrame(),
    weights(),
    xr.DataArray(np.ones((3, 2)), {"time": DAYS, "asset": pd.Index(["a", "b"], dtype=object)}, ("time", "asset")),
    xr.DataArray([1, 2], {"x": pd.Index(["a", "b"])}, "x").drop_indexes("x"),
    xr.DataArray(
        [1.0, 2], {"x": np.array(["a", "bb"], object), "y": ("x", [1, 2], {"of": "y"})}, "x", attrs={"k": [1]}
    ),
    xr.DataArray(5.0, name=("a", 1)),
    xr.DataArray([1, 2], dims="x"),
    weights().isel(asset=0),
    xr.Dataset({"a": ("x", [1, 2]), "b": 3.0}, {"x": [10, 20]}, {"note": "n"}),
    [
        torch.tensor([1.0, 2.0]),
        torch.tensor(3),
        torch.zeros(2, 0),
        torch.ones(2, requires_grad=True),
        torch.tensor([True]),
    ],
    [
        torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        torch.tensor(0.5, dtype=torch.float16),
        torch.arange(6).reshape(2, 3).T,
    ],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_described_comes_back_the_same(value: Any) -> None:
    assert equal(through(value), value)


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
KEYS = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=3)
NESTED = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(NESTED)
def test_any_nesting_of_plain_values_comes_back_the_same(value: Any) -> None:
    back = through(value)
    assert repr(back) == repr(value) or equal(back, value)
    assert payload.dumps(describe(back)) == payload.dumps(describe(value))


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.LSTM(2, 3, num_layers=2),
        torch.nn.GRU(2, 3, bidirectional=True, batch_first=True),
        torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.1)).eval(),
        torch.nn.ModuleDict({"a": torch.nn.Linear(1, 1, bias=False).double()}),
        qnn.LSTM(input_dim=2, hidden=3),
        Scorer(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_network_comes_back_with_the_same_weights_and_scores(module: torch.nn.Module) -> None:
    back = through(module, globals())
    assert type(back) is type(module)
    assert repr(back) == repr(module)
    assert {k: v.training for k, v in back.named_modules()} == {k: v.training for k, v in module.named_modules()}
    assert [k for k, _ in back.named_parameters()] == [k for k, _ in module.named_parameters()]
    assert equal(dict(back.state_dict()), dict(module.state_dict()))
    x = torch.ones(2, 3 if isinstance(module, Scorer) else 2) if not hasattr(module, "hidden") else torch.ones(1, 4, 2)
    if not isinstance(module, torch.nn.ModuleDict):
        module.eval(), back.eval()
        assert str(back(x)) == str(module(x))


def test_a_network_keeps_shared_parameters_attributes_and_buffers() -> None:
    back = through(Scorer(), globals())
    assert back.first.weight is back.second.weight
    assert len(list(back.parameters())) == 2
    assert equal([back.names, back.scale, back.cache], [["a", "b"], np.float64(2.0), torch.zeros(2)])
    assert "cache" not in back.state_dict()
    back(torch.ones(1, 3)).sum().backward()
    assert back.first.weight.grad is not None


def test_a_network_that_occurs_twice_in_a_model_stays_one() -> None:
    inner = torch.nn.Linear(1, 1)
    model = torch.nn.Sequential(inner, inner)
    model.listed = [inner]
    back = through(model)
    assert back[0] is back[1] is back.listed[0]


def test_a_rebuilt_value_shares_no_memory_with_the_original() -> None:
    linear, array = torch.nn.Linear(1, 1), np.zeros(2)
    back = rebuild(describe([linear, array]))
    with torch.no_grad():
        linear.weight += 1
    array += 1
    assert back[0].weight.item() != linear.weight.item()
    assert back[1].tolist() == [0, 0]


def hooked() -> torch.nn.Module:
    module = torch.nn.Linear(1, 1)
    module.register_forward_hook(lambda *args: None)
    return module


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


class Count(dict):
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"book": [1, 2, 3, io.StringIO()]},
            r"state\['book'\]\[3\]: objects of class _io.StringIO cannot be saved; use plain",
        ),
        ({"f": len}, r"state\['f'\]: objects of class builtins.builtin_function_or_method cannot be saved"),
        (Count(), r"state: objects of class .*Count cannot be saved"),
        ({(1, len): 2}, r"state key \(1, <built-in function len>\)\[1\]: objects"),
        ([np.array([object()])], r"state\[0\]: an array of objects of class object cannot be saved"),
        (np.zeros(2, dtype="i4,f8"), r"state: an array of dtype .* cannot be saved"),
        (pd.Series(["a"], dtype="category"), r"state: values of dtype category cannot be saved"),
        (xr.DataArray([1, 2], dims="x").assign_attrs(f=len), r"state.attrs\['f'\]: objects of class"),
        (
            xr.Dataset({"a": ("x", [1])}, {"k": ("x", [2]), "l": ("x", [3])}).set_index(x=["k", "l"]),
            r"PandasMultiIndex.*reset_index",
        ),
        (datetime.datetime(2020, 1, 1, tzinfo=pd.Timestamp("2020", tz="Europe/Rome").tz), r"in time zone Europe/Rome"),
        (endless(), r"state\[0\]: values nest deeper than 64 levels or contain themselves"),
        ({"net": hooked()}, r"state\['net'\]: a Linear with registered hooks \(_forward_hooks\)"),
        (Scorer(), r"class .*test_state.Scorer could not be found .* give Strategy\(dump=, load=\)"),
        (torch.ones(2).to_sparse(), r"sparse"),
    ],
)
def test_what_cannot_be_saved_is_named_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(StateError, match=message):
        codec.encode(Memory(None, None, value))


def test_nesting_just_within_the_limit_is_kept_and_beyond_it_refused_when_writing() -> None:
    nest: Any = {}
    for _ in range(60):
        nest = {(1,): [nest]} if _ % 2 else [nest]
    with pytest.raises(StateError, match="nest deeper"):
        codec.encode(Memory(state=nest))
    nest = 1
    for _ in range(63):
        nest = {(1,): nest}
    assert equal(codec.decode(codec.encode(Memory(state=nest))).state, nest)


def test_nothing_is_written_that_could_not_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcodes, "MAX_OPCODES", 1000)
    with pytest.raises(StateError, match=r"was not saved, since it could not be read back: .* longer than 1000 steps"):
        codec.encode(Memory(state=list(range(2000))))


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
        StateForeignError, match=r"f.gz holds objects .*: test_state.Line, .*getattr; .*qlstm.state.write"
    ):
        codec.decode(data, None, "f.gz")


# Hostile files. Each would write the canary if the standard unpickler read it.

CANARY = "canary"


def call(module: str, name: str, *arguments: Any) -> bytes:
    """Return a pickle that calls a function."""
    values = b"".join(pickle.dumps(argument, 3)[2:-1] for argument in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + values + b"tR."


def hostile(canary: Path) -> dict[str, tuple[bytes, str]]:
    touch, code = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    inner = call("os", "system", touch)
    short = lambda text: b"\x8c" + bytes([len(text)]) + text.encode()
    return {
        "reduce": (call("os", "system", touch), "os.system"),
        "posix": (call("posix", "system", touch), "posix.system"),
        "eval": (call("builtins", "eval", code), "builtins.eval"),
        "exec": (call("builtins", "exec", code), "builtins.exec"),
        "old name of builtins": (call("__builtin__", "eval", code), "__builtin__.eval"),
        "subprocess": (call("subprocess", "getoutput", touch), "subprocess.getoutput"),
        "import": (call("importlib", "import_module", "this"), "importlib.import_module"),
        "attribute": (call("operator", "attrgetter", "system"), "operator.attrgetter"),
        "dotted name": (b"\x80\x04" + short("numpy") + short("ndarray.tofile") + b"\x93.", "numpy.ndarray.tofile"),
        "dotted way out": (
            b"\x80\x04" + short("numpy") + short("os.system") + b"\x93" + short(touch) + b"\x85R.",
            "numpy.os.system",
        ),
        "numpy f2py": (call("numpy.f2py.diagnose", "run_command", touch), "numpy.f2py.diagnose.run_command"),
        "numpy runner": (call("numpy.testing._private.utils", "runstring", code, {}), "runstring"),
        "numpy load": (call("numpy", "load", str(canary), None, True), "numpy.load"),
        "numpy loadtxt": (call("numpy", "loadtxt", "/etc/passwd"), "numpy.loadtxt"),
        "numpy tofile": (call("numpy", "savetxt", str(canary), [1]), "numpy.savetxt"),
        "nested pickle": (call("pickle", "loads", inner), "pickle.loads"),
        "nested _pickle": (call("_pickle", "loads", inner), "_pickle.loads"),
        "nested pandas": (call("pandas", "read_pickle", str(canary)), "pandas.read_pickle"),
        "nested torch": (call("torch.storage", "_load_from_bytes", inner), "torch.storage._load_from_bytes"),
        "nested codecs": (call("_codecs", "decode", inner, "zip"), "_codecs.decode"),
        "nested pandas module": (call("pandas.io.pickle", "read_pickle", str(canary)), "pandas.io.pickle.read_pickle"),
        "nested torch load": (call("torch", "load", str(canary)), "torch.load"),
        "nested torch serialization": (call("torch.serialization", "load", str(canary)), "torch.serialization.load"),
        "nested torch jit": (call("torch.jit", "load", str(canary)), "torch.jit.load"),
        "nested torch hub": (call("torch.hub", "load", "x", "y"), "torch.hub.load"),
        "nested joblib": (call("joblib", "load", str(canary)), "joblib.load"),
        "nested xarray": (call("xarray", "open_dataset", str(canary)), "xarray.open_dataset"),
        "nested marshal": (call("marshal", "loads", b"x"), "marshal.loads"),
        "nested dill": (call("dill", "loads", b"x"), "dill.loads"),
        "pandas eval": (call("pandas", "eval", code), "pandas.eval"),
        "pandas query": (call("pandas.core.computation.eval", "eval", code), "pandas.core.computation.eval.eval"),
        "torch extension": (call("torch.utils.cpp_extension", "load_inline", "x", "y"), "cpp_extension.load_inline"),
        "torch shell": (call("torch.utils.collect_env", "run", touch), "torch.utils.collect_env.run"),
        "torch rebuild of a type": (call("torch._utils", "_rebuild_wrapper_subclass", 1), "_rebuild_wrapper_subclass"),
        "numpy object array": (call("numpy", "fromiter", [1], "O"), "numpy.fromiter"),
        "timeit": (call("timeit", "timeit", code), "timeit.timeit"),
        "pty": (call("pty", "spawn", "sh"), "pty.spawn"),
        "code object": (call("types", "CodeType", 0), "types.CodeType"),
        "partial": (call("functools", "partial", 1), "functools.partial"),
        "getattr": (call("builtins", "getattr", "x", "y"), "builtins.getattr"),
        "apply": (call("__builtin__", "apply", 1), "__builtin__.apply"),
        "map": (call("builtins", "map", 1), "builtins.map"),
        "copyreg": (call("copyreg", "_reconstructor", 1), "copyreg._reconstructor"),
        "a notebook's builtins": (call("__main__", "__builtins__"), "__main__.__builtins__"),
        "a notebook's module": (b"\x80\x04" + short("__main__") + short("os.system") + b"\x93.", "__main__.os.system"),
        "socket": (call("socket", "create_connection", ("localhost", 9)), "socket.create_connection"),
        "web": (call("urllib.request", "urlopen", "http://localhost:9"), "urllib.request.urlopen"),
        "inst": (f"(S'{touch}'\nios\nsystem\n.".encode(), "os.system"),
        "obj": (b"(cos\nsystem\nS'" + touch.encode() + b"'\no.", "os.system"),
        "newobj": (b"\x80\x02csubprocess\nPopen\n(]S'true'\nat\x81.", "subprocess.Popen"),
        "newobj_ex": (b"\x80\x04\x8c\x02os\x8c\x06system\x93)}\x92.", "os.system"),
        "build": (b"\x80\x02cos\nPathLike\n)R}S'x'\nI1\nsb.", "os.PathLike"),
        "extension 1": (b"\x80\x02\x82\x01.", "extension codes"),
        "extension 2": (b"\x80\x02\x83\x01\x00.", "extension codes"),
        "extension 4": (b"\x80\x02\x84\x01\x00\x00\x00.", "extension codes"),
        "persistent id": (b"Pname\n.", "persistent ids"),
        "persistent id on the stack": (b"\x80\x02U\x01xQ.", "persistent ids"),
        "buffers": (b"\x80\x05\x97.", "out-of-band buffers"),
        "name from the memo": (
            b"\x80\x04"
            + short("os")
            + b"\x94"
            + short("system")
            + b"\x94"
            + b"00"
            + b"h\x00h\x01\x93"
            + short(touch)
            + b"\x85R.",
            "os.system",
        ),
        "name made up": (b"\x80\x04" + short("os") + b"N\x93.", "made up"),
        "duplicated name": (b"\x80\x04" + short("os") + b"2\x93.", "os.os"),
        "hidden behind a stop": (b"\x80\x02cos\nsystem\n0N.", "os.system"),
    }


@pytest.mark.parametrize("family", list(hostile(Path(CANARY))))
def test_hostile_pickles_are_refused_by_name_and_run_nothing(family: str, tmp_path: Path) -> None:
    canary = tmp_path / CANARY
    content, name = hostile(canary)[family]
    readers = (state.read, state.inspect)
    loaded = set(sys.modules)
    for data in (gzip.compress(content), envelope.wrap(content, {})):
        (tmp_path / "f.gz").write_bytes(data)
        for read in readers:
            with pytest.raises(StateForeignError, match=r"f\.gz holds objects") as caught:
                read(tmp_path / "f.gz")
            assert name in str(caught.value)
    assert not canary.exists()
    assert set(sys.modules) == loaded


WATCHED = """
import sys, pathlib, pickle
from qlstm import state
from qlstm.errors import StateForeignError
folder = pathlib.Path(sys.argv[1])
files = sorted(folder.iterdir())
state.inspect(sys.argv[2])  # so that everything of ours is imported
seen, watching = [], False

def watch(event, arguments):
    quiet = ("object.__getattr__", "sys._getframe")
    if watching and event not in quiet:
        seen.append((event, str(arguments[0]) if arguments else ""))

sys.addaudithook(watch)
for file in files:
    for look in (state.read, state.inspect):
        watching = True
        try:
            look(file)
            raise SystemExit(f"{file} was read")
        except StateForeignError:
            watching = False
strange = [(event, what) for event, what in seen if event != "open" or pathlib.Path(what).parent != folder]
print(len(files), strange)
"""


def test_reading_hostile_files_opens_nothing_else_and_starts_and_imports_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    state.write(memory(), tmp_path / "good.gz")
    corpus = hostile(tmp_path / CANARY)
    for i, (content, _) in enumerate(corpus.values()):
        (folder / f"{i}.gz").write_bytes(gzip.compress(content))
        (folder / f"{i}-sealed.gz").write_bytes(envelope.wrap(content, {}))
    command = [sys.executable, "-c", WATCHED, str(folder), str(tmp_path / "good.gz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{2 * len(corpus)} []\n", "")


def test_the_canary_sings_for_the_standard_unpickler(tmp_path: Path) -> None:
    canary = tmp_path / CANARY
    for family in ("reduce", "eval", "inst", "name from the memo"):
        pickle.loads(hostile(canary)[family][0])
        assert canary.exists()
        canary.unlink()


def test_the_unpickler_refuses_by_itself_what_the_scan_would_have_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "scan", lambda *arguments: None)
    for family in ("reduce", "eval", "inst", "obj", "name from the memo", "newobj", "persistent id"):
        with pytest.raises(StateCorruptError, match=r"not allowed|cannot be read"):
            payload.loads(hostile(tmp_path / CANARY)[family][0], "f.gz")
    assert not (tmp_path / CANARY).exists()


def tuple_of(value: bytes) -> bytes:
    """Return the file of (None, None, value), the value given by its opcodes."""
    return gzip.compress(b"\x80\x04NN" + value + b"\x87.")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        # The real constructor takes the buffer's bytes for addresses of objects.
        (call("numpy", "ndarray", (1,), "O", b"\x10" * 8)[2:-1], "array dtype 'O'"),
        (call("numpy", "ndarray", (2,), "<f8", b"\x10" * 8)[2:-1], r"array of shape \(2,\)"),
        (call("numpy", "ndarray", (-1,), "<f8", b"")[2:-1], "array shape"),
        (call("numpy", "ndarray", (2**62, 4), "<f8", b"")[2:-1], "array of shape"),
        (call("numpy", "ndarray", (1,), "V8", b"\x00" * 8)[2:-1], "array dtype 'V8'"),
        (call("builtins", "bytearray", 2**40)[2:-1], "bytearray"),
        (call("numpy", "datetime64", "x")[2:-1], "pickle cannot be read"),
        (b"cnumpy\ndtype\n(U\x02V8I00\nI01\ntR", "array dtype 'V8'"),
        (b"cnumpy\nndarray\n}U\x05_makeNsb", "pickle cannot be read"),
        (b"cnumpy\nndarray\nN}U\x05_makeNs\x86b", "cannot be set"),
    ],
)
def test_makers_check_what_a_pickle_calls_them_with(value: bytes, message: str) -> None:
    with pytest.raises(StateCorruptError, match=message):
        codec.decode(tuple_of(value))


@pytest.mark.parametrize("value", [b"cnumpy\nndarray\n", b"cnumpy\ndtype\n(U\x02f8I00\nI01\ntR"])
def test_nothing_but_values_gets_out_of_a_pickle(value: bytes) -> None:
    with pytest.raises(StateForeignError, match=r"it holds (numpy.ndarray|a dtype) where a plain value belongs"):
        codec.decode(tuple_of(value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"]" * 1000 + b"a" * 999, "nest deeper than 256"),
        (b"N" + b"\x85" * 1_000_000, "nest deeper than 256"),  # hashing such a tuple overflows the C stack
        (b"]\x94h\x00a", "contain themselves"),
        (b"N\x94" + b"".join(b"0](h%ch%ce\x94" % (i, i) for i in range(100)), "contain themselves or nest"),
    ],
)
def test_nesting_without_end_is_refused(value: bytes, message: str) -> None:
    with pytest.raises(StateForeignError, match=message):
        codec.decode(tuple_of(value))


def test_a_program_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcodes, "MAX_OPCODES", 1000)
    with pytest.raises(StateForeignError, match="longer than 1000 steps"):
        codec.decode(tuple_of(b"N0" * 1000 + b"N"))


def test_an_absurd_memo_index_is_damage_and_reserves_nothing() -> None:
    with pytest.raises(StateCorruptError, match="memo index"):
        codec.decode(tuple_of(b"Nr\xff\xff\xff\x7f"))


def test_a_length_beyond_the_file_is_damage_and_reserves_nothing() -> None:
    with pytest.raises(StateCorruptError, match="broken at step"):
        codec.decode(tuple_of(b"\x96" + struct.pack("<Q", 2**40)))


def test_a_bomb_that_owns_up_to_its_size_is_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "MAX_PAYLOAD", 1 << 20)
    bomb = gzip.compress(bytes(2 << 20))
    monkeypatch.setattr(zlib, "decompressobj", None)
    with pytest.raises(StateForeignError, match=r"unpacks to 2097152 bytes, more than 1048576"):
        codec.decode(bomb)


def test_a_bomb_that_hides_its_size_stops_where_it_said_it_would() -> None:
    import tracemalloc

    bomb = bytearray(gzip.compress(bytes(64 << 20)))
    bomb[-4:] = struct.pack("<I", 1000)
    tracemalloc.start()
    with pytest.raises(StateCorruptError, match="not as long as it says"):
        codec.decode(bytes(bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_mutated_pickles_end_in_values_or_named_errors() -> None:
    chance = random.Random(1)
    seeds = [
        pickle.dumps((DAY, {"A": np.arange(3)}, {"w": [1, "x", {2.5}], "d": datetime.date(2020, 1, 1)}), p)
        for p in (0, 2, 4, 5)
    ]
    outcomes = {"value": 0, "error": 0}
    for i in range(4000):
        content = bytearray(seeds[i % 4])
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            payload.loads(bytes(content), "f")
            outcomes["value"] += 1
        except (StateCorruptError, StateForeignError):
            outcomes["error"] += 1
    assert min(outcomes.values()) > 50


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({KIND: "unheard of"}, "state cannot be rebuilt"),
        ({KIND: "DataArray", "dims": ("x",)}, "state cannot be rebuilt"),
        ({"a": [{KIND: "module", "class": "os:system"}]}, "'system', which 'os' does not define"),
        ({KIND: "module", "class": "torch.nn:functional"}, "'functional', which 'torch.nn' does not define"),
        ({KIND: "module", "class": "qlstm.nn:fit"}, "'fit', which 'qlstm.nn' does not define"),
        ({KIND: "tensor", "dtype": "load", "values": np.zeros(1)}, "state cannot be rebuilt"),
        ({KIND: "tensor", "same": 0}, "state cannot be rebuilt"),
    ],
)
def test_a_description_that_breaks_the_schema_is_a_named_error(described: Any, message: str) -> None:
    data = envelope.wrap(payload.dumps((None, None, described)), {})
    with pytest.raises(StateError, match=message):
        codec.decode(data, what="f.gz")


# Inspection


def test_an_inspection_tells_dates_models_and_weights(tmp_path: Path) -> None:
    path = tmp_path / "s.gz"
    state.write(Memory(DAY, {"A": Scorer()}, {"previous_weights": weights(20)}), path, STRATEGY, as_of=DAY)
    seen = state.inspect(path)
    assert (seen.schema, seen.strategy, seen.as_of, seen.created) == (1, "mine", "2020-01-03", "2020-01-03")
    assert [(m.key, m.kind, m.parameters) for m in seen.models] == [("A", "Scorer", 12)]
    (entry,) = seen.state.inside
    assert (entry.place, entry.kind, entry.shape, entry.dims) == (
        "state['previous_weights']",
        "DataArray",
        (20,),
        ("asset",),
    )
    assert entry.held == 19
    assert [label for label, _ in entry.largest[:2]] == ["SIM:019", "SIM:018"]
    assert json.loads(json.dumps(seen.to_dict()))["models"][0]["parameters"] == 12
    text = "\n".join(state.render(seen))
    for words in (
        "as of     2020-01-03",
        "mine (code ",
        "A  Scorer, 12 parameters",
        "SIM:019     +0.1000",
        "and 7 more",
    ):
        assert words in text


def test_every_kind_of_value_can_be_shown(tmp_path: Path) -> None:
    halves = {"first": VALUES[:20], "second": VALUES[20:]}
    state.write(Memory(None, {"deep": [torch.nn.Linear(1, 1)]}, halves), tmp_path / "s.gz")
    seen = state.inspect(tmp_path / "s.gz")
    assert seen.other_models.inside[0].inside[0].text == "2 parameters"
    lines = list(state.render(seen))
    for words in (
        "DatetimeIndex(3)",
        "2020-01-01 to 2020-01-03",
        "DataFrame(2, 4) a, b, t, f",
        "Timestamp 2020-01-02T03:04:00",
    ):
        assert any(words in line for line in lines), words
    json.dumps(seen.to_dict())


def test_files_of_other_programs_and_damaged_ones_are_inspected_too(tmp_path: Path) -> None:
    path = tmp_path / "s.gz"
    path.write_bytes(gzip.compress(pickle.dumps((DAY, None, {"w": np.zeros(2)}))))
    seen = state.inspect(path)
    assert (seen.schema, seen.strategy, seen.created) == (None, None, "2020-01-03")
    assert "written by another program" in next(iter(state.render(seen)))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StateCorruptError, match=r"s.gz is damaged"):
        state.inspect(path)
    with pytest.raises(StateError, match="No such file"):
        state.inspect(tmp_path / "absent")


def test_inspecting_needs_neither_torch_nor_pandas_nor_xarray(tmp_path: Path) -> None:
    state.write(memory(), tmp_path / "s.gz", STRATEGY, as_of=DAY)
    code = (
        "import sys; from qlstm import state; print(*state.render(state.inspect(sys.argv[1])), sep='\\n');"
        "print([m for m in ('torch', 'pandas', 'xarray', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "s.gz"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "B  torch.nn.Linear, 3 parameters" in done.stdout


def test_newest_file_finds_the_file_that_a_folder_means(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="there is no"):
        state.newest_file(tmp_path / "absent")
    with pytest.raises(StateError, match="holds no saved state"):
        state.newest_file(tmp_path)
    store = state.Store(tmp_path / "one")
    store.commit(DAY, Memory(), b"w")
    folder = store.commit(DAY + np.timedelta64(1, "D"), Memory(), b"w")
    found = folder / "state.pickle.gz"
    assert [state.newest_file(p) for p in (tmp_path, tmp_path / "one", folder, found)] == [found] * 4
    state.Store(tmp_path / "two").commit(DAY, Memory(), b"w")
    with pytest.raises(StateError, match="several strategies: one, two; name one"):
        state.newest_file(tmp_path)
