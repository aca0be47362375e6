"""What an audit found: one finding per fault, and the report that holds them, as text, JSON and HTML."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..dates import day

__all__ = ["FAMILIES", "Finding", "Report", "acknowledged", "change"]

FAMILIES = ("look-ahead", "parity", "determinism", "contest", "data")
"""What a check belongs to, in the order of a report."""
_RANKS = {"fail": 0, "warning": 1, "known": 2, "note": 3}
_MARKS = {"fail": "FAIL", "warning": "warn", "known": "known", "note": "note"}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Parameters
    ----------
    check : str
        The check that found it.
    family : str
        One of `FAMILIES`.
    severity : str
        ``"fail"``, ``"warning"``, ``"known"`` (declared in the strategy's file) or ``"note"`` (not checked, and why).
    stage : str
        Where it sits: ``features labels train predict state weights data``.
    message : str
        What was found.
    date : str or None
        First day on which it shows, ISO.
    asset : str or None
        The first asset on that day.
    value : str or None
        What was there, mostly ``"old -> new"``.
    fix : str
        How to mend it.
    cube : str or None
        Of several cubes, the one whose future was seen.
    """

    check: str
    family: str
    severity: str
    stage: str
    message: str
    date: str | None = None
    asset: str | None = None
    value: str | None = None
    fix: str = ""
    cube: str | None = None

    @classmethod
    def at(cls, check: str, family: str, severity: str, stage: str, message: str, **where: Any) -> Finding:
        """Return a finding whose date may be any time, and whose asset any label."""
        t, asset = where.pop("date", None), where.pop("asset", None)
        date = None if t is None else t if isinstance(t, str) else day(np.datetime64(t))
        return cls(check, family, severity, stage, message, date, None if asset is None else str(asset), **where)

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.stage, self.date, self.asset, self.value) if part)
        fix = f"; {self.fix}" if self.fix else ""
        return f"{_MARKS[self.severity]:<5} {self.check} [{place}]: {self.message}{fix}"


def change(old: float, new: float) -> str:
    """Return ``"old -> new"``, with as many digits as it takes to tell one from the other."""
    digits = 6 if f"{old:.6g}" != f"{new:.6g}" else 17
    return f"{old:.{digits}g} -> {new:.{digits}g}"


def acknowledged(findings: Iterable[Finding], known: Mapping[str, str]) -> list[Finding]:
    """Return findings with those of checks that `known` names (check -> why) turned into known ones."""
    return [
        dataclasses.replace(one, severity="known", message=f"{one.message} (declared: {known[one.check]})")
        if one.check in known and one.severity in ("fail", "warning")
        else one
        for one in findings
    ]


@dataclass(frozen=True)
class Report:
    """The outcome of an audit.

    Parameters
    ----------
    strategy : str
        Its name.
    period : tuple of str
        First and last day looked at.
    findings : tuple of Finding
        Failures first.
    seconds : dict of str to float
        Check -> what it took, for all checks that were run.
    """

    strategy: str
    period: tuple[str, str]
    findings: tuple[Finding, ...]
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        order = sorted(self.findings, key=lambda one: (_RANKS[one.severity], FAMILIES.index(one.family)))
        object.__setattr__(self, "findings", tuple(order))

    @property
    def ok(self) -> bool:
        """Whether no check failed; warnings, notes and declared findings do not count."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that fail."""
        return tuple(one for one in self.findings if one.severity == "fail")

    def of(self, check: str) -> tuple[Finding, ...]:
        """Return the findings of one check."""
        return tuple(one for one in self.findings if one.check == check)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.findings), self.summary()])

    def summary(self) -> str:
        """Return one line: how many checks were run, and how they ended."""
        counts = [sum(one.severity == severity for one in self.findings) for severity in _RANKS]
        said = ", ".join(f"{n} {_plural(severity, n)}" for severity, n in zip(_RANKS, counts, strict=True) if n)
        start, end = self.period
        run = f"{len(self.seconds)} check{'s' * (len(self.seconds) != 1)}"
        return f"{self.strategy}, {start} to {end}: {run}, {said or 'nothing found'}"

    def to_json(self) -> str:
        """Return the report as JSON: strategy, ok, period, checks with seconds, findings."""
        content = {
            "strategy": self.strategy,
            "ok": self.ok,
            "period": list(self.period),
            "checks": {name: round(seconds, 3) for name, seconds in self.seconds.items()},
            "findings": [dataclasses.asdict(one) for one in self.findings],
        }
        return json.dumps(content, indent=2)

    def to_html(self) -> str:
        """Return a fragment for a page: a heading, one line in all, a table of findings. Everything is escaped."""
        head = "".join(
            f"<th>{name}</th>" for name in ("", "check", "stage", "first day", "asset", "value", "what, and fix")
        )
        rows = "".join(_row(one) for one in self.findings)
        table = f'<table class="audit"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>' if rows else ""
        return f'<section id="audit"><h2>Audit</h2><p>{html.escape(self.summary())}</p>{table}</section>'


def _plural(severity: str, n: int) -> str:
    many = {"fail": "failures", "warning": "warnings", "known": "declared", "note": "notes"}
    return many[severity] if n != 1 else {"fail": "failure", "known": "declared"}.get(severity, severity)


def _row(one: Finding) -> str:
    text = f"{one.message}; {one.fix}" if one.fix else one.message
    cells = (_MARKS[one.severity], one.check, one.stage, one.date, one.asset, one.value, text)
    body = "".join(f"<td>{html.escape(cell or '')}</td>" for cell in cells)
    return f'<tr class="{one.severity}">{body}</tr>'
