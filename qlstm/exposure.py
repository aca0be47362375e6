"""Keep single positions small: cut them, drop the days that hold them, or mix in a second book."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import xarray as xr

from . import weights as algebra
from ._labels import labelled_like
from .errors import WeightsError
from .weights import calc_exposure

__all__ = ["cut_big_positions", "drop_bad_days", "mix_weights"]

_LOG = logging.getLogger("qlstm.exposure")
_LIMIT = 0.049
"""Just below the 5 % at which the stocks contests begin to count."""


def _checked(weights: Any, max_weight: float) -> xr.DataArray:
    if not max_weight > 0:
        raise WeightsError(f"max_weight must be above 0, got {max_weight}")
    return algebra.check_dims(weights)


def cut_big_positions(weights: Any, max_weight: float = _LIMIT) -> xr.DataArray:
    """Return weights between -max_weight and max_weight; what is cut off becomes cash.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)`` or ``(asset,)``. NaN stays NaN. An infinite weight is no error here: it is cut as any
        big one, and named in a warning of the logger ``qlstm.exposure``.
    max_weight : float
        Largest share of capital in one asset.

    Returns
    -------
    xr.DataArray
        The same labels; rows are not normalised again.

    Raises
    ------
    WeightsError
        Not weights, or a limit that is not above 0.
    """
    book = algebra.log_infinite(_checked(weights, max_weight), _LOG)
    return labelled_like(book, np.clip(book.values, -max_weight, max_weight))


def drop_bad_days(weights: Any, max_weight: float = _LIMIT) -> xr.DataArray:
    """Return weights without the days on which one asset makes up `max_weight` of the book or more: all 0 there.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)`` or ``(asset,)``. An infinite weight is no error here: it has no share and stays, as in
        the established toolbox, and is named in a warning of the logger ``qlstm.exposure``. `output.normalize` takes
        it as 0.
    max_weight : float
        Largest share of the sum of absolute weights in one asset.

    Returns
    -------
    xr.DataArray
        The same labels.

    Raises
    ------
    WeightsError
        Not weights, or a limit that is not above 0.
    """
    book = algebra.log_infinite(_checked(weights, max_weight), _LOG)
    return book.where(calc_exposure(book).max("asset") < max_weight, 0.0)


def mix_weights(primary: Any, secondary: Any, max_weight: float = _LIMIT) -> xr.DataArray:
    """Add enough of a second book that no asset makes up more than `max_weight`: just enough where both hold it most.

    A whole day becomes NaN where the second book is flat, or exactly at the limit, while the first is above
    it: there the formula of the established toolbox divides by 0. The number of such days is logged.

    Parameters
    ----------
    primary, secondary : xr.DataArray or Result
        Dims ``(time, asset)``; labels that one of them lacks count as 0 there.
    max_weight : float
        Largest share of the sum of absolute weights in one asset.

    Returns
    -------
    xr.DataArray
        Dims ``(time, asset)`` over the union of labels, rows using at most the whole capital. Nothing is added where
        both books are above the limit, or both below. (Where only the second is above it, it is added too: that is
        what the formula of the established toolbox does, and users' numbers rest on it.)

    Raises
    ------
    WeightsError
        Not weights, an infinite one, or a limit that is not above 0.
    """
    books = (algebra.finite(_checked(book, max_weight)) for book in (primary, secondary))
    first, second = xr.align(*books, join="outer", fill_value=0.0)
    first, second = first.fillna(0.0), second.fillna(0.0)
    gross_first, gross_second = algebra.gross(first), algebra.gross(second)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = calc_exposure(first).max("asset") - max_weight
        room = max_weight - calc_exposure(second).max("asset")
        factor = gross_first * excess / (gross_second * room)
    mixed = first + second * factor.where(factor > 0, 0.0)
    broken = (~np.isfinite(mixed.values)).any(axis=mixed.get_axis_num("asset"))
    if broken.any():
        _LOG.warning("%d days are NaN: the second book is flat, or exactly at the limit", int(np.sum(broken)))
    return mixed / algebra.gross(mixed).clip(min=1.0)
