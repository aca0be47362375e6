"""What `train` hands to `nn.fit`: features that know later rows, labels set before they are known, or too late."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from .. import generators
from ..cube import Cubes, Windows
from ..dates import day
from ..errors import QlstmError
from ..strategy import Strategy
from . import alterations
from .differences import TAIL, first_moved, set_early
from .findings import Finding, change
from .replay import Fit, fits_of, traded
from .subject import Subject

__all__ = ["eval_assets", "label_outliers", "label_timing", "labels", "same_features", "training_features"]

_FAMILY = "look-ahead"
_DEEP = (0.9, 0.75, 0.5)  # of the window: where the rest is made another one
_EARLY = (1, 3, 8, 20)  # rows: where warm-up rows may have been filled backwards
_TAILS = (1, 2, 3, 6, 11, TAIL)  # rows cut off the end
_SCALED_ROWS = 20  # from which on a straight line through old and new values means a scaler
_HELD_OUT = 0.9  # of the window: a scaler that does not look at the rows after it leaves out what is held out
_APART = 0.01  # of a feature's standard deviation: recursive indicators forget where their window began
_HEAVY = 0.2  # share of the labels' variance that one may have
_FEWEST = 50  # labels, for a share to mean something
EVAL_ASSETS = "EVAL_ASSETS"
_Windows = Iterator[tuple[Strategy, Cubes]]


def _windows(subject: Subject) -> _Windows:
    """Yield a fresh strategy and the window for each training day that is looked at."""
    for t in subject.training_days if subject.thorough else subject.training_days[:1]:
        strategy = subject.fresh()
        yield strategy, subject.windows(strategy)(t, strategy.train_period)


def _fits(strategy: Strategy, window: Cubes) -> list[Fit]:
    """Return the fits for a window; none where it breaks `train`, which an altered one may."""
    with generators.kept():
        try:
            return fits_of(strategy, window)
        except QlstmError:
            return []


def _are_repeatable(fits: list[Fit], strategy: Strategy, window: Cubes) -> bool:
    again = _fits(strategy, window)
    pairs = zip(fits, again, strict=False)
    same = all(one.X.identical(other.X) and one.Y.identical(other.Y) for one, other in pairs)
    return bool(fits) and len(fits) == len(again) and same


def _not_checked(check: str, subject: Subject, fits: list[Fit]) -> Finding:
    if fits:
        why, fix = "train hands other numbers to nn.fit each time", "mend what the determinism checks found first"
    else:
        why, fix = "train hands nothing to nn.fit, so its features and labels cannot be seen", ""
    t = subject.training_days[0]
    return Finding.at(check, _FAMILY, "note", "train", f"not checked: {why}", date=t, fix=fix)


def training_features(subject: Subject) -> list[Finding]:
    """Change later rows of the training window: features of the rows before must stay the same."""
    for strategy, window in _windows(subject):
        fits = _fits(strategy, window)
        if not _are_repeatable(fits, strategy, window):
            return [_not_checked("training-features", subject, fits)]
        times = traded(window)["time"].values
        in_gaps = times.searchsorted(alterations.in_gaps(traded(window)))
        weaker: list[Finding] = []
        for row in dict.fromkeys([*_rows(len(times)), *in_gaps]):
            for found in _moved(strategy, window, fits, times[row]):
                finding = _of_features(found, times[row], row >= _SCALED_ROWS)
                if not found["is_compared"]:
                    is_early = found["is_scaled"] and _SCALED_ROWS <= row < int(_HELD_OUT * len(times))
                    return weaker[:1] if is_early else [finding]
                weaker.append(finding)  # another row may show what is worse
        if weaker:
            return weaker[:1]
    return []


def _moved(strategy: Strategy, window: Cubes, fits: list[Fit], cut: np.datetime64) -> Iterator[dict[str, Any]]:
    """Yield features up to `cut` that change with what follows in one of the cubes, one for each change made."""
    for variant in ("noise", "scaled", "permuted"):  # the last changes who is liquid
        alter = functools.partial(alterations.after, t=cut, variant=variant)
        calm = functools.partial(_but_the_last, alter=alter)
        for cube, other in alterations.one_by_one(window, alter):
            found = first_moved([f.X for f in fits], [f.X for f in _fits(strategy, other)], cut)
            if found is not None and found["is_compared"]:  # by assets chosen on the last day; was that all?
                calmer = dict(alterations.one_by_one(window, calm))[cube]
                again = first_moved([f.X for f in fits], [f.X for f in _fits(strategy, calmer)], cut)
                found = again if again is not None and not again["is_compared"] else found
            if found is not None:
                yield found | {"cube": cube}


def _but_the_last(cube: xr.DataArray, alter: Callable[[xr.DataArray], xr.DataArray]) -> xr.DataArray:
    other = alter(cube).copy()
    other[{"time": -1}] = cube.isel(time=-1)
    return other


def _rows(count: int) -> list[int]:
    rows = [count - 2, *(int(share * count) for share in _DEEP), *reversed(_EARLY)]
    return [row for row in dict.fromkeys(rows) if 0 < row < count - 1]


def _of_features(found: dict[str, Any], cut: np.datetime64, many: bool) -> Finding:
    where = {"date": found["time"]} | {name: found[name] for name in ("asset", "value", "cube")}
    if many and found["is_scaled"]:
        return Finding.at(
            "training-features",
            _FAMILY,
            "warning",
            "features",
            "features are scaled by statistics of the whole training window",
            **where,
            fix="fine as long as predict scales with the same numbers, and no row is held out for validation",
        )
    if many and found["is_compared"]:
        return Finding.at(
            "training-features",
            _FAMILY,
            "warning",
            "train",
            f"which assets are trained on changes when rows after {day(cut)} do, and what one knows of the others too",
            **where,
            fix="compare assets with all that were there on each day, before choosing those to train on",
        )
    return Finding.at(
        "training-features",
        _FAMILY,
        "fail",
        "features",
        f"a training feature changes when rows after {day(cut)} do"
        + (f" in cube {found['cube']!r}" if found["cube"] else ""),
        **where,
        fix="no bfill, no centred windows, no transform of the whole series; leave NaN, nn.fit drops such rows",
    )


def same_features(subject: Subject) -> list[Finding]:
    """Compare the last row that predict scores with the same row in train: a network knows what it was fitted to."""
    calls = subject.course.calls
    for fit in calls.fits:
        rows = [score.last for score in calls.scores if score.t == fit.t and score.role == "predict"]
        found = [_row_apart(fit.X, row) for row in rows if _is_comparable(fit.X, row)]
        if found and all(found):  # each fit may have its own row
            where = found[0] or {}
            message = "a row's features in predict are not what they are in train"
            fix = (
                "scale in predict with the numbers of train, kept beside the networks (qlstm.scaling); "
                "fine where it is noise that train adds"
            )
            return [Finding.at("same-features", _FAMILY, "warning", "features", message, fix=fix, **where)]
    return []


def _is_comparable(X: xr.DataArray, row: xr.DataArray) -> bool:
    same = row.dims == X.isel(time=-1).dims and bool(row["time"].values in X["time"].values)
    names = [one["feature"].values.tolist() for one in (X, row) if "feature" in one.coords]
    return same and (len(names) < 2 or names[0] == names[1])


def _row_apart(X: xr.DataArray, row: xr.DataArray) -> dict[str, Any] | None:
    """Return the first cell of a row that is not what it is in X (time, asset, feature)."""
    one, other, spread = xr.align(X.sel(time=row["time"]), row, X.std("time"), join="inner")
    apart = (abs(one - other) > _APART * spread).values
    if not apart.any():
        return None
    cell = tuple(np.argwhere(apart)[0])
    asset = one["asset"].values[cell[one.dims.index("asset")]]
    return {"date": row["time"].values, "asset": asset, "value": change(one.values[cell], other.values[cell])}


def labels(subject: Subject) -> list[Finding]:
    """Cut rows off the end of the training window: a label that was set, and becomes another one, was not known yet."""
    for strategy, window in _windows(subject):
        whole = _fits(strategy, window)
        if not _are_repeatable(whole, strategy, window):
            return [_not_checked("labels", subject, whole)]
        where = min(_tails(strategy, window, whole), key=lambda one: not one["same_assets"], default=None)
        if where is not None:
            return [
                Finding.at(
                    "labels",
                    _FAMILY,
                    "fail",
                    "labels",
                    f"a label is set on {day(where['time'])} from data that end {day(where['cut'])}, and is another "
                    "one once later rows are there",
                    date=where["time"],
                    asset=where["asset"],
                    value=where["value"],
                    fix="leave labels NaN until their last price is there: labels.where(later.notnull())",
                )
            ]
    return []


def _tails(strategy: Strategy, window: Cubes, whole: list[Fit]) -> Iterator[dict[str, Any]]:
    """Yield, for each number of rows cut off, the first label that was set before it was known."""
    times = traded(window)["time"].values
    for rows in _TAILS:
        if rows >= len(times) - 2:
            return
        last = times[-rows - 1]
        short = Windows(window).up_to(last).data  # all cubes: on that day none of them went on
        for one, other in zip(_fits(strategy, short), whole, strict=False):
            found = set_early(one.Y, other.Y)
            if found is not None:
                yield found | {"cut": last}


def label_timing(subject: Subject) -> list[Finding]:
    """Change all that a position can earn, from the next open on: a label that stays the same is no forecast of it."""
    for strategy, window in _windows(subject):
        whole = _fits(strategy, window)
        if not _are_repeatable(whole, strategy, window):  # said by the check of labels
            return []
        times = traded(window)["time"].values
        for row in (len(times) // 2, len(times) // 3):
            cut = times[row]
            answers = [_answer(strategy, window, whole, cut, turn) for turn in (1, -1)]
            if None in answers or any(answers):
                return []
        return [
            Finding.at(
                "label-timing",
                _FAMILY,
                "fail",
                "labels",
                f"the label of {day(cut)} is known at the next open, when its weights are traded: nothing of it can be "
                "earned",
                date=cut,
                asset=whole[0].Y["asset"].values[0],
                value=f"{float(whole[0].Y.sel(time=cut).values[0]):.6g}",
                fix="label with open[t+2] / open[t+1] - 1, or later prices",
            )
        ]
    return []


def _answer(strategy: Strategy, window: Cubes, whole: list[Fit], cut: np.datetime64, turn: int) -> bool | None:
    """Tell whether labels of one row change with what follows the next open; None where there is none to compare."""
    alter = functools.partial(alterations.beyond_the_trade, t=cut, turn=turn)
    altered = _fits(strategy, alterations.all_at_once(window, alter))
    pairs = [
        [y.sel(time=[cut]) for y in xr.align(one.Y, other.Y, join="inner") if cut in y["time"].values]
        for one, other in zip(whole, altered, strict=False)
    ]
    pairs = [pair for pair in pairs if len(pair) == 2 and bool(pair[0].notnull().any())]
    return any(not one.identical(other) for one, other in pairs) if pairs else None


def eval_assets(subject: Subject) -> list[Finding]:
    """Hold assets that the file names as never trained on (`EVAL_ASSETS`) against those handed to `nn.fit`."""
    unseen = {str(asset) for asset in subject.strategy.namespace.get(EVAL_ASSETS, ())}
    for fit in subject.course.calls.fits:
        seen = sorted(unseen & {str(asset) for asset in fit.X["asset"].values})
        if seen:
            return [
                Finding.at(
                    "eval-assets",
                    _FAMILY,
                    "fail",
                    "train",
                    f"{len(seen)} of the {len(unseen)} assets in {EVAL_ASSETS} are trained on",
                    date=fit.t,
                    asset=seen[0],
                    fix="drop them from X and Y, or do not call their score out of sample",
                )
            ]
    return []


def label_outliers(subject: Subject) -> list[Finding]:
    """Name a label that has more than a fifth of all labels' variance: the fit would follow it alone."""
    for fit in subject.course.calls.fits:
        labels = fit.Y.transpose("time", "asset")
        known = labels.values[~np.isnan(labels.values)]
        squares = np.square(labels.values - (known.mean() if known.size else 0.0))
        if known.size < _FEWEST or not np.nansum(squares) > 0:
            continue
        shares = np.nan_to_num(squares / np.nansum(squares))
        row, column = np.unravel_index(int(shares.argmax()), shares.shape)
        if shares[row, column] > _HEAVY:
            return [
                Finding.at(
                    "label-outliers",
                    "data",
                    "fail",
                    "labels",
                    f"one label has {shares[row, column]:.0%} of the variance of all {known.size}",
                    date=labels["time"].values[row],
                    asset=labels["asset"].values[column],
                    value=f"{labels.values[row, column]:.6g}",
                    fix="look at that price; clip or rank labels, or leave out rows that data.quality.examine flags",
                )
            ]
    return []
