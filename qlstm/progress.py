"""Progress on anything over two seconds, with time left: a bar on a terminal or in a notebook, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Progress", "clock"]

_PATIENCE_S = 2.0  # shorter work stays silent
_EVERY_S = 10.0  # between two plain lines
_REDRAW_S = 0.1
_KNOWN = 0.02  # share done from which on the time left is worth saying: the first day may train for long


class Progress:
    """Counts finished steps of a long job and shows them; use as a context manager.

    Parameters
    ----------
    title : str
        What is being done.
    total : int
        Number of steps.
    unit : str
        What one step is called, in the plural.
    show : bool
        False keeps silent.
    left_s : callable, optional
        Returns the seconds to go, None while that is not known; by the share of steps that are done unless given.

    Attributes
    ----------
    note : str
        A few words to show beside the count.
    """

    def __init__(
        self,
        title: str,
        total: int,
        unit: str = "days",
        show: bool = True,
        left_s: Callable[[], float | None] | None = None,
    ) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self.note = ""
        self._show, self._left_s = show, left_s or self._by_share
        self._started = self._drawn = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._update()
            self._bar.stop()

    def advance(self, steps: int = 1) -> None:
        """Count `steps` more as done, and draw when it is time to."""
        self.done += steps
        now = time.monotonic()
        if not self._show or now - self._started < _PATIENCE_S or now - self._drawn < _REDRAW_S:
            return
        if self._bar is None and _is_live():
            self._bar = _bar(self.title, self.total, self.unit)
        if self._bar is not None:
            self._update()
            self._drawn = now
        elif now - self._drawn >= _EVERY_S:
            self._print(now)

    def say(self, text: str) -> None:
        """Show one line, however long the job takes."""
        if self._show and self._bar is not None:
            self._bar.console.print(text, highlight=False)
        elif self._show:
            print(text, file=sys.stderr, flush=True)

    def _print(self, now: float) -> None:
        text = f"{self.title}: {self.done} of {self.total} {self.unit}, {100 * self.done / max(1, self.total):.0f} %"
        print(", ".join(part for part in (text, self.note, self._left()) if part), file=sys.stderr, flush=True)
        self._drawn = now

    def _update(self) -> None:
        self._bar.update(0, completed=self.done, note=self.note, left=self._left())

    def _left(self) -> str:
        seconds = self._left_s()
        return "" if seconds is None else f"{clock(seconds)} left"

    def _by_share(self) -> float | None:
        share = self.done / max(1, self.total)
        return (time.monotonic() - self._started) * (1 - share) / share if share >= _KNOWN else None


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _is_live() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _bar(title: str, total: int, unit: str) -> Any:
    """Start a rich bar on stderr; rich is imported here because short jobs never need it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    bar = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
    )
    bar.start()
    bar.add_task(title, total=total, note="", left="")
    return bar
