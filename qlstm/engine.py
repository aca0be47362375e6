"""One step: from yesterday's memory and the data up to today to today's weights and memory.

The backtester folds `step` over days, the runner does it once from disk, the audit replays it. One function, so they
cannot disagree.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import schedule
from .calls import call
from .cube import Windows, as_cube
from .dates import day
from .errors import StrategyError, WeightsError
from .strategy import Memory, Strategy

__all__ = ["batch", "extend", "prepare", "retrain", "step", "train"]

_DAYS_CHECKED = 3  # sampled days on which features, and batch predictions, are compared with their causal twin
_TOLERANCE = 1e-9  # relative; the same numbers summed over another length may differ in the last bits


def step(strategy: Strategy, memory: Memory, windows: Windows, t: np.datetime64) -> tuple[xr.DataArray, Memory]:
    """Decide one day: train if due, then predict.

    Parameters
    ----------
    strategy : Strategy
        The two functions and their periods.
    memory : Memory
        Yesterday's memory; ``Memory()`` on the first day.
    windows : Windows
        The data, from `prepare`.
    t : np.datetime64
        The day, one of ``windows.times``.

    Returns
    -------
    weights : xr.DataArray
        Dims ``(asset,)`` as predicted: not normalised, any assets of the data in any order.
    memory : Memory
        Today's memory.

    Raises
    ------
    StrategyError
        When train or predict raises, or predict returns something that is not finite weights for t.
    """
    memory = retrain(strategy, memory, windows, t)
    weights, state = _predict(strategy, memory, windows(t, strategy.lookback_period), t)
    weights = _row(strategy, weights, windows, t)
    return weights, Memory(memory.trained_at, memory.models, state)


def batch(strategy: Strategy, memory: Memory, windows: Windows, days: np.ndarray) -> tuple[xr.DataArray, Memory]:
    """Decide all days of one retrain interval with a single predict, as the established toolbox's batch mode does.

    Some days are predicted again from the same window cut at that day, with the same state: a predict that uses later
    rows is refused.

    Returns
    -------
    weights : xr.DataArray
        Dims ``(time, asset)``, the days of `days` that predict returned.
    memory : Memory
        The memory after the interval.
    """
    memory = retrain(strategy, memory, windows, days[0])
    window = windows(days[-1], strategy.lookback_period + schedule.reach(days, strategy.retrain_interval))
    weights, state = _predict(strategy, memory, window, days[-1])
    if not isinstance(weights, xr.DataArray) or set(weights.dims) != {"time", "asset"} or "time" not in weights.coords:
        raise StrategyError(
            f"{strategy.where}: in batch mode predict must return weights with dims (time, asset) and their labels; "
            f"on {day(days[-1])} it returned {_kind(weights)}{_stateless(strategy, weights)}"
        )
    kept = weights.isel(time=np.isin(weights["time"].values, days))
    kept = kept.isel(time=~np.isnan(kept.transpose("time", "asset").values).all(axis=1))
    for t in kept["time"].values:
        _row(strategy, weights, windows, t)
    for t in kept["time"].values[: -1 : max(1, kept.sizes["time"] // _DAYS_CHECKED)]:
        shorter, _ = _predict(strategy, memory, _cut(window, t), days[-1])
        _compare(strategy, _row(strategy, weights, windows, t), _row(strategy, shorter, windows, t), t)
    return kept, Memory(memory.trained_at, memory.models, state)


def retrain(strategy: Strategy, memory: Memory, windows: Windows, t: np.datetime64) -> Memory:
    """Return `memory` with models trained on the window up to t when that is due, else `memory` itself."""
    if strategy.train is None or not schedule.due(t, memory.trained_at, strategy.retrain_interval, windows.times):
        return memory
    return Memory(t, train(strategy, windows(t, strategy.train_period), t), memory.state)


def train(strategy: Strategy, window: Any, t: np.datetime64) -> Any:
    """Return what the strategy's train makes of the window up to t.

    Raises
    ------
    StrategyError
        When train raises.
    """
    assert strategy.train is not None
    models = call(strategy, "train", t, strategy.train, window)
    return _copied(models, other=lambda model: model)


def prepare(strategy: Strategy, windows: Windows) -> Windows:
    """Return what `step` cuts its windows from: the data with the strategy's features added, if it has any.

    Features are computed once over all of `windows`, so cut it at the last day first.

    Raises
    ------
    StrategyError
        When the features are not labelled like the cube, or look ahead.
    """
    wider = extend(strategy, windows)
    if wider is not windows:
        _check_causal(strategy, windows.traded, wider.traded.isel(field=slice(windows.traded.sizes["field"], None)))
    return wider


def extend(strategy: Strategy, windows: Windows) -> Windows:
    """Return what `prepare` does, without asking whether the features look ahead: the audit finds out where they do."""
    if strategy.features is None:
        return windows
    if windows.data is not windows.traded:
        raise StrategyError(f"{strategy.where}: features take one cube, not several; compute them in predict")
    cube = windows.traded
    extra = _features(strategy, cube, cube["time"].values[-1])
    fields = np.concatenate([cube["field"].values.astype(object), extra["field"].values.astype(object)])
    joined = xr.concat([cube.drop_vars("field"), extra.drop_vars("field")], dim="field")
    return windows.over(joined.assign_coords(field=fields))


def _stateless(strategy: Strategy, returned: object) -> str:
    """Return what to do about a predict that returns a state but takes none."""
    if not isinstance(returned, tuple) or strategy.is_stateful:
        return ""
    return f"; write predict({', '.join(strategy.predict_arguments)}) to keep a state"


def _kind(value: Any) -> str:
    return f"dims ({', '.join(map(str, value.dims))})" if isinstance(value, xr.DataArray) else type(value).__name__


def _copied(value: Any, other: Callable[[Any], Any] = copy.deepcopy) -> Any:
    """Return a copy of a state or of models as a tree of values, as a state file would give it back.

    `copy.deepcopy` keeps two names of one array the same array and keeps the memory layout; a file does neither, so a
    single pass would differ from the multi-pass. What is none of the containers and arrays goes through `other`.
    """
    if type(value) is dict:
        return {key: _copied(one, other) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copied(one, other) for one in value)
    if type(value) is np.ndarray and value.dtype != object:
        return np.array(value, order="C")
    if type(value) is xr.DataArray and value.dtype != object:
        return value.copy(deep=True, data=np.array(value.values, order="C"))
    return other(value)


def _predict(strategy: Strategy, memory: Memory, window: Any, t: np.datetime64) -> tuple[Any, Any]:
    """Return the raw ``(weights, state)`` of one predict; the state handed over is a copy of its own."""
    arguments = [window] if strategy.train is None else [memory.models, window]
    if not strategy.is_stateful:
        return call(strategy, "predict", t, strategy.predict, *arguments), memory.state
    result = call(strategy, "predict", t, strategy.predict, *arguments, _copied(memory.state))
    if not isinstance(result, tuple) or len(result) != 2:
        raise StrategyError(
            f"{strategy.where}: predict takes a state, so it must return (weights, state); "
            f"on {day(t)} it returned {type(result).__name__}{'; has it a return?' if result is None else ''}"
        )
    return result


def _row(strategy: Strategy, weights: Any, windows: Windows, t: np.datetime64) -> xr.DataArray:
    """Return the weights of day t, dims (asset,), after checking that they are that."""
    try:
        row = _of_day(weights, t)
        _check_row(row, windows.traded.get_index("asset"))
    except WeightsError as error:
        hint = _stateless(strategy, weights)
        raise StrategyError(f"{strategy.where}: predict returned {error} ({day(t)}){hint}") from None
    return row


def _of_day(weights: Any, t: np.datetime64) -> xr.DataArray:
    """Return the row of t; raise WeightsError, saying what there is instead, when there is none."""
    if not isinstance(weights, xr.DataArray):
        hint = "; has it a return?" if weights is None else ""
        raise WeightsError(f"{type(weights).__name__}, not an xarray.DataArray over asset, or time and asset{hint}")
    if weights.dims == ("asset",):
        if "time" in weights.coords and weights["time"].ndim == 0 and weights["time"].values != t:
            raise WeightsError(f"weights dated {day(weights['time'].values)}")
        return weights
    if set(weights.dims) != {"time", "asset"}:
        raise WeightsError(f"dims ({', '.join(map(str, weights.dims))}), want (asset) or (time, asset)")
    places = np.flatnonzero(weights["time"].values == t)
    if len(places) != 1:
        there = f", they end {day(weights['time'].values.max())}" if weights.sizes["time"] and not len(places) else ""
        raise WeightsError(f"weights that {'repeat' if len(places) else 'lack'} that day{there}")
    return weights.isel(time=int(places[0]))


def _check_row(row: xr.DataArray, known: pd.Index) -> None:
    """Raise WeightsError for a row that is not finite weights of the data's assets; NaN is counted later."""
    if row.dtype.kind not in "fiub":
        raise WeightsError(f"weights of dtype {row.dtype}, want float")
    if "asset" not in row.coords:
        raise WeightsError("weights without asset labels")
    assets, values = row.get_index("asset"), row.values
    infinite = np.isinf(values)
    if infinite.any():
        i = int(np.argmax(infinite))
        raise WeightsError(f"weight {values[i]} for asset {assets[i]}")
    if assets is known:
        return
    if not assets.is_unique:
        raise WeightsError(f"asset {assets[assets.duplicated()][0]} twice")
    for stranger in np.flatnonzero(known.get_indexer(assets) < 0).tolist():
        if values[stranger] and not np.isnan(values[stranger]):
            raise WeightsError(f"weight {values[stranger]:g} for asset {assets[stranger]}, which the data lack")


