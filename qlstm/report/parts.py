"""What a page is made of: charts, tables, cards and sentences, without a word of HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Card", "Cell", "Chart", "Part", "Section", "Table", "Text", "number", "percent", "shaded", "tone"]

_NONE = "–"


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Parameters
    ----------
    text : str
        What it says.
    tone : str
        ``"gain"``, ``"loss"`` or ``"warn"``, else empty.
    strength : int
        How strongly it is coloured, 0 to 100.
    """

    text: str
    tone: str = ""
    strength: int = 0


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row, columns of `words` are set to the left.

    Parameters
    ----------
    caption : str
        What it shows, for readers who hear it.
    columns : sequence of str
        Heads.
    rows : sequence of sequences of str or Cell
        As many cells as heads.
    words : frozenset of int
        Columns that hold words, not numbers; the first always does.
    folded : str
        When not empty, the table is folded away under these words.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    words: frozenset[int] = frozenset()
    folded: str = ""
    kind: str = field(default="table", init=False)

    def cells(self) -> list[list[Cell]]:
        """Return the rows with every cell a `Cell`."""
        return [[one if isinstance(one, Cell) else Cell(one) for one in row] for row in self.rows]


@dataclass(frozen=True)
class Chart:
    """A chart as plotly's script takes it.

    Parameters
    ----------
    name : str
        Of its element in the page.
    figure : dict
        ``data`` and ``layout``, see `figures`.
    alt : str
        What it shows, in one sentence with numbers.
    height : int
        Pixels.
    """

    name: str
    figure: dict[str, Any]
    alt: str
    height: int = 300
    kind: str = field(default="chart", init=False)


@dataclass(frozen=True)
class Card:
    """A headline figure: what, how much, and what to make of it."""

    label: str
    value: str
    detail: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = field(default="text", init=False)


Part = Chart | Table | Text


@dataclass(frozen=True)
class Section:
    """One panel of the page.

    Parameters
    ----------
    name : str
        Its anchor.
    title, lead : str
        Heading, and what to see there.
    parts : sequence of Part
        In order. A panel that is left out has one `Text` that says why.
    html : str
        A finished fragment instead of parts, trusted as it is.
    """

    name: str
    title: str
    lead: str = ""
    parts: Sequence[Part] = ()
    html: str = ""


def percent(share: float, digits: int = 1, sign: bool = False) -> str:
    """Return a share as percent, a dash where it is unknown."""
    return f"{_rounded(100 * share, digits):{'+' if sign else ''}.{digits}f} %" if math.isfinite(share) else _NONE


def number(value: float, digits: int = 2) -> str:
    """Return a number, a dash where it is unknown."""
    return f"{_rounded(value, digits):.{digits}f}" if math.isfinite(value) else _NONE


def shaded(share: float, full: float) -> Cell:
    """Return a change in percent without the sign, coloured by its side and by its size against `full`."""
    if not math.isfinite(share):
        return Cell("")
    strength = round(100 * min(1.0, abs(share) / full)) if full > 0 else 0
    return Cell(number(100 * share, 1), tone(share) if strength else "", strength)


def tone(value: float) -> str:
    """Return what a value is: a gain, a loss, or neither."""
    return "gain" if value > 0 else "loss" if value < 0 else ""


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits) + 0.0  # no -0.0
