"""What a long run will cost, from what its first days did, said while there is still time to stop it."""

from __future__ import annotations

from .contests import Contest
from .progress import clock

__all__ = ["sentences"]

_LONG_S = 30.0  # less is not worth a line


def sentences(
    title: str, contest: Contest, training_s: float, trainings_left: int, day_s: float, days_left: int
) -> list[str]:
    """Return what there is to say about a run, nothing when it is short.

    Parameters
    ----------
    title : str
        What is run.
    contest : Contest
        May limit the time of a daily run.
    training_s, day_s : float
        Seconds that one training and the prediction of one day took.
    trainings_left, days_left : int
        How many are to come.
    """
    said = []
    limit, daily = contest.time_limit_s, training_s + day_s
    if limit is not None and daily > limit:
        said.append(
            f"{title}: one training and one day take {daily:.1f} s, more than the {limit:g} s that {contest.name} "
            "allows a daily run"
        )
    total = training_s * trainings_left + day_s * days_left
    if total >= _LONG_S:
        said.append(
            f"{title}: {trainings_left} trainings at {training_s:.2f} s and {days_left} days at {1000 * day_s:.1f} ms "
            f"to go, about {clock(total)}"
        )
    return said
