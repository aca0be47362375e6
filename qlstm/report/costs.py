"""The panel of costs: the same weights, dearer to trade."""

from __future__ import annotations

import numpy as np

from .. import stats
from . import figures
from .parts import Chart, Part, Table, Text, number, percent
from .study import Study

__all__ = ["sensitivity"]

_EXTRA = (0.0, 5.0, 10.0)  # basis points per side
_COLOURS = ("strategy", "equal", "loss")


def sensitivity(study: Study) -> list[Part]:
    """Return equity and figures with no costs at all, with the contest's, and with some basis points more per side."""
    assert study.market is not None
    weights = study.result.weights
    free = study.market.returns(weights, scale=0.0)
    dearer = [study.market.returns(weights, extra_bps=extra) for extra in _EXTRA]
    names = [f"+{extra:g} bps a side" if extra else "the contest's slippage" for extra in _EXTRA]
    traces = [
        figures.line(name, stats.calc_equity(one).values, colour)
        for name, one, colour in zip(names, dearer, _COLOURS, strict=True)
    ]
    rows = []
    for name, one in zip(["no costs at all", *names], [free, *dearer], strict=True):
        found = study.measure(one)
        rows.append([name, number(found.equity, 3), percent(found.mean), number(found.sharpe), percent(found.drawdown)])
    heads = ("", "final equity", "return a year", "Sharpe ratio", "largest drawdown")
    ends = ", ".join(f"{row[1]} with {row[0]}" for row in rows[1:])
    figure = figures.figure(traces, "equity, start = 1", log=True)
    growth = [float(np.log1p(one.values).mean()) for one in (dearer[0], dearer[-1])]
    return [
        Chart("costs", figure, f"Equity at three levels of cost: {ends}", 280),
        Table("The same weights at other costs", heads, rows),
        Text(_break_even(*growth)),
    ]


def _break_even(now: float, dear: float) -> str:
    """Say at which extra cost nothing is left: growth falls in proportion to cost, as turnover hardly changes."""
    if now <= 0:
        return "It loses at the contest's own costs, so no extra cost is left to bear."
    if dear >= now:
        return "It hardly trades: extra costs change nothing."
    return f"Nothing is left of its growth at about {_EXTRA[-1] * now / (now - dear):.1f} bps a side on top."
