"""Everything the panels of one report share, calculated once and only when a panel asks for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from numbers import Integral
from typing import Any

import pandas as pd
import xarray as xr

from .. import ledger, stats
from ..dates import day
from ..errors import OutputError
from ..multipass import Result
from .market import Market, Performance
from .parts import number

__all__ = ["Study", "earlier", "trial_count"]

_LEAST = 20  # rows of a part that its Sharpe ratio is given for


class Study:
    """What is known of one backtest: given, and derived from it.

    Parameters
    ----------
    result : Result
        From a backtest with statistics.
    data : xr.DataArray, optional
        The cube that was run on; without it there are no baselines, trades and costs.
    forecast : xr.DataArray, optional
        Dims ``(time, asset)``: the change of the close to the next row, as forecast on the row before it.
    manifest : mapping, optional
        Where result and data come from.
    trials : int or object with ``sharpe_ratios``, optional
        How often was tried to find this strategy, as for `significance.deflated_sharpe`. A search that used only
        days before this backtest picked nothing on them: `trials` is then None, `on_record` its number of trials and
        `earlier` its last day.

    Raises
    ------
    OutputError
        When the backtest has no statistics, the data are not its own, or `trials` is refused by `trial_count`.
    """

    def __init__(
        self,
        result: Result,
        data: xr.DataArray | None = None,
        forecast: xr.DataArray | None = None,
        manifest: Mapping[str, Any] | None = None,
        trials: Any = None,
    ) -> None:
        if result.stats is None:
            raise OutputError("this backtest has no statistics; run it with analyze=True")
        self.on_record = trial_count(trials)  # refuses what none of the panels could use
        self.earlier = earlier(trials, result)
        self.trials = trials if self.earlier is None else None
        self.result, self.forecast, self.manifest = result, forecast, manifest
        self.returns = result.stats.sel(field="relative_return", drop=True).dropna("time")
        self.market = None if data is None else Market(result, data)
        points = self.market.points if self.market else stats.calc_avg_points_per_year(result.stats, result.contest)
        self.points = float(points)

    @property
    def days(self) -> pd.DatetimeIndex:
        """The days with a return."""
        return pd.DatetimeIndex(self.returns.get_index("time"))

    @property
    def period(self) -> str:
        """First and last day, in words."""
        return f"{day(self.days[0])} to {day(self.days[-1])}"

    @property
    def year(self) -> int:
        """Rows in a year."""
        return max(2, round(self.points))

    @cached_property
    def performance(self) -> Performance:
        """The strategy's figures."""
        return self.measure(self.returns)

    @cached_property
    def baselines(self) -> tuple[xr.DataArray, xr.DataArray, list[xr.DataArray]] | None:
        """Returns of 1/N, of buy-and-hold and of the random portfolios; None without data."""
        return None if self.market is None else self.market.baselines()

    @cached_property
    def luck(self) -> list[Performance]:
        """The figures of the random portfolios; none without data."""
        return [] if self.baselines is None else [self.measure(one) for one in self.baselines[2]]

    @cached_property
    def ledger(self) -> ledger.Ledger | None:
        """The trades of the weights; None without data."""
        if self.market is None:
            return None
        slippage = self.result.contest.slippage
        return ledger.of_weights(self.result.weights, self.market.data, slippage, points_per_year=self.year)

    def measure(self, returns: xr.DataArray) -> Performance:
        """Return the figures of any returns on these days."""
        return Performance.of(returns, self.points)

    def sharpe(self, part: xr.DataArray) -> str:
        """Return the Sharpe ratio of some rows in words, a dash for too few of them."""
        return number(self.measure(part).sharpe if part.sizes["time"] >= _LEAST else math.nan)


def trial_count(trials: Any) -> int | None:
    """Return how many trials were made, None where that was not given.

    Parameters
    ----------
    trials : int or object with ``sharpe_ratios``, optional
        Their number, or what a search found.

    Raises
    ------
    OutputError
        Anything else.
    """
    if trials is None:
        return None
    if hasattr(trials, "sharpe_ratios"):
        return len(trials.sharpe_ratios)
    if not isinstance(trials, Integral) or isinstance(trials, bool) or trials < 1:
        raise OutputError(f"trials must be a whole number of 1 or more, or the record of a search; got {trials!r}")
    return int(trials)


def earlier(trials: Any, result: Result) -> str | None:
    """Return the last day of a search that used only days before this backtest; None for all other trials."""
    setting = getattr(trials, "setting", None)  # of a search; a bare number says nothing about days
    if setting is None or setting.end >= day(result.weights["time"].values[0]):
        return None
    return str(setting.end)
