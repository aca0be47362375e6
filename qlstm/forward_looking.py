"""Whether weights look ahead: the same weights from data that end earlier must not differ."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import xarray as xr

from .cube import as_cube
from .dates import day
from .errors import WeightsError
from .weights import normalize, of

__all__ = ["calc_output_and_check_forward_looking", "check_forward_looking"]

_LOG = logging.getLogger("qlstm.forward_looking")
_TOLERANCE = 1e-7  # of the capital; the established toolbox's
_CROPPED_DAYS = np.timedelta64(182, "D")


def check_forward_looking(cropped_output: xr.DataArray, whole_output: xr.DataArray) -> bool:
    """Compare weights from cropped data with weights from all data, up to the last date of both.

    The first difference is logged as a warning with its date, asset and values.

    Parameters
    ----------
    cropped_output, whole_output : xr.DataArray
        Dims ``(time, asset)``, normalised here; an asset or date that one of them lacks counts as 0.

    Returns
    -------
    bool
        True when a weight differs by more than 1e-7: the strategy looks ahead.

    Raises
    ------
    WeightsError
        When one of them are not weights over time, or has no date.
    """
    cropped, whole = (_normalized(output) for output in (cropped_output, whole_output))
    last = min(cropped["time"].values[-1], whole["time"].values[-1])
    until = slice(None, last)
    cropped, whole = xr.align(cropped.sel(time=until), whole.sel(time=until), join="outer", fill_value=0.0)
    differ = abs(whole.values - cropped.values) > _TOLERANCE
    if not differ.any():
        return False
    t, a = np.argwhere(differ)[0]
    _LOG.warning(
        "the weights look ahead: on %s asset %s gets %g from all data, %g from data that end earlier",
        *(day(whole["time"].values[t]), whole["asset"].values[a], whole.values[t, a], cropped.values[t, a]),
    )
    return True


def _normalized(output: xr.DataArray) -> xr.DataArray:
    weights = normalize(of(output))
    if "time" not in weights.dims or weights.sizes["time"] == 0:
        raise WeightsError("a look-ahead check needs weights with a time dim and at least one date")
    return weights


def calc_output_and_check_forward_looking(
    data: xr.DataArray, strategy: Callable[[xr.DataArray], xr.DataArray]
) -> tuple[xr.DataArray, bool]:
    """Run a function of the whole cube twice, once without the last 182 calendar days, and compare.

    A clean result is no proof: only one cut is tried. The engine cannot hand out later rows at all.

    Parameters
    ----------
    data : xr.DataArray
        A cube.
    strategy : callable
        ``strategy(cube) -> weights (time, asset)``.

    Returns
    -------
    weights : xr.DataArray
        From all data.
    looks_ahead : bool
        As `check_forward_looking`.
    """
    cube = as_cube(data)
    cropped = cube.sel(time=slice(None, cube["time"].values[-1] - _CROPPED_DAYS))
    whole = strategy(cube)
    return whole, check_forward_looking(strategy(cropped), whole)
