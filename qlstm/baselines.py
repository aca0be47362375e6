"""Strategies without skill, or with the oldest: what any other must beat on the same data, dates and costs.

Each function returns a `Strategy`, so a baseline is backtested, run and checked like every other. All hold equal shares
of the liquid assets they choose and see prices up to today's close only. Where the contest is long only, what they
would sell short is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from . import contests, garch
from .contests import Contest
from .errors import DataError
from .extras import library
from .strategy import Strategy

__all__ = [
    "arma_garch",
    "autoregression",
    "buy_and_hold",
    "equal_weight",
    "majority",
    "persistence",
    "random_portfolio",
    "reversal",
]

_CONTEST = "stocks_nasdaq100"
_LEAST = 100  # returns a model is fitted to
_SPAN = 10  # calendar days that hold the last two rows of any market

Kind = str | Contest


def equal_weight(contest: Kind = _CONTEST) -> Strategy:
    """Return the strategy that holds the same share of every liquid asset, anew each day: 1/N."""

    def predict(data: xr.DataArray) -> xr.DataArray:
        return _shares(_liquid(data).astype(np.float64), contest)

    return Strategy(predict=predict, contest=contest, name="equal_weight", lookback_period=_SPAN)


def buy_and_hold(contest: Kind = _CONTEST) -> Strategy:
    """Return the strategy that buys equal amounts of what is liquid on the first day and leaves the shares alone.

    What stops trading, or is no longer liquid, keeps its shares at no weight until it is back.
    """

    def predict(data: xr.DataArray, state: dict[str, Any] | None) -> tuple[xr.DataArray, dict[str, Any]]:
        close = _last(data, "close")
        if state is None:
            state = {"shares": (_liquid(data) / close).fillna(0.0)}
        value = (state["shares"].reindex(asset=close["asset"], fill_value=0.0) * close).fillna(0.0)
        return value / (float(value.sum()) or 1.0), state

    return Strategy(predict=predict, contest=contest, name="buy_and_hold", lookback_period=_SPAN)


def random_portfolio(seed: int = 0, share: float = 0.5, hold: int = 21, contest: Kind = _CONTEST) -> Strategy:
    """Return the strategy that draws assets from the liquid ones by lot, and again every `hold` rows.

    Many of these, with different seeds, show what a portfolio earns in this universe by luck.

    Parameters
    ----------
    seed : int
        Of the lots; equal seeds draw equal portfolios, whatever the order of the assets.
    share : float
        How many of the liquid assets are held, above 0 and at most 1.
    hold : int
        Rows from one draw to the next.
    contest : str or Contest
        Whose rules apply.

    Raises
    ------
    DataError
        A share, a number of rows or a seed out of range.
    """
    if not 0.0 < share <= 1.0 or hold < 1 or seed < 0:
        raise DataError(
            f"share must be above 0 and at most 1, hold at least 1, seed not below 0: {share}, {hold}, {seed}"
        )

    def predict(data: xr.DataArray, state: dict[str, Any] | None) -> tuple[xr.DataArray, dict[str, Any]]:
        if state is None or state["rows_left"] == 0:
            state = {"drawn": _drawn(data, seed, share), "rows_left": hold}
        drawn = state["drawn"].reindex(asset=data["asset"], fill_value=0.0)
        return _shares(drawn * _liquid(data), contest), {"drawn": drawn, "rows_left": state["rows_left"] - 1}

    return Strategy(predict=predict, contest=contest, name=f"random_{seed}", lookback_period=_SPAN, seed=seed)


def persistence(contest: Kind = _CONTEST) -> Strategy:
    """Return the strategy that expects the last move to go on: long what rose today, short what fell."""

    def predict(data: xr.DataArray) -> xr.DataArray:
        return _shares(_change(data, 1) * _liquid(data), contest)

    return Strategy(predict=predict, contest=contest, name="persistence", lookback_period=_SPAN)


def reversal(rows: int = 5, contest: Kind = _CONTEST) -> Strategy:
    """Return the strategy that buys what fell behind the other liquid assets over `rows` rows, and sells what led.

    Raises
    ------
    DataError
        Fewer than 1 row.
    """
    if rows < 1:
        raise DataError(f"a reversal needs at least 1 row, got {rows}")

    def predict(data: xr.DataArray) -> xr.DataArray:
        change = _change(data, rows).where(_liquid(data))
        return _shares(change.mean("asset") - change, contest)

    return Strategy(predict=predict, contest=contest, name=f"reversal_{rows}", lookback_period=2 * rows + _SPAN)


def majority(train_period: int = 4 * 365, retrain_interval: int = 365, contest: Kind = _CONTEST) -> Strategy:
    """Return the strategy that calls, for each asset, the side its close moved to most often in training.

    Parameters
    ----------
    train_period, retrain_interval : int
        Calendar days.
    contest : str or Contest
        Whose rules apply.
    """
    return _forecaster(
        "majority", _lean, lambda lean, returns: lean, _SPAN, train_period, retrain_interval, contest, least=1
    )


def autoregression(
    most_lags: int = 5, train_period: int = 4 * 365, retrain_interval: int = 365, contest: Kind = _CONTEST
) -> Strategy:
    """Return the strategy that follows an autoregression of each asset's log returns, its order chosen by AIC.

    Fitted by statsmodels; an asset with fewer than 100 returns, or none but equal ones, has no model and no weight.

    Parameters
    ----------
    most_lags : int
        The largest order tried, at least 1.
    train_period, retrain_interval : int
        Calendar days.
    contest : str or Contest
        Whose rules apply.

    Raises
    ------
    DataError
        An order below 1.
    """
    if most_lags < 1:
        raise DataError(f"an autoregression needs at least 1 lag, got {most_lags}")

    def fit(returns: np.ndarray) -> dict[str, Any]:
        order = library("statsmodels.tsa.ar_model", "stats").ar_select_order(returns, most_lags, ic="aic")
        fitted = order.model.fit()
        return {"lags": [int(lag) for lag in order.ar_lags or []], "parameters": np.asarray(fitted.params, dtype=float)}

    def forecast(model: dict[str, Any], returns: np.ndarray) -> float:
        if len(returns) < max(model["lags"], default=0):
            return 0.0
        past = np.array([1.0, *(returns[-lag] for lag in model["lags"])])
        return float(past @ model["parameters"])

    span = 3 * most_lags + _SPAN
    return _forecaster("autoregression", fit, forecast, span, train_period, retrain_interval, contest)


def arma_garch(train_period: int = 4 * 365, retrain_interval: int = 365, contest: Kind = _CONTEST) -> Strategy:
    """Return the strategy that follows an ARMA(1,1) forecast of each asset's log returns, GJR-GARCH(1,1) variance.

    Fitted by joint maximum likelihood, see `qlstm.garch`; assets without 100 returns have no model and no weight.

    Parameters
    ----------
    train_period, retrain_interval : int
        Calendar days.
    contest : str or Contest
        Whose rules apply.
    """

    def fit(returns: np.ndarray) -> dict[str, float]:
        return dict(vars(garch.fit(returns)))

    def forecast(model: dict[str, float], returns: np.ndarray) -> float:
        # A window's first error counts as 0; after a hundred rows nothing is left of that.
        return garch.ArmaGarch(**model).forecast(returns)[0] if len(returns) > 1 else 0.0

    return _forecaster("arma_garch", fit, forecast, 200, train_period, retrain_interval, contest)


def _forecaster(
    name: str,
    fit: Callable[[np.ndarray], Any],
    forecast: Callable[[Any, np.ndarray], float],
    lookback_period: int,
    train_period: int,
    retrain_interval: int,
    contest: Kind,
    least: int = _LEAST,
) -> Strategy:
    """Return the strategy that fits one model per asset and goes with the sign of its forecast."""

    def train(data: xr.DataArray) -> dict[str, Any]:
        returns = _log_returns(data)
        return {asset: fit(r) for asset, r in returns.items() if len(r) >= least and (np.ptp(r) > 0 or least == 1)}

    def predict(models: dict[str, Any], data: xr.DataArray) -> xr.DataArray:
        today = _liquid(data)
        known = _log_returns(data)
        ahead = [forecast(models[a], known[a]) if a in models else 0.0 for a in known]
        return _shares(today * np.array(ahead), contest)

    return Strategy(
        train=train,
        predict=predict,
        contest=contest,
        name=name,
        lookback_period=lookback_period,
        train_period=train_period,
        retrain_interval=retrain_interval,
    )


def _lean(returns: np.ndarray) -> float:
    return float(np.sign((returns > 0).sum() - (returns < 0).sum()))


def _log_returns(data: xr.DataArray) -> dict[str, np.ndarray]:
    """Return each asset's changes of log close from one day with a price to the next; gaps are skipped."""
    close = data.sel(field="close").transpose("time", "asset")
    columns = zip(close["asset"].values, close.values.T, strict=True)
    return {str(asset): np.diff(np.log(prices[prices > 0])) for asset, prices in columns}


