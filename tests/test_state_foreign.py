"""Files that other programs pickled: the established toolbox, notebooks; made here by those libraries themselves."""

from __future__ import annotations

import datetime
import gzip
import pickle
import struct
import subprocess
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from stored import DAY, DAYS, equal, weights

from qlstm import nn as qnn
from qlstm import state
from qlstm.errors import StateCorruptError, StateError, StateForeignError
from qlstm.state import codec, foreign, storages
from qlstm.strategy import Memory, Strategy

PROTOCOLS = (2, 3, 4, 5)


def strategy_file(text: str = "") -> Strategy:
    """Return a strategy whose file defines a network and a record, as `load_strategy` would."""
    module = types.ModuleType("qlstm_strategy_idea")
    sys.modules[module.__name__] = module
    exec(NETWORK + text, module.__dict__)
    strategy: Strategy = module.strategy
    return strategy


NETWORK = """
import torch
import qlstm

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden_dim = 3
        self.first = torch.nn.LSTMCell(1, 3)
        self.second = torch.nn.LSTM(3, 3, batch_first=True)
        self.linear = torch.nn.Linear(3, 1)
        self.tied = self.linear.weight
        self.register_buffer("seen", torch.arange(3))
        self.register_buffer("cache", torch.ones(1), persistent=False)

    def forward(self, x):
        h, _ = self.first(x)
        return self.linear(self.second(h[:, None])[0][:, 0])

class Record:
    kind = "record"
    def __init__(self):
        raise AssertionError("must not be called")

class Eager:
    def __setstate__(self, state):
        raise AssertionError("must not be called")

def train(data):
    return {}

def predict(models, data, state):
    return data

strategy = qlstm.Strategy(train=train, predict=predict, name="idea")
"""


def pickled(content: Any, protocol: int, module: str = "__main__") -> bytes:
    """Return what a notebook pickles: its classes are those of ``__main__``."""
    main, home = sys.modules["__main__"], sys.modules["qlstm_strategy_idea"]
    classes = [value for value in vars(home).values() if isinstance(value, type) and value.__module__ == home.__name__]
    names = {kind.__name__: getattr(main, kind.__name__, None) for kind in classes}
    for kind in classes:
        kind.__module__ = module
        setattr(main, kind.__name__, kind)
    stood = sys.modules.get(module)
    sys.modules[module] = home if module != "__main__" else main
    try:
        return gzip.compress(pickle.dumps(content, protocol))
    finally:
        for kind in classes:
            kind.__module__ = home.__name__
            delattr(main, kind.__name__)
        if stood is None:
            del sys.modules[module]
        assert not any(names.values())


VALUES = {
    "weights": weights(),
    "days": xr.DataArray(
        np.ones((3, 2)), {"time": DAYS, "asset": pd.Index(["a", "b"], dtype=object)}, ("time", "asset")
    ),
    "no index": xr.DataArray([1, 2], {"x": pd.Index(["a", "b"], dtype=object)}, "x").drop_indexes("x"),
    "no labels": xr.DataArray(np.zeros((0, 2), "f4"), dims=("a", "b"), name="n", attrs={"unit": ["x"]}),
    "dataset": xr.Dataset({"a": ("x", [1, 2]), "b": 3.0}, {"x": [10, 20]}, {"note": "n"}),
    "series": pd.Series([1.0, np.nan], index=["a", "b"], name="s"),
    "moments": pd.Series(np.array(["2020-01-01", "NaT"], "M8[ns]")),
    "frame": pd.DataFrame(
        {"a": [1, 2], "b": ["x", None], "t": DAYS[:2], "f": [0.5, 1.5]}, index=pd.Index([3, 4], name="i")
    ),
    "empty frame": pd.DataFrame(),
    "index": DAYS,
    "utc": DAYS.tz_localize("UTC"),
    "durations": pd.to_timedelta([1, 2], unit="h"),
    "range": pd.RangeIndex(1, 9, 2, name="r"),
    "levels": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None]),
    "python strings": pd.Series(["x", None], dtype=pd.StringDtype("python", na_value=np.nan)),
    "maybe strings": pd.Series(["é", None, "xyz"], dtype=pd.StringDtype("pyarrow")),
    "moment": [pd.Timestamp("2020-01-02 03:04"), pd.Timestamp("2020-06-01", tz=datetime.UTC), pd.NaT],
    "duration": pd.Timedelta("1h"),
    "moments as keys": {pd.Timestamp("2020-01-02"): 1, ("a", pd.Timestamp("2020-01-03")): 2},
    "set of moments": {pd.Timestamp("2020-01-02")},
    "moment in a zone": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    "tensors": [torch.tensor([1.0, 2.0]), torch.tensor(3), torch.zeros(2, 0), torch.ones(2, requires_grad=True)],
    "views": [torch.arange(6).reshape(2, 3).T, torch.arange(6)[2:5], torch.arange(10.0)[::3], torch.tensor([True])],
    "short floats": [torch.tensor([1.5, -2.0], dtype=torch.bfloat16), torch.tensor(0.5, dtype=torch.float16)],
    "parameter": torch.nn.Parameter(torch.ones(2, 3)),
    "sets": [{1, 2}, frozenset({"a"})],
    "bytes": b"\x00\xff",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", list(VALUES))
