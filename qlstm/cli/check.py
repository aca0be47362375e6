"""The command that audits a strategy: exit status 0 when no check fails, 1 when one does, 2 for bad input."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from .common import DATA, load, note, option

__all__ = ["check"]


@click.command()
@click.argument("strategy", type=click.Path(path_type=Path))
@DATA
@option("--start", help="First day to look at; by default the last 120 trading days are.")
@option("--end", help="Last day to look at.")
@option("--only", help="Families or checks, with commas: look-ahead,parity,determinism,contest,data.")
@click.option("--thorough", is_flag=True, help="Look at every day instead of a few.")
@option("--earlier", help="The same data as downloaded earlier, to find what was changed since.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    strategy: Path,
    source: str,
    start: str | None,
    end: str | None,
    only: str | None,
    thorough: bool,
    earlier: str | None,
    as_json: bool,
) -> None:
    """Audit STRATEGY: look-ahead, parity, determinism, contest rules, data.

    Names the first day, asset and stage of each fault, and its fix. Exit status 1 when a check fails, else 0.
    """
    from .. import audit
    from ..strategy import load_strategy

    with redirect_stdout(sys.stderr):  # what a strategy prints is not the report
        loaded = load_strategy(strategy)
        cube = load(source)
        report = audit.check(
            loaded,
            cube,
            [name.strip() for name in only.split(",")] if only is not None else None,
            start=start,
            end=end,
            thorough=thorough,
            earlier=load(earlier) if earlier else None,
        )
    note(str(cube.attrs.get("note", "")))
    click.echo(report.to_json() if as_json else str(report))
    sys.exit(0 if report.ok else 1)
