"""The lag at which a forecast fits best: whether it predicts, or follows a row late as the last value does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from .. import metrics
from ..errors import DataError
from . import figures
from .parts import Chart, Part, Table, Text, number, percent

__all__ = ["lateness"]


def lateness(forecast: xr.DataArray, close: xr.DataArray) -> list[Part]:
    """Return the fit of the forecast lines at each lag beside the last value, and `metrics.shift_report`'s verdict.

    Levels are logarithms, so that a dear asset counts no more than a cheap one.

    Parameters
    ----------
    forecast : xr.DataArray
        Dims ``(time, asset)``: on each row, the change of the close expected to the next one, as a share.
    close : xr.DataArray
        Dims ``(time, asset)``.
    """
    level = xr.apply_ufunc(np.log, close.where(close > 0))
    change = xr.apply_ufunc(np.log1p, forecast.where(forecast > -1.0)).reindex_like(level)
    try:
        ours, last = (metrics.shift_report(said.shift(time=1), level) for said in (level + change, level))
    except DataError as error:
        return [Text(f"The lag of the forecasts cannot be found: {error}.")]
    alt = f"Forecast fits best at lag {ours.best_lag}; the last value fits at lag {last.best_lag}"
    return [
        Chart("lags", _chart(ours.correlations, last.correlations), alt, 240),
        _table(ours, last),
        Text(f"As a line beside the price: {ours}."),
    ]


def _chart(ours: pd.Series, last: pd.Series) -> dict[str, object]:
    lags = ours.index.tolist()
    traces = [
        figures.line("last value", last, "equal", x=lags, width=6.0),  # seen on both sides of a line that agrees
        figures.line("forecast", ours, "strategy", x=lags, width=2.0),
    ]
    axis = {"title": {"text": "rows late"}, "dtick": 1, "zeroline": True}
    return figures.figure(traces, "correlation", xaxis=axis)


def _table(ours: metrics.ShiftReport, last: metrics.ShiftReport) -> Table:
    both = (ours, last)
    rows = [
        ["fits best at lag", *(str(one.best_lag) for one in both)],
        ["correlation of changes there", *(number(float(one.correlations.max())) for one in both)],
        ["correlation of changes at lag 0", *(number(float(one.correlations[0])) for one in both)],
        ["skill over the last value", *(number(one.skill, 4) for one in both)],
        ["direction right", *(percent(one.hit_rate) for one in both)],
        ["R² of levels", *(number(one.level_r2, 4) for one in both)],
        ["verdict", *(one.verdict for one in both)],
    ]
    return Table("The forecast as a line, shifted", ("", "forecast", "last value"), rows)
