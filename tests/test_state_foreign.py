"""Files that other programs pickled: what comes back, which classes are known, and what is refused by name."""

from __future__ import annotations

import gzip
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from pickles import PROTOCOLS, VALUES, pickled, strategy_file
from stored import DAY, equal, weights

from qlstm import nn as qnn
from qlstm.errors import StateCorruptError, StateError, StateForeignError
from qlstm.state import codec, foreign
from qlstm.strategy import Memory


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
