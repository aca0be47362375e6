"""The commands that look at saved state. None runs anything in it but `convert`, which loads the strategy it is given.

Exit status 0: fine; 1: `verify` found something wrong; 2: bad usage, or a file that is damaged or refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import StateError
from .common import option

if TYPE_CHECKING:
    import numpy as np

__all__ = ["state"]

_PATH = click.Path(path_type=Path)
_HOME: Callable[[Any], Any] = option(
    "--state-dir", type=_PATH, default="state", show_default=True, help="Where dates are looked up."
)
_JSON: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def state() -> None:
    """Look at saved state; runs nothing in it.

    PATH is a state file, the folder of a day, a strategy's folder (for its newest day), or a state folder that holds
    one strategy. A date, like 2024-03-15, is looked up in --state-dir.
    """


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2))


@state.command("show", short_help="Dates, strategy, weights, models, the state.")
@click.argument("path", metavar="[PATH | DATE]", required=False)
@_HOME
@_JSON
def _show(path: str | None, state_dir: Path, as_json: bool) -> None:
    """Show what a state file holds: dates, strategy, weights, models, the state.

    Without PATH or DATE, that is the newest in --state-dir.
    """
    from .. import state as saved

    seen = saved.inspect(saved.find_file(path or str(state_dir), state_dir))
    if as_json:
        _print_json(seen.to_dict())
    else:
        click.echo("\n".join(saved.render(seen)))


@state.command("list", short_help="The days kept, and which each follows from.")
@click.argument("path", type=_PATH, default="state")
@_JSON
def _list(path: Path, as_json: bool) -> None:
    """List the generations of a strategy, oldest first, and which each follows from."""
    from .. import state as saved

    found = saved.generations(saved.find_store(path))
    if as_json:
        _print_json([one.to_dict() for one in found])
        return
    for one in found:
        code = f"code {one.code_sha256[:12]}" if one.code_sha256 else "code unknown"
        parent = f"from {one.parent}" if one.parent else "from one not kept" if one.parent_sha256 else "a first day"
        click.echo(f"{one.date}  {one.problem or f'{one.size:>12,} bytes  {code}  {parent}'}")


@state.command("diff", short_help="What changed between two days.")
@click.argument("before")
@click.argument("after")
@_HOME
@_JSON
def _diff(before: str, after: str, state_dir: Path, as_json: bool) -> None:
    """Show what changed from BEFORE to AFTER, each a PATH or a date."""
    from .. import state as saved

    found = saved.compare(saved.find_file(before, state_dir), saved.find_file(after, state_dir))
    if as_json:
        _print_json(found.to_dict())
    else:
        click.echo("\n".join(found.lines()))


@state.command("verify", short_help="Look at every byte; exit status 1 if wrong.")
@click.argument("path", type=_PATH, default="state")
@_JSON
def _verify(path: Path, as_json: bool) -> None:
    """Look at every byte of PATH; exit status 1 when something is wrong."""
    from .. import state as saved

    found = saved.verify(path)
    if as_json:
        _print_json(found.to_dict())
    else:
        for problem in found.problems:
            click.echo(" ".join(problem.split()))
        for note in found.notes:
            click.echo(f"note: {note}")
        count = len(found.problems)
        click.echo(f"{found.path}: {found.checked} checked, {count or 'no'} problem{'' if count == 1 else 's'}")
    sys.exit(1 if found.problems else 0)


@state.command("rollback", short_help="Remove the days after one.")
@click.argument("path", type=_PATH)
@click.argument("date")
@_JSON
def _rollback(path: Path, date: str, as_json: bool) -> None:
    """Remove the generations after DATE, so that it is the newest."""
    from .. import state as saved

    store = saved.find_store(path)
    _removed(store.folder, store.rollback(saved.as_of(date)), as_json)


@state.command("prune", short_help="Remove the oldest days.")
@click.argument("path", type=_PATH)
@option("--keep", type=int, required=True, help="How many of the newest generations stay.")
@_JSON
def _prune(path: Path, keep: int, as_json: bool) -> None:
    """Remove the oldest generations; nothing is ever removed otherwise."""
    from .. import state as saved

    store = saved.find_store(path)
    _removed(store.folder, store.prune(keep), as_json)


@state.command("convert", short_help="Write a state file in another form.")
@click.argument("source", type=_PATH)
@click.argument("target", type=_PATH)
@click.option("--plain", is_flag=True, help="Write what the established toolbox and notebooks read; else our own form.")
@option("--strategy", "file", type=_PATH, help="The strategy's file, where models are of its classes.")
def _convert(source: Path, target: Path, plain: bool, file: Path | None) -> None:
    """Read SOURCE, of any origin, and write it to TARGET in our own form, or with --plain as an ordinary pickle."""
    from .. import files
    from .. import state as saved
    from ..strategy import load_strategy

    strategy = None if file is None else load_strategy(file)
    path = saved.newest_file(source)
    memory = saved.read(path, strategy)
    if memory is None:  # removed since it was looked for
        raise StateError(f"there is no {path}")
    if plain:
        files.write_bytes(target, saved.to_plain(memory, strategy))
    else:
        saved.write(memory, target, strategy)
    form = "an ordinary pickle, which runs what it names when it is opened" if plain else "a state file"
    click.echo(f"{target}: {path} as {form}")


def _removed(folder: Path, dates: list[np.datetime64], as_json: bool) -> None:
    """Say which generations are gone."""
    from ..state.names import name_of

    names = [name_of(date) for date in dates]
    if as_json:
        _print_json({"path": str(folder), "removed": names})
        return
    span = "" if not names else f", {names[0]} to {names[-1]}" if len(names) > 1 else f", {names[0]}"
    click.echo(f"{folder}: removed {len(names) or 'no'} generation{'s' if len(names) != 1 else ''}{span}")
