"""What should not matter, and is made another: the year, the level of an adjusted price, the seed of the day."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .. import asof, generators
from ..cube import Cubes
from ..errors import QlstmError
from ..strategy import Strategy
from . import alterations
from .findings import Finding, change
from .replay import fits_of, forward
from .subject import Subject

__all__ = ["draws", "hindsight", "price_level"]

_STAY = np.timedelta64(0, "D")
_CYCLE = np.timedelta64(10227, "D")  # 28 years, after which each date falls on the same day of the week
_MATTERS = 1e-3  # of the largest weight: logarithms of other prices differ in the last bits, and fits follow
_SAME = 1e-9  # of the largest feature or label
_PRICES, _VOLUMES = ("open", "high", "low", "close", "divs", "split_cumprod"), ("vol",)
_LEVELS = (0.5, 2.0, 4.0)  # powers of two: products with them are exact, and so are ratios of such products


def draws(subject: Subject) -> list[Finding]:
    """Predict with the same models under another seed: weights should come from data, not from dice."""
    models, strategy = subject.models, subject.course.strategy
    with generators.kept():
        again, found = (_differs(subject, _again(subject, strategy, subject.data, models, seed=n)) for n in (0, 1))
    if found is None or again is not None:  # the latter is the business of repetition
        return []
    message = "with the same models and the same data, weights change with the seed: predict draws numbers"
    fix = "call net.eval(), so that dropout is off; draw in train, and keep what was drawn in the models"
    return [Finding.at("draws", "determinism", "warning", "predict", message, fix=fix, **found)]


def hindsight(subject: Subject) -> list[Finding]:
    """Move all dates by 28 years, and with them weekdays and months: who then decides otherwise knows the year."""
    message = "weights change when all dates are moved by 28 years: it knows which year it is, and so what comes"
    fix = (
        "find rules by the data, not by dates; hand tables over as a cube, with the days of their publication; "
        "fine where a date makes a seed, and nothing else"
    )
    try:
        found = _elsewhere(subject, alterations.all_at_once(subject.data, _years_later), _CYCLE)
    except QlstmError as error:
        found, message = {"date": subject.sampled[0]}, f"it fails when all dates are moved by 28 years: {error}"
    return [Finding.at("hindsight", "look-ahead", "warning", "predict", message, fix=fix, **found)] if found else []


def price_level(subject: Subject) -> list[Finding]:
    """Divide each asset's prices as a later split would have: adjusted prices know it, weights should not."""
    try:
        _, data = next(alterations.one_by_one(subject.data, _as_split))  # the traded cube
        found = _elsewhere(subject, data, _STAY)
    except QlstmError:  # of other prices it makes nothing, which is no answer
        return []
    if found is None:
        return []
    message = "weights change with the level of prices, and adjusted prices of today's winners were made low by splits"
    fix = (
        "use ratios of open, high, low and close (other prices were left as they are), or undo the adjustment "
        "(split_cumprod); fine where prices are never adjusted"
    )
    return [Finding.at("price-level", "look-ahead", "warning", "predict", message, fix=fix, **found)]


def _years_later(cube: xr.DataArray) -> xr.DataArray:
    moved = cube.assign_coords(time=cube["time"].values + _CYCLE)
    if asof.AVAILABLE_FROM in cube.coords:
        moved = moved.assign_coords({asof.AVAILABLE_FROM: cube[asof.AVAILABLE_FROM] + _CYCLE})
    elif asof.AVAILABLE_FROM in cube["field"].values:
        is_stamp = xr.DataArray(cube["field"].values == asof.AVAILABLE_FROM, dims="field")
        moved = moved + is_stamp * float(_CYCLE / np.timedelta64(1, "D"))
    return moved.rename(cube.name)


def _as_split(cube: xr.DataArray) -> xr.DataArray:
    fields = cube["field"].values.astype(str)
    level = np.resize(_LEVELS, cube.sizes["asset"])
    factors = np.where(np.isin(fields, _PRICES)[:, None, None], level, 1.0)
    factors = np.where(np.isin(fields, _VOLUMES)[:, None, None], 1.0 / level, factors)
    return cube.copy(data=cube.transpose("field", "time", "asset").values * factors)


def _elsewhere(subject: Subject, data: Cubes, move: np.timedelta64) -> dict[str, Any] | None:
    """Return where the strategy decides otherwise on other data, whose dates were moved."""
    with generators.kept():
        found = _fitted_otherwise(subject, data, move)
        if found is not None:
            return found if _fitted_otherwise(subject, subject.data, _STAY) is None else None
        models = subject.models if subject.are_networks else {}  # of what else train returns, who knows what it is
        found = _differs(subject, _again(subject, subject.fresh(), data, models, move))
        if found is None or _differs(subject, _again(subject, subject.fresh(), subject.data, models)) is not None:
            return None  # it differs with nothing changed: another check's business
        return found


def _again(
    subject: Subject,
    strategy: Strategy,
    data: Cubes,
    models: Mapping[np.datetime64, Any],
    move: np.timedelta64 = _STAY,
    seed: int = 0,
) -> xr.DataArray:
    """Return the weights of the sampled days, decided again; models that are not given are trained."""
    strategy = _seeded(strategy, move, seed)
    given = {t + move: each for t, each in models.items()}
    other = forward(strategy, subject.windows(strategy, data), subject.sampled + move, given).weights
    return other.assign_coords(time=other["time"].values - move)


def _seeded(strategy: Strategy, move: np.timedelta64, more: int = 0) -> Strategy:
    """Return the strategy with the seed that gives a day moved the numbers that it had; the engine adds the day."""
    return dataclasses.replace(strategy, seed=strategy.seed + more - int(move / np.timedelta64(1, "D")))


def _fitted_otherwise(subject: Subject, data: Cubes, move: np.timedelta64) -> dict[str, Any] | None:
    strategy = _seeded(subject.fresh(), move)
    windows = subject.windows(strategy, data)
    for t in subject.training_days if subject.course.calls.fits else ():
        before = [fit for fit in subject.course.calls.fits if fit.t == t]
        for one, other in zip(before, fits_of(strategy, windows(t + move, strategy.train_period)), strict=False):
            for a, b in ((one.X, other.X), (one.Y, other.Y)):
                found = _first(a, b.assign_coords(time=b["time"].values - move), _SAME)
                if found is not None:
                    return found | {"date": t}
    return None


def _differs(subject: Subject, other: xr.DataArray) -> dict[str, Any] | None:
    plain, other = (weights.transpose("time", "asset").fillna(0.0) for weights in (subject.course.weights, other))
    return _first(*xr.align(plain, other, join="outer", fill_value=0.0), _MATTERS)


def _first(one: xr.DataArray, other: xr.DataArray, tolerance: float) -> dict[str, Any] | None:
    """Return day, asset and values of the first cell that differs by more than a share of the largest."""
    one, other = xr.align(one, other, join="outer")
    rest = [dim for dim in one.dims if dim not in ("time", "asset")]
    a, b = (each.transpose("time", "asset", *rest).values.astype(float) for each in (one, other))
    largest = float(np.nanmax(np.abs(a), initial=0.0))
    cells = np.argwhere(~np.isclose(a, b, rtol=0.0, atol=tolerance * largest, equal_nan=True))
    if not len(cells):
        return None
    cell = tuple(cells[0])
    return {
        "date": one["time"].values[cell[0]],
        "asset": one["asset"].values[cell[1]],
        "value": change(a[cell], b[cell]),
    }
