"""Is it luck? Tests of hits, means, forecasts and Sharpe ratios, and corrections for having tried often.

Each test returns a `Verdict`: its statistic, its p-value and a sentence. `docs/significance.md` says which test answers
which question. Sharpe ratios here are arithmetic (mean over sample deviation), per row unless annualised by name, since
that is what the theory is about; `qlstm.stats.calc_stat` shows the contest's, from the geometric mean.
"""

from __future__ import annotations

from .forecasts import diebold_mariano, pesaran_timmermann
from .means import binomial, holm, newey_west, permutation
from .overfitting import Overfitting, overfitting_probability, purged_splits
from .sharpe import (
    Deflated,
    Interval,
    TrackRecord,
    deflated_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_interval,
)
from .verdicts import Verdict

__all__ = [
    "Deflated",
    "Interval",
    "Overfitting",
    "TrackRecord",
    "Verdict",
    "binomial",
    "deflated_sharpe",
    "diebold_mariano",
    "holm",
    "minimum_track_record",
    "newey_west",
    "overfitting_probability",
    "permutation",
    "pesaran_timmermann",
    "probabilistic_sharpe",
    "purged_splits",
    "sharpe_interval",
]
