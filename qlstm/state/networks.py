"""torch tensors, networks and fitted models in plain terms, and back.

A network is described without its code: the reference of its class, its plain attributes, parameters, buffers and
inner networks. References are exact strings, ``torch.nn:LSTM``, ``qlstm.nn:LSTM`` or ``strategy:Net`` for a class of
the strategy's own file; only subclasses of ``nn.Module`` found under that very name are taken, in writing and reading.

What is kept: values, dtypes, requires_grad, train or eval mode, whether a buffer is persistent, and that one parameter
or network occurs in several places of a model. What is not: gradients, devices (everything comes back on the CPU),
sharing between models, and pickling methods that a class defines itself. torch is imported only where its objects are
met.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import StateError
from .labelled import Unfit, Walk

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["DESCRIBERS", "REBUILDERS", "NetworkWalk", "describe_network"]

Plain = dict[str, Any]
_LIBRARIES = ("torch.nn", "qlstm.nn")
_STRATEGY = "strategy"
# What `qlstm.nn.Models` knows beside its networks.
_BESIDE = ("failures", "cut", "groups")
# Caches of nn.LSTM, nn.GRU and nn.RNN, made anew from their parameters.
_RECURRENT_CACHES = {"_flat_weights", "_flat_weight_refs"}


class NetworkWalk(Walk, Protocol):
    """A walk that knows the strategy's classes and, inside one model, what it has met before."""

    namespace: Mapping[str, Any] | None
    met: dict[int, Any] | None


def _reference(kind: type, namespace: Mapping[str, Any] | None) -> str:
    """Return the string under which a network's class is found again."""
    for home in (*_LIBRARIES, _STRATEGY):
        if _find(home, kind.__qualname__, namespace) is kind:
            return f"{home}:{kind.__qualname__}"
    raise Unfit(
        f"class {kind.__module__}.{kind.__qualname__} could not be found when the file is read; use a class of "
        "torch.nn, qlstm.nn or one defined at the top of the strategy's file, or give Strategy(dump=, load=)"
    )


def _rebuild_instance(parts: Plain, walk: NetworkWalk) -> Any:
    """Rebuild an object of a class of the strategy's file, as other programs pickle it: without calling anything."""
    name, namespace = parts["class"].partition(":")[2], walk.namespace
    if namespace is None:
        raise StateError(f"an object is of class {name} of the strategy's file; read it with that strategy")
    kind = namespace.get(name)
    if not isinstance(kind, type) or kind.__module__ != namespace.get("__name__"):
        raise StateError(f"an object is of class {name!r}, which the strategy's file does not define; was it renamed?")
    if not hasattr(kind, "__dict__") or hasattr(kind, "__setstate__"):
        raise StateError(
            f"an object of class {name!r} is refused: only plain attributes are restored; use a dictionary"
        )
    made: Any = object.__new__(kind)
    made.__dict__.update({key: walk.inner(value, f".{key}") for key, value in parts["attributes"].items()})
    return made


@functools.cache
def _of_library(home: str, name: str) -> Any:
    return getattr(importlib.import_module(home), name, None)


def _find(home: str, name: str, namespace: Mapping[str, Any] | None) -> type | None:
    """Return the network class of that name, None when there is none."""
    from torch import nn

    if home != _STRATEGY:
        found = _of_library(home, name)
    else:
        found = (namespace or {}).get(name)
        if getattr(found, "__module__", None) != (namespace or {}).get("__name__"):  # imported into the file
            return None
    return found if isinstance(found, type) and issubclass(found, nn.Module) else None


def _resolve(reference: str, namespace: Mapping[str, Any] | None) -> type:
    """Return the class of a reference.

    Raises
    ------
    StateError
        When it is not there (any more), or is no network class.
    """
    home, _, name = reference.partition(":")
    kind = _find(home, name, namespace) if home in (*_LIBRARIES, _STRATEGY) else None
    if kind is None and home == _STRATEGY and namespace is None:
        raise StateError(f"a model is of class {name} of the strategy's file; read it with that strategy")
    if kind is None:
        raise StateError(f"a model is of class {name!r}, which {home!r} does not define; was it renamed?")
    return kind


def _nth(value: object, walk: NetworkWalk) -> int | None:
    """Return which one of its model's networks and tensors this is, when it was met before; else note it."""
    if walk.met is None:
        return None
    if id(value) in walk.met:
        return int(walk.met[id(value)])
    walk.met[id(value)] = len(walk.met)
    return None


def describe_network(module: nn.Module, walk: NetworkWalk) -> Plain:
    """Describe a network and all inside it."""
    from torch import nn

    outermost = walk.met is None
    if walk.met is None:
        walk.met = {}
    nth = _nth(module, walk)
    if nth is not None:
        return {"same": nth}
    known = nn.Module().__dict__
    hooks = [name for name in known if "hook" in name and getattr(module, name)]
    if hooks:
        raise Unfit(
            f"a {type(module).__name__} with registered hooks ({', '.join(hooks)}) cannot be saved; remove them"
        )
    skip = known.keys() | (_RECURRENT_CACHES if isinstance(module, nn.RNNBase) else set())
    attributes = {name: value for name, value in module.__dict__.items() if name not in skip}
    described = {
        "class": _reference(type(module), walk.namespace),
        "training": module.training,
        "parameters": _describe_members(module._parameters, walk),
        "buffers": _describe_members(module._buffers, walk),
        "transient": sorted(module._non_persistent_buffers_set),
        "modules": _describe_members(module._modules, walk),
        # Last, so that whatever is registered too stands where it is registered.
        "attributes": _describe_members(attributes, walk),
    }
    if outermost:
        walk.met = None
    return described


