"""What a generation is called on the disk: a folder named by its as-of date, and two files in it."""

from __future__ import annotations

import re

import numpy as np

from ..errors import StateError

__all__ = ["STATE_FILE", "WEIGHTS_FILE", "as_of", "date_of", "name_of"]

STATE_FILE = "state.pickle.gz"
WEIGHTS_FILE = "fractions.nc.gz"

_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2})(\d{2}))?")


def name_of(date: np.datetime64) -> str:
    """Return the folder name of an as-of date: ``2024-03-15``, or ``2024-03-15T1400`` where there is a time of day.

    Raises
    ------
    StateError
        When the date is not one, or not whole to the minute.
    """
    minute = date.astype("datetime64[m]")
    if np.isnat(date) or minute != date:
        raise StateError(f"as-of date {date} cannot name a generation; give a date, or a time to the minute")
    text = str(minute)
    return text.removesuffix("T00:00").replace(":", "")


def date_of(name: str) -> np.datetime64 | None:
    """Return the as-of date of a folder name, ``datetime64[ns]``; None when it is not one."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    day, hour, minute = match.groups()
    try:
        date = np.datetime64(f"{day}T{hour or '00'}:{minute or '00'}", "ns")
    except ValueError:
        return None
    return date if name_of(date) == name else None


def as_of(text: str) -> np.datetime64:
    """Return the as-of date that a user means: a folder's name, or the same as ISO 8601 writes it.

    Raises
    ------
    StateError
        When it is not one.
    """
    date = date_of(text)
    if date is None:
        try:
            date = np.datetime64(text, "ns")
        except ValueError:
            raise StateError(
                f"{text!r} is not a date; write 2024-03-15, or 2024-03-15T1400 for a time of day"
            ) from None
    name_of(date)
    return date
