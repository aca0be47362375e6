"""The command that writes a strategy as one file for a contest's server."""

from __future__ import annotations

from pathlib import Path

import click

from .common import option

__all__ = ["export"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("strategy", type=_PATH)
@option("--to", "target", type=_PATH, help="A .py or .ipynb file.  [default: <strategy>_submission.py]")
@click.option("--has", multiple=True, metavar="PACKAGE", help="A package the server has beside the usual ones.")
def export(strategy: Path, target: Path | None, has: tuple[str, ...]) -> None:
    """Write STRATEGY as one self-contained file for a contest's server.

    It holds the strategy and the parts of qlstm it uses, decides the newest day, and keeps its state where the
    server says.
    """
    from ..export import write

    written = write(strategy, target, has)
    click.echo(f"{written.path}: {len(written.modules)} modules, {written.size / 1e3:,.0f} kB")
