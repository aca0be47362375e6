"""The panel of forecasts: forecast against actual changes, and the persistence forecast beside it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from .. import metrics
from ..errors import DataError
from . import figures
from .lags import lateness
from .parts import Chart, Part, Table, Text, number
from .study import Study

__all__ = ["changes"]

_BINS = 10
_DRAWS = 199
_AROUND = 1.15  # reach of the axis over that of the errors
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
    halves = [_half("forecast", forecast, actual, "strategy", ""), _half("persistence", before, actual, "equal", "2")]
    alt = f"Forecast against actual change: correlation {number(scores['correlation'], 3)}; persistence beside it"
    figure = {"data": halves, "layout": _layout(halves)}
    tradable = (open_.shift(time=-2) / open_.shift(time=-1) - 1.0).sel(time=study.days)
    return [
        Chart("changes", figure, alt, 340),
        _table("Size of the change", scores),
        _table("Side of the change", signs),
        Text(f"{scores.tests[0]}. {_traded(forecast, tradable)}"),
        *lateness(forecast, close),
    ]


def _half(name: str, forecast: xr.DataArray, actual: xr.DataArray, colour: str, axis: str) -> figures.Trace:
    """Return one half of the chart: the mean of each tenth of the forecasts with two errors; of few cells, of thirds.

    No cells: their changes are some hundred times as large as these means, and a cloud of them shows nothing.
    """
    sides = xr.align(forecast, actual, join="inner")
    said, came = (side.transpose("time", "asset").values.ravel() for side in sides)
    known = np.isfinite(said) & np.isfinite(came)
    said, came = 100 * said[known], 100 * came[known]
    tenths = np.array_split(np.argsort(said, kind="stable"), max(1, min(_BINS, len(said) // 2)))
    means = np.array([[said[one].mean(), came[one].mean()] for one in tenths if len(one) > 1])
    errors = [2 * came[one].std(ddof=1) / np.sqrt(len(one)) for one in tenths if len(one) > 1]
    return figures.points(f"{name}, mean of each tenth", means[:, 0], means[:, 1], colour, errors, axis)


def _layout(halves: list[figures.Trace]) -> dict[str, object]:
    """Return the axes of both halves; what came has the same reach in both, above and below 0."""
    reach = max(abs(y) + e for one in halves for y, e in zip(one["y"], one["error_y"]["array"], strict=True))
    common = {"range": [-_AROUND * reach, _AROUND * reach] if reach > 0 else [-1, 1], "zeroline": True}
    return {
        "grid": {"rows": 1, "columns": 2, "pattern": "independent", "xgap": 0.08},
        "xaxis": {"title": {"text": "forecast, %"}},
        "xaxis2": {"title": {"text": "last change, %"}},
        "yaxis": common | {"title": {"text": "actual, %"}},
        "yaxis2": common | {"showticklabels": False},
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
