"""Charts as plain values for plotly's script.

A string that begins with ``@`` is a name that the page's script looks up: a colour of the style sheet (light or dark),
or an array that several charts share.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["DAYS", "area", "band", "bars", "figure", "heat", "line", "plain", "points"]

DAYS = "@days"
"""The days of the backtest, shared by all charts over time."""

Trace = dict[str, Any]
_FULL = 99.0  # percentile of what is not 0
_DECADE = 4.0  # a log axis over more than this factor has ticks at powers of ten
_FEW, _TICKS = 4, 8  # powers of ten that have room for ticks between them, and ticks that an axis has room for


def plain(values: Any, digits: int = 5) -> list[Any]:
    """Return numbers as lists, rounded to significant digits; None for what is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1:
        return [plain(row, digits) for row in array]
    return [
        float(f"{value:.{digits}g}") if finite else None
        for value, finite in zip(array, np.isfinite(array), strict=True)
    ]


def line(name: str, y: Any, colour: str, x: Any = DAYS, dash: str = "solid", width: float = 1.6) -> Trace:
    """Return a line over time."""
    style = {"color": f"@{colour}", "width": width, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": plain(y), "line": style}


def area(name: str, y: Any, colour: str, x: Any = DAYS) -> Trace:
    """Return a line over time, filled down to 0."""
    return line(name, y, colour, x, width=1.0) | {"fill": "tozeroy", "fillcolor": f"@{colour}-soft"}


def band(name: str, low: Any, high: Any, x: Any = DAYS) -> list[Trace]:
    """Return the two edges of a filled band over time, of which the legend names one."""
    edge = {"line": {"width": 0}, "hoverinfo": "skip"}
    lower = line(name, low, "band", x) | edge | {"showlegend": False}
    upper = line(name, high, "band", x) | edge | {"fill": "tonexty", "fillcolor": "@band"}
    return [lower, upper]


def bars(name: str, labels: list[str], values: Any) -> Trace:
    """Return horizontal bars, gains and losses in their colours."""
    colours = ["@gain" if value >= 0 else "@loss" for value in values]
    marker = {"color": colours}
    return {"type": "bar", "orientation": "h", "name": name, "x": plain(values), "y": labels, "marker": marker}


def heat(x: Any, labels: list[str], z: Any, signed: bool, unit: str) -> Trace:
    """Return a heat map, values (label, x); `signed` ones have a colour for each side of 0.

    The largest hundredth of all values share the strongest colour, or a single day in one asset would pale the rest.
    """
    sizes = np.abs(z)[np.abs(z) > 0]
    largest = float(np.percentile(sizes, _FULL)) if sizes.size else 1.0
    return {
        "type": "heatmap",
        "x": x,
        "y": labels,
        "z": plain(z, 3),
        "zmin": -largest if signed else 0.0,
        "zmax": largest,
        "colorscale": "@diverging" if signed else "@sequential",
        "colorbar": {"thickness": 10, "title": {"text": unit}},
        "hovertemplate": f"%{{y}}<br>%{{x}}<br>%{{z:.2f}} {unit}<extra></extra>",
    }


def points(name: str, x: Any, y: Any, colour: str, error: Any, axis: str) -> Trace:
    """Return points with error bars; `axis` is ``"2"`` for the right half of the figure, else empty."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": plain(x, 4),
        "y": plain(y, 4),
        "marker": {"color": f"@{colour}", "size": 8},
        "error_y": {"type": "data", "array": plain(error, 3), "color": f"@{colour}", "thickness": 1.2},
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
    }


def figure(traces: list[Trace], y: str = "", log: bool = False, **layout: Any) -> dict[str, Any]:
    """Return a figure over time; `layout` replaces parts of its layout."""
    axis: dict[str, Any] = {"title": {"text": y}, "fixedrange": True}
    axis |= {"type": "log", "tickvals": _log_ticks(traces)} if log else {}
    base = {"xaxis": {"type": "date"}, "yaxis": axis, "hovermode": "x unified"}
    return {"data": traces, "layout": base | layout}


def _log_ticks(traces: list[Trace]) -> list[float]:
    """Return round values over the range of the traces, about five: plotly's own leave a short log axis bare."""
    known = [value for trace in traces for value in trace["y"] if value is not None and value > 0]
    low, high = min(known, default=1.0), max(known, default=1.0)
    if high / low > _DECADE:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        digits, every = ((1, 2, 5), 1) if len(powers) <= _FEW else ((1,), math.ceil(len(powers) / _TICKS))
        return [digit * 10.0**power for power in powers[::every] for digit in digits]
    rough = max(high - low, 0.01) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * unit for digit in (1, 2, 5, 10) if digit * unit >= rough)
    return [round(i * step, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
