"""Risk and reward of a series of returns, rolling over the last `max_periods` rows or, by default, from the start.

Every mean return is geometric and no risk-free rate is taken off; deviations are those of a population (ddof 0). Other
tools divide the arithmetic mean by a sample deviation, so their Sharpe ratios differ slightly.

Points per year are, by default, counted over all rows: with each new row the annualised figures of past rows move a
little. Pass ``points_per_year=`` to hold them still.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..errors import DataError
from .defaults import points_in_year
from .panel import whole
from .windows import rolling_moments, rolling_sums

__all__ = [
    "calc_max_drawdown",
    "calc_mean_return",
    "calc_mean_return_annualized",
    "calc_sharpe_ratio_annualized",
    "calc_underwater",
    "calc_volatility",
    "calc_volatility_annualized",
    "mean_returns",
    "window",
]


def window(rows: int, max_periods: int | None, min_periods: int) -> tuple[int, int]:
    """Return the rows of a window and the valid rows it needs, both at most the rows there are.

    Raises
    ------
    DataError
        When either is below 1 or not a whole number.
    """
    for name, value in (("max_periods", max_periods), ("min_periods", min_periods)):
        if value is not None:
            whole(name, value, " row")
    size = max(1, rows if max_periods is None else min(max_periods, rows))
    return size, min(min_periods, size)


def mean_returns(returns: np.ndarray, size: int, min_count: int) -> np.ndarray:
    """Return the rolling geometric mean of 1 + returns, less 1; shape (time,) or (time, asset)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log1p(returns)  # a return of -100 % is -inf here and -100 % in the end
    known = rolling_sums(np.where(np.isnan(logs), np.nan, 1.0), size, 1)
    return np.expm1(rolling_sums(logs, size, min_count) / known)


def _time_first(values: xr.DataArray) -> xr.DataArray:
    if "time" not in values.dims:
        raise DataError(f"a series over time is needed, got dims ({', '.join(map(str, values.dims))})")
    return values.transpose("time", ...)


def calc_volatility(
    relative_return: xr.DataArray, max_periods: int | None = None, min_periods: int = 2
) -> xr.DataArray:
    """Return the rolling population standard deviation of returns.

    Parameters
    ----------
    relative_return : xr.DataArray
        Dims ``(time,)`` or ``(time, asset)``, change per row as a share of capital.
    max_periods : int, optional
        Rows in the window; by default all from the start.
    min_periods : int
        Fewer valid rows than this give NaN.

    Returns
    -------
    xr.DataArray
        The dims of the input, time first.

    Raises
    ------
    DataError
        No time dim, or a window below 1 row.
    """
    returns = _time_first(relative_return)
    size, least = window(len(returns), max_periods, min_periods)
    return returns.copy(data=rolling_moments(returns.values, size, least)[1])


def calc_volatility_annualized(
    relative_return: xr.DataArray,
    max_periods: int | None = None,
    min_periods: int = 2,
    points_per_year: float | None = None,
) -> xr.DataArray:
    """Return `calc_volatility` times the root of `points_per_year`; the default moves past rows as later ones come.

    See `calc_sharpe_ratio_annualized` for arguments and errors.
    """
    points = points_in_year(points_per_year, relative_return)
    return calc_volatility(relative_return, max_periods, min_periods) * np.sqrt(points)


def calc_mean_return(
    relative_return: xr.DataArray, max_periods: int | None = None, min_periods: int = 1
) -> xr.DataArray:
    """Return the rolling geometric mean return per row. Arguments as for `calc_volatility`."""
    returns = _time_first(relative_return)
    size, least = window(len(returns), max_periods, min_periods)
    return returns.copy(data=mean_returns(returns.values.astype(np.float64), size, least))


def calc_mean_return_annualized(
    relative_return: xr.DataArray,
    max_periods: int | None = None,
    min_periods: int = 1,
    points_per_year: float | None = None,
) -> xr.DataArray:
    """Return `calc_mean_return` over a year of `points_per_year` rows; the default moves past rows as later ones come.

    Compounded, not multiplied. See `calc_sharpe_ratio_annualized` for arguments and errors.
    """
    points = points_in_year(points_per_year, relative_return)
    return (calc_mean_return(relative_return, max_periods, min_periods) + 1.0) ** points - 1.0


def calc_sharpe_ratio_annualized(
    relative_return: xr.DataArray,
    max_periods: int | None = None,
    min_periods: int = 2,
    points_per_year: float | None = None,
) -> xr.DataArray:
    """Return annualised mean return over annualised volatility: NaN where both are 0, no risk-free rate.

    Parameters
    ----------
    relative_return : xr.DataArray
        Dims ``(time,)`` or ``(time, asset)``, change per row as a share of capital.
    max_periods, min_periods : int
        As for `calc_volatility`.
    points_per_year : float, optional
        Rows in a year, by default `calc_avg_points_per_year`. That is counted over all rows, so past rows of the result
        move when later ones come; pass a number to hold them still.

    Returns
    -------
    xr.DataArray
        The dims of the input, time first.

    Raises
    ------
    DataError
        As for `calc_volatility`, or points per year that are not a finite number above 0.
    """
    points = points_in_year(points_per_year, relative_return)
    reward = calc_mean_return_annualized(relative_return, max_periods, min_periods, points)
    risk = calc_volatility_annualized(relative_return, max_periods, min_periods, points)
    with np.errstate(divide="ignore", invalid="ignore"):
        return reward / risk


def calc_underwater(equity: xr.DataArray) -> xr.DataArray:
    """Return how far equity is below its highest value so far: equity over running maximum, less 1."""
    values = _time_first(equity)
    return values.copy(data=values.values / np.maximum.accumulate(values.values, axis=0) - 1.0)


def calc_max_drawdown(underwater: xr.DataArray) -> xr.DataArray:
    """Return the deepest point under water so far (see `calc_underwater`): 0 or negative."""
    values = _time_first(underwater)
    return values.copy(data=np.minimum.accumulate(values.values, axis=0))
