"""What networks are left with at the end of a day, and go on from on the next: its form, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from ..errors import StrategyError
from .networks import LSTM

__all__ = ["Carried", "check_memory", "checked", "digest_of", "row_by_row", "state_of"]

Carried = dict[str, dict[str, Any]]
"""Asset -> what its network was left with: ``time`` of the last row seen, a digest of the ``network``, and ``state``,
arrays ``(layers, hidden)``: units and, of an LSTM, cell contents. Plain values, which a state file keeps."""

_WANTED = "give what advance returned second the day before, as it was, or None to start over"


def checked(carried: Carried | None) -> Carried:
    """Return what an earlier call returned, nothing where there was none; refuse anything else."""
    if carried is None:
        return {}
    if not isinstance(carried, Mapping):
        raise StrategyError(f"advance: carried is of type {type(carried).__name__}; {_WANTED}")
    for name, entry in carried.items():
        if not _is_entry(entry):
            raise StrategyError(
                f"advance: carried holds {name!r}, which is not an asset's time, network and state; {_WANTED}"
            )
    return carried


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not {"time", "network", "state"} <= set(entry):
        return False
    parts = entry["state"]
    return (
        isinstance(entry["time"], np.datetime64)
        and isinstance(parts, (tuple, list))
        and all(isinstance(part, np.ndarray) and part.dtype == np.float32 for part in parts)
    )


def check_memory(networks: Mapping[str, Any]) -> None:
    """Raise StrategyError for a network that cannot go on from a state."""
    for network in networks.values():
        if not hasattr(network, "advance"):
            raise StrategyError(f"advance: {type(network).__name__} keeps no state; use nn.LSTM or nn.Recurrent")


def state_of(asset: str, network: Any, entry: dict[str, Any], features: int) -> tuple[np.ndarray, ...]:
    """Return the state that a network was left with; refuse one that it cannot have been left with."""
    state, shapes = entry["state"], _state_shapes(network, features)
    found = [part.shape for part in state]
    if found != shapes:
        kind = type(network).__name__
        raise StrategyError(f"advance: {asset} carries a state of shapes {found}, its {kind} keeps {shapes}; {_WANTED}")
    return tuple(state)


def digest_of(network: nn.Module) -> str:
    """Return what tells a network from one with other parameters."""
    digest = hashlib.sha256()
    for parameter in network.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()[:16]


def row_by_row(network: Any, x: np.ndarray, state: Any) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Go on in torch, which may round a whole sequence otherwise than its rows: always in single rows."""
    held: Any = None
    if state is not None:
        tensors = tuple(torch.from_numpy(part[:, None]) for part in state)  # (layers, batch, hidden)
        held = tensors if len(tensors) > 1 else tensors[0]
    output = np.empty(len(x), np.float32)
    for t in range(len(x)):
        scored, held = network.advance(torch.from_numpy(x[None, t : t + 1]), held)
        output[t] = scored[0, 0].item()
    parts = held if isinstance(held, tuple) else (held,)
    return output, tuple(part[:, 0].numpy() for part in parts)


_shapes: WeakKeyDictionary[nn.Module, list[tuple[int, ...]]] = WeakKeyDictionary()


def _state_shapes(network: Any, features: int) -> list[tuple[int, ...]]:
    """Return the shapes of what a network keeps, told by one row of zeros where only the network knows."""
    if type(network) is LSTM:
        return [(len(network.cells), network.hidden)] * 2
    if network not in _shapes:
        _, parts = row_by_row(network, np.zeros((1, features), np.float32), None)
        _shapes[network] = [part.shape for part in parts]
    return _shapes[network]
