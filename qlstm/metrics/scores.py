"""Scores of forecasts: classes, numbers, directions and rankings, each beside what needs no skill."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from ..errors import DataError
from ..extras import library
from ..significance import newey_west, permutation, pesaran_timmermann
from .cells import LEAST, Scores, aligned, cells_of
from .relative import relative_errors

__all__ = ["classification", "cross_sectional", "directional", "rank_ic", "regression"]

_NO_SIDE = "no direction is called: every forecast is 0", "nothing moved: every outcome is 0"


def classification(probability: Any, actual: Any, known_after: int = 1, draws: int = 999, seed: int = 42) -> Scores:
    """Score the probability of a rise, or 0 and 1 for the class itself.

    Parameters
    ----------
    probability : array-like
        Shape (row[, asset]), from 0 to 1; above 0.5 calls a 1. NaN where there is no forecast.
    actual : array-like
        The same shape: 0 or 1, NaN where unknown.
    known_after : int
        Rows after which an outcome is known; 2 for a return from the next open to the one after. The persistence
        forecast is the newest one known.
    draws, seed : int
        Of the permutation test of the accuracy.

    Returns
    -------
    Scores
        Accuracy, balanced accuracy, precision, recall, F1, area under the ROC curve, Matthews correlation, Brier score
        and log loss (NaN for classes without probabilities); beside them the majority class of these very outcomes
        with their share as probability, persistence, and what a fair coin expects.

    Raises
    ------
    DataError
        Other values, outcomes of one class only, or fewer than 10 cells.
    QlstmError
        When scikit-learn is missing.
    """
    cells = cells_of(probability, actual, known_after)
    called, happened, before = cells.flat()
    _check_within(called, "probability", lambda v: (v >= 0) & (v <= 1), "from 0 to 1")
    _check_within(happened, "actual", lambda v: (v == 0) | (v == 1), "0 or 1")
    share = float(happened.mean())
    if share in (0.0, 1.0):
        raise DataError(f"all {len(happened)} outcomes are {share:g}; there is nothing to tell apart")
    columns = {
        "forecast": _class_scores(called, happened),
        "majority": _class_scores(np.full_like(called, share), happened),
        "persistence": _class_scores(before, happened),
        "coin": _coin(share),
    }
    return cells.scores("classification", columns, permutation(cells.forecast, cells.actual, _accuracy, draws, seed))


def regression(
    forecast: Any,
    actual: Any,
    known_after: int = 1,
    train_mean: float | None = None,
    draws: int = 999,
    seed: int = 42,
) -> Scores:
    """Score forecasts of a number: a return or another change, never a price level (see `shift_report`).

    Parameters
    ----------
    forecast, actual : array-like
        Shape (row[, asset]), NaN where unknown.
    known_after : int
        Rows after which an outcome is known, as in `classification`.
    train_mean : float, optional
        The mean that R² is measured against, known before; by default that of the outcomes scored, which no forecast
        made in time could use and which is harder to beat.
    draws, seed : int
        Of the permutation test of the correlation.

    Returns
    -------
    Scores
        Mean absolute error, root mean square error, R², correlation, and the errors as shares of the outcomes: MAPE,
        SMAPE, Theil's U1 and U2 (`relative.relative_errors` has the formulas and says what an outcome of 0 does);
        beside the mean, zero and persistence.

    Raises
    ------
    DataError
        Infinite values, outcomes that never change, or fewer than 10 cells.
    """
    cells = cells_of(forecast, actual, known_after)
    said, happened, before = cells.flat()
    mean = float(happened.mean()) if train_mean is None else float(train_mean)
    if np.ptp(happened) == 0:
        raise DataError(f"all {len(happened)} outcomes are {happened[0]:g}; there is nothing to explain")
    guesses = {"forecast": said, "mean": np.full_like(said, mean), "zero": np.zeros_like(said), "persistence": before}
    columns = {name: _number_scores(guess, happened, mean) for name, guess in guesses.items()}
    return cells.scores("regression", columns, permutation(cells.forecast, cells.actual, None, draws, seed))


def directional(forecast: Any, actual: Any, known_after: int = 1, draws: int = 999, seed: int = 42) -> Scores:
    """Score the sign of forecast changes. A forecast or an outcome of exactly 0 is no call and is left out.

    Parameters
    ----------
    forecast, actual : array-like
        Shape (row[, asset]), changes; NaN where unknown.
    known_after : int
        Rows after which an outcome is known, as in `classification`.
    draws, seed : int
        Of the permutation test of the hit rate.

    Returns
    -------
    Scores
        Hit rate and share of rises called; beside the majority side of these outcomes, persistence and a coin. For one
        series also the Pesaran–Timmermann test, which takes rows as independent (cells of many assets are not).

    Raises
    ------
    DataError
        Infinite values, forecasts or outcomes that are all 0, or fewer than 10 cells.
    """
    signs = [np.sign(side) for side in aligned(forecast, actual)]
    for side, fault in zip(signs, _NO_SIDE, strict=True):
        if np.isfinite(side).any() and not np.nan_to_num(side).any():
            raise DataError(fault)
    called, moved = (np.where(side == 0, np.nan, side) for side in signs)
    cells = cells_of(called, moved, known_after)
    said, happened, before = cells.flat()
    most = 1.0 if (happened > 0).mean() >= 0.5 else -1.0
    columns = {
        "forecast": _sign_scores(said, happened),
        "majority": _sign_scores(np.full_like(said, most), happened),
        "persistence": _sign_scores(before, happened),
        "coin": {"hit_rate": 0.5, "called_up": 0.5},
    }
    tests = [permutation(cells.forecast, cells.actual, _hit_rate, draws, seed)]
    if cells.actual.shape[1] == 1:
        tests.append(pesaran_timmermann(said, happened))
    return cells.scores("directional", columns, *tests)


def cross_sectional(forecast: Any, actual: Any, known_after: int = 1, lags: int | None = None) -> Scores:
    """Score how forecasts rank the assets of a day: the rank information coefficient (IC), Spearman's correlation.

    Parameters
    ----------
    forecast, actual : array-like
        Shape (row, asset), NaN where unknown.
    known_after : int
        Rows after which an outcome is known, as in `classification`.
    lags : int, optional
        Of the Newey–West t of the mean IC; for outcomes over k rows at least k - 1.

    Returns
    -------
    Scores
        Mean IC per day, its deviation, its t and the share of days above 0; beside persistence and no skill.

    Raises
    ------
    DataError
        Infinite values, or fewer than 10 days with at least 3 assets that differ.
    """
    cells = cells_of(forecast, actual, known_after)
    daily = [_row_correlations(guess, cells.actual) for guess in (cells.forecast, cells.before)]
    daily = [one[np.isfinite(one)] for one in daily]
    if len(daily[0]) < LEAST:
        raise DataError(f"{len(daily[0])} days have 3 assets whose forecasts and outcomes differ; it needs {LEAST}")
    verdict = newey_west(daily[0], lags, "greater")
    columns = {
        "forecast": _ic_scores(daily[0], lags),
        "persistence": _ic_scores(daily[1], lags),
        "no skill": {"mean_ic": 0.0, "ic_std": math.nan, "t": 0.0, "days_above_0": 0.5},
    }
    return cells.scores("cross-sectional", columns, verdict)


def rank_ic(forecast: xr.DataArray, actual: xr.DataArray) -> xr.DataArray:
    """Return Spearman's correlation over the assets of each day, dims (time,); NaN with fewer than 3 that differ.

    Parameters
    ----------
    forecast, actual : xr.DataArray
        Dims ``(time, asset)``; matched by label, over the labels both have.
    """
    given, happened = xr.align(forecast, actual, join="inner")
    values = _row_correlations(*(side.transpose("time", "asset").values for side in (given, happened)))
    return xr.DataArray(values, dims=("time",), coords={"time": given["time"]})


def _check_within(values: np.ndarray, what: str, rule: Callable[[np.ndarray], Any], range_: str) -> None:
    bad = ~rule(values)
    if bad.any():
        raise DataError(f"{what} must be {range_}, got {values[bad][0]:g}")


def _class_scores(probability: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    sklearn = library("sklearn.metrics", "stats", "scikit-learn")
    called, happened = (probability > 0.5).astype(int), actual.astype(int)
    hard = bool(np.isin(probability, (0.0, 1.0)).all())
    return {
        "accuracy": float(sklearn.accuracy_score(happened, called)),
        "balanced_accuracy": float(sklearn.balanced_accuracy_score(happened, called)),
        "precision": float(sklearn.precision_score(happened, called, zero_division=np.nan)),
        "recall": float(sklearn.recall_score(happened, called)),
        "f1": float(sklearn.f1_score(happened, called)),
        "auc": float(sklearn.roc_auc_score(happened, probability)),
        "mcc": float(sklearn.matthews_corrcoef(happened, called)),
        "brier": float(sklearn.brier_score_loss(happened, probability)),
        "log_loss": math.nan if hard else float(sklearn.log_loss(happened, probability, labels=[0, 1])),
    }


def _coin(share: float) -> dict[str, float]:
    """Return what calls at random, half of them 1, expect where a share of the outcomes is 1."""
    flat = {"accuracy": 0.5, "balanced_accuracy": 0.5, "precision": share, "recall": 0.5, "f1": share / (share + 0.5)}
    return flat | {"auc": 0.5, "mcc": 0.0, "brier": 0.25, "log_loss": math.log(2.0)}


def _number_scores(guess: np.ndarray, actual: np.ndarray, mean: float) -> dict[str, float]:
    error = actual - guess
    varies = np.ptp(guess) > 0
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": float(1.0 - (error**2).sum() / ((actual - mean) ** 2).sum()),
        "correlation": float(np.corrcoef(guess, actual)[0, 1]) if varies else math.nan,
        **relative_errors(guess, actual),
    }


def _sign_scores(called: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    return {"hit_rate": float((called == actual).mean()), "called_up": float((called > 0).mean())}


def _ic_scores(daily: np.ndarray, lags: int | None) -> dict[str, float]:
    if len(daily) < LEAST or np.ptp(daily) == 0:
        return {"mean_ic": math.nan, "ic_std": math.nan, "t": math.nan, "days_above_0": math.nan}
    t = newey_west(daily, lags).statistic
    return {"mean_ic": daily.mean(), "ic_std": daily.std(ddof=1), "t": t, "days_above_0": float((daily > 0).mean())}


def _row_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each row, ties shared."""
    both = np.isfinite(first) & np.isfinite(second)
    ranks = [rankdata(np.where(both, side, np.nan), axis=1, nan_policy="omit") for side in (first, second)]
    count = both.sum(axis=1)
    # Ranks of a row always have the mean (count + 1) / 2, ties or not.
    apart = [np.where(both, rank - (count[:, np.newaxis] + 1) / 2, 0.0) for rank in ranks]
    size = np.sqrt((apart[0] ** 2).sum(axis=1) * (apart[1] ** 2).sum(axis=1))
    usable = (count >= 3) & (size > 0)
    return np.divide((apart[0] * apart[1]).sum(axis=1), size, out=np.full(len(size), np.nan), where=usable)


def _accuracy(forecast: np.ndarray, actual: np.ndarray) -> float:
    both = np.isfinite(forecast) & np.isfinite(actual)
    return float(((forecast > 0.5) == (actual > 0.5))[both].mean())


def _hit_rate(forecast: np.ndarray, actual: np.ndarray) -> float:
    both = np.isfinite(forecast) & np.isfinite(actual)
    return float((forecast == actual)[both].mean())
