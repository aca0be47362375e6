"""One run in a process of its own: ``python -m qlstm.audit.worker FOLDER`` does what FOLDER/request.pickle asks for.

The files are written by `processes` of the same audit, in a temporary folder of its own, and read by nobody else.
"""

from __future__ import annotations

import datetime
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(folder: Path) -> None:
    """Read the request, run, write ``answer.pickle``: weights, and what came of them: models, or the state's folder."""
    request = pickle.loads((folder / "request.pickle").read_bytes())
    sys.path[:] = request["path"]
    if request["clock_days"]:
        _shift_clock(request["clock_days"])
    if request["more_processors"]:
        _add_processors(request["more_processors"])
    answer = _run(request) if request["single_pass"] else _walk(request)
    (folder / "answer.pickle").write_bytes(pickle.dumps(answer))


def _walk(request: dict[str, Any]) -> dict[str, Any]:
    """Train and predict over the days; the data are as pickled, to the last bit."""
    import cloudpickle  # deferred: with all else, until the clock is put forward

    from .. import engine, generators
    from ..cube import Windows
    from .replay import forward
    from .subject import made

    strategy = made(request["recipe"])
    with generators.kept():
        windows = engine.extend(strategy, Windows(_data(request)))
        given = pickle.loads(request["models"]) if request["models"] else None
        course = forward(strategy, windows, request["days"], given)
    models = {memory.trained_at: memory.models for _, memory in course.before if memory.trained_at is not None}
    try:
        packed = cloudpickle.dumps(models) if models else b""
    except (TypeError, AttributeError, pickle.PicklingError):  # of another library: they cannot be handed on
        packed = b""
    return {"weights": course.weights, "models": packed}


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one day as the daily runner does, from the state folder."""
    from .. import runner
    from .subject import made

    strategy = made(request["recipe"])
    (t,) = request["days"]
    result = runner.run(strategy, _data(request), state_dir=request["state_dir"], date=t, progress=False)
    return {"weights": result.raw, "folder": str(result.folder)}


def _data(request: dict[str, Any]) -> Any:
    return pickle.loads(Path(request["data"]).read_bytes())


def _add_processors(number: int) -> None:
    """Tell of more processors than there are; multiprocessing and joblib ask the same functions."""
    count = os.cpu_count
    os.cpu_count = lambda: (count() or 1) + number
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity
        os.sched_getaffinity = lambda pid: _with_more(allowed(pid), number)


def _with_more(processors: set[int], number: int) -> set[int]:
    last = max(processors)
    return processors | set(range(last + 1, last + 1 + number))


def _shift_clock(days: float) -> None:
    """Move the clocks of Python and pandas; numpy's own ("now") cannot be reached."""
    import pandas as pd

    shift = days * 86400.0
    delta = datetime.timedelta(days=days)
    now, now_ns, plain, stamp = time.time, time.time_ns, datetime.datetime, pd.Timestamp.now
    time.time = lambda: now() + shift
    time.time_ns = lambda: now_ns() + int(shift * 1e9)
    for name in ("localtime", "gmtime", "ctime"):
        _shift_struct(name, shift, now)
    written, local = time.strftime, time.localtime
    time.strftime = lambda form, moment=None: written(form, local() if moment is None else moment)

    class Kind(type(plain)):  # type: ignore[misc]
        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, plain)

    class Shifted(datetime.datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return plain.now(tz) + delta

        @classmethod
        def utcnow(cls) -> Any:
            return plain.now(datetime.UTC).replace(tzinfo=None) + delta

        @classmethod
        def today(cls) -> Any:
            return plain.today() + delta

    class ShiftedDate(datetime.date, metaclass=Kind):
        @classmethod
        def today(cls) -> Any:
            return (plain.today() + delta).date()

    datetime.datetime, datetime.date = Shifted, ShiftedDate  # type: ignore[misc]
    pd.Timestamp.now = lambda tz=None: stamp(tz) + pd.Timedelta(days=days)  # type: ignore[method-assign]
    pd.Timestamp.today = pd.Timestamp.now  # type: ignore[method-assign]


def _shift_struct(name: str, shift: float, now: Any) -> None:
    plain = getattr(time, name)
    setattr(time, name, lambda seconds=None: plain(now() + shift if seconds is None else seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
