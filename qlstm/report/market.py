"""The data of a backtest as a market in which any weights can be booked, and what the baselines earn there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import xarray as xr

from .. import dates, output, stats
from ..errors import OutputError
from ..multipass import Result
from ..stats.panel import Panel, by_asset, series, times_of, traded_rows
from ..stats.returns import night_returns, slippages
from ..weights import normalized
from . import yardsticks

__all__ = ["RANDOM", "Market", "Performance"]

RANDOM = 50
"""Random portfolios in the band."""


@dataclass(frozen=True)
class Performance:
    """A series of returns in figures, as `stats.calc_stat` has them on its last row."""

    equity: float
    mean: float
    volatility: float
    sharpe: float
    drawdown: float

    @classmethod
    def of(cls, returns: xr.DataArray, points: float) -> Performance:
        """Measure returns (time,), with `points` rows in a year."""
        equity = stats.calc_equity(returns)
        found = (
            equity,
            stats.calc_mean_return_annualized(returns, points_per_year=points),
            stats.calc_volatility_annualized(returns, points_per_year=points),
            stats.calc_sharpe_ratio_annualized(returns, points_per_year=points),
            stats.calc_max_drawdown(stats.calc_underwater(equity)),
        )
        return cls(*(float(one[-1]) for one in found))


class Market:
    """The cube of a backtest over its own days, ready to book any weights at the backtest's costs.

    Parameters
    ----------
    result : Result
        With statistics.
    data : xr.DataArray
        The cube that was run on, dims ``(field, time, asset)``; rows outside the backtest are cut off.

    Raises
    ------
    OutputError
        When the weights booked in these data do not give the backtest's own returns.
    """

    def __init__(self, result: Result, data: xr.DataArray) -> None:
        assert result.stats is not None
        first, last = result.raw["time"].values[0] - dates.WARM_UP, result.stats["time"].values[-1]
        self.contest = result.contest
        self.data = data.sel(time=slice(first, last)).rename(self.contest.name)
        self.points = float(stats.calc_avg_points_per_year(self.data, self.contest))
        self.panel = Panel(self.data, present_only=True)
        self._costs = slippages(self.data, self.panel, self.contest.slippage, None, self.points)
        self._first = int(self.panel.times.searchsorted(result.weights["time"].values[0]))
        self._known = np.sort(data["asset"].values)
        self._check(result)

    def _check(self, result: Result) -> None:
        assert result.stats is not None
        booked = result.stats.sel(field="relative_return").dropna("time")
        again = self.returns(result.weights)
        same = again.sizes == booked.sizes and np.allclose(again.values, booked.values, rtol=0, atol=1e-9)
        if not same:
            raise OutputError(
                f"the data given to the report are not those of the backtest of {result.strategy.name}: the weights "
                "earn other returns in them; pass the cube that was run on"
            )

    def returns(self, weights: xr.DataArray, scale: float = 1.0, extra_bps: float = 0.0) -> xr.DataArray:
        """Return what weights earn per row, (time,), in the contest's booking.

        Parameters
        ----------
        weights : xr.DataArray
            Dims ``(time, asset)``, sorted.
        scale : float
            Factor of the contest's slippage.
        extra_bps : float
            Cost of trading on top, hundredths of a percent of what is bought or sold.
        """
        extra = extra_bps / 1e4 * self.panel["open"]
        costs = [scale * cost + extra for cost in self._costs]
        # An asset without a price in these days earns nothing; the backtest's own statistics have said so.
        weights = weights.sel(asset=weights.get_index("asset").isin(self.panel.assets))
        target = normalized(by_asset(weights.values, weights.get_index("asset"), self.panel.assets))
        at = traded_rows(times_of(weights, "weights"), self.panel.times)
        change = night_returns(self.panel, target, at, costs[0], costs[1])
        return series(change[self._first :], self.panel.times[self._first :])

    def baselines(self) -> tuple[xr.DataArray, xr.DataArray, list[xr.DataArray]]:
        """Return what 1/N, buy-and-hold and the random portfolios earn, each (time,), under the contest's rules."""
        close = self.panel["close"][self._first :]
        days = self.panel.times[self._first :]
        liquid = close > 0
        if "is_liquid" in self.panel:
            liquid &= self.panel["is_liquid"][self._first :] > 0
        places = np.searchsorted(self._known, self.panel.assets)
        lots = (days.to_numpy(), places, len(self._known))
        books = [yardsticks.equal_weight(liquid), yardsticks.buy_and_hold(liquid, close)]
        books += [yardsticks.random_portfolio(liquid, *lots, seed) for seed in range(RANDOM)]
        with _quiet("qlstm.output"):
            earned = [self._of_rules(series(book, days, self.panel.assets)) for book in books]
        return earned[0], earned[1], earned[2:]

    def _of_rules(self, weights: xr.DataArray) -> xr.DataArray:
        return self.returns(output.clean(weights, self.data, self.contest))


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a logger silent: what a contest's rules take from a baseline is not news of the strategy."""
    log = logging.getLogger(name)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
