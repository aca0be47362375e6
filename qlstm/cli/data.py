"""``qlstm data info|validate|import``: look at data, check them, bring them into one cube."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import click

from .common import load, table

__all__ = ["data"]


@click.group()
def data() -> None:
    """Summarise, check and import data."""


@data.command("info")
@click.argument("source", default="sample")
def _info(source: str) -> None:
    """Summarise SOURCE: size, fields, dates, gaps, liquidity."""
    from ..data import info

    facts = info(load(source))
    table([(label.replace("_", " "), _words(fact)) for label, fact in facts.items() if fact not in (None, {}, [])])


@data.command("validate")
@click.argument("source", default="sample")
def _validate(source: str) -> None:
    """Check SOURCE: exit status 2 when it is not a cube, 1 when its prices contradict each other, else 0."""
    from .. import cube, data

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cube.DataWarning)
        found = cube.check(data.load(source), what=source, warn=False)
    for sentence in found:
        click.echo(f"{source}: {sentence}")
    click.echo(f"{source}: structure fine, {len(found)} kinds of contradicting prices")
    sys.exit(1 if found else 0)


@data.command("import")
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
def _import(source: str, target: Path) -> None:
    """Read SOURCE (a folder of CSV or Parquet files, or a cube) and write it as one netCDF cube to TARGET."""
    from ..data import save

    cube = load(source)
    save(cube, target)
    click.echo(f"{target}: {' × '.join(f'{size} {dim}' for dim, size in cube.sizes.items())}")


def _words(fact: Any) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name} {value}" for name, value in fact.items())
    if isinstance(fact, list):
        return ", ".join(map(str, fact))
    return f"{fact:.4g}" if isinstance(fact, float) else str(fact)