def test_what_the_libraries_pickle_comes_back_the_same(name: str, protocol: int) -> None:
    data = gzip.compress(pickle.dumps((DAY, None, {"kept": VALUES[name]}), protocol))
    assert equal(codec.decode(data).state["kept"], VALUES[name])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_toolboxs_tuple_of_networks_and_weights_comes_back_with_the_same_scores(protocol: int) -> None:
    strategy = strategy_file()
    torch.manual_seed(0)
    models = {"NAS:A": strategy.namespace["Net"](), "NAS:B": strategy.namespace["Net"]().eval()}
    data = pickled((DAY, models, {"previous_weights": weights()}), protocol)
    memory = codec.decode(data, strategy)
    assert memory.trained_at == DAY
    assert equal(memory.state["previous_weights"], weights())
    x = torch.ones(4, 1)
    for name, model in models.items():
        back = memory.models[name]
        assert type(back) is type(model)
        assert torch.equal(back(x), model(x))
        assert back.tied is back.linear.weight
        assert "cache" not in back.state_dict()
        assert back.training is model.training
        assert repr(back) == repr(model)
        back(x).sum().backward()
        assert back.linear.weight.grad is not None
    assert codec.encode(memory, strategy=strategy) == codec.encode(Memory(DAY, models, memory.state), strategy=strategy)


def test_a_class_is_known_by_the_notebook_the_files_stem_and_the_loaded_module_and_by_no_other_name() -> None:
    strategy = strategy_file()
    net = strategy.namespace["Net"]()
    for module in ("__main__", "idea", "qlstm_strategy_idea"):
        assert type(codec.decode(pickled((DAY, net, None), 4, module), strategy).models) is type(net)
    with pytest.raises(StateForeignError, match=r"trust: other.Net"):
        codec.decode(pickled((DAY, net, None), 4, "other"), strategy)
    with pytest.raises(StateForeignError, match=r"trust: idea.Net"):
        codec.decode(pickled((DAY, net, None), 4, "idea"))
    with pytest.raises(StateError, match=r"class Net of the strategy's file; read it with that strategy"):
        codec.decode(pickled((DAY, net, None), 4))


def test_a_notebooks_class_that_the_strategys_file_lacks_is_named() -> None:
    other = strategy_file("class Extra(torch.nn.Module): pass\nclass Plain: pass\n")
    network, plain = (pickled((DAY, other.namespace[name](), None), 4) for name in ("Extra", "Plain"))
    with pytest.raises(StateError, match="'Extra', which 'strategy' does not define"):
        codec.decode(network, strategy_file())
    with pytest.raises(StateError, match="'Plain', which the strategy's file does not define"):
        codec.decode(plain, strategy_file())


def test_an_imported_class_does_not_count_as_one_of_the_strategys_file() -> None:
    strategy = strategy_file("from subprocess import Popen\n")
    data = gzip.compress(b"\x80\x02NN" + b"c__main__\nPopen\n)\x81}X\x01\x00\x00\x00aK\x01sb\x87.")
    with pytest.raises(StateError, match=r"'Popen', which the strategy's file does not define"):
        codec.decode(data, strategy)


