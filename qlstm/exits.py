"""Leave positions by rule: take profit, stop loss, longest holding time.

Every function looks at the last row and returns a mask over assets to multiply the last row of weights with: 1 keeps a
position, 0 leaves it. What must survive the night is in `state`, a dict that the functions update.

Opening prices are those of the row on which a position was decided, one row before the open at which it is filled.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from . import weights as algebra
from .dates import day
from .errors import DataError, WeightsError

__all__ = [
    "max_hold_long",
    "max_hold_short",
    "stop_loss_long_atr",
    "stop_loss_long_percentage",
    "stop_loss_short_atr",
    "stop_loss_short_percentage",
    "take_profit_long_atr",
    "take_profit_long_percentage",
    "take_profit_short_atr",
    "take_profit_short_percentage",
    "update_open_price",
]

State = MutableMapping[str, Any]


def _last_two(weights: Any) -> tuple[pd.Index, np.ndarray, np.ndarray]:
    """Return assets, yesterday's and today's weights (asset,), NaN as 0; yesterday's are 0 on the first day."""
    book = algebra.check_dims(weights)
    if "time" not in book.dims or not book.sizes["time"]:
        raise WeightsError(f"weights must have dims (time, asset) and a row, got {dict(book.sizes)}; pass the history")
    _sorted(book, "weights", WeightsError)
    rows = np.asarray(book.transpose("time", "asset").values[-2:], dtype=np.float64)
    rows = np.where(np.isnan(rows), 0.0, rows)
    before = rows[0] if len(rows) == 2 else np.zeros_like(rows[0])
    return book.get_index("asset"), before, rows[-1]


def _sorted(labelled: xr.DataArray, what: str, kind: type[DataError] | type[WeightsError]) -> np.datetime64:
    """Return the last date, when times ascend: what is called the last row must be the newest."""
    times = labelled.get_index("time")
    if not len(times) or not times.is_monotonic_increasing:
        raise kind(f"{what} have no rows, or are not sorted by time; use sortby('time')")
    return times[-1]


def _same_day(data: xr.DataArray, weights: Any) -> None:
    """Refuse data that end on another day than the weights: newer data would be a look into the future."""
    if not isinstance(data, xr.DataArray):
        raise DataError(f"data must be an xarray.DataArray, got {type(data).__name__}")
    if set(data.dims) != {"field", "time", "asset"}:
        raise DataError(f"data must have dims (field, time, asset), got ({', '.join(map(str, data.dims))})")
    algebra.check_labels(data, "data", DataError)
    ends = _sorted(algebra.of(weights), "weights", WeightsError), _sorted(data, "data", DataError)
    if ends[0] != ends[1]:
        raise DataError(f"weights end on {day(ends[0])}, data on {day(ends[1])}; cut both to the same last date")


def _labelled(values: Any, what: str) -> xr.DataArray:
    """Return values when they are labelled by asset, each once, and by nothing else."""
    if not isinstance(values, xr.DataArray) or values.dims != ("asset",):
        got = f"dims {values.dims}" if isinstance(values, xr.DataArray) else type(values).__name__
        raise DataError(f"{what} must be an xarray.DataArray with dims (asset,) and labels, got {got}")
    algebra.check_labels(values, what, DataError)
    return values


def _amount(value: float, what: str) -> float:
    if not 0 <= value < np.inf:
        raise DataError(f"{what} must be a finite number, at least 0, got {value}")
    return value


def _over(assets: pd.Index, values: xr.DataArray, missing: float = np.nan) -> np.ndarray:
    """Return values (asset,) as numbers over `assets`, by label; `missing` for those they lack."""
    place = values.get_index("asset").get_indexer(assets)
    found = np.asarray(values.values, dtype=np.float64)
    return np.where(place >= 0, found[place], missing) if len(found) else np.full(len(assets), missing)


def _price(data: xr.DataArray, field: str, assets: pd.Index) -> np.ndarray:
    """Return the last row of a field for these assets, NaN for those the cube lacks."""
    if field not in data.get_index("field"):
        raise DataError(f"data lack field {field!r}")
    return _over(assets, data.isel(field=data.get_index("field").get_loc(field), time=-1))


