"""The report of a backtest: one self-contained page with its figures, its notes and its plots."""

from __future__ import annotations

import html
from pathlib import Path

import xarray as xr

from . import __version__, files, graph
from .cube import day
from .errors import OutputError
from .multipass import Result

__all__ = ["render", "summary", "write"]

_ROWS = {  # field -> label, scale, unit
    "equity": ("final equity (start = 1)", 1.0, ""),
    "mean_return": ("mean return", 100.0, " % a year"),
    "volatility": ("volatility", 100.0, " % a year"),
    "sharpe_ratio": ("Sharpe ratio", 1.0, ""),
    "max_drawdown": ("largest drawdown", 100.0, " %"),
    "avg_turnover": ("turnover", 100.0, " % a day"),
    "avg_holding_time": ("holding time", 1.0, " days"),
    "bias": ("bias on the last day (long − short)", 1.0, ""),
    "instruments": ("assets ever held", 1.0, ""),
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } table { border-collapse: collapse; } td { padding: .15rem 1.5rem .15rem 0; }
td:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.note { background: #fff6df; border-left: 4px solid #d9a514; padding: .4rem .8rem; margin: .5rem 0; }
footer { color: #777; margin-top: 2rem; font-size: .85rem; }
"""


def summary(result: Result) -> list[tuple[str, str]]:
    """Return what the statistics table shows: label and value with unit, for the whole period.

    Raises
    ------
    OutputError
        When the backtest was run without statistics.
    """
    table = _table(result)
    times = result.weights["time"].values
    rows = [
        ("strategy", str(result.strategy.name)),
        ("contest", result.contest.name),
        ("period", f"{day(times[0])} to {day(times[-1])}, {len(times)} days"),
    ]
    last = table.isel(time=-1)
    for field, (label, scale, unit) in _ROWS.items():
        value = float(last.sel(field=field)) * scale
        rows.append((label, f"{value:.0f}{unit}" if field == "instruments" else f"{value:.3f}{unit}"))
    return rows


def _table(result: Result) -> xr.DataArray:
    if result.stats is None:
        raise OutputError("this backtest has no statistics; run it with analyze=True")
    return result.stats


def render(result: Result, data_note: str = "") -> str:
    """Return the page as HTML, with plotly's script inside, so that it needs no network.

    Parameters
    ----------
    result : Result
        From a backtest with statistics.
    data_note : str
        What a reader must know of the data (that they are simulated, or hold survivors only).
    """
    figure = graph.make_major_plots(_table(result), result.weights)
    plots = figure.to_html(full_html=False, include_plotlyjs=True)
    notes = [data_note] if data_note else []
    notes += result.notes
    rows = "".join(f"<tr><td>{html.escape(a)}</td><td>{html.escape(b)}</td></tr>" for a, b in summary(result))
    boxes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    title = html.escape(f"{result.strategy.name}: backtest")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>{boxes}<table>{rows}</table>{plots}"
        f"<footer>qlstm {__version__}. Statistics are booked as the contest books them: weights of a day are traded at "
        f"the next open, with slippage of {result.contest.slippage:g} of the 14-day average true range.</footer>"
        "</body></html>"
    )


def write(result: Result, path: str | Path, data_note: str = "") -> Path:
    """Write the report to `path`, atomically, and return the path.

    Raises
    ------
    OutputError
        When plotly is missing, the backtest has no statistics, or the file cannot be written.
    """
    files.write_bytes(path, render(result, data_note).encode())
    return Path(path)
