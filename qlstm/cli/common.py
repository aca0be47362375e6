"""What several commands share: options, how data are named and read, how notes and tables are printed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DATA", "load", "note", "option", "record_of", "table"]


def option(*names: str, default: Any = None, **settings: Any) -> Callable[[Any], Any]:
    """Declare an option with a value, as `click.option` does; given twice it is an error: click takes the last."""
    given = () if default is None else (default,)
    return click.option(*names, default=given, multiple=True, callback=_only, **settings)


def _only(_: click.Context, parameter: click.Parameter, values: tuple[Any, ...]) -> Any:
    if len(values) > 1:
        given = " and ".join(map(str, values))
        raise click.UsageError(f"{parameter.opts[0]} is given {len(values)} times, {given}; give it once")
    return values[0] if values else None


DATA = option(
    "--data",
    "source",
    default="sample",
    show_default=True,
    help="'sample', a .nc file, a folder of CSV or Parquet files, one per asset, or 'synthetic:P1?seed=3'.",
)
"""The data of a command; its parameter is `source`."""


def load(source: str) -> xr.DataArray:
    """Return the cube that the user named."""
    from ..data import load as load_data

    return load_data(source)


def record_of(strategy: Path) -> Path:
    """Return where the trials of a strategy are recorded unless another file is named."""
    return Path("trials") / f"{strategy.stem}.jsonl"


def note(text: str) -> None:
    """Print a note on stderr, nothing for an empty one."""
    if text:
        click.echo(f"note: {text}", err=True)


def table(rows: list[tuple[str, str]]) -> None:
    """Print two columns: drawn by rich on a terminal, plain elsewhere."""
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        drawn = Table(box=box.SIMPLE, show_header=False)
        drawn.add_column()
        drawn.add_column(justify="right")
        for label, value in rows:
            drawn.add_row(label, value)
        Console().print(drawn)
        return
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        click.echo(f"{label:<{width}}  {value}")