def _describe_members(members: Mapping[str, Any], walk: NetworkWalk) -> Plain:
    return {name: walk.inner(member, f".{name}") for name, member in members.items()}


def _rebuild_network(parts: Plain, walk: NetworkWalk) -> nn.Module:
    from torch import nn

    if "same" in parts:
        return _again(parts, walk)
    outermost = walk.met is None
    if walk.met is None:
        walk.met = {}
    kind = _resolve(parts["class"], walk.namespace)
    module: nn.Module = object.__new__(kind)
    module.__dict__.update(_bare())
    walk.met[len(walk.met)] = module
    if parts["attributes"].keys() & module.__dict__.keys():
        raise ValueError("attributes that are torch's own")
    module.training = parts["training"]
    for name, value in parts["parameters"].items():
        module.register_parameter(name, walk.inner(value, f".{name}"))
    for name, value in parts["buffers"].items():
        module.register_buffer(name, walk.inner(value, f".{name}"), persistent=name not in parts["transient"])
    for name, value in parts["modules"].items():
        module.add_module(name, walk.inner(value, f".{name}"))
    module.__dict__.update({name: walk.inner(value, f".{name}") for name, value in parts["attributes"].items()})
    if isinstance(module, nn.RNNBase):
        module._init_flat_weights()
    if outermost:
        walk.met = None
    return module


def _bare() -> dict[str, Any]:
    """Return the attributes of a module that holds nothing yet: those of ``nn.Module.__init__``, which takes long."""
    return {name: type(value)() if isinstance(value, (dict, set)) else value for name, value in _untouched().items()}


@functools.cache
def _untouched() -> dict[str, Any]:
    from torch import nn

    return nn.Module().__dict__


def _again(parts: Plain, walk: NetworkWalk) -> Any:
    if walk.met is None:
        raise ValueError("a part of no model")
    return walk.met[parts["same"]]


def _describe_tensor(tensor: torch.Tensor, walk: NetworkWalk) -> Plain:
    import torch

    nth = _nth(tensor, walk)
    if nth is not None:
        return {"same": nth}
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise Unfit("a sparse, quantised or meta tensor cannot be saved; use .to_dense(), .dequantize() or a real one")
    values = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype == "bfloat16" or dtype.startswith("float8_"):  # numpy lacks them: keep the bits
        values = values.view(torch.int16 if dtype == "bfloat16" else torch.uint8)
    return {
        "dtype": dtype,
        "requires_grad": tensor.requires_grad,
        "values": values.numpy(),
    }


def _tensor(parts: Plain) -> torch.Tensor:
    import torch

    dtype, values = getattr(torch, parts["dtype"]), parts["values"]
    if type(values) is not np.ndarray or not isinstance(dtype, torch.dtype):
        raise TypeError("a tensor without values or dtype")
    tensor = torch.from_numpy(values.copy())  # never the description's own memory
    return tensor if tensor.dtype == dtype else tensor.view(dtype)


def _rebuild_tensor(parts: Plain, walk: NetworkWalk) -> torch.Tensor:
    if "same" in parts:
        return _again(parts, walk)
    return _noted(_tensor(parts).requires_grad_(parts["requires_grad"]), walk)


def _rebuild_parameter(parts: Plain, walk: NetworkWalk) -> torch.nn.Parameter:
    from torch import nn

    if "same" in parts:
        return _again(parts, walk)
    return _noted(nn.Parameter(_tensor(parts), requires_grad=parts["requires_grad"]), walk)


def _noted(value: Any, walk: NetworkWalk) -> Any:
    if walk.met is not None:
        walk.met[len(walk.met)] = value
    return value


def _describe_models(models: Any, walk: Walk) -> Plain:
    """Describe fitted models; what they know beside the networks only where there is any."""
    items = [(walk.inner(key, "key"), walk.inner(model, f"[{key!r}]")) for key, model in models.items()]
    beside = {name: walk.inner(getattr(models, name), f".{name}") for name in _BESIDE if getattr(models, name)}
    return {"items": items, **beside}


def _rebuild_models(parts: Plain, walk: Walk) -> Any:
    from ..nn import Models

    items = [(walk.inner(key, "key"), model) for key, model in parts["items"]]
    networks = {key: walk.inner(model, f"[{key!r}]") for key, model in items}
    return Models(networks, **{name: walk.inner(parts[name], f".{name}") for name in _BESIDE if name in parts})


DESCRIBERS: Mapping[str, tuple[str, Callable[[Any, Any], Plain]]] = {
    "torch.Tensor": ("tensor", _describe_tensor),
    "torch.Parameter": ("parameter", _describe_tensor),
    "qlstm.Models": ("models", _describe_models),
}
"""``"library.Class"`` -> (tag, describing function)."""

REBUILDERS: Mapping[str, Callable[[Plain, Any], Any]] = {
    "tensor": _rebuild_tensor,
    "parameter": _rebuild_parameter,
    "instance": _rebuild_instance,
    "module": _rebuild_network,
    "models": _rebuild_models,
}
"""Tag -> rebuilding function."""
