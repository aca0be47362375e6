"""What a model loses without an input: its values shuffled among the assets of each day, again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats as scipy_stats

from ..errors import DataError
from ..stats.panel import whole
from .samples import matched

__all__ = ["Ablation", "ablation", "squared_error"]

Forecast = Callable[[xr.DataArray], xr.DataArray]
Loss = Callable[[np.ndarray, np.ndarray], np.ndarray]

_LEAST_DAYS = 10  # for an interval


def squared_error(forecast: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the loss of each cell, ``(forecast - label)²``."""
    return np.square(forecast - label)


@dataclass(frozen=True, eq=False)
class Ablation:
    """What each input is worth to a model, on data it was not trained on.

    Parameters
    ----------
    table : pd.DataFrame
        One row per feature, the largest loss first: ``change`` of the mean loss without it (above 0: the input
        helps), ``low`` and ``high`` of its interval, ``how`` it was taken out ("shuffled" or "mean").
    loss : float
        Mean loss of the model as it is.
    level : float
        Of the intervals, over days.
    """

    table: pd.DataFrame
    loss: float
    level: float

    @property
    def helpful(self) -> list[str]:
        """The inputs whose whole interval is above 0. Those of 20 idle ones may hold one by chance."""
        return [str(name) for name in self.table.index[self.table["low"] > 0]]


def ablation(
    forecast: Forecast,
    features: xr.DataArray,
    label: xr.DataArray,
    *,
    loss: Loss = squared_error,
    means: xr.DataArray | None = None,
    repeats: int = 20,
    level: float = 0.95,
    seed: int = 42,
) -> Ablation:
    """Take out one input at a time and see what the forecasts lose.

    Parameters
    ----------
    forecast : callable
        ``forecast(features) -> (time, asset)``: a trained model, in evaluation mode. It must not depend on which
        rows come before, or be handed whole histories.
    features : xr.DataArray
        Dims ``(time, asset, feature)``, later than what the model was trained on.
    label : xr.DataArray
        Dims ``(time, asset)``.
    loss : callable
        ``loss(forecast, label)`` on arrays (time, asset) -> the loss of each cell.
    means : xr.DataArray, optional
        Dims ``(feature,)``: means over the *training* data. Needed for inputs that never differ between the assets
        of a day (an index, a rate): shuffling does nothing to them, so they are held at their mean.
    repeats : int
        Shuffles per input.
    level : float
        Of the intervals.
    seed : int
        Of the shuffles.

    Returns
    -------
    Ablation
        Changes are averaged over repeats and then over days; intervals are Student's over days, the part that more
        repeats do not make smaller.

    Raises
    ------
    DataError
        As other dims and labels; fewer than 10 days with a loss; an input that cannot be shuffled without `means`.

    Notes
    -----
    After Breiman, Random forests (2001), within days as a panel asks for: shuffled over days, an input would also lose
    what it knows about the day.
    """
    given, happened = matched(features, label)
    repeats = whole("repeats", repeats)
    base = _daily(forecast, given, happened, loss)
    if np.isfinite(base).sum() < _LEAST_DAYS:
        raise DataError(f"{int(np.isfinite(base).sum())} days have a loss; an interval needs {_LEAST_DAYS}")
    rng, rows = np.random.default_rng(seed), {}
    for name in given["feature"].values:
        column = given.sel(feature=name, drop=True).values
        shuffled = _differs(column)
        draws = (_shuffled(column, rng) for _ in range(repeats)) if shuffled else iter([_filled(column, means, name)])
        changes = [_daily(forecast, _with(given, name, draw), happened, loss) - base for draw in draws]
        rows[str(name)] = _interval(np.mean(changes, axis=0), level) | {"how": "shuffled" if shuffled else "mean"}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("feature")
    return Ablation(table.sort_values("change", ascending=False, kind="stable"), float(np.nanmean(base)), level)


def _daily(forecast: Forecast, features: xr.DataArray, label: xr.DataArray, loss: Loss) -> np.ndarray:
    """Return the mean loss of each day, NaN where there is none."""
    guess = forecast(features).reindex_like(label).transpose("time", "asset")
    cells = np.asarray(loss(guess.values, label.values), dtype=np.float64)
    counts = np.isfinite(cells).sum(axis=1)
    return np.divide(np.nansum(cells, axis=1), counts, out=np.full(len(cells), np.nan), where=counts > 0)


def _differs(column: np.ndarray) -> bool:
    """Return whether some day has two assets with different values."""
    known = np.isfinite(column)
    high, low = np.where(known, column, -np.inf).max(axis=1), np.where(known, column, np.inf).min(axis=1)
    return bool((high > low).any())


def _shuffled(column: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the known values of each day in random order, in the cells that were known."""
    known = np.isfinite(column)
    keys = np.where(known, rng.random(column.shape), 2.0)  # unknown cells last
    drawn = np.take_along_axis(column, keys.argsort(axis=1), axis=1)
    places = np.where(known, known.cumsum(axis=1) - 1, 0)
    return np.where(known, np.take_along_axis(drawn, places, axis=1), column)


def _filled(column: np.ndarray, means: xr.DataArray | None, name: object) -> np.ndarray:
    if means is None:
        raise DataError(f"feature {str(name)!r} never differs between assets; pass means, those of the training data")
    if name not in means["feature"].values:
        raise DataError(f"means lack feature {str(name)!r}, which never differs between assets")
    return np.where(np.isfinite(column), float(means.sel(feature=name)), column)


def _with(features: xr.DataArray, name: object, column: np.ndarray) -> xr.DataArray:
    changed = features.copy()
    changed.loc[{"feature": name}] = column
    return changed


def _interval(changes: np.ndarray, level: float) -> dict[str, float]:
    known = changes[np.isfinite(changes)]
    error = float(known.std(ddof=1)) / np.sqrt(len(known))
    reach = float(scipy_stats.t.ppf(0.5 + level / 2, len(known) - 1)) * error
    change = float(known.mean())
    return {"change": change, "low": change - reach, "high": change + reach}
