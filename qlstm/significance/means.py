"""Tests of counts, means and pairings, and Holm's correction for having made several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from ..errors import DataError
from ..extras import library
from .verdicts import Alternative, Verdict, sample, tail

__all__ = ["binomial", "holm", "newey_west", "permutation"]

Score = Callable[[np.ndarray, np.ndarray], float]


def binomial(hits: int, tries: int, rate: float = 0.5, alternative: Alternative = "greater") -> Verdict:
    """Test whether `hits` in `tries` independent tries is more than a base rate explains (exact).

    Parameters
    ----------
    hits, tries : int
        Successes, and all tries.
    rate : float
        The base rate: that of the majority class, not 0.5, where one class is more frequent.
    alternative : {"greater", "two-sided", "less"}
        "greater": more hits than the base rate gives.

    Returns
    -------
    Verdict
        The statistic is the share of hits.

    Raises
    ------
    DataError
        Counts that are no counts, or a rate that is not between 0 and 1.
    """
    if not (isinstance(hits, (int, np.integer)) and isinstance(tries, (int, np.integer)) and 0 <= hits <= tries):
        raise DataError(f"hits and tries must be whole numbers with 0 <= hits <= tries, got {hits} of {tries}")
    if tries == 0:
        raise DataError("0 tries; there is nothing to test")
    if not 0.0 < rate < 1.0:
        raise DataError(f"the base rate must lie between 0 and 1, got {rate}")
    tail(0.5, alternative)
    p_value = scipy_stats.binomtest(int(hits), int(tries), rate, alternative).pvalue
    return Verdict(f"binomial against {rate:.3g}", hits / tries, float(p_value), int(tries), alternative)


def newey_west(values: Any, lags: int | None = None, alternative: Alternative = "two-sided") -> Verdict:
    """Test whether the mean of a series differs from 0, allowing for autocorrelation (Newey and West, 1987).

    Parameters
    ----------
    values : array-like
        Shape (row,): returns, differences of returns, or one information coefficient per day.
    lags : int, optional
        Rows over which values may be correlated; by default ``4 (n / 100)^(2/9)``. Overlapping k-day returns need
        at least k - 1.
    alternative : {"two-sided", "greater", "less"}
        "greater": a mean above 0.

    Returns
    -------
    Verdict
        The statistic is t, with statsmodels' small-sample correction, compared with Student's t.

    Raises
    ------
    DataError
        Values that are not finite, fewer than 10 of them, a constant series, or lags out of range.
    QlstmError
        When statsmodels is missing.
    """
    series = sample(values, "values", 10)
    rows = len(series)
    lags = int(4 * (rows / 100) ** (2 / 9)) if lags is None else lags
    if not (isinstance(lags, (int, np.integer)) and 0 <= lags < rows):
        raise DataError(f"lags must be a whole number from 0 to {rows - 1}, got {lags!r}")
    if np.ptp(series) == 0:
        raise DataError(f"values are all {series[0]:g}; a constant has no distribution to test")
    regression = library("statsmodels.regression.linear_model", "stats")
    options = {"maxlags": int(lags), "use_correction": True}
    fitted = regression.OLS(series, np.ones(rows)).fit(cov_type="HAC", cov_kwds=options, use_t=True)
    t = float(fitted.tvalues[0])
    p_value = tail(float(scipy_stats.t.cdf(t, rows - 1)), alternative)
    return Verdict(f"Newey–West t, {lags} lags", t, p_value, rows, alternative)


def permutation(
    forecast: Any,
    actual: Any,
    score: Score | None = None,
    draws: int = 999,
    seed: int = 42,
    alternative: Alternative = "greater",
) -> Verdict:
    """Test whether a forecast fits what happened better than it fits the same outcomes in random order.

    Rows are shuffled whole: the assets of one day stay together, because they move together. Shuffling destroys
    autocorrelation too, so use it for outcomes that do not overlap from row to row.

    Parameters
    ----------
    forecast, actual : array-like
        Shape (row,) or (row, asset); NaN where there is none.
    score : callable, optional
        ``score(forecast, actual) -> float`` on arrays of that shape, larger is better; by default the correlation of
        all cells that both have.
    draws : int
        Random orders.
    seed : int
        Of the orders.
    alternative : {"greater", "two-sided", "less"}
        "greater": a better fit than chance gives.

    Returns
    -------
    Verdict
        The statistic is the score in the true order. A score that is undefined there (a constant forecast) gives NaN
        and p = 1.

    Raises
    ------
    DataError
        Arrays of different shape or fewer than 8 rows, whose orders are too few.
    """
    given, happened = np.asarray(forecast, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if given.shape != happened.shape or given.ndim not in (1, 2):
        raise DataError(f"forecast and actual must have one shape (row[, asset]), got {given.shape}, {happened.shape}")
    both = np.isfinite(given) & np.isfinite(happened)
    scored = both if both.ndim == 1 else both.any(axis=1)
    given, happened = (
        given[scored],
        happened[scored],
    )  # among rows without a pair few orders would leave anything to score
    if len(given) < 8:
        raise DataError(f"{len(given)} rows have too few orders for a permutation test; it needs at least 8")
    measure = _correlation if score is None else score
    observed = measure(given, happened)
    tail(0.5, alternative)
    if not np.isfinite(observed):
        return Verdict("permutation", float("nan"), 1.0, len(given), alternative, "the score is undefined: no skill")

    def drawn(order: np.ndarray) -> float:
        value = measure(given, happened[order.astype(np.intp)])
        return value if np.isfinite(value) else observed  # an order without a score speaks for luck

    result = scipy_stats.permutation_test(
        (np.arange(len(given)),),
        drawn,
        permutation_type="pairings",
        vectorized=False,
        n_resamples=draws,
        alternative=alternative,
        rng=np.random.default_rng(seed),
    )
    return Verdict("permutation", float(observed), float(result.pvalue), len(given), alternative)


def _correlation(forecast: np.ndarray, actual: np.ndarray) -> float:
    both = np.isfinite(forecast) & np.isfinite(actual)
    x, y = forecast[both], actual[both]
    if len(x) < 2:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else float("nan")


def holm(p_values: Mapping[str, float] | Sequence[float]) -> pd.Series:
    """Correct p-values for their number, so that the chance of any false alarm stays at the level (Holm, 1979).

    Parameters
    ----------
    p_values : mapping of str to float, or sequence of float
        One per test made, those that were not worth reporting included.

    Returns
    -------
    pd.Series
        The corrected p-values under the same names, in the order given.

    Raises
    ------
    DataError
        None, or one that is not between 0 and 1.
    QlstmError
        When statsmodels is missing.
    """
    given = pd.Series(p_values, dtype=np.float64)
    if given.empty:
        raise DataError("no p-values; give one for every test made")
    strange = ~given.between(0.0, 1.0)
    if strange.any():
        first = given.index[int(np.argmax(strange))]
        raise DataError(f"p-value {first!r} is {given[first]}; it must lie between 0 and 1")
    multitest = library("statsmodels.stats.multitest", "stats")
    return pd.Series(multitest.multipletests(given.to_numpy(), method="holm")[1], index=given.index, name="holm")
