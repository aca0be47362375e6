"""Targets that can be traded: what a position decided at the close of a day earns, as the statistics book it.

A label of day t is known only after t, so it must never be a feature of t; the last rows, whose outcome the data do not
hold yet, are NaN and never 0.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from .cube import DIMS
from .errors import DataError
from .stats.panel import Panel

__all__ = ["above_median", "direction", "executed_return", "horizon"]

_NO_PRICE = 1e-7  # an open below it is none, as in the books


def horizon(rows: int = 1) -> int:
    """Return how many rows after its own a label looks at: the open it buys at, and `rows` more to the one it sells at.

    Raises
    ------
    DataError
        Fewer than 1 row.
    """
    if rows < 1:
        raise DataError(f"a position is held for {rows} rows; give at least 1")
    return rows + 1


def executed_return(data: xr.DataArray, rows: int = 1) -> xr.DataArray:
    """Return what a long position decided at each close earns: bought at the next open, sold `rows` opens later.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``; dividends and rolls count where there are any, costs do not.
    rows : int
        Rows from the open bought at to the open sold at.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)``, labelled as the cube: ``open[t + 1 + rows] / open[t + 1] - 1`` where nothing is paid in
        between. NaN in the last ``rows + 1`` rows, where one of the two days has no price to trade at, and on days
        that are empty for every asset (which the statistics pass over).

    Raises
    ------
    DataError
        No cube, or fewer than 1 row.

    Notes
    -----
    A share in the books of `stats.calc_relative_return` gains exactly this for each unit it was bought for. The books
    buy for the weight, drifted by the night's move, of the capital.
    """
    ahead = horizon(rows)
    panel = Panel(data, present_only=True)
    open_ = panel["open"]
    priced = np.where(np.isfinite(open_) & np.isfinite(panel["close"]) & (open_ > _NO_PRICE), open_, np.nan)
    bought, sold = _ahead(priced, 1), _ahead(priced, ahead)
    if "divs" in panel:  # paid at an open to who held the share before it
        sold = sold + sum(np.nan_to_num(_ahead(panel["divs"], row)) for row in range(2, ahead + 1))
    if "roll" in panel:  # paid by who holds the future before and after
        sold = sold - sum(np.nan_to_num(_ahead(panel["roll"], row)) for row in range(2, ahead))
    labels = panel.array(sold / bought - 1.0)
    return labels.reindex(time=data["time"], asset=data["asset"]).transpose(*DIMS[1:])


def _ahead(values: np.ndarray, rows: int) -> np.ndarray:
    """Return what stands `rows` rows later, NaN at the end."""
    later = np.full_like(values, np.nan)
    later[: max(len(values) - rows, 0)] = values[rows:]
    return later


def direction(returns: xr.DataArray) -> xr.DataArray:
    """Return 1 where a return is above 0, 0 where it is not, NaN where there is none."""
    return (returns > 0).astype(np.float64).where(returns.notnull())


def above_median(returns: xr.DataArray) -> xr.DataArray:
    """Return 1 where a return is above the median of its day, 0 where it is not, NaN where there is none.

    Parameters
    ----------
    returns : xr.DataArray
        Dims ``(time, asset)``. Blank out with ``.where(members)`` what does not belong to the universe of a day: it
        must not move the median.
    """
    values = returns.transpose("time", "asset")
    if not values.size:
        return returns.astype(np.float64)
    # By hand, because numpy warns of days without a return.
    ordered = np.sort(values.values, axis=1)  # NaN last
    n = np.isfinite(ordered).sum(axis=1)
    days = np.arange(len(ordered))
    median = (ordered[days, np.maximum(n - 1, 0) // 2] + ordered[days, np.minimum(n // 2, ordered.shape[1] - 1)]) / 2
    above = values > xr.DataArray(median, dims="time", coords={"time": values["time"]})
    return above.astype(np.float64).where(values.notnull()).transpose(*returns.dims)
