"""What the rest of a run will take, from what has been measured of it, said while there is still time to stop it."""

from __future__ import annotations

from dataclasses import dataclass

from .contests import Contest
from .progress import clock

__all__ = ["Forecast", "Pace"]

_LONG_S = 30.0  # less is not worth a line, and a first training of less is mostly start-up


@dataclass(frozen=True)
class Pace:
    """What has been measured of a run, and how much of it is to come.

    Parameters
    ----------
    first_s : float or None
        Seconds of the first training, which imports and compiles and has no company; None where none was done.
    training_s : float or None
        Seconds of each training after it; None while that is not known.
    trainings_left : int
        How many trainings are to come.
    day_s : float
        Seconds of one day without its training.
    days_left : int
        How many days are to come.
    """

    first_s: float | None
    training_s: float | None
    trainings_left: int
    day_s: float
    days_left: int

    @property
    def left_s(self) -> float | None:
        """Seconds to go, None while that is not known."""
        if self.trainings_left and self.training_s is None:
            return None
        return (self.training_s or 0.0) * self.trainings_left + self.day_s * self.days_left


class Forecast:
    """Says what a run will take, each thing once, as soon as it is known; nothing where it is short.

    Parameters
    ----------
    title : str
        What is run.
    contest : Contest
        May limit the time of a daily run.
    """

    def __init__(self, title: str, contest: Contest) -> None:
        self._title, self._contest = title, contest
        self._unsaid = [self._daily, self._first, _rest]

    def news(self, pace: Pace) -> list[str]:
        """Return what has not been said before."""
        told = [(topic, topic(pace)) for topic in self._unsaid]
        self._unsaid = [topic for topic, text in told if not text]
        return [f"{self._title}: {text}" for _, text in told if text]

    def _daily(self, pace: Pace) -> str:
        """Say so when a daily run, a process of its own that starts cold, will be too slow for the contest."""
        limit, daily = self._contest.time_limit_s, (pace.first_s or 0.0) + pace.day_s
        if limit is None or daily <= limit:
            return ""
        return (
            f"one training and one day take {daily:.1f} s, more than the {limit:g} s that {self._contest.name} "
            "allows a daily run"
        )

    def _first(self, pace: Pace) -> str:
        """Say what a long first training, of which start-up is a small part, lets one expect."""
        if pace.first_s is None or pace.first_s < _LONG_S or pace.left_s is not None:
            return ""
        total = clock(pace.first_s * pace.trainings_left)
        return (
            f"the first training took {pace.first_s:.0f} s; the {pace.trainings_left} to come take {total} "
            "if each is as slow, less in a batch"
        )


def _rest(pace: Pace) -> str:
    """Say what is to come when it is long."""
    if pace.left_s is None or pace.left_s < _LONG_S:
        return ""
    days = f"{pace.days_left} days at {1000 * pace.day_s:.1f} ms"
    trainings = f"{pace.trainings_left} trainings at {pace.training_s:.2f} s and " if pace.trainings_left else ""
    return f"{trainings}{days} to go, about {clock(pace.left_s)}"