def _last(data: xr.DataArray, field: str) -> xr.DataArray:
    return data.sel(field=field, drop=True).isel(time=-1, drop=True)


def _liquid(data: xr.DataArray) -> xr.DataArray:
    """Return which assets have a price today and, where the data say, are liquid; dims (asset)."""
    priced = _last(data, "close") > 0
    return priced & (_last(data, "is_liquid") > 0) if "is_liquid" in data["field"].values else priced


def _change(data: xr.DataArray, rows: int) -> xr.DataArray:
    """Return the change of the close over `rows` rows as a share, dims (asset); NaN without both prices."""
    close = data.sel(field="close", drop=True)
    if data.sizes["time"] <= rows:
        return xr.full_like(_last(data, "close"), np.nan)
    return close.isel(time=-1, drop=True) / close.isel(time=-1 - rows, drop=True) - 1.0


def _drawn(data: xr.DataArray, seed: int, share: float) -> xr.DataArray:
    """Return 1 for the assets drawn today, else 0; lots are given to labels in their order, not to positions."""
    liquid = _liquid(data).sortby("asset")
    today = data["time"].values[-1].astype("datetime64[D]").astype(np.int64)
    lots = np.random.default_rng([seed, abs(int(today))]).random(liquid.sizes["asset"])
    lots = np.where(liquid.values, lots, np.inf)
    held = max(1, round(share * int(liquid.sum())))
    return liquid.copy(data=((lots.argsort().argsort() < held) & liquid.values).astype(np.float64))


def _shares(calls: xr.DataArray, contest: Kind) -> xr.DataArray:
    """Return equal shares of all assets called (asset), negative where the call is; NaN is no call."""
    called = xr.DataArray(np.sign(calls.fillna(0.0)))
    if contests.get(contest).long_only:
        called = called.clip(min=0.0)
    return called / max(1.0, float(abs(called).sum()))
