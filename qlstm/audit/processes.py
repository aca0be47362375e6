"""Processes of their own for an audit: what they are asked, and what they answer."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..cube import Cubes
from ..errors import StrategyError
from ..parallel import THREADS
from .subject import Subject

__all__ = ["Process", "put_data"]

_LIMIT_S = 900.0
_CONTEST = ("IN_STATE_PATH", "OUT_STATE_PATH", "OUTPUT_PATH", "SUBMISSION_ID")


def put_data(folder: Path, data: Cubes) -> Path:
    """Write data for the processes to read, to the last bit."""
    path = folder / "data.pickle"
    path.write_bytes(pickle.dumps(data))
    return path


class Process:
    """One run of a strategy in a fresh process, started at once.

    Parameters
    ----------
    subject : Subject
        Whose strategy.
    folder : Path
        New, for the request and the answer.
    data : Path
        From `put_data`.
    days : np.ndarray
        What to decide.
    single_pass : bool
        One day by `qlstm.run` with a state folder beside `folder`, instead of all in a row.
    hash_seed, threads, clock_days
        PYTHONHASHSEED, threads of torch, numpy and numba (each beyond the first brings a processor that is not there),
        and by how many days the clock is put forward.
    time_zone : str, optional
        Where the process thinks it is, as TZ takes it; the machine's own unless given.
    models : bytes
        The models of another run's answer, instead of training.
    """

    def __init__(
        self,
        subject: Subject,
        folder: Path,
        data: Path,
        days: np.ndarray,
        *,
        single_pass: bool = False,
        hash_seed: int = 0,
        threads: int = 1,
        clock_days: float = 0.0,
        time_zone: str | None = None,
        models: bytes = b"",
    ) -> None:
        self._folder = folder
        folder.mkdir()
        request = {
            "recipe": subject.recipe,
            "data": str(data),
            "days": days,
            "single_pass": single_pass,
            "clock_days": clock_days,
            "more_processors": threads - 1,
            "models": models,
            "state_dir": str(folder.parent / "state"),
            "path": sys.path,
        }
        (folder / "request.pickle").write_bytes(pickle.dumps(request))
        environment = {name: value for name, value in os.environ.items() if name not in _CONTEST}
        package = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment |= {"PYTHONHASHSEED": str(hash_seed), "PYTHONWARNINGS": "ignore"}
        environment |= dict.fromkeys(THREADS, str(threads)) | ({"TZ": time_zone} if time_zone else {})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "qlstm.audit.worker", str(folder)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> dict[str, Any]:
        """Wait for the answer.

        Raises
        ------
        StrategyError
            When the process fails; the message is its last line.
        """
        try:
            _, said = self._process.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise StrategyError(f"a process of the audit took longer than {_LIMIT_S:.0f} s; check fewer days") from None
        if self._process.returncode:
            raise StrategyError(f"in a process of its own the strategy fails: {(said.splitlines() or ['no word'])[-1]}")
        return pickle.loads((self._folder / "answer.pickle").read_bytes())