def test_a_plain_object_of_the_strategys_file_comes_back_without_its_init() -> None:
    strategy = strategy_file()
    record = object.__new__(strategy.namespace["Record"])
    record.rows, record.weights = [1, 2], weights(2)
    back = codec.decode(pickled((DAY, None, record), 2), strategy).state
    assert type(back) is type(record)
    assert back.rows == [1, 2]
    assert equal(back.weights, weights(2))
    eager = object.__new__(strategy.namespace["Eager"])
    eager.a = 1
    with pytest.raises(StateError, match="'Eager' is refused: only plain attributes"):
        codec.decode(pickled((DAY, None, eager), 2), strategy)


def test_networks_are_shown_without_torch_pandas_xarray_or_the_strategy(tmp_path: Path) -> None:
    strategy = strategy_file()
    content = (DAY, {"NAS:A": strategy.namespace["Net"]()}, {"w": weights(), "f": pd.DataFrame({"a": ["x"]})})
    (tmp_path / "s.gz").write_bytes(pickled(content, 4))
    code = (
        "import sys; from qlstm import state; print(*state.render(state.inspect(sys.argv[1])), sep='\\n');"
        "print([m for m in ('torch', 'pandas', 'xarray', 'pyarrow', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "s.gz"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for words in (
        "written by another program",
        "NAS:A  Net, ",
        "first.weight_ih 12×1",
        "SIM:004     +0.1000",
        "DataFrame(1, 1) a",
    ):
        assert words in done.stdout


def hooked() -> torch.nn.Module:
    module = torch.nn.Linear(1, 1)
    module.register_forward_hook(print)
    return module


class Unknown:
    pass


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Unknown(), "trust: test_state_foreign.Unknown"),
        (hooked(), "builtins.print|a Linear with registered hooks"),
        (pd.Timestamp("2020-01-01", tz="Europe/Rome"), "builtins.getattr"),
        (pd.Series(["a"], dtype="category"), "pandas.Categorical|pandas.core.arrays.categorical"),
        (torch.ones(2).to_sparse(), "_rebuild_sparse_tensor"),
        (torch.nn.MultiheadAttention(2, 1), "NonDynamicallyQuantizableLinear"),
        (torch.float32, "torch.float32"),
        (np.array([object()]), "builtins.object|copyreg"),
        (xr.Dataset({"a": ("x", [1])}, {"k": ("x", [2]), "l": ("x", [3])}).set_index(x=["k", "l"]), "PandasMultiIndex"),
        (np.random.default_rng(1), "numpy.random"),
        (np.ma.masked_array([1], [True]), "numpy.ma"),
        (Path("/x"), "pathlib"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_by_name(value: Any, words: str) -> None:
    with pytest.raises(StateForeignError, match=words):
        codec.decode(gzip.compress(pickle.dumps((DAY, None, value), 4)))


def test_every_layer_that_may_be_named_is_torchs_own_of_that_name() -> None:
    import importlib

    for module, names in foreign.TORCH_LAYERS.items():
        home = importlib.import_module(f"torch.nn.modules.{module}")
        for name in names.split():
            assert getattr(home, name) is getattr(torch.nn, name)
            assert getattr(home, name).__module__ == home.__name__


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.GRU(2, 3, bidirectional=True),
        torch.nn.Sequential(OrderedDict(a=torch.nn.Linear(2, 3), b=torch.nn.BatchNorm1d(3), c=torch.nn.Dropout(0.1))),
        torch.nn.ModuleDict({"a": torch.nn.Conv1d(1, 2, 3), "loss": torch.nn.BCELoss()}),
        qnn.LSTM(input_dim=2, hidden=3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_of_torch_come_back_with_the_same_parameters(layer: torch.nn.Module) -> None:
    back = codec.decode(gzip.compress(pickle.dumps((DAY, layer, None)))).models
    assert type(back) is type(layer)
    assert repr(back) == repr(layer)
    assert equal(dict(back.state_dict()), dict(layer.state_dict()))


# The bytes of tensors


def storage_bytes() -> bytes:
    """Return what torch puts into a pickle for the storage of three floats."""
    for value in pickled_arguments(torch.arange(3.0)):
        if isinstance(value, bytes) and b"storage" in value:
            return value
    raise AssertionError("torch writes another form")


def pickled_arguments(value: Any) -> list[Any]:
    import pickletools

    return [argument for _, argument, _ in pickletools.genops(pickle.dumps(value, 4))]


def test_the_bytes_of_a_storage_cut_or_flipped_anywhere_are_equal_or_refused() -> None:
    content = storage_bytes()
    assert storages.Storage(content).values.tolist() == [0, 1, 2]
    accepted = []
    for length in range(len(content)):
        with pytest.raises(storages.RefusedError):
            storages.Storage(content[:length])
    for place in range(len(content)):
        bad = bytearray(content)
        bad[place] ^= 0x01
        try:
            storages.Storage(bytes(bad))
            accepted.append(place)
        except storages.RefusedError:
            continue
    # The values themselves, which only the payload's checksum guards, names of memos, and the key where it occurs twice.
    values = range(len(content) - 12, len(content))
    assert set(values) <= set(accepted)
    for word in (b"storage", b"FloatStorage", b"protocol_version", b"\x8a\nl\xfc"):
        at = content.index(word)
        assert not set(range(at, at + len(word))) & set(accepted)
    assert len(accepted) < 12 + 40


def test_a_storage_that_hides_another_pickle_is_refused_by_name(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    inner = b"cos\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR."
    content = storage_bytes()
    for bad in (inner, content + inner, inner + content, content.replace(b"ctorch\nFloatStorage\n", b"cos\nsystem\n")):
        argument = pickle.dumps(bad, 3)[2:-1]
        data = gzip.compress(b"\x80\x03NNctorch.storage\n_load_from_bytes\n" + argument + b"\x85R\x87.")
        with pytest.raises(StateForeignError, match=r"trust: torch.storage._load_from_bytes of"):
            codec.decode(data)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (4,), (1,)),
        (3, (1,), (1,)),
        (0, (2, 2), (2, 1)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2**40,), (0,)),
        (0, (3,), (2**47,)),
        (0, (1,) * 40, (1,) * 40),
        (0, (1, 1), (1,)),
        (0.0, (1,), (1,)),
        (0, [1], [1]),
    ],
)
def test_a_tensor_never_reaches_beyond_its_storage(offset: Any, shape: Any, strides: Any) -> None:
    with pytest.raises(ValueError, match="a tensor of shape"):
        storages.tensor_values(storages.Storage(storage_bytes()), offset, shape, strides)


