"""The panel of retrain dates: when each model was trained, and how the days it predicted went."""

from __future__ import annotations

import numpy as np

from .. import schedule
from ..dates import day
from ..multipass import Result
from .parts import Part, Table, Text, percent
from .study import Study

__all__ = ["retrains", "trained_days"]

_SHOWN = 12  # models in the open table


def trained_days(result: Result) -> np.ndarray:
    """Return the days on which models were trained, empty for a strategy that trains none."""
    if result.strategy.train is None:
        return np.array([], dtype="datetime64[ns]")
    return np.array([block[0] for block in _blocks(result)])


def _blocks(result: Result) -> list[np.ndarray]:
    # Predict may have returned no row on the day of a training; the contest's rules add one, and may drop others.
    days = np.union1d(result.raw["time"].values, result.weights["time"].values)
    return list(schedule.blocks(days, result.strategy.retrain_interval))


def retrains(study: Study) -> list[Part]:
    """Return one row per model: the day of its training and the figures of the days it predicted."""
    strategy = study.result.strategy
    if strategy.train is None:
        return [Text("This strategy trains no models.")]
    rows = [_of_model(study, block) for block in _blocks(study.result)]
    text = (
        f"{len(rows)} trainings, {schedule.worded(strategy.retrain_interval)}, each on the {strategy.train_period} "
        "calendar days up to and including its own."
    )
    heads = ("trained on", "days predicted", "return", "Sharpe ratio")
    folded = "" if len(rows) <= _SHOWN else f"All {len(rows)} trainings"
    return [Text(text), Table("Retrain dates and what each model earned", heads, rows, folded=folded)]


def _of_model(study: Study, block: np.ndarray) -> list[str]:
    # Weights of a day earn from the next open on, so a model's returns begin one row after its first day.
    times = study.days.to_numpy()
    after = np.searchsorted(times, block[[0, -1]], "right")
    part = study.returns[int(after[0]) : int(after[1]) + 1]
    earned = float((1.0 + part).prod()) - 1.0
    predicted = int(np.isin(block, study.result.raw["time"].values).sum())
    return [day(block[0]), str(predicted), percent(earned, 2), study.sharpe(part)]
