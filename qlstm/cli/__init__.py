"""The command line. Exit status 0: fine; 1: a check failed; 2: bad input or usage; 130: interrupted.

An error is one line on stderr; a traceback appears only with ``--debug``. Everything heavy is imported by the command
that needs it, so that ``--help`` and ``state show`` answer at once.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import click

from .. import __version__
from ..errors import QlstmError, StateChangedError
from . import backtest, check, data, export, models, optimize, run, state

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qlstm")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def _cli(debug: bool) -> None:
    """Stateful, machine-learned trading strategies: backtest them, run them daily, inspect what they keep."""


_cli.add_command(backtest.backtest)
_cli.add_command(check.check)
_cli.add_command(data.data)
_cli.add_command(export.export)
_cli.add_command(models.models)
_cli.add_command(optimize.optimize)
_cli.add_command(run.run)
_cli.add_command(state.state)


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
        with _cli.make_context("qlstm", arguments) as context:  # `_cli.main` would print a blank line on Ctrl-C
            status = _cli.invoke(context)
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
