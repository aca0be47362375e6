"""The files that a contest's server hands over and asks for, by its environment variables."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CONTEST_FILES", "given", "wanted"]

CONTEST_FILES = {
    "OUTPUT_PATH": "fractions.nc.gz",
    "IN_STATE_PATH": "state.in.pickle.gz",
    "OUT_STATE_PATH": "state.out.pickle.gz",
}
"""Environment variable -> the file that a contest's server means where it is not set."""


def given() -> Path | None:
    """Return the state file that a contest hands over; None where it leaves the choice to the store."""
    path, default = os.environ.get("IN_STATE_PATH"), Path(CONTEST_FILES["IN_STATE_PATH"])
    if path:
        return Path(path)
    return default if os.environ.get("SUBMISSION_ID") and default.exists() else None


def wanted() -> dict[str, Path]:
    """Return where a contest wants its files: environment variable -> path."""
    submitted = bool(os.environ.get("SUBMISSION_ID"))
    names = ("OUTPUT_PATH", "OUT_STATE_PATH")
    paths = {name: os.environ.get(name) or (CONTEST_FILES[name] if submitted else None) for name in names}
    return {name: Path(path) for name, path in paths.items() if path}
