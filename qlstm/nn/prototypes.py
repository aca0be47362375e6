"""The network that fits start from: drawn from a seed, or a copy of it with other parameters."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, cast

import torch
from torch import nn

from ..errors import StrategyError

__all__ = ["Model", "copy_of", "fresh", "outputs", "trainable", "twin"]

Model = nn.Module | Callable[[], nn.Module]
"""A network ``(batch, time, feature) -> (batch, time)``, or a function that builds one."""


def fresh(model: Model, seed: int) -> nn.Module:
    """Return a network with parameters drawn from `seed`, in training mode.

    Parameters
    ----------
    model : nn.Module or callable
        A network, whose copy is drawn anew by its modules' ``reset_parameters``, or a function that builds one.
    seed : int
        Seeds torch's generators, which the caller restores.

    Raises
    ------
    StrategyError
        When the network cannot be copied or drawn anew, is none, or has trainable parameters that are not float32.
    """
    # torch.manual_seed would leave its seed to GPUs that the caller has not used yet.
    (torch.manual_seed if torch.cuda.is_initialized() else torch.default_generator.manual_seed)(seed)
    network = _redrawn(model) if isinstance(model, nn.Module) else model()
    if not isinstance(network, nn.Module):
        raise StrategyError(f"fit: the model factory returned {type(network).__name__}, not an nn.Module")
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise StrategyError(f"fit: parameter {name} is {parameter.dtype}; fit works in float32, call .float()")
    if not trainable(network):
        raise StrategyError(f"fit: {type(network).__name__} has no parameter to fit")
    return network.train()


def copy_of(network: nn.Module) -> nn.Module:
    """Return a copy; raise StrategyError for a network that has none: it holds a lock, or a tensor with a history."""
    try:
        return copy.deepcopy(network)
    except Exception as error:  # a user's module may refuse with anything
        reason = str(error).split("\n")[0]
        raise StrategyError(
            f"fit: {type(network).__name__} cannot be copied ({reason}); pass a function that builds it, and mode "
            "'auto' or 'loop'"
        ) from error


def _redrawn(model: nn.Module) -> nn.Module:
    network = copy_of(model)
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise StrategyError(
                f"fit: {type(module).__name__} has parameters but no reset_parameters(); pass a function that builds it"
            )
    return network


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that a fit moves, in order."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def twin(network: nn.Module, tensors: Iterable[torch.Tensor]) -> nn.Module:
    """Return a copy of a network with these values for its trainable parameters, fixed and in evaluation mode.

    Parameters
    ----------
    network : nn.Module
        The network to copy.
    tensors : iterable of torch.Tensor
        One for each of `trainable`, of the same shape; taken, not copied.
    """
    values = zip(trainable(network), tensors, strict=True)
    memo: dict[int, Any] = {id(old): nn.Parameter(new, requires_grad=False) for old, new in values}
    return _copied(network, memo).requires_grad_(False).eval()


def _copied(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """Copy a module and all inside it, as deepcopy does, in a twentieth of its time for the usual attributes.

    What `memo` already holds, by identity, is taken in place of a copy.
    """
    if id(module) in memo:
        return cast(nn.Module, memo[id(module)])
    made = memo[id(module)] = object.__new__(type(module))
    for name, value in module.__dict__.items():
        if name == "_modules":
            copied: Any = {key: inner if inner is None else _copied(inner, memo) for key, inner in value.items()}
        elif name == "_parameters":
            copied = {key: copy.deepcopy(inner, memo) for key, inner in value.items()}
        elif type(value) in (bool, int, float, str, type(None)):
            copied = value
        elif type(value) in (dict, OrderedDict, set) and not value:
            copied = type(value)()
        else:
            copied = copy.deepcopy(value, memo)
        made.__dict__[name] = copied
    return made


def outputs(network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, starts: Iterable[int]) -> torch.Tensor:
    """Return a network's outputs ``(N,)`` over sequences that follow each other in x ``(N, features)``.

    Raises
    ------
    StrategyError
        When the network returns anything but ``(batch, time)``.
    """
    parts = []
    for start, stop in pairwise(starts):
        output = network(x[start:stop][None])
        if not isinstance(output, torch.Tensor) or output.shape != (1, stop - start):
            got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise StrategyError(
                f"the network returned {got} for an input of shape {(1, stop - start, x.shape[1])}; it must return "
                f"(batch, time), here {(1, stop - start)}"
            )
        parts.append(output[0])
    return parts[0] if len(parts) == 1 else torch.cat(parts)