def test_the_count_before_the_values_must_be_the_one_announced() -> None:
    content = storage_bytes()
    assert content[-20:-12] == struct.pack("<q", 3)
    with pytest.raises(storages.RefusedError, match="a storage of 12 bytes where 3 values"):
        storages.Storage(content[:-20] + struct.pack("<q", 2) + content[-12:])


# Parts that do not fit


SHORT = {
    "adapter alone": b"cxarray.core.indexing\nPandasIndexingAdapter\n)\x81",
    "index of nothing": b"cpandas.core.indexes.base\n_new_Index\ncpandas\nIndex\n}\x86R",
    "array without parts": b"cxarray.core.dataarray\nDataArray\n)\x81N}\x86b",
    "class alone": b"cxarray.core.dataarray\nDataArray\n",
    "class with a state": b"cxarray.core.dataarray\nDataArray\n}U\x01aK\x01sb",
    "frame without blocks": b"cpandas\nDataFrame\n)\x81}b",
    "attribute of a maker": b"cpandas.core.indexes.base\n_new_Index\nN}U\x05_makeNs\x86b",
    "far column": b"cpandas\nDataFrame\n)\x81}U\x04_mgrcpandas.core.internals.managers\nBlockManager\n"
    b"(cpandas._libs.internals\n_unpickle_block\n(NcBuiltins\nx\nK\x02tR\x85]tRsb",
    "called class of a notebook": b"c__main__\nNet\nU\x04true\x85R",
    "strings beyond their buffer": b"cpandas\nIndex\n)\x81",
}


@pytest.mark.parametrize("name", list(SHORT))
def test_parts_that_do_not_fit_are_named_errors(name: str) -> None:
    for what in (None, strategy_file()):
        with pytest.raises((StateCorruptError, StateForeignError)):
            codec.decode(gzip.compress(b"\x80\x02NN" + SHORT[name] + b"\x87."), what)


