"""Files of other programs: what the established toolbox and notebooks pickle, read into the plain terms of our schema.

Their pickles name classes of numpy, pandas, xarray and torch, and of the strategy's own file. Each name here resolves
to something inert that keeps the parts, so reading needs neither the libraries nor the strategy and runs nothing of
them; `qlstm.state.plain.rebuild` makes the objects, as it does for our own files. A class of a notebook is pickled as
``__main__.Name`` and stands for the class of that name in the strategy's file, looked up when it is rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .foreign_pandas import PANDAS
from .foreign_xarray import XARRAY
from .makers import PLAIN, Held, Maker, Names, RefusedError, Stored, held
from .payload import KIND, Finisher, loads
from .storages import Storage, tensor_values

__all__ = ["TORCH_LAYERS", "loads_foreign"]

Plain = dict[str, Any]
_NOTEBOOK = "__main__"
# What every nn.Module has; hooks besides.
_MODULE_PARTS = {"training", "_parameters", "_buffers", "_non_persistent_buffers_set", "_modules"}
# Caches of recurrent layers, and of layers compiled; made anew.
_CACHES = {"_flat_weights", "_flat_weight_refs", "_compiled_call_impl", "_is_full_backward_hook"}


class _Tensor(Stored):
    """What ``torch._utils._rebuild_tensor_v2`` makes."""

    __slots__ = ("dtype", "kind", "requires_grad", "values")

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, *_: Any):
        if not isinstance(storage, _StoredBytes) or hooks:
            raise ValueError("a tensor without storage, or with hooks")
        self.dtype = storage.storage.dtype
        self.values = tensor_values(storage.storage, offset, shape, strides)
        self.requires_grad, self.kind = bool(requires_grad), "tensor"

    def finished(self, walk: Finisher) -> Plain:
        nth = _nth(self, walk)
        if nth is not None:
            return {KIND: self.kind, "same": nth}
        return {KIND: self.kind, "dtype": self.dtype, "requires_grad": self.requires_grad, "values": self.values}


class _StoredBytes(Stored):
    """What ``torch.storage._load_from_bytes`` makes."""

    __slots__ = ("storage",)

    def __init__(self, content: Any) -> None:
        self.storage = Storage(content)


def _parameter(tensor: Any, requires_grad: Any, hooks: Any) -> _Tensor:
    if not isinstance(tensor, _Tensor) or hooks:
        raise ValueError("a parameter without values, or with hooks")
    made = object.__new__(_Tensor)
    made.dtype, made.values, made.requires_grad, made.kind = (
        tensor.dtype,
        tensor.values,
        bool(requires_grad),
        "parameter",
    )
    return made


def _nth(one: Stored, walk: Finisher) -> int | None:
    """Return which one of its model's networks and tensors this is, when it was met before; else note it."""
    if walk.met is None:
        return None
    if id(one) in walk.met:
        return walk.met[id(one)]
    walk.met[id(one)] = len(walk.met)
    return None


class _Object(Held):
    """A network, or an object of another class of the strategy's file."""

    __slots__ = ()

    @property
    def _name(self) -> str:
        return f"a {self.reference.partition(':')[2]}"

    def finished(self, walk: Finisher) -> Plain:
        if self.arguments or not isinstance(self.state, (dict, type(None))):
            raise RefusedError(f"{self._name}, made of more than its attributes")
        state = {str(key): value for key, value in (self.state or {}).items()}
        if "_parameters" in state and "_modules" in state:
            return self._network(state, walk)
        if not self.reference.startswith("strategy:"):
            raise RefusedError(f"{self._name}, which is no network here")
        return {KIND: "instance", "class": self.reference, "attributes": _finish(state, walk)}

    def _network(self, state: Plain, walk: Finisher) -> Plain:
        outermost = walk.met is None
        if walk.met is None:
            walk.met = {}
        nth = _nth(self, walk)
        if nth is not None:
            return {KIND: "module", "same": nth}
        hooks = [name for name, value in state.items() if "hook" in name and value and name not in _CACHES]
        if hooks:
            raise RefusedError(f"{self._name} with registered hooks ({', '.join(hooks)})")
        skip = {*_MODULE_PARTS, *_CACHES, *(name for name in state if "hook" in name)}
        described = {
            KIND: "module",
            "class": self.reference,
            "training": bool(state["training"]),
            "parameters": _finish(state["_parameters"], walk),
            "buffers": _finish(state["_buffers"], walk),
            "transient": sorted(map(str, state.get("_non_persistent_buffers_set", ()))),
            "modules": _finish(state["_modules"], walk),
            "attributes": _finish({name: value for name, value in state.items() if name not in skip}, walk),
        }
        if outermost:
            walk.met = None
        return described


