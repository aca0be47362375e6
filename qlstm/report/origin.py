"""The panel that says where the figures come from: code, data, seed, versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import __version__
from .parts import Part, Table
from .study import Study

__all__ = ["manifest"]


def manifest(study: Study) -> list[Part]:
    """Return the manifest given to the report, or what the result alone tells."""
    given = study.manifest if study.manifest is not None else _known(study)
    rows = [[name, value] for name, value in _flat(given) if value]
    return [Table("Where these figures come from", ("", "value"), rows, frozenset({1}))]


def _known(study: Study) -> dict[str, Any]:
    strategy = study.result.strategy
    return {
        "strategy": {"name": strategy.name, "sha256": strategy.code_hash, "seed": strategy.seed},
        "contest": study.result.contest.name,
        "period": [f"{study.days[0]:%Y-%m-%d}", f"{study.days[-1]:%Y-%m-%d}"],
        "environment": {"qlstm": __version__, "python": platform.python_version(), "numpy": np.__version__},
    }


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return a tree of values as names and texts, in its order."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        label = f"{before} {name}".strip()
        if isinstance(value, Mapping):
            found += _flat(value, label)
        else:
            found.append((label, " to ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return found
