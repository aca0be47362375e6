"""The command that searches a strategy's constants."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import DATA, load, note, option, record_of

if TYPE_CHECKING:
    from ..optimizer import Range, Search

__all__ = ["optimize"]

_PATH = click.Path(path_type=Path)
_SHOWN = 10  # rows of the table
_FIGURES = ["score", "sharpe_ratio", "mean_return", "volatility", "max_drawdown", "avg_turnover"]


@click.command()
@click.argument("strategy", type=_PATH)
@DATA
@click.option(
    "--set",
    "sets",
    multiple=True,
    required=True,
    metavar="NAME=VALUES",
    help="A constant: 1,2,3, or a range 1:9[:log].",
)
@option("--start", required=True, help="First day of every backtest.")
@option("--end", help="Last day; keep later ones back, to test the best on.")
@option(
    "--method", default="grid", show_default=True, type=click.Choice(["grid", "random", "optuna"]), help="What to try."
)
@option("--trials", type=int, help="How many sets random and optuna draw.")
@option("--seed", default=42, show_default=True, help="Of the draws.")
@option("--jobs", default=1, show_default=True, help="Trials at once, each a process; -1: one for each core.")
@option("--dask", metavar="ADDRESS", help="Run trials on the Dask cluster of this scheduler, tcp://host:port.")
@option(
    "--record", type=_PATH, help="File that keeps every trial; goes on from it.  [default: trials/<strategy>.jsonl]"
)
def optimize(
    strategy: Path,
    source: str,
    sets: tuple[str, ...],
    start: str,
    end: str | None,
    record: Path | None,
    **options: Any,
) -> None:
    """Backtest STRATEGY with many values of its constants.

    The constants are those that the file assigns at module level. Every trial is recorded: an interrupted search goes
    on when it is started again. Prints the best trials, and what luck alone would have shown.
    """
    from .. import optimizer

    space = dict(_parse(text) for text in sets)
    cube = load(source)
    record = record or record_of(strategy)
    found = optimizer.search(strategy, cube, space, start_date=start, end_date=end, record=record, **options)
    note(str(cube.attrs.get("note", "")))
    _show(found)
    last = str(cube["time"].values[-1])[:10]
    if found.setting.end < last:
        note(f"the days after {found.setting.end} were not used: backtest the best on them, once")
    else:
        note("no day was kept back to test the best on; give an earlier --end")
    click.echo(f"every trial is in {record}")


def _parse(text: str) -> tuple[str, Range | list[Any]]:
    """Return the name and the values of ``NAME=1,2,3`` or ``NAME=1:9:log``."""
    from ..optimizer import Range

    name, is_there, values = text.partition("=")
    if not is_there or not name.strip() or not values.strip():
        raise click.BadParameter(f"{text!r} is not NAME=VALUES", param_hint="--set")
    low, *rest = values.split(":")
    if rest and rest[1:] in ([], ["log"]):
        return name.strip(), Range(_value(low), _value(rest[0]), log=len(rest) == 2)
    if rest and "," not in values:
        raise click.BadParameter(f"{values!r} is no range LOW:HIGH[:log]", param_hint="--set")
    return name.strip(), [_value(value) for value in values.split(",")]


def _value(text: str) -> Any:
    """Return a number, True, False or None as such; anything else is text."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def _show(found: Search) -> None:
    table = found.table
    names = list(found.best.arguments)
    shown = table[names + [name for name in _FIGURES if name in table]].head(_SHOWN)
    click.echo(shown.to_string(index=False, float_format="{:.3f}".format))
    if len(table) > _SHOWN:
        click.echo(f"... and {len(table) - _SHOWN} more")
    click.echo(str(found))
