"""What goes in comes out: plain values, labelled ones, networks; what cannot be kept is named when it is saved."""

from __future__ import annotations

import datetime
import io
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import STRATEGY, VALUES, Scorer, equal, through

from qlstm import nn as qnn
from qlstm.errors import StateError
from qlstm.state import codec, opcodes, payload
from qlstm.state.plain import describe, rebuild
from qlstm.strategy import Memory


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
    back = through(module, STRATEGY.namespace)
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
    back = through(Scorer(), STRATEGY.namespace)
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
        (types.SimpleNamespace(network=torch.nn.Linear(1, 1)), r"state: .* cannot be saved; keep its .network, or use"),
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
        (Scorer(), r"class .*stored.Scorer could not be found .* give Strategy\(dump=, load=\)"),
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
