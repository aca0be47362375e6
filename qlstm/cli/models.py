"""The commands about trained models that backtests keep."""

from __future__ import annotations

from pathlib import Path

import click

from .common import option, table

__all__ = ["models"]

_FOLDER = option(
    "--models", "folder", type=click.Path(path_type=Path), help="Their folder.  [default: ~/.cache/qlstm/models]"
)


@click.group()
def models() -> None:
    """List and remove trained models that backtests keep."""


@models.command("list")
@_FOLDER
def _list(folder: Path | None) -> None:
    """List strategies: trainings, size, days since the last use."""
    from ..modelstore import default_folder, entries

    found: dict[str, list[tuple[int, float]]] = {}
    for entry in entries(folder or default_folder()):
        found.setdefault(entry.strategy, []).append((entry.size, entry.idle_days))
    rows = []
    for strategy, known in found.items():
        size, idle = sum(size for size, _ in known) / 1e6, min(days for _, days in known)
        rows.append((strategy, f"{len(known)} trainings, {size:.1f} MB, used {idle:.0f} days ago"))
    table(rows or [("no models", str(folder or default_folder()))])


@models.command("prune")
@_FOLDER
@option("--days", default=30.0, show_default=True, help="Remove what was not used for so many days; 0: all.")
@option("--strategy", help="Of this strategy only.")
def _prune(folder: Path | None, days: float, strategy: str | None) -> None:
    """Remove models that were not used for long."""
    from ..modelstore import default_folder, prune

    gone = prune(folder or default_folder(), days, strategy)
    click.echo(f"removed {len(gone)} trainings, {sum(entry.size for entry in gone) / 1e6:.1f} MB")
