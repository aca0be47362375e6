"""The panel of forecasts: forecast against actual changes, and the persistence forecast beside it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from .. import metrics
from ..errors import DataError
from . import figures
from .parts import Chart, Part, Table, Text, number
from .study import Study

__all__ = ["changes"]

_BINS = 10
_CLOUD = 1500  # points drawn of each forecast
_DRAWS = 199
_WITHOUT = (
    "qlstm sees the weights of a strategy, not the forecasts behind them. To see those scored here, pass them to "
    "report.write(result, path, data=cube, forecast=scores): dims (time, asset), for each day the change of the close "
    "that is expected to the next row."
)


def changes(study: Study) -> list[Part]:
    """Return forecast changes against what followed, binned, with persistence (the last change again) beside them."""
    if study.forecast is None:
        return [Text(_WITHOUT)]
    assert study.market is not None
    panel = study.market.panel
    close, open_ = panel.array(panel["close"]), panel.array(panel["open"])
    forecast = study.forecast.sel(time=study.forecast["time"].isin(study.days))
    actual = (close.shift(time=-1) / close - 1.0).sel(time=study.days)
    try:
        scores = metrics.regression(forecast, actual, draws=_DRAWS)
        signs = metrics.directional(forecast, actual, draws=_DRAWS)
    except DataError as error:
        return [Text(f"The forecasts cannot be scored: {error}.")]
    before = (close / close.shift(time=1) - 1.0).sel(time=forecast["time"])
    traces = _half("forecast", forecast, actual, "strategy", "")
    traces += _half("persistence", before, actual, "equal", "2")
    alt = f"Forecast against actual change: correlation {number(scores['correlation'], 3)}; persistence beside it"
    figure = {"data": traces, "layout": _layout(actual)}
    tradable = (open_.shift(time=-2) / open_.shift(time=-1) - 1.0).sel(time=study.days)
    return [
        Chart("changes", figure, alt, 340),
        _table("Size of the change", scores),
        _table("Side of the change", signs),
        Text(f"{scores.tests[0]}. {_traded(forecast, tradable)}"),
    ]


def _half(name: str, forecast: xr.DataArray, actual: xr.DataArray, colour: str, axis: str) -> list[figures.Trace]:
    """Return one half of the chart: a sample of all cells as a cloud, and the mean of each tenth with two errors.

    Where cells are few, the parts are halves or thirds.
    """
    sides = xr.align(forecast, actual, join="inner")
    said, came = (side.transpose("time", "asset").values.ravel() for side in sides)
    known = np.isfinite(said) & np.isfinite(came)
    said, came = 100 * said[known], 100 * came[known]
    tenths = np.array_split(np.argsort(said, kind="stable"), max(1, min(_BINS, len(said) // 2)))
    means = np.array([[said[one].mean(), came[one].mean()] for one in tenths if len(one) > 1])
    errors = [2 * came[one].std(ddof=1) / np.sqrt(len(one)) for one in tenths if len(one) > 1]
    step = max(1, len(said) // _CLOUD)
    return [
        figures.points(f"{name}, cells", said[::step], came[::step], colour, axis=axis),
        figures.points(f"{name}, mean of each tenth", means[:, 0], means[:, 1], colour, errors, axis),
    ]


def _layout(actual: xr.DataArray) -> dict[str, object]:
    reach = 100 * float(np.nanpercentile(np.abs(actual.values), 99))
    common = {"range": [-reach, reach], "zeroline": True}
    return {
        "grid": {"rows": 1, "columns": 2, "pattern": "independent", "xgap": 0.08},
        "xaxis": {"title": {"text": "forecast, %"}},
        "xaxis2": {"title": {"text": "last change, %"}},
        "yaxis": common | {"title": {"text": "actual, %"}},
        "yaxis2": common,
        "hovermode": "closest",
    }


def _table(caption: str, scores: metrics.Scores) -> Table:
    rows = [
        [str(name).replace("_", " "), *(number(float(value), 4) for value in row)]
        for name, row in zip(scores.table.index, scores.table.to_numpy(), strict=True)
    ]
    return Table(f"{caption}, {scores.cells} cells", ("", *map(str, scores.table.columns)), rows)


def _traded(forecast: xr.DataArray, tradable: xr.DataArray) -> str:
    try:
        found = metrics.regression(forecast, tradable, draws=1)["correlation"]
    except DataError as error:
        return f"What could be traded cannot be scored: {error}."
    return (
        f"Correlation with what a trade earns, from the next open to the one after it: {number(found, 3)}. Much less "
        "than above means that the change was over before it could be traded."
    )
