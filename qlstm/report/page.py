"""The page: panels in their order, put into the template with plotly's script, so that it needs no network."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import xarray as xr

from .. import __version__, files
from ..dates import day
from ..errors import OutputError, QlstmError
from ..extras import library
from ..multipass import Result
from . import costs, forecasts, headline, origin, performance, portfolio, trades, training, without
from .parts import Chart, Part, Section, Table, Text
from .study import Study

__all__ = ["render", "write"]

_MINUS = re.compile(r"(?<![^\s(])-(?=\d)")  # not that of dates, names and options
_NO_DATA = "Left out: it needs the data. Pass data= (the cube that was run on) to the report."
_NO_AUDIT = (
    "No audit was passed to this page. The same command with --check (qlstm backtest … --check), or audit= with what "
    "qlstm.audit.check found, fills this panel."
)


@dataclass(frozen=True)
class _Panel:
    """One entry of the page: anchor, heading, what to see there, and the function that makes it."""

    name: str
    title: str
    lead: str
    build: Callable[[Study], list[Part]]
    needs_data: bool = False


_PANELS = (
    _Panel(
        "growth",
        "Equity against the baselines",
        "One unit of capital on a log scale, after costs. The grey band is what luck gives in the same assets; dotted "
        "lines are trainings.",
        performance.equity,
    ),
    _Panel("drawdown", "Underwater", "How far capital is below its highest value so far.", performance.underwater),
    _Panel(
        "sharpe",
        "Rolling Sharpe ratio",
        "Sharpe ratio of the last year, day by day. An edge that is real does not live in one season.",
        performance.rolling_sharpe,
    ),
    _Panel("months", "Monthly returns", "Percent, compounded.", performance.months),
    _Panel("years", "Sub-periods", "Each year and both halves beside 1/N.", performance.years),
    _Panel("exposure", "Exposure and turnover", "What is at stake, and what is traded for it.", portfolio.exposure),
    _Panel("weights", "Weights", "Share of capital per asset, the heaviest on top.", portfolio.heat_map),
    _Panel(
        "contribution",
        "Contribution by asset",
        "A result that rests on one name is a bet on that name. Each asset is booked alone, so the sum differs a "
        "little from the portfolio's return.",
        trades.contribution,
        needs_data=True,
    ),
    _Panel(
        "trades",
        "Best and worst trades",
        "The last column names what is strange in the prices while the trade was open: look there first.",
        trades.extremes,
        needs_data=True,
    ),
    _Panel(
        "without",
        "Without single trades and assets",
        "The same weights booked again without them. A gain that needs its few best trades has not been earned twice.",
        without.left_out,
        needs_data=True,
    ),
    _Panel(
        "forecasts",
        "Forecast against actual changes",
        "Changes, not prices: yesterday's price plotted beside today's looks like a forecast and is none.",
        forecasts.changes,
    ),
    _Panel("costs", "Cost sensitivity", "The same weights, dearer to trade.", costs.sensitivity, needs_data=True),
    _Panel("trainings", "Retrain dates", "", training.retrains),
)


def render(
    result: Result,
    data: xr.DataArray | None = None,
    note: str = "",
    audit: Any = None,
    forecast: xr.DataArray | None = None,
    manifest: Mapping[str, Any] | None = None,
    trials: Any = None,
) -> str:
    """Return the report as one HTML page that needs no network; equal arguments give equal text.

    Parameters
    ----------
    result : Result
        From a backtest with statistics.
    data : xr.DataArray, optional
        The cube that was run on, dims ``(field, time, asset)``. Without it the panels that need prices say so.
    note : str
        What a reader must know of the data (that they are simulated, or hold survivors only).
    audit : object, optional
        What `qlstm.audit` found; its ``to_html()`` goes into the page as it is.
    forecast : xr.DataArray, optional
        Dims ``(time, asset)``: for each day the change of the close expected to the next row, as a share.
    manifest : mapping, optional
        Where result and data come from; by default what the result itself knows.
    trials : int or object with ``sharpe_ratios``, optional
        How many versions were tried before this one was picked, itself included: their number, or better what a search
        found (`optimizer.read_search`). The page deflates the Sharpe ratio for them, unless the search used only days
        before this backtest; without it, it says that it takes this one as the only trial.

    Raises
    ------
    OutputError
        When plotly or jinja2 is missing, the backtest has no statistics, or the data are not those it was run on.
    """
    if forecast is not None and data is None:
        raise OutputError("forecasts are scored on prices; pass data= (the cube that was run on) with forecast=")
    study = Study(result, data, forecast, manifest, trials)
    sections = [_section(panel, study) for panel in _PANELS]
    sections += [_audited(audit), Section("manifest", "Manifest", parts=origin.manifest(study))]
    return str(_template().render(_words(study, note) | {"sections": sections} | _scripts(sections, study)))


def write(
    result: Result,
    path: str | Path,
    data: xr.DataArray | None = None,
    note: str = "",
    audit: Any = None,
    forecast: xr.DataArray | None = None,
    manifest: Mapping[str, Any] | None = None,
    trials: Any = None,
) -> Path:
    """Write the report to `path`, atomically, and return the path; arguments and errors as for `render`.

    Raises
    ------
    OutputError
        Also when the file cannot be written.
    """
    files.write_bytes(path, render(result, data, note, audit, forecast, manifest, trials).encode())
    return Path(path)


def _words(study: Study, note: str) -> dict[str, Any]:
    """Return what stands above and below the panels."""
    result = study.result
    assets = result.weights.sizes["asset"]
    size = f"{len(study.days)} rows · {assets} asset{'s' * (assets != 1)}"
    return {
        "name": result.strategy.name,
        "subtitle": f"{result.contest.name} · {study.period} · {size}",
        "notes": [*([note] if note else []), *result.notes],
        "cards": headline.cards(study),
        "verdicts": headline.verdicts(study),
        "summary": Table("All statistics of the whole period", ("", "value"), headline.summary(result)),
        "footer": f"qlstm {__version__}. Statistics are booked as the contest books them: weights of a day are traded "
        f"at the next open, with slippage of {result.contest.slippage:g} of the 14-day average true range.",
    }


def _scripts(sections: list[Section], study: Study) -> dict[str, str]:
    """Return what goes into the page's style and script elements."""
    return {
        "figures": _figures(sections, study),
        "style": _resource("page.css"),
        "script": _resource("page.js"),
        "plotly": _library("plotly.offline").get_plotlyjs(),
    }