def _cut(window: Any, t: np.datetime64) -> Any:
    """Return a window (or several by name) without the rows after t."""
    if isinstance(window, dict):
        return {name: _cut(one, t) for name, one in window.items()}
    return window.isel(time=slice(0, int(window["time"].values.searchsorted(t, "right"))))


def _compare(strategy: Strategy, whole: xr.DataArray, causal: xr.DataArray, t: np.datetime64) -> None:
    whole, causal = xr.align(whole, causal, join="outer", fill_value=0.0)
    differ = ~np.isclose(whole.values, causal.values, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
    if differ.any():
        i = int(np.argmax(differ))
        raise StrategyError(
            f"{strategy.where}: predict looks ahead: on {day(t)} asset {whole['asset'].values[i]} gets "
            f"{whole.values[i]:g} from the whole interval, {causal.values[i]:g} from data that end that day; "
            "use predict_each_day=True"
        )


def _features(strategy: Strategy, cube: xr.DataArray, t: np.datetime64) -> xr.DataArray:
    """Return the strategy's extra fields over `cube`, dims (field, time, asset), aligned with it by label."""
    assert strategy.features is not None
    extra = call(strategy, "features", t, strategy.features, cube)
    if isinstance(extra, dict):
        named = [one.drop_vars("field", errors="ignore") for one in extra.values()]
        extra = xr.concat(named, dim="field").assign_coords(field=np.array(list(extra), dtype=object))
    extra = as_cube(extra, what=f"{strategy.where}: what features returned", fields=())
    for dim in ("time", "asset"):
        if not extra.get_index(dim).equals(cube.get_index(dim)):
            raise StrategyError(f"{strategy.where}: features must return the cube's own {dim} labels")
    clash = sorted(set(extra["field"].values) & set(cube["field"].values))
    if clash:
        raise StrategyError(f"{strategy.where}: features returned field {clash[0]!r}, which the data have already")
    return extra.drop_vars([name for name in extra.coords if name not in extra.dims])


def _check_causal(strategy: Strategy, cube: xr.DataArray, extra: xr.DataArray) -> None:
    """Refuse features that change when later rows are cut off, on sampled days."""
    rows = np.linspace(len(cube["time"]) // 4, len(cube["time"]) - 2, _DAYS_CHECKED).astype(int)
    for i in sorted(set(rows[rows >= 0])):
        t = cube["time"].values[i]
        short = _features(strategy, cube.isel(time=slice(0, i + 1)), t).values
        whole = extra.values[:, : i + 1]
        differ = ~np.isclose(short, whole, rtol=_TOLERANCE, atol=0, equal_nan=True)
        if differ.any():
            cell = tuple(np.argwhere(differ)[0])
            field, row, asset = (extra[dim].values[i] for dim, i in zip(extra.dims, cell, strict=True))
            raise StrategyError(
                f"{strategy.where}: features look ahead: {field} of asset {asset} on {day(row)} is {whole[cell]:g}, "
                f"but {short[cell]:g} from data that end {day(t)}"
            )
