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
from .cli_state import state
from .errors import QlstmError

__all__ = ["main"]

_DATA_HELP = "'sample', a .nc file, or a folder of CSV or Parquet files, one per asset."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qlstm")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Stateful, machine-learned trading strategies: backtest them, run them daily, inspect what they keep."""


cli.add_command(state)


@cli.command()
@click.argument("strategy", type=click.Path(path_type=Path))
@click.option("--data", "source", default="sample", show_default=True, help=_DATA_HELP)
@click.option("--start", help="First day to predict; by default the first with full windows.")
@click.option("--end", help="Last day to predict; nothing after it is touched.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the files.  [default: results/<strategy>]")
def backtest(strategy: Path, source: str, start: str | None, end: str | None, out: Path | None) -> None:
    """Backtest STRATEGY over years.

    Prints its statistics and writes weights, the contest's file, state, report and manifest.
    """
    from . import backtester, files, report, results
    from .strategy import load_strategy

    loaded = load_strategy(strategy)
    cube = _load(source)
    folder = files.ensure_folder(out or Path("results") / str(loaded.name))
    result = backtester.backtest(strategy=loaded, data=cube, start_date=start, end_date=end, build_plots=False)
    written = results.save(result, folder, cube, source)
    _note(str(cube.attrs.get("note", "")))
    for note in result.notes:
        _note(note)
    _table(report.summary(result))
    click.echo(f"written to {folder}: {', '.join(path.name for path in written)}")


@cli.command()
@click.argument("strategy", type=click.Path(path_type=Path))
@click.option("--data", "source", default="sample", show_default=True, help=_DATA_HELP)
@click.option("--state-dir", default="state", show_default=True, type=click.Path(path_type=Path))
@click.option("--date", help="The day to decide; the data's last one by default.")
@click.option("--catch-up", is_flag=True, help="Run each missing trading day first, in order.")
def run(strategy: Path, source: str, state_dir: Path, date: str | None, catch_up: bool) -> None:
    """Run STRATEGY for one day.

    Starts from the memory of the day before, and saves weights and memory together.
    """
    from . import runner
    from .cube import day
    from .strategy import load_strategy

    loaded = load_strategy(strategy)
    cube = _load(source)
    result = runner.run(loaded, cube, state_dir=state_dir, date=date, catch_up=catch_up)
    _note(str(cube.attrs.get("note", "")))
    for note in result.notes:
        _note(note)
    if result.caught_up:
        click.echo(f"caught up {len(result.caught_up)} days from {day(result.caught_up[0])}")
    held = result.weights.isel(time=0)
    held = held[held.values != 0]
    order = abs(held).argsort().values[::-1]
    _table([(str(held["asset"].values[i]), f"{held.values[i]:+.4f}") for i in order])
    trained = "never trained" if result.memory.trained_at is None else f"trained {day(result.memory.trained_at)}"
    gross = f"{float(abs(held).sum()):.4f}"
    click.echo(
        f"{day(result.date)}: {held.size} positions, {gross} of the capital, {trained}; saved in {result.folder}"
    )


@cli.group()
def data() -> None:
    """Summarise, check and import data."""


@data.command("info")
@click.argument("source", default="sample")
def data_info(source: str) -> None:
    """Summarise SOURCE: size, fields, dates, gaps, liquidity."""
    from .data import info

    facts = info(_load(source))
    _table([(label.replace("_", " "), _words(fact)) for label, fact in facts.items() if fact not in (None, {}, [])])


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

    cube = _load(source)
    save(cube, target)
    click.echo(f"{target}: {' × '.join(f'{size} {dim}' for dim, size in cube.sizes.items())}")


def _load(source: str) -> Any:
    from .data import load

    return load(source)


def _words(fact: Any) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name} {value}" for name, value in fact.items())
    if isinstance(fact, list):
        return ", ".join(map(str, fact))
    return f"{fact:.4g}" if isinstance(fact, float) else str(fact)


def _table(rows: list[tuple[str, str]]) -> None:
    """Print two columns: drawn by rich on a terminal, plain elsewhere."""
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(box=box.SIMPLE, show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for label, value in rows:
            table.add_row(label, value)
        Console().print(table)
        return
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        click.echo(f"{label:<{width}}  {value}")


def _note(text: str) -> None:
    if text:
        click.echo(f"note: {text}", err=True)


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
        status = 2
    except Exception as error:  # whatever is left is ours: one line all the same
        if debug:
            raise
        click.echo(f"error: unexpected {type(error).__name__}: {_one_line(str(error))} (--debug shows where)", err=True)
        status = 2
    sys.exit(status if isinstance(status, int) else 0)