def _section(panel: _Panel, study: Study) -> Section:
    missing = panel.needs_data and study.market is None
    parts: list[Part] = [Text(_NO_DATA)] if missing else panel.build(study)
    return Section(panel.name, panel.title, panel.lead, parts)


def _audited(audit: Any) -> Section:
    if audit is not None:
        return Section("audit", "Audit", html=audit.to_html())
    return Section("audit", "Audit", parts=[Text(_NO_AUDIT)])


def _figures(sections: list[Section], study: Study) -> str:
    """Return all charts as JSON that can stand inside a script element."""
    charts = {part.name: part.figure for section in sections for part in section.parts if isinstance(part, Chart)}
    content = {"shared": {"days": [day(t) for t in study.days]}, "charts": charts}
    text = json.dumps(content, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")


def _library(module: str) -> Any:
    try:
        return library(module, "report")
    except QlstmError as error:
        raise OutputError(str(error)) from error


@functools.cache
def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _template() -> Any:
    jinja2 = _library("jinja2")
    rules = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    return jinja2.Environment(**rules, finalize=_signed).from_string(_resource("page.html"))


def _signed(value: Any) -> Any:
    """Return text with the sign that plotly's charts write before a negative number; scripts and styles as they are."""
    return _MINUS.sub("−", value) if type(value) is str else value
