"""Files as notebooks and the established toolbox pickle them: made here by those libraries themselves."""

from __future__ import annotations

import datetime
import gzip
import pickle
import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from stored import DAYS, weights

from qlstm.strategy import Strategy

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
