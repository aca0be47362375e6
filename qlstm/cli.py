"""The command line. Exit status 0: fine; 1: a check failed; 2: bad input or usage; 130: interrupted.

An error is one line on stderr; a traceback appears only with ``--debug``. Everything heavy is imported by the command
that needs it, so that ``--help`` and ``state show`` answer at once.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from . import __version__
from .cli_backtest import backtest
from .cli_check import check
from .cli_common import load, table
from .cli_export import export
from .cli_models import models
from .cli_optimize import optimize
from .cli_run import run
from .cli_state import state
from .errors import QlstmError, StateChangedError

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qlstm")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Stateful, machine-learned trading strategies: backtest them, run them daily, inspect what they keep."""


cli.add_command(backtest)
cli.add_command(check)
cli.add_command(export)
cli.add_command(models)
cli.add_command(optimize)
cli.add_command(run)
cli.add_command(state)


@cli.group()
def data() -> None:
    """Summarise, check and import data."""


@data.command("info")
@click.argument("source", default="sample")
def data_info(source: str) -> None:
    """Summarise SOURCE: size, fields, dates, gaps, liquidity."""
    from .data import info

    facts = info(load(source))
    table([(label.replace("_", " "), _words(fact)) for label, fact in facts.items() if fact not in (None, {}, [])])


@data.command("validate")
@click.argument("source", default="sample")
def data_validate(source: str) -> None:
    """Check SOURCE: exit status 2 when it is not a cube, 1 when its prices contradict each other, else 0."""
    from . import cube, data

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
def data_import(source: str, target: Path) -> None:
    """Read SOURCE (a folder of CSV or Parquet files, or a cube) and write it as one netCDF cube to TARGET."""
    from .data import save

    cube = load(source)
    save(cube, target)
    click.echo(f"{target}: {' × '.join(f'{size} {dim}' for dim, size in cube.sizes.items())}")


def _words(fact: Any) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name} {value}" for name, value in fact.items())
    if isinstance(fact, list):
        return ", ".join(map(str, fact))
    return f"{fact:.4g}" if isinstance(fact, float) else str(fact)


def _one_line_warnings(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"warning: {_one_line(str(message))}", err=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; `arguments` default to the process's own."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments  # taken wherever it stands: people add it at the end of the failing command
    arguments = [argument for argument in arguments if argument != "--debug"]
    warnings.showwarning = _one_line_warnings
    logging.basicConfig(format="warning: %(message)s", level=logging.WARNING)
    logging.getLogger("qlstm.output").setLevel(logging.ERROR)  # the same sentences come as notes
    try:
        with cli.make_context("qlstm", arguments) as context:  # `cli.main` would print a blank line on Ctrl-C
            status = cli.invoke(context)
    except click.exceptions.Exit as done:  # --help and --version
        status = done.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted: earlier results and state are untouched", err=True)
        status = 130
    except click.ClickException as error:
        click.echo(f"error: {_one_line(error.format_message())} (--help says more)", err=True)
        status = 2
    except QlstmError as error:
        if debug:
            raise
        click.echo(f"error: {_one_line(str(error))}", err=True)
        status = 1 if isinstance(error, StateChangedError) else 2
    except Exception as error:  # whatever is left is ours: one line all the same
        if debug:
            raise
        click.echo(f"error: unexpected {type(error).__name__}: {_one_line(str(error))} (--debug shows where)", err=True)
        status = 2
    sys.exit(status if isinstance(status, int) else 0)
