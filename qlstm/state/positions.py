"""The weights of a day as its file holds them, read without xarray: assets and shares of capital."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import StateCorruptError
from . import envelope

if TYPE_CHECKING:
    import netCDF4

__all__ = ["positions_in"]

_CLASSIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")


def positions_in(data: bytes, what: str) -> tuple[tuple[str, float], ...]:
    """Return what a file of weights holds on its last day, largest first by absolute value, zeros left out.

    Parameters
    ----------
    data : bytes
        Gzipped netCDF-3 with dims ``(time, asset)`` or ``(asset,)``, as `qlstm.output.to_bytes` writes it.
    what : str
        What errors call the file: its path.

    Raises
    ------
    StateCorruptError
        When it is no such file.
    """
    content, _ = envelope.unwrap(data, what)
    # The classic form only: its few tables are read in one pass, unlike HDF5's tree of addresses.
    if not content.startswith(_CLASSIC):
        raise StateCorruptError(f"{what} is damaged: it holds no netCDF-3 file")
    import netCDF4  # deferred: a state file alone does not need it

    try:
        with netCDF4.Dataset(what, memory=content) as dataset:
            assets, row = _last_row(dataset)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise StateCorruptError(f"{what} is damaged: its weights cannot be read ({error})") from error
    order = np.argsort(-np.abs(row), kind="stable")
    return tuple((assets[i], float(row[i])) for i in order if row[i])


def _last_row(dataset: netCDF4.Dataset) -> tuple[list[str], np.ndarray]:
    """Return the assets and the last day's weights of a data set."""
    (name,) = [n for n, one in dataset.variables.items() if one.dimensions in (("time", "asset"), ("asset",))]
    labels, values = dataset.variables["asset"][:], np.ma.filled(dataset.variables[name][:], 0.0)
    if labels.dtype.kind == "S" and labels.ndim == 2:
        labels = netCDF4.chartostring(labels)
    row = np.nan_to_num(values if values.ndim == 1 else values[-1])
    return [str(label) for label in labels], row
