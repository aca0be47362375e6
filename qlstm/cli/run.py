"""The command that decides one day from disk, for people and for schedulers.

Exit status 0: done; 1: refused because ``--strict`` found a change; 2: bad input or usage, days missing, a state that
cannot be used, another process writing. Whenever it is not 0, the day was not saved.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import DATA, load, note, option, table

if TYPE_CHECKING:
    from ..runner import RunResult

__all__ = ["run"]

_PATH = click.Path(path_type=Path)


def _flag(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, is_flag=True, help=text)


@click.command()
@click.argument("strategy", type=_PATH)
@DATA
@option("--state-dir", default="state", show_default=True, type=_PATH)
@option("--date", help="The day to decide; the data's last one by default.")
@_flag("--catch-up", "Run each missing trading day first, in order.")
@_flag("--skip-gap", "Go on though trading days are missing.")
@_flag("--strict", "Refuse (exit status 1) when code, libraries, contest or past data have changed.")
@_flag("--allow-changes", "Go on though the contest is another one than before.")
@_flag("--dry-run", "Show what would be decided; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def run(
    strategy: Path, source: str, state_dir: Path, date: str | None, as_json: bool, catch_up: bool, skip_gap: bool,
    strict: bool, allow_changes: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Run STRATEGY for one day.

    Starts from the memory of the day before, and saves weights and memory together. Days that were missed are an error
    unless told to run them or to skip them.
    """
    if catch_up and skip_gap:
        raise click.UsageError("--catch-up runs the missing days and --skip-gap leaves them out; give one")
    from .. import runner
    from ..strategy import load_strategy

    with redirect_stdout(sys.stderr):  # what a strategy prints is not the result
        loaded = load_strategy(strategy)
        cube = load(source)
        result = runner.run(
            loaded,
            cube,
            state_dir=state_dir,
            date=date,
            catch_up=catch_up,
            skip_gap=skip_gap,
            strict=strict,
            allow_changes=allow_changes,
            dry_run=dry_run,
        )
    about = str(cube.attrs.get("note", ""))
    if as_json:
        notes = [*([about] if about else []), *result.notes]
        click.echo(json.dumps(result.to_dict() | {"strategy": loaded.name, "notes": notes}, indent=2))
        return
    for text in (about, *result.notes):
        note(text)
    _show(result)


def _show(result: RunResult) -> None:
    """Print the weights as a table, and a line that sums up."""
    known = result.to_dict()
    if result.caught_up:
        many = len(result.caught_up)
        click.echo(f"caught up {many} day{'s' * (many > 1)} from {known['caught_up'][0]}")
    table([(asset, f"{weight:+.4f}") for asset, weight in result.positions.items()])
    gross = sum(map(abs, result.positions.values()))
    click.echo(f"{known['date']}: {len(result.positions)} positions, {gross:.4f} of the capital, {_memory(known)}")
    if result.dry_run:
        click.echo(f"dry run, nothing was written; a run would write {', '.join(known['files'])}")
    else:
        click.echo(f"saved in {result.folder}")


def _memory(known: dict[str, Any]) -> str:
    """Say what the day started from, and of when its models are."""
    start = "a first day" if known["parent"] is None else f"from the memory of {known['parent']}"
    again = ", decided before" if known["repeated"] else ""
    if known["trained_at"] is None:
        return f"{start}{again}, never trained"
    return f"{start}{again}, trained {'now' if known['retrained'] else known['trained_at']}"
