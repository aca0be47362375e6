"""Weights held against a contest's rules: one finding per rule, nothing printed, nothing changed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from .. import weights as algebra
from ..contests import Contest
from ..dates import day
from ..stats.defaults import calc_avg_points_per_year
from ..stats.panel import Panel
from ..stats.ratios import calc_sharpe_ratio_annualized
from ..stats.returns import calc_relative_return
from ..stats.rules import calc_exposure, calc_non_liquid, check_exposure, find_missed_dates
from .cleaning import align, contest_of

__all__ = ["Finding", "calc_sharpe_ratio_for_check", "check"]

_LATE_DATA = pd.Timedelta(days=10)
_LATE_OUTPUT = pd.Timedelta(days=7)
_WARM_UP = 15  # rows before the in-sample start without which slippage is unknown there


class Finding(NamedTuple):
    """What was found about one rule.

    Parameters
    ----------
    rule : str
        The rule: ``liquidity``, ``missed dates``, ``exposure``, ...
    ok : bool or None
        Whether it is kept; None where it could not be checked.
    message : str
        What was found and, where the rule is broken, how to mend it.
    """

    rule: str
    ok: bool | None
    message: str


def check(
    output: Any, data: xr.DataArray, kind: str | Contest | None = None, check_correlation: bool = False
) -> list[Finding]:
    """Hold weights against the rules of a contest.

    The correlation with other submissions is known to the contest's server only: asked for, it is a finding that was
    not checked.

    Parameters
    ----------
    output : xr.DataArray or Result
        Weights ``(time, asset)``, as they would be submitted.
    data : xr.DataArray
        Cube ``(field, time, asset)`` from before the in-sample period to the last weights.
    kind : str or Contest, optional
        The contest; by default the one the cube is named after.
    check_correlation : bool
        Add the finding about correlation.

    Returns
    -------
    list of Finding
        One per rule of the contest. A book without positions has one finding only.

    Raises
    ------
    ContestError
        An unknown contest, or none named.
    DataError, WeightsError
        A cube or weights without usable labels.
    """
    contest, book = contest_of(kind, data), algebra.check_dims(output)
    if "time" not in book.dims:
        book = book.drop_vars("time", errors="ignore").expand_dims(time=[Panel(data).times[-1]])
    book = book.transpose("time", "asset").fillna(0.0)
    if not (book.values != 0).any():
        return [Finding("positions", False, "all weights are 0; predict must return positions")]
    found = [_finite(book)]
    book = book.where(~np.isinf(book), 0.0)  # as a contest, and `output.clean`, takes them
    found.append(_labels(book, data))
    if contest.liquid_only:
        found.append(_liquidity(book, data))
    found.append(_missed(book, data))
    if contest.exposure_limit is not None:
        found.append(_exposure(book, contest))
    if contest.allowed_assets is not None:
        found.append(_assets(book, contest.allowed_assets))
    if contest.long_only:
        found.append(_long_only(book))
    found += [_history(book, data, contest), _sharpe(book, data, contest)]
    if check_correlation:
        found.append(Finding("correlation", None, "not checked: only the contest's server knows the other submissions"))
    return found


def _finite(book: xr.DataArray) -> Finding:
    infinite = algebra.infinite(book)
    if not infinite:
        return Finding("finite weights", True, "no weight is infinite")
    return Finding("finite weights", False, f"{infinite}; mend them, or use output.clean")


def _labels(book: xr.DataArray, data: xr.DataArray) -> Finding:
    panel = Panel(data)
    strange = ~book.get_index("asset").isin(panel.assets)
    if strange.any():
        first = book["asset"].values[strange][0]
        return Finding("assets", False, f"{int(strange.sum())} assets are not in the data, first {first}; drop them")
    return Finding("assets", True, "all assets are in the data")


def _liquidity(book: xr.DataArray, data: xr.DataArray) -> Finding:
    illiquid = calc_non_liquid(data, book)
    if not illiquid.size:
        return Finding("liquidity", True, "no position in an illiquid asset")
    t, a = np.argwhere(illiquid.notnull().values)[0]
    first = f"{illiquid['asset'].values[a]} on {day(illiquid['time'].values[t])}"
    count = int(illiquid.notnull().sum())
    fix = "multiply weights with data.sel(field='is_liquid') or use output.clean"
    return Finding("liquidity", False, f"{count} positions in illiquid assets, first {first}; {fix}")


def _missed(book: xr.DataArray, data: xr.DataArray) -> Finding:
    missed = find_missed_dates(book, data)
    if not len(missed):
        return Finding("missed dates", True, "weights for every trading day")
    message = (
        f"no weights for {len(missed)} trading days, first {day(missed[0])}; return a row for each, or use output.clean"
    )
    return Finding("missed dates", False, message)


def _exposure(book: xr.DataArray, contest: Contest) -> Finding:
    if check_exposure(book, *(contest.exposure_bounds or ())):
        return Finding("exposure", True, "no asset dominates the book")
    exposure = calc_exposure(book)
    t, a = np.unravel_index(int(np.argmax(exposure.values)), exposure.shape)
    worst = (
        f"{exposure['asset'].values[a]} is {exposure.values[t, a]:.1%} of the book on {day(exposure['time'].values[t])}"
    )
    return Finding("exposure", False, f"{worst}; hold more assets, or use output.clean")


def _assets(book: xr.DataArray, allowed: tuple[str, ...]) -> Finding:
    held = book.get_index("asset")[(book.values != 0).any(axis=0)]
    foreign = [str(asset) for asset in held if asset not in allowed]
    if not foreign:
        return Finding("allowed assets", True, f"only {', '.join(allowed)}")
    message = f"only {', '.join(allowed)} may be traded, not {', '.join(foreign[:3])}; drop them, or use output.clean"
    return Finding("allowed assets", False, message)


def _long_only(book: xr.DataArray) -> Finding:
    short = book.values < 0
    if not short.any():
        return Finding("long only", True, "no short position")
    t, a = np.argwhere(short)[0]
    first = f"{book['asset'].values[a]} on {day(book['time'].values[t])}"
    return Finding(
        "long only", False, f"{int(short.sum())} short positions, first {first}; drop them, or use output.clean"
    )


def _history(book: xr.DataArray, data: xr.DataArray, contest: Contest) -> Finding:
    start, times = pd.Timestamp(contest.start), Panel(data).times
    if times[0] > start + _LATE_DATA:
        message = f"data begin on {day(times[0])}, the in-sample period on {contest.start}; load more"
        return Finding("in-sample period", False, message)
    if int((times < start).sum()) < _WARM_UP:
        message = (
            f"data have fewer than {_WARM_UP} rows before {contest.start}, so slippage is unknown there; load more"
        )
        return Finding("in-sample period", False, message)
    first = book.get_index("time").min()
    if first > start + _LATE_OUTPUT:
        message = f"weights begin on {day(first)}, the in-sample period on {contest.start}; start the backtest earlier"
        return Finding("in-sample period", False, message)
    return Finding("in-sample period", True, f"covered from {contest.start}")


def _sharpe(book: xr.DataArray, data: xr.DataArray, contest: Contest) -> Finding:
    ratio = calc_sharpe_ratio_for_check(data, book, contest)
    if np.isnan(ratio):
        end = day(Panel(data).times[-1])
        message = f"no Sharpe ratio between {contest.start} and {end}, the end of the data; load newer data or trade"
        return Finding("Sharpe ratio", False, message)
    message = f"{ratio:.3f} in sample, {contest.min_sharpe:g} wanted"
    enough = ratio >= contest.min_sharpe
    return Finding("Sharpe ratio", enough, message if enough else f"{message}; improve the strategy")


def calc_sharpe_ratio_for_check(data: xr.DataArray, output: Any, kind: str | Contest | None = None) -> float:
    """Return the Sharpe ratio by which a contest admits a submission: in sample, after slippage, whole period.

    Geometric mean return over population volatility, no risk-free rate; liquidity is not looked at. Late dates do not
    change it; `check` reports them.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)``.
    output : xr.DataArray or Result
        Weights ``(time, asset)``; dates they lack in the period have no positions.
    kind : str or Contest, optional
        The contest; by default the one the cube is named after.

    Returns
    -------
    float
        NaN where the data end before the period begins, or nothing was earned or lost.
    """
    contest, times = contest_of(kind, data), Panel(data).times
    book = align(output, times, start=max(pd.Timestamp(contest.start), times[0]))
    if not book.sizes["time"]:
        return float("nan")
    points = calc_avg_points_per_year(data, contest)
    returns = calc_relative_return(data, book, contest.slippage, points_per_year=points)
    ratio = calc_sharpe_ratio_annualized(returns, points_per_year=points)
    return float(ratio.isel(time=-1))
