"""Who watches what a strategy hands to its networks: the audit looks at it, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["Observer", "notify", "observing"]

Observer = Callable[[str, dict[str, Any]], None]
"""Called as ``observer(event, arguments)``: "fit" or "predict", and the arguments of that function by name."""
_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Have `observer` called at the start of each `fit` and `predict` inside the block."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def notify(event: str, **arguments: Any) -> None:
    """Tell the observer, where there is one, that a function was called."""
    observer = _observer.get()
    if observer is not None:
        observer(event, arguments)
