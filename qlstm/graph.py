"""Plots of a backtest, as plotly figures: equity, underwater, rolling Sharpe ratio, exposure."""

from __future__ import annotations

import sys
from typing import Any

import xarray as xr

from . import stats
from .errors import OutputError

__all__ = ["in_notebook", "make_major_plots"]

_YEAR = 252  # rows of the rolling Sharpe ratio
_COLOURS = {"equity": "#1f5fa8", "underwater": "#b3372f", "sharpe": "#444444", "long": "#3a8f4d", "short": "#b3372f"}


def in_notebook() -> bool:
    """Return whether this process is a notebook's kernel."""
    return "ipykernel" in sys.modules


def make_major_plots(table: Any, weights: Any = None) -> Any:
    """Draw a statistics table, one panel below the other over a common time axis.

    Parameters
    ----------
    table : xr.DataArray or Result
        Dims ``(time, field)``, from `qlstm.stats.calc_stat`; or a backtest's result, which brings its weights.
    weights : xr.DataArray, optional
        Dims ``(time, asset)``; adds the panel of long and short exposure.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    OutputError
        When plotly is not installed.
    """
    try:
        from plotly import graph_objects as go
        from plotly.subplots import make_subplots
    except ImportError as error:
        raise OutputError("plots need plotly; install it with: pip install 'qlstm[report]'") from error
    if not isinstance(table, xr.DataArray):
        table, weights = table.stats, table.weights
    titles = ["Equity (start = 1, log scale)", "Underwater (%)", f"Sharpe ratio of the last {_YEAR} rows"]
    titles += ["Exposure (share of capital)"] if weights is not None else []
    figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.05)
    time = table["time"].values

    def line(row: int, name: str, values: Any, colour: str, fill: str | None = None, x: Any = time) -> None:
        trace = go.Scatter(x=x, y=values, name=name, line={"color": colour, "width": 1.2}, fill=fill)
        figure.add_trace(trace, row=row, col=1)

    line(1, "equity", table.sel(field="equity").values, _COLOURS["equity"])
    line(2, "underwater", 100 * table.sel(field="underwater").values, _COLOURS["underwater"], "tozeroy")
    returns = table.sel(field="relative_return", drop=True)
    sharpe = stats.calc_sharpe_ratio_annualized(returns, max_periods=_YEAR, min_periods=_YEAR)
    line(3, "Sharpe ratio", sharpe.values, _COLOURS["sharpe"])
    if weights is not None:
        x = weights["time"].values
        line(4, "long", weights.clip(min=0).sum("asset").values, _COLOURS["long"], "tozeroy", x)
        line(4, "short", weights.clip(max=0).sum("asset").values, _COLOURS["short"], "tozeroy", x)
    figure.update_yaxes(type="log", row=1, col=1)
    figure.update_layout(
        height=230 * len(titles), showlegend=False, template="plotly_white", hovermode="x unified", margin={"t": 40}
    )
    return figure
