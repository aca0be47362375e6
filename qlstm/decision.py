"""One day decided, nothing saved: weights as predicted and as the contest's rules leave them, and the new memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from . import dates, engine, output
from .cube import Windows
from .strategy import Memory, Strategy
from .weights import Rows

__all__ = ["Decision", "decide"]


@dataclass(frozen=True)
class Decision:
    """What one step came to.

    Parameters
    ----------
    date : np.datetime64
        The day; its open comes next.
    raw, weights : xr.DataArray
        Dims ``(time, asset)``, one row: as predicted, and cleaned by the contest's rules.
    memory : Memory
        What the next day starts from.
    content : bytes
        `weights` as the contest's file.
    notes : tuple of str
        What the contest's rules changed.
    """

    date: np.datetime64
    raw: xr.DataArray
    weights: xr.DataArray
    memory: Memory
    content: bytes
    notes: tuple[str, ...]

    @property
    def retrained(self) -> bool:
        """Whether the models are of this day."""
        return bool(self.memory.trained_at == self.date)


def decide(strategy: Strategy, windows: Windows, t: np.datetime64, memory: Memory) -> Decision:
    """Decide day t with the memory of the day before.

    Parameters
    ----------
    strategy : Strategy
        What to run.
    windows : Windows
        The data, from `qlstm.engine.prepare`.
    t : np.datetime64
        The day, one of ``windows.times``.
    memory : Memory
        ``Memory()`` on the first day.

    Raises
    ------
    StrategyError
        When train or predict fails.
    """
    row, memory = engine.step(strategy, memory, windows, t)
    rows = Rows(windows.traded.get_index("asset"), 1)
    rows.add(t, row)
    raw, notes = rows.weights(), rows.notes()
    recent = windows.traded.sel(time=slice(t - dates.WARM_UP, t))
    weights = output.clean(raw, recent, strategy.rules, report=notes).rename(strategy.rules.name)
    return Decision(t, raw, weights, memory, output.to_bytes(weights), tuple(notes))
