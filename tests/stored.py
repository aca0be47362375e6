"""Values, networks and memories that the tests of saved state share, and when two of them are the same."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from qlstm import nn as qnn
from qlstm.state import payload
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
        return len(a) == len(b) and all(equal(k, m) and equal(a[k], b[m]) for k, m in zip(a, b, strict=True))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, (set, frozenset)):
        return len(a) == len(b) and all(any(equal(one, other) for other in b) for one in a)
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
