"""The command that walks a strategy forward over years."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import QlstmError
from .common import DATA, load, note, option, record_of, table

if TYPE_CHECKING:
    from ..multipass import Result
    from ..optimizer import Search

__all__ = ["backtest"]

_PATH = click.Path(path_type=Path)
_CHECKPOINT = "unfinished.qlstm"
_NONE = "none"


@click.command()
@click.argument("strategy", type=_PATH)
@DATA
@option("--start", help="First day to predict; by default the first with full windows.")
@option("--end", help="Last day to predict; nothing after it is touched.")
@option("--out", type=_PATH, help="Folder for the files.  [default: results/<strategy>]")
@click.option("--check", is_flag=True, help="Audit the strategy too, as `qlstm check` does, on the report page.")
@option(
    "--trials",
    metavar="N|FILE",
    help="Versions tried before this one was picked: their number, or the record of a search. The report deflates the "
    "Sharpe ratio for them.  [default: trials/<strategy>.jsonl, if there is one]",
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted run into the same folder stopped.")
@option("--jobs", default=1, show_default=True, help="Processes for trainings that qlstm.nn does not do; -1: all.")
@option("--dask", metavar="ADDRESS", help="Train on the Dask cluster of this scheduler, tcp://host:port.")
@option("--models", type=_PATH, help="Folder that keeps trained models, or 'none'.  [default: ~/.cache/qlstm/models]")
def backtest(
    strategy: Path,
    source: str,
    start: str | None,
    end: str | None,
    out: Path | None,
    check: bool,
    trials: str | None,
    resume: bool,
    jobs: int,
    dask: str | None,
    models: Path | None,
) -> None:
    """Backtest STRATEGY over years.

    Prints its statistics and writes weights, the contest's file, state, report and manifest. Models that were trained
    before, on the same code, data and settings, are not trained again.
    """
    from .. import audit, backtester, files, modelstore, report, results
    from ..strategy import load_strategy

    tried = _tried(trials, strategy)
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
    tried = _relevant(tried, result)
    audited = failure = None
    try:
        audited = audit.check(loaded, cube, end=end, backtest=result) if check else None
    except QlstmError as error:  # the backtest is done: nothing of it is lost
        failure = error
    written = results.save(result, folder, cube, source, audit=audited, trials=tried)
    files.remove(checkpoint)
    note(str(cube.attrs.get("note", "")))
    for text in result.notes:
        note(text)
    table(report.summary(result))
    if audited is not None:
        click.echo("\n".join([*map(str, audited.failed), f"{audited.summary()} (on the report's page)"]))
    click.echo(f"written to {folder}: {', '.join(path.name for path in written)}")
    if failure is not None:
        raise QlstmError(f"the backtest is written, but was not checked: {failure}") from failure


def _tried(given: str | None, strategy: Path) -> Search | int | None:
    """Return how often was tried: the number given, or what is on record; None for neither."""
    from ..optimizer import read_search
    from ..report.study import trial_count

    if given is None:
        path = record_of(strategy)
        return read_search(path) if path.exists() else None
    if given.isdecimal():
        return trial_count(int(given))
    return read_search(given) if Path(given).is_file() else trial_count(given)


def _relevant(tried: Search | int | None, result: Result) -> Search | int | None:
    """Return the trials as the report can use them, and tell of a search's."""
    from ..report.study import earlier

    if tried is None or isinstance(tried, int):
        return tried
    made = f"{tried.n_trials} trials on record"
    if last_day := earlier(tried, result):
        note(f"{made}, all on days up to {last_day}: this backtest is later, so nothing is deflated")
        return tried
    note(f"{made}: the report deflates the Sharpe ratio for them (--trials 1 for none)")
    has_spread = sum(map(math.isfinite, tried.sharpe_ratios)) > 1
    return tried if has_spread else tried.n_trials