def _remembered(state: State, key: str, assets: pd.Index, missing: float) -> np.ndarray:
    """Return what the state holds under `key` for these assets; `missing` for those it does not know."""
    known = state.get(key)
    return np.full(len(assets), missing) if known is None else _over(assets, known, missing)


def _array(values: np.ndarray, assets: pd.Index) -> xr.DataArray:
    return xr.DataArray(values, dims=("asset",), coords={"asset": assets})


def update_open_price(data: xr.DataArray, weights: Any, state: State) -> xr.DataArray:
    """Remember at which price each position was opened.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` up to today, with the field open.
    weights : xr.DataArray or Result
        Dims ``(time, asset)``; the last two rows are read.
    state : dict
        ``state["open_price"]`` is replaced: NaN without a position, today's open for a new or turned one, else as it
        was.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: the new ``state["open_price"]``.

    Raises
    ------
    WeightsError, DataError
        Weights without time or rows; data without the field; times that do not ascend or occur twice, or another last
        date.
    """
    assets, before, today = _last_two(weights)
    _same_day(data, weights)
    kept = _remembered(state, "open_price", assets, np.nan)
    price = np.where(today * before <= 0, _price(data, "open", assets), kept)
    state["open_price"] = _array(np.where(today != 0, price, np.nan), assets)
    return state["open_price"]


def _keep(
    data: xr.DataArray, weights: Any, open_price: xr.DataArray, distance: xr.DataArray, side: int, rising: bool
) -> xr.DataArray:
    """Return 0 for positions on `side` whose close is not within `distance` of their opening price, else 1.

    Without a close, or a distance, it is not known to be within: the position is left.
    """
    assets, _, today = _last_two(weights)
    _same_day(data, weights)
    opened, close = _over(assets, _labelled(open_price, "open_price")), _price(data, "close", assets)
    limit = opened + _over(assets, distance) * (1 if rising else -1)
    inside = close < limit if rising else close > limit
    return _array(np.where((today * side > 0) & ~np.isnan(opened) & ~inside, 0.0, 1.0), assets)


def _ranges(weights: Any, last_atr: xr.DataArray, atr_amount: float) -> xr.DataArray:
    """Return `atr_amount` average true ranges; they must know some asset of the weights."""
    ranges = _labelled(last_atr, "last_atr")
    held = algebra.check_dims(weights).get_index("asset")
    if len(held) and not held.isin(ranges.get_index("asset")).any():
        raise DataError(f"last_atr and weights share no asset: weights have {held[0]}, ...; pass the ranges of these")
    return ranges * _amount(atr_amount, "atr_amount")


def _part(open_price: xr.DataArray, percent: float) -> xr.DataArray:
    """Return `percent` of the opening price."""
    return _labelled(open_price, "open_price") * _amount(percent, "percent") / 100


class _AtrRule(Protocol):
    def __call__(
        self, data: xr.DataArray, weights: Any, open_price: xr.DataArray, last_atr: xr.DataArray, atr_amount: float
    ) -> xr.DataArray: ...


class _PercentageRule(Protocol):
    def __call__(self, data: xr.DataArray, weights: Any, open_price: xr.DataArray, percent: float) -> xr.DataArray: ...


_DOCUMENTATION = """Leave {what} by {amount}.

    Parameters
    ----------
    data : xr.DataArray
        Cube ``(field, time, asset)`` up to today, with the field close.
    weights : xr.DataArray or Result
        Dims ``(time, asset)``; the last row is judged.
    open_price : xr.DataArray
        Dims ``(asset,)``, from `update_open_price`.
    {arguments}

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: 0 leaves, 1 keeps. Positions on the other side, and those whose opening price is unknown,
        are kept; those without a close are left.

    Raises
    ------
    DataError, WeightsError
        Arrays without labels, times that do not ascend or occur twice, data that end on another day than the weights,
        average true ranges of other assets, or an amount that is negative or no number.
    """

