"""Panels of what was held: exposure, turnover, the weights over time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..dates import day
from ..stats.panel import placed, times_of
from ..stats.trading import turnovers
from . import figures
from .parts import Chart, Part, Text, percent
from .study import Study

__all__ = ["exposure", "heat_map"]

_ROWS = 100  # assets in the heat map
_CELLS = 160  # dates in it: a week each in three years, longer in longer backtests
_DENSE = 40  # assets above which rows are thin
_THIN, _THICK = 12, 16  # pixels
_MONTH = 21


def exposure(study: Study) -> list[Part]:
    """Return long and short exposure over time, and the capital traded per row."""
    book = study.result.weights
    times = [day(t) for t in book["time"].values]
    values = np.nan_to_num(book.values)
    long, short = values.clip(min=0).sum(axis=1), values.clip(max=0).sum(axis=1)
    traces = [figures.area("long", 100 * long, "gain", times)]
    if (short < 0).any():
        traces.append(figures.area("short", 100 * short, "loss", times))
        traces.append(figures.line("net", 100 * (long + short), "strategy", times))
    means = percent(float(long.mean())), percent(float(-short.mean()))
    alt = f"Exposure: long {means[0]} of the capital on average, short {means[1]}"
    parts: list[Part] = [Chart("exposure", figures.figure(traces, "% of capital"), alt, 240)]
    return [*parts, *_turnover(study)]


def _turnover(study: Study) -> list[Part]:
    if study.market is None:
        return [Text("Turnover over time needs the data: pass data= to the report.")]
    panel, book = study.market.panel, study.result.weights.reindex(asset=study.market.panel.assets, fill_value=0.0)
    at = panel.times.get_indexer(study.days)
    held = placed(np.nan_to_num(book.values), times_of(book, "weights"), study.days)
    equity = (1.0 + study.returns.values).cumprod()
    traded = 100 * turnovers(held, panel["open"], at, equity, per_asset=False)
    rows = min(_MONTH, len(traded))
    smooth = pd.Series(traded).rolling(rows).mean().to_numpy()  # a mean of the first row alone would dwarf the rest
    alt = f"Capital traded per row, mean of {rows} rows; {np.mean(traded):.1f} % on average"
    trace = figures.area(f"turnover, mean of {rows} rows", smooth, "strategy")
    return [Chart("turnover", figures.figure([trace], "% of capital a row"), alt, 200)]


def heat_map(study: Study) -> list[Part]:
    """Return the weights over time, the heaviest assets on top."""
    book = np.nan_to_num(study.result.weights.values)
    size = np.abs(book).mean(axis=0)
    order = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]
    if not order.size:
        return [Text("Nothing was ever held.")]
    shown, step = order[:_ROWS], max(1, -(-len(book) // _CELLS))
    rows = 100 * book[::step, shown]
    assets = [str(asset) for asset in study.result.weights["asset"].values[shown]]
    days = [day(t) for t in study.result.weights["time"].values[::step]]
    trace = figures.heat(days, assets, rows.T, bool((rows < 0).any()), "%")
    axis = {"autorange": "reversed", "automargin": True, "tickfont": {"size": 10}, "title": {"text": ""}}
    figure = figures.figure([trace], yaxis=axis, hovermode="closest")
    heaviest = percent(float(size[shown[0]]))
    alt = f"Weights of {len(shown)} assets over time; the heaviest is {assets[0]} with {heaviest} on average"
    said = f"One column for every {step} rows." if step > 1 else "One column for every row."
    if order.size > _ROWS:
        least = percent(float(size[shown[-1]]), 2)
        said += f" {order.size - _ROWS} more assets, each below {least} on average, are left out."
    height = 90 + (_THIN if len(shown) > _DENSE else _THICK) * len(shown)
    return [Chart("heat-map", figure, alt, max(220, height)), Text(said)]
