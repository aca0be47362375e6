"""The ways to scale a feature: what it is mapped by, and how shift and scale are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["BY_NAME", "KINDS", "POWERS", "UNCENTRED", "Kind"]


def _mean(x: np.ndarray) -> tuple[float, float]:
    return float(x.mean()), float(x.std())


def _extremes(x: np.ndarray) -> tuple[float, float]:
    return float(x.min()), float(np.ptp(x))


def _quartiles(x: np.ndarray) -> tuple[float, float]:
    low, middle, high = np.percentile(x, (25.0, 50.0, 75.0))
    return float(middle), float(high - low)


def _nothing(x: np.ndarray) -> tuple[float, float]:
    return 0.0, 1.0


def _size(x: np.ndarray) -> tuple[float, float]:
    return 0.0, float(np.sqrt(np.mean(x * x)))


def _as_is(x: np.ndarray, power: np.ndarray) -> np.ndarray:
    return x


def _log_returns(x: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Return each value's log change from the last one known before it; x (time, asset)."""
    logs = np.log(x)
    known = pd.DataFrame(logs).ffill().shift(1).to_numpy()
    return logs - known


def _signed_log(x: np.ndarray, power: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.log1p(np.abs(x))


def _signed_exp(x: np.ndarray, power: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.expm1(np.abs(x))


def _yeo_johnson(x: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Yeo and Johnson (2000), power (asset,); in the form whose differences stay exact near power 0 and 2."""
    a = np.where(x >= 0, power, 2.0 - power)
    logs = np.log1p(np.abs(x))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sign(x) * np.where(a == 0.0, logs, np.expm1(a * logs) / a)


def _yeo_johnson_inverse(x: np.ndarray, power: np.ndarray) -> np.ndarray:
    a = np.where(x >= 0, power, 2.0 - power)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(a == 0.0, np.abs(x), np.log1p(a * np.abs(x)) / a)
    return np.sign(x) * np.expm1(logs)


@dataclass(frozen=True)
class Kind:
    """A map of values, then a shift and a scale.

    `measure` returns shift and scale of mapped values ``(n,)``; `apply` maps values ``(time, asset)`` by a power
    ``(asset,)``, which most kinds ignore, and `undo` maps them back.
    """

    measure: Callable[[np.ndarray], tuple[float, float]]
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray] = _as_is
    undo: Callable[[np.ndarray, np.ndarray], np.ndarray] = _as_is


BY_NAME: dict[str, Kind] = {
    "log-returns": Kind(_mean, _log_returns),  # undone by `_levels`, which needs the level to start from
    "minmax": Kind(_extremes),
    "none": Kind(_nothing),
    "robust": Kind(_quartiles),
    "signed-log1p": Kind(_extremes, _signed_log, _signed_exp),
    "size": Kind(_size),
    "standard": Kind(_mean),
    "yeo-johnson": Kind(_mean, _yeo_johnson, _yeo_johnson_inverse),
}
KINDS = tuple(BY_NAME)
"""log-returns (then standard), minmax, none, robust (median and quartiles), signed-log1p (then minmax), size (root mean
square, 0 stays 0), standard (mean and population deviation), yeo-johnson (over the root mean square, then standard)."""
POWERS = (-2.0, 4.0)
"""Bounds of the power of yeo-johnson: beyond them large values become one number, and cannot be mapped back."""
UNCENTRED = ("none", "size")
"""Kinds that leave 0 where it is, and so every sign."""
