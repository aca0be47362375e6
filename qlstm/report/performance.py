"""Panels of what was earned: equity beside the baselines, drawdown, rolling Sharpe ratio, months and years."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import xarray as xr

from .. import stats
from . import figures
from .market import Performance
from .parts import Cell, Chart, Part, Table, Text, number, percent, shaded, tone
from .study import Study
from .training import trained_days

__all__ = ["equity", "months", "rolling_sharpe", "underwater", "years"]

_MANY = 60  # vertical lines that a chart can bear
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def equity(study: Study) -> list[Part]:
    """Return the growth of 1 unit of capital beside the baselines, on a log scale, and all of them in figures."""
    ours = stats.calc_equity(study.returns).values
    traces, series = [], {"strategy": study.returns}
    if study.baselines is not None:
        equal, hold, lots = study.baselines
        luck = np.array([stats.calc_equity(one).values for one in lots])
        low, high = np.percentile(luck, [5, 95], axis=0)
        traces += figures.band(f"middle 90 % of {len(lots)} random portfolios", low, high)
        traces.append(figures.line("1/N", stats.calc_equity(equal).values, "equal", width=1.3))
        traces.append(figures.line("buy and hold", stats.calc_equity(hold).values, "hold", width=1.3))
        series |= {"1/N": equal, "buy and hold": hold}
    traces.append(figures.line(str(study.result.strategy.name), ours, "strategy", width=2.2))
    alt = f"Equity from 1 to {ours[-1]:.3f}, {study.period}, on a log scale"
    figure = figures.figure(traces, "equity, start = 1", log=True, shapes=_marks(trained_days(study.result)))
    parts: list[Part] = [Chart("equity", figure, alt, 420)]
    measured = {name: study.measure(one) for name, one in series.items()}
    if study.baselines is not None:
        measured |= {"random (median)": _median(study.luck)}
    return [*parts, _comparison(measured)]


def _marks(days: np.ndarray) -> list[dict[str, object]]:
    """Return vertical lines where the models were trained, none when they would cover the chart."""
    style = {"color": "@line", "width": 1, "dash": "dot"}
    common = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "layer": "below", "line": style}
    return [common | {"x0": str(d)[:10], "x1": str(d)[:10]} for d in days] if len(days) <= _MANY else []


def _median(found: list[Performance]) -> Performance:
    values = np.array([[one.equity, one.mean, one.volatility, one.sharpe, one.drawdown] for one in found])
    return Performance(*(float(value) for value in np.median(values, axis=0)))


def _comparison(measured: dict[str, Performance]) -> Table:
    rows = [
        [name, number(p.equity, 3), percent(p.mean), percent(p.volatility), number(p.sharpe), percent(p.drawdown)]
        for name, p in measured.items()
    ]
    heads = ("", "final equity", "return a year", "volatility", "Sharpe ratio", "largest drawdown")
    return Table("The strategy beside portfolios without skill, same days, same costs", heads, rows)


def underwater(study: Study) -> list[Part]:
    """Return how far capital is below its highest value so far."""
    depth = 100 * stats.calc_underwater(stats.calc_equity(study.returns)).values
    traces = [figures.area(str(study.result.strategy.name), depth, "strategy")]
    if study.baselines is not None:
        equal = 100 * stats.calc_underwater(stats.calc_equity(study.baselines[0])).values
        traces.append(figures.line("1/N", equal, "equal", width=1.1))
    worst = int(np.argmin(depth))
    alt = f"Drawdown; deepest {depth[worst]:.1f} % on {study.days[worst]:%Y-%m-%d}"
    return [Chart("underwater", figures.figure(traces, "% below the high"), alt, 240)]


def rolling_sharpe(study: Study) -> list[Part]:
    """Return the Sharpe ratio of the last year, for each day that has one behind it."""
    window = study.year
    if len(study.days) <= window:
        return [Text(f"A year has {window} rows and the backtest {len(study.days)}: there is no rolling year to show.")]
    named = {str(study.result.strategy.name): (study.returns, "strategy")}
    if study.baselines is not None:
        named["1/N"] = (study.baselines[0], "equal")
    traces = [figures.line(name, _rolling(one, window, study.points), colour) for name, (one, colour) in named.items()]
    known = [value for value in traces[0]["y"] if value is not None]
    alt = f"Sharpe ratio of the last {window} rows, between {min(known):.2f} and {max(known):.2f}"
    figure = figures.figure(traces, "Sharpe ratio")
    return [Chart("rolling-sharpe", figure, alt, 260)]


def _rolling(returns: xr.DataArray, window: int, points: float) -> np.ndarray:
    found = stats.calc_sharpe_ratio_annualized(returns, max_periods=window, min_periods=window, points_per_year=points)
    return np.asarray(found.values)


def months(study: Study) -> list[Part]:
    """Return the return of each month, and of each year, in percent."""
    daily = pd.Series(study.returns.values)
    monthly = _compounded(daily, [study.days.year, study.days.month]).unstack().reindex(columns=range(1, 13))
    yearly = _compounded(daily, [study.days.year])
    full = float(np.nanpercentile(np.abs(monthly.to_numpy()), 95))
    rows: list[list[str | Cell]] = []
    for year, values, total in zip(monthly.index, monthly.to_numpy(), yearly.to_numpy(), strict=True):
        cells: list[str | Cell] = [shaded(value, full) for value in values]
        rows.append([str(year), *cells, Cell(number(100 * total, 1), tone(total))])
    return [Table("Return per month and year, percent", ("", *_MONTHS, "year"), rows)]


def _compounded(daily: pd.Series, by: list[pd.Index]) -> pd.Series:
    growth: pd.Series = (1.0 + daily).groupby(by).prod() - 1.0
    return growth


def years(study: Study) -> list[Part]:
    """Return the figures of each calendar year and of both halves, beside 1/N."""
    parts = _periods(study.days)
    heads = ["", "rows", "return", "Sharpe ratio", "largest drawdown"]
    heads += ["1/N", "ahead"] if study.baselines is not None else []
    rows = [_of_period(study, name, where) for name, where in parts.items()]
    return [Table("Sub-periods: returns of the period, not annualised", heads, rows)]


def _periods(days: pd.DatetimeIndex) -> dict[str, slice]:
    """Return the rows of each calendar year and, where there are more than two, of both halves."""
    starts = [0, *(np.flatnonzero(np.diff(days.year)) + 1), len(days)]
    found = {str(days[a].year): slice(a, b) for a, b in pairwise(starts)}
    middle = len(days) // 2
    halves = {"first half": slice(0, middle), "second half": slice(middle, None)}
    return found | halves if len(found) > 2 else found


def _of_period(study: Study, name: str, where: slice) -> list[str | Cell]:
    part = study.returns[where]
    found = study.measure(part)
    row: list[str | Cell] = [
        name,
        str(len(part)),
        percent(found.equity - 1),
        study.sharpe(part),
        percent(found.drawdown),
    ]
    if study.baselines is not None:
        equal = study.measure(study.baselines[0][where]).equity - 1
        ahead = found.equity - 1 - equal
        row += [percent(equal), Cell(percent(ahead, sign=True), tone(ahead))]
    return row
