"""What a search found: its best trial, all the others, and what is left of the best once they are counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, QlstmError
from ..significance import Deflated, TrackRecord, deflated_sharpe
from .established import standard_stats_to_weight
from .trials import Setting, Trial, read

__all__ = ["TRACK", "Score", "Search", "read_search", "score_of", "spelt", "why_none"]

Score = Callable[[dict[str, float]], float]
"""Of the figures of a trial, what a search makes large."""
TRACK = ("sharpe_per_row", "rows", "skew", "kurtosis")
"""The figures that make a `TrackRecord`, in its order."""


@dataclass(frozen=True)
class Search:
    """What a search found, and how much was tried to find it.

    Parameters
    ----------
    setting : Setting
        What was searched on: strategy, code, data, first and last day.
    trials : tuple of Trial
        In the order in which they were recorded, each set of arguments once; failed ones included.
    score : callable
        ``score(figures) -> float``: what the search made large.
    """

    setting: Setting
    trials: tuple[Trial, ...]
    score: Score = standard_stats_to_weight

    @property
    def n_trials(self) -> int:
        """How many sets of arguments were tried, failed ones included."""
        return len(self.trials)

    @cached_property
    def scores(self) -> np.ndarray:
        """Each trial's score, shape (trial,); minus infinity where it failed or has none."""
        return np.array([score_of(trial, self.score) for trial in self.trials])

    @property
    def sharpe_ratios(self) -> np.ndarray:
        """Each trial's arithmetic Sharpe ratio a year, shape (trial,); NaN where it failed or has none."""
        return np.array([_figure(t, "sharpe_per_row") * math.sqrt(_figure(t, "points_per_year")) for t in self.trials])

    @property
    def best(self) -> Trial:
        """The first trial with the highest score.

        Raises
        ------
        QlstmError
            When every trial failed or none has a score.
        """
        if not self.trials or not np.isfinite(self.scores).any():
            raise QlstmError(why_none(self.trials))
        return self.trials[int(np.argmax(self.scores))]

    @property
    def table(self) -> pd.DataFrame:
        """A row per trial, best first: its arguments, score, figures, error and seconds."""
        rows = [
            {**t.arguments, "score": score, **t.figures, "error": t.error, "seconds": t.seconds}
            for t, score in zip(self.trials, self.scores, strict=True)
        ]
        return pd.DataFrame(rows).sort_values("score", ascending=False, kind="stable")

    def deflated(self) -> Deflated:
        """Return what the best trial's Sharpe ratio is worth, given how many were tried: `deflated_sharpe`.

        Raises
        ------
        DataError
            When fewer than two trials have a ratio, or the best one's returns are too few or all the same.
        """
        best = self.best
        sharpe, rows, skew, kurtosis = (_figure(best, name) for name in TRACK)
        if math.isnan(sharpe):
            raise DataError(f"the best trial, {spelt(best.arguments)}, has no Sharpe ratio to be deflated")
        track = TrackRecord(sharpe, int(rows), skew, kurtosis)
        return deflated_sharpe(track, self, _figure(best, "points_per_year"))

    def __str__(self) -> str:
        failed = [trial for trial in self.trials if trial.error is not None]
        meaning = " (the contest's Sharpe ratio, geometric)" if self.score is standard_stats_to_weight else ""
        lines = [
            f"{self.n_trials} trials of {self.setting.strategy}, {len(failed)} of them failed, "
            f"{self.setting.start} to {self.setting.end}",
            *(f"failed first: {spelt(trial.arguments)}: {trial.error}" for trial in failed[:1]),
            f"best: {spelt(self.best.arguments)}, score {self.scores.max():.3f}{meaning}",
        ]
        try:
            found = self.deflated()
        except DataError as error:
            return "\n".join([*lines, f"skill cannot be told from luck: {error}"])
        sharpe = self.sharpe_ratios[int(np.argmax(self.scores))]
        return "\n".join([*lines, found.beside(sharpe, _figure(self.best, "points_per_year"))])


def _figure(trial: Trial, name: str) -> float:
    return trial.figures.get(name, math.nan)


def score_of(trial: Trial, score: Score) -> float:
    """Return a trial's score; minus infinity where it failed or has none."""
    value = float(score(trial.figures)) if trial.error is None else -math.inf
    return -math.inf if math.isnan(value) else value  # nothing is larger than NaN, so the first one would stay the best


def why_none(trials: tuple[Trial, ...]) -> str:
    """Return why no trial of a search can be the best."""
    failed = [trial for trial in trials if trial.error is not None]
    if len(failed) < len(trials) or not trials:
        return f"none of {len(trials)} trials has a score; did any of them hold a position?"
    return f"all {len(trials)} trials failed, the first with {spelt(failed[0].arguments)}: {failed[0].error}"


def spelt(arguments: Mapping[str, Any]) -> str:
    """Return arguments as people write them."""
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def read_search(record: str | Path, score: Score = standard_stats_to_weight) -> Search:
    """Return a search from its record alone, finished or not.

    Raises
    ------
    QlstmError
        When the record cannot be read, is empty or damaged.
    """
    setting, trials = read(record)
    return Search(setting, tuple(trials), score)