def _finish(members: Mapping[str, Any], walk: Finisher) -> Plain:
    return {str(name): walk.finish(member) for name, member in members.items()}


TORCH_LAYERS = {
    "activation": "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish "
    "PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink "
    "Softsign Tanh Tanhshrink Threshold",
    "batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d",
    "container": "ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "distance": "CosineSimilarity PairwiseDistance",
    "dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout",
    "flatten": "Flatten Unflatten",
    "instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
    "linear": "Bilinear Identity Linear",
    "loss": "BCELoss BCEWithLogitsLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss HingeEmbeddingLoss "
    "HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss NLLLoss PoissonNLLLoss SmoothL1Loss SoftMarginLoss",
    "normalization": "GroupNorm LayerNorm LocalResponseNorm",
    "padding": "ConstantPad1d ConstantPad2d ReflectionPad1d ReplicationPad1d ZeroPad2d",
    "pooling": "AdaptiveAvgPool1d AdaptiveMaxPool1d AvgPool1d AvgPool2d MaxPool1d MaxPool2d",
    "rnn": "GRU GRUCell LSTM LSTMCell RNN RNNCell",
    "sparse": "Embedding EmbeddingBag",
}
"""Module below ``torch.nn.modules`` -> the layers it defines that a pickle may name."""


def _networks() -> Iterator[tuple[tuple[str, str], Any]]:
    for module, names in TORCH_LAYERS.items():
        for name in names.split():
            yield (f"torch.nn.modules.{module}", name), held(f"torch.nn:{name}", _Object)
    yield ("qlstm.nn.networks", "LSTM"), held("qlstm.nn:LSTM", _Object)
    yield ("torch._utils", "_rebuild_tensor_v2"), Maker(_Tensor)
    yield ("torch._utils", "_rebuild_parameter"), Maker(_parameter)
    yield ("torch.storage", "_load_from_bytes"), Maker(_StoredBytes)
    yield ("collections", "OrderedDict"), Maker(lambda *items: dict(*items))
    yield ("torch", "Size"), Maker(lambda *lengths: tuple(*lengths))


_TABLE = {**PLAIN, **PANDAS, **XARRAY, **dict(_networks())}


class _StrategysNames(Names):
    """The table, and the classes of the strategy's file.

    Parameters
    ----------
    namespace : mapping, optional
        The globals of that file. Its classes are also known under the file's stem, as a notebook imports them.
    """

    def __init__(self, namespace: Mapping[str, Any] | None) -> None:
        self.names = dict(_TABLE)
        home = (namespace or {}).get("__name__")
        for name, value in (namespace or {}).items():
            if isinstance(value, type) and value.__module__ == home:
                kind = held(f"strategy:{name}", _Object)
                self.names |= {
                    (str(module), name): kind for module in (home, str(home).removeprefix("qlstm_strategy_"))
                }

    def __contains__(self, pair: object) -> bool:
        return pair in self.names or _is_of_a_notebook(pair)

    def __getitem__(self, pair: tuple[str, str]) -> Any:
        if pair not in self.names:
            self.names[pair] = held(f"strategy:{pair[1]}", _Object)
        return self.names[pair]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _is_of_a_notebook(pair: object) -> bool:
    """Return whether a pair may be a notebook's class; what it stands for is decided when it is rebuilt."""
    return isinstance(pair, tuple) and pair[0] == _NOTEBOOK and pair[1].isidentifier() and not pair[1].startswith("_")


def loads_foreign(payload: bytes, what: str, namespace: Mapping[str, Any] | None = None) -> Any:
    """Return what another program has pickled, described in plain terms.

    Parameters
    ----------
    payload : bytes
        A pickle of protocol 2 or later.
    what : str
        What errors call the file: its path.
    namespace : mapping, optional
        The globals of the strategy's file.

    Raises
    ------
    StateForeignError
        When it asks for anything but numpy, pandas, xarray, torch and classes of the strategy's file; names it.
    StateCorruptError
        When it is no pickle, or one whose parts do not fit.
    """
    return loads(payload, what, _StrategysNames(namespace))
