"""The random generators a strategy may use (random's, numpy's global one, torch's): seeded for it, then given back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

import numpy as np

__all__ = ["kept", "seed"]

_LARGEST = 2**32  # numpy's global generator takes seeds below this
_last: int | None = None  # the seed in force, for a torch that is imported under it


def seed(number: int, t: np.datetime64) -> None:
    """Seed every generator for day t; with the day, so that random weights are not the same every day."""
    global _last
    _last = (number + int(t.astype("datetime64[D]").astype(np.int64))) % _LARGEST
    random.seed(_last)
    np.random.seed(_last)
    if "torch" in sys.modules:
        _seed_torch(sys.modules["torch"], _last)


def _seed_torch(torch: Any, number: int) -> None:
    """Seed torch's generators; without a device for others, the CPU's alone, which is all of them."""
    if torch.version.cuda is None and torch.version.hip is None and not torch.backends.mps.is_built():
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


@contextmanager
def kept() -> Iterator[None]:
    """Give the user's generators back as they were; a torch first imported inside the block is seeded on arrival."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch.get_rng_state() if torch else None
    gpus = torch.cuda if torch and torch.cuda.is_initialized() else None
    gpu_states = gpus.get_rng_state_all() if gpus else []
    watch = _TorchWatch()
    sys.meta_path.insert(0, watch)
    try:
        yield
    finally:
        sys.meta_path.remove(watch)
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(states[2])
            if gpus:
                gpus.set_rng_state_all(gpu_states)
        elif "torch" in sys.modules:  # there was no state to give back: torch starts at random in every process
            sys.modules["torch"].seed()


class _TorchWatch:
    """An import hook that seeds torch when a strategy is the first to import it; a fresh torch starts at random."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return torch's own spec, with the seeding added to its execution; None for every other module."""
        spec = PathFinder.find_spec(name, path, target) if name == "torch" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_seed(module: Any) -> None:
            execute(module)
            if _last is not None:
                module.manual_seed(_last)

        spec.loader.exec_module = execute_and_seed  # type: ignore[method-assign]
        return spec
