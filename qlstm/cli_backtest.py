"""The command that walks a strategy forward over years."""

from __future__ import annotations

from pathlib import Path

import click

from .cli_common import DATA_HELP, load, note, table

__all__ = ["backtest"]

_PATH = click.Path(path_type=Path)
_CHECKPOINT = "unfinished.qlstm"
_NONE = "none"


@click.command()
@click.argument("strategy", type=_PATH)
@click.option("--data", "source", default="sample", show_default=True, help=DATA_HELP)
@click.option("--start", help="First day to predict; by default the first with full windows.")
@click.option("--end", help="Last day to predict; nothing after it is touched.")
@click.option("--out", type=_PATH, help="Folder for the files.  [default: results/<strategy>]")
@click.option("--check", is_flag=True, help="Audit the strategy too, as `qlstm check` does, on the report page.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run into the same folder stopped.")
@click.option(
    "--jobs", default=1, show_default=True, help="Processes for trainings that qlstm.nn does not do; -1: all."
)
@click.option("--dask", metavar="ADDRESS", help="Train on the Dask cluster of this scheduler, tcp://host:port.")
@click.option(
    "--models", type=_PATH, help="Folder that keeps trained models, or 'none'.  [default: ~/.cache/qlstm/models]"
)
def backtest(
    strategy: Path,
    source: str,
    start: str | None,
    end: str | None,
    out: Path | None,
    check: bool,
    resume: bool,
    jobs: int,
    dask: str | None,
    models: Path | None,
) -> None:
    """Backtest STRATEGY over years.

    Prints its statistics and writes weights, the contest's file, state, report and manifest. Models that were trained
    before, on the same code, data and settings, are not trained again.
    """
    from . import audit, backtester, files, modelstore, report, results
    from .strategy import load_strategy

    loaded = load_strategy(strategy)
    cube = load(source)
    folder = files.ensure_folder(out or Path("results") / str(loaded.name))
    checkpoint = folder / _CHECKPOINT
    result = backtester.backtest(
        strategy=loaded,
        data=cube,
        start_date=start,
        end_date=end,
        build_plots=False,
        models_dir=None if str(models) == _NONE else models or modelstore.default_folder(),
        checkpoint=checkpoint,
        resume=resume,
        jobs=jobs,
        dask=dask,
    )
    audited = audit.check(loaded, cube, end=end) if check else None
    written = results.save(result, folder, cube, source, audit=audited)
    checkpoint.unlink(missing_ok=True)
    note(str(cube.attrs.get("note", "")))
    for text in result.notes:
        note(text)
    table(report.summary(result))
    if audited is not None:
        click.echo(audited.summary())
    click.echo(f"written to {folder}: {', '.join(path.name for path in written)}")