_RANGES = """last_atr : xr.DataArray
        Dims ``(asset,)``, today's average true range.
    atr_amount : float
        How many of them."""

_PERCENT = """percent : float
        Of the opening price."""


def _rules(name: str, what: str, side: int, rising: bool) -> tuple[_AtrRule, _PercentageRule]:
    """Return one reason to leave as two functions: at a number of average true ranges, and at a percentage."""

    def by_atr(
        data: xr.DataArray, weights: Any, open_price: xr.DataArray, last_atr: xr.DataArray, atr_amount: float
    ) -> xr.DataArray:
        return _keep(data, weights, open_price, _ranges(weights, last_atr, atr_amount), side, rising)

    def by_percentage(data: xr.DataArray, weights: Any, open_price: xr.DataArray, percent: float) -> xr.DataArray:
        return _keep(data, weights, open_price, _part(open_price, percent), side, rising)

    by_atr.__name__ = by_atr.__qualname__ = f"{name}_atr"
    by_atr.__doc__ = _DOCUMENTATION.format(what=what, amount="`atr_amount` average true ranges", arguments=_RANGES)
    by_percentage.__name__ = by_percentage.__qualname__ = f"{name}_percentage"
    by_percentage.__doc__ = _DOCUMENTATION.format(what=what, amount="`percent`", arguments=_PERCENT)
    return by_atr, by_percentage


take_profit_long_atr, take_profit_long_percentage = _rules(
    "take_profit_long", "with a profit the long positions whose close has risen", side=1, rising=True
)
take_profit_short_atr, take_profit_short_percentage = _rules(
    "take_profit_short", "with a profit the short positions whose close has fallen", side=-1, rising=False
)
stop_loss_long_atr, stop_loss_long_percentage = _rules(
    "stop_loss_long", "with a loss the long positions whose close has fallen", side=1, rising=False
)
stop_loss_short_atr, stop_loss_short_percentage = _rules(
    "stop_loss_short", "with a loss the short positions whose close has risen", side=-1, rising=True
)


def _max_hold(weights: Any, state: State, max_period: int, side: int) -> xr.DataArray:
    """Count the days of positions on `side` in ``state["holding_time"]``, and return 0 where the count is reached.

    A position that turns starts at 1 whichever its side is; on the other side the count then stands still.
    """
    if not isinstance(max_period, (int, np.integer)) or max_period < 1:
        raise WeightsError(f"max_period must be a whole number of days, at least 1, got {max_period!r}")
    assets, before, today = _last_two(weights)
    held = _remembered(state, "holding_time", assets, 0.0)
    mine = today * side > 0
    count = np.where(held >= max_period, 0.0, held + mine)
    count = np.where(today * before < 0, 1.0, count)
    count = np.where(today != 0, count, 0.0)
    state["holding_time"] = _array(count, assets)
    return _array(np.where(mine & (count >= max_period), 0.0, 1.0), assets)


def max_hold_long(weights: Any, state: State, max_period: int) -> xr.DataArray:
    """Leave long positions on the day they are held for `max_period` days.

    Parameters
    ----------
    weights : xr.DataArray or Result
        Dims ``(time, asset)``; the last two rows are read.
    state : dict
        ``state["holding_time"]``, days per asset, is replaced: one more for a long position, 1 for one that turned, 0
        without a position.
    max_period : int
        Days, at least 1; a position that is kept all the same starts again, at 0 the next day.

    Returns
    -------
    xr.DataArray
        Dims ``(asset,)``: 0 leaves, 1 keeps.

    Raises
    ------
    WeightsError
        Weights without time or rows, or a period that is no whole number of at least 1.
    """
    return _max_hold(weights, state, max_period, side=1)


def max_hold_short(weights: Any, state: State, max_period: int) -> xr.DataArray:
    """Leave short positions on the day they are held for `max_period` days. Arguments as for `max_hold_long`."""
    return _max_hold(weights, state, max_period, side=-1)
