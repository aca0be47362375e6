"""What a backtest leaves on the disk: weights, contest file, statistics, state, report and manifest, all or none."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import xarray as xr

from . import files, fingerprint, output, report
from .errors import OutputError, StateError
from .multipass import Result
from .report.study import earlier, trial_count
from .state import codec

__all__ = ["FILES", "save"]

FILES = ("weights.nc", "fractions.nc.gz", "stats.csv", "state.out.pickle.gz", "report.html", "manifest.json")
_PACKAGES = ("numpy", "pandas", "xarray", "numba", "torch", "scipy", "netCDF4")


def save(
    result: Result, folder: str | Path, data: xr.DataArray, data_name: str, audit: Any = None, trials: Any = None
) -> list[Path]:
    """Write the files of a backtest into `folder` and return their paths.

    Each file is complete under a temporary name before the first one gets its final name. A file that cannot be made
    (the report without plotly, the state of models that are not plain values) is left out, and the notes say so.

    Parameters
    ----------
    result : Result
        From a backtest with statistics.
    folder : str or Path
        Made if needed; older files of the same names are replaced.
    data : xr.DataArray
        The cube that was run on; hashed for the manifest.
    data_name : str
        How the user named it.
    audit : qlstm.audit.Report, optional
        What the audit found, for the report page.
    trials : int or object with ``sharpe_ratios``, optional
        How often was tried to find this strategy, for the report page and the manifest.

    Raises
    ------
    OutputError
        When the folder cannot be written, or `trials` is neither a number of them nor what a search found.
    """
    folder = Path(folder)
    contents: dict[str, bytes] = {}
    fractions = output.to_bytes(result.weights)
    contents["weights.nc"] = gzip.decompress(fractions)
    contents["fractions.nc.gz"] = fractions
    if result.stats is not None:
        contents["stats.csv"] = result.stats.to_pandas().to_csv().encode()
    try:
        as_of = result.weights["time"].values[-1]
        contents["state.out.pickle.gz"] = codec.encode(result.memory, strategy=result.strategy, as_of=as_of)
    except StateError as error:
        result.notes.append(f"no state.out.pickle.gz: {error}")
    origin = _origin(result, data, data_name)
    origin |= _tried(trials, result)
    try:
        note = str(data.attrs.get("note", ""))
        page = report.render(result, data, note, audit, manifest=origin, trials=trials)
        contents["report.html"] = page.encode()
    except OutputError as error:
        result.notes.append(f"no report.html: {error}")
    contents["manifest.json"] = _manifest(origin, result.notes, contents)
    paths = {folder / name: content for name, content in contents.items()}
    files.write_files(paths)
    for name in set(FILES) - set(contents):  # an older run's file would contradict the new ones
        (folder / name).unlink(missing_ok=True)
    return list(paths)


def _origin(result: Result, data: xr.DataArray, data_name: str) -> dict[str, Any]:
    """Return what the figures come from: code, seed, contest, period, data and environment, with their hashes."""
    times = result.weights["time"].values
    return {
        "strategy": {"name": result.strategy.name, "sha256": result.strategy.code_hash, "seed": result.strategy.seed},
        "contest": result.contest.name,
        "period": [str(times[0])[:10], str(times[-1])[:10]],
        "data": {"name": data_name, "sha256": fingerprint.of_cube(data), "note": data.attrs.get("note", "")},
        "environment": {"python": platform.python_version(), "machine": platform.machine()} | _versions(),
    }


def _tried(trials: Any, result: Result) -> dict[str, Any]:
    """Return how often was tried, and apart those that cannot have picked the strategy on the days of this backtest."""
    count, last_day = trial_count(trials), earlier(trials, result)
    if last_day is not None:
        return {"trials_on_earlier_days": {"number": count, "last_day": last_day, "deflated": False}}
    return {} if count is None else {"trials": count}


def _manifest(origin: dict[str, Any], notes: list[str], contents: dict[str, bytes]) -> bytes:
    """Return the origin, the notes and the hashes of the files as JSON; equal runs give equal bytes."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return (json.dumps(origin | {"notes": notes, "files": hashes}, indent=2, sort_keys=True) + "\n").encode()


def _versions() -> dict[str, str]:
    found = {}
    for package in ("qlstm", *_PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
