"""The audit: a strategy's own functions are run on data made for the purpose, and what should not change must not.

`check` runs everything; each check alone is a function of a `Subject`, in `CHECKS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._lazy import attribute

if TYPE_CHECKING:
    from .catalogue import CHECKS, check
    from .findings import FAMILIES, Finding, Report
    from .subject import Subject

__all__ = ["CHECKS", "FAMILIES", "Finding", "Report", "Subject", "check"]

_HOMES = {
    "CHECKS": "catalogue",
    "FAMILIES": "findings",
    "Finding": "findings",
    "Report": "findings",
    "Subject": "subject",
    "check": "catalogue",
}


def __getattr__(name: str) -> Any:
    return attribute(__name__, _HOMES, name)