def test_mutated_pickles_of_the_libraries_end_in_values_or_named_errors() -> None:
    import random

    chance = random.Random(2)
    strategy = strategy_file()
    content = (DAY, {"A": strategy.namespace["Net"]()}, {k: VALUES[k] for k in ("weights", "frame", "utc", "moment")})
    seeds = [gzip.decompress(pickled(content, protocol)) for protocol in PROTOCOLS]
    outcomes = {"value": 0, "error": 0}
    loaded = set(sys.modules)
    for i in range(300):
        bad = bytearray(seeds[i % 4])
        for _ in range(chance.randint(1, 3)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        try:
            codec.decode(gzip.compress(bytes(bad), 1), strategy)
            outcomes["value"] += 1
        except StateError:
            outcomes["error"] += 1
    assert min(outcomes.values()) > 10
    assert {name for name in set(sys.modules) - loaded if not name.startswith("encodings.")} == set()


def test_a_foreign_file_becomes_one_of_ours_when_it_is_written_again(tmp_path: Path) -> None:
    strategy = strategy_file()
    content = (DAY, {"A": strategy.namespace["Net"]()}, {"previous_weights": weights()})
    (tmp_path / "in.gz").write_bytes(pickled(content, 4))
    memory = state.read(tmp_path / "in.gz", strategy)
    assert memory is not None
    state.write(memory, tmp_path / "out.gz", strategy)
    seen = state.inspect(tmp_path / "out.gz")
    assert (seen.schema, seen.models[0].kind) == (1, "Net")


# Back to the form of other programs


FILE = NETWORK.replace('name="idea"', "contest='stocks_nasdaq100'")

NOTEBOOK = """
import gzip, pickle, sys, torch
{classes}
with gzip.open(sys.argv[1]) as file:
    created, models, state = pickle.load(file)
print(type(created).__name__, type(models).__name__, type(models["NAS:A"]).__module__)
print(repr(models["NAS:A"](torch.ones(1, 1)).item()))
print(state["previous_weights"].asset.values.tolist(), float(state["previous_weights"].sum()))
print("qlstm" in sys.modules)
"""


def test_a_notebook_without_qlstm_reads_what_convert_plain_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from qlstm import cli
    from qlstm.strategy import load_strategy

    (tmp_path / "idea.py").write_text(FILE)
    strategy = load_strategy(tmp_path / "idea.py")
    torch.manual_seed(0)
    models = qnn.Models({"NAS:A": strategy.namespace["Net"]()})
    state.write(Memory(DAY, models, {"previous_weights": weights(3)}), tmp_path / "ours.gz", strategy)
    arguments = [str(tmp_path / "ours.gz"), str(tmp_path / "plain.gz"), "--strategy", str(tmp_path / "idea.py")]
    with pytest.raises(SystemExit) as stopped:
        cli.main(["state", "convert", "--plain", *arguments])
    assert (stopped.value.code or 0, capsys.readouterr().err) == (0, "")
    classes = FILE[FILE.index("class Net") : FILE.index("class Record")]
    (tmp_path / "notebook.py").write_text(NOTEBOOK.format(classes=classes))
    command = [sys.executable, tmp_path / "notebook.py", tmp_path / "plain.gz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == ""
    first, score, row, ours = done.stdout.splitlines()
    assert first == "datetime64 dict __main__"
    assert score == repr(models["NAS:A"](torch.ones(1, 1)).item())
    assert row == f"{weights(3).asset.values.tolist()} {float(weights(3).sum())}"
    assert ours == "False"
    back = state.read(tmp_path / "plain.gz", strategy)
    assert back is not None
    assert codec.encode(back, strategy=strategy) == codec.encode(
        Memory(DAY, dict(models), {"previous_weights": weights(3)}), strategy=strategy
    )


def test_convert_without_plain_makes_a_foreign_file_one_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from qlstm import cli

    (tmp_path / "theirs.gz").write_bytes(gzip.compress(pickle.dumps((DAY, torch.nn.Linear(1, 1), weights()))))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["state", "convert", str(tmp_path / "theirs.gz"), str(tmp_path / "ours.gz")])
    assert (stopped.value.code or 0) == 0
    assert " as a state file\n" in capsys.readouterr().out
    assert state.inspect(tmp_path / "ours.gz").schema == 1


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_convert_plain_writes_is_read_by_pickle_and_by_us(value: Any) -> None:
    data = state.to_plain(Memory(DAY, None, value))
    assert equal(pickle.loads(gzip.decompress(data))[2], value)
    assert equal(codec.decode(data).state, value)
    assert b"numpy._core" not in gzip.decompress(data)


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(StateError, match=r"the state cannot be pickled: .*lambda"):
        state.to_plain(Memory(state=lambda: None))
