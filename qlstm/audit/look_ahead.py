"""Does the strategy see the future? The future is made another one, and nothing up to that day may change."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import numpy as np
import xarray as xr

from .. import ahead, engine, generators
from ..cube import Cubes, Windows
from ..dates import day
from ..errors import QlstmError
from ..strategy import Memory, Strategy
from . import alterations
from .findings import Finding, change
from .replay import Fit, Opened, Recorder, decide
from .subject import Subject, is_plain, made
from .watching import Program, What, last_row, watching

__all__ = ["features", "files", "first_difference", "future", "one_bar", "window_length"]

_FAMILY = "look-ahead"
_LONGER = 1.5
_WARM_UP = (3, 12, 60)  # rows: where those before may have been filled backwards
_MATTERS = 1e-6  # of a weight: recursive indicators forget their start, and less than this is forgotten
_ROUNDING = 1e-12  # of a feature's standard deviation
_LATER = "everything after it was replaced by {variant}"
_LATER_IN = "everything after it in cube {cube!r} was replaced by {variant}"


def features(subject: Subject) -> list[Finding]:
    """Compute the features hook on data whose rows after t are others: its values up to t must be the same bytes."""
    if subject.strategy.features is None:
        return []
    strategy = subject.fresh()
    own = subject.cube.sizes["field"]
    whole = subject.windows(strategy).traded.isel(field=slice(own, None))
    times = subject.cube["time"].values
    filled = [*times[[row for row in _WARM_UP if row < len(times) - 1]], *alterations.in_gaps(subject.cube)]
    cuts = [(t, variant) for t in subject.cuts for variant in alterations.VARIANTS] + [(t, "noise") for t in filled]
    for t, variant in cuts:
        try:
            other = subject.windows(strategy, alterations.after(subject.cube, t, variant)).traded
        except QlstmError:  # this future breaks the function; the others tell
            continue
        found = first_difference(whole, _but_for_rounding(whole, other.isel(field=slice(own, None)), t), t)
        if found is not None:
            return [_of_features(found, t, variant)]
    return []


def _but_for_rounding(one: xr.DataArray, other: xr.DataArray, t: np.datetime64) -> xr.DataArray:
    """Return `other` with the values of `one` in fields that are the same up to t but for rounding.

    A convolution by Fourier transform adds up later rows too, and takes them off again.
    """
    rest = ("time", "asset")
    a, b = (x.sel(time=slice(None, t)) for x in (one, other))
    gap = abs(a - b).where(a.isnull() == b.isnull(), np.inf).max(rest)
    with np.errstate(invalid="ignore"):  # an infinite value: nothing is rounding beside it
        spread = one.std(rest)
    return one.where(gap < _ROUNDING * spread, other)


def _of_features(found: dict[str, object], t: np.datetime64, variant: str) -> Finding:
    return Finding.at(
        "features",
        _FAMILY,
        "fail",
        "features",
        f"field {found['field']} changed on a day up to {day(t)} when {_LATER.format(variant=variant)}",
        date=found["time"],
        asset=found["asset"],
        value=found["value"],
        fix="use rolling or expanding statistics that end at each row, and no bfill; compute scalers in train",
    )


def first_difference(one: xr.DataArray, other: xr.DataArray, t: np.datetime64) -> dict[str, object] | None:
    """Return the labels of the earliest cell up to t that differs (NaN equals NaN), with ``value`` "old -> new"."""
    rest = [dim for dim in one.dims if dim != "time"]
    one, other = (x.transpose("time", *rest).sel(time=slice(None, t)) for x in (one, other))
    differ = ~((one.values == other.values) | (np.isnan(one.values) & np.isnan(other.values)))
    if not differ.any():
        return None
    cell = tuple(np.argwhere(differ)[0])
    labels = {str(dim): one[dim].values[i] if dim in one.coords else i for dim, i in zip(one.dims, cell, strict=True)}
    return {"field": None, **labels, "value": change(one.values[cell], other.values[cell])}


def future(subject: Subject) -> list[Finding]:
    """Decide day t after the future was made another one, and after the strategy trained and predicted there."""
    cuts = subject.cuts
    for t in (*cuts, *(t for t in subject.sampled if t not in cuts)):
        days, memory = subject.course.memory_of(t)
        plain = _decided(subject, subject.data, memory, days, t)
        if t in cuts and first_difference(plain[0], _decided(subject, subject.data, memory, days, t)[0], t):
            return [_unrepeatable(t)]
        for variant, cube, data in _futures(subject.data, t, alterations.VARIANTS if t in cuts else ("noise",)):
            try:
                other = _decided(subject, data, memory, days, t)
            except QlstmError:  # this future breaks the function; the others tell
                continue
            found = first_difference(plain[0], other[0], t)
            if found is not None:
                how = (_LATER_IN if cube else _LATER).format(cube=cube, variant=variant)
                return [_of_weights(found, _stage(plain[1], other[1], t), t, how, cube)]
    return []


def _futures(data: Cubes, t: np.datetime64, variants: Iterable[str]) -> Iterator[tuple[str, str | None, Cubes]]:
    """Yield each variant of each cube's future: variant, name of the cube where there are several, data."""
    for variant in variants:
        alter = functools.partial(alterations.after, t=t, variant=variant)
        for cube, altered in alterations.one_by_one(data, alter):
            yield variant, cube, altered


def _unrepeatable(t: np.datetime64) -> Finding:
    return Finding.at(
        "future",
        _FAMILY,
        "note",
        "predict",
        "not checked: the weights of one day differ from call to call",
        date=t,
        fix="mend what the determinism checks found first",
    )


def _of_weights(found: dict[str, object], stage: str, t: np.datetime64, how: str, cube: str | None) -> Finding:
    what = {
        "train": "what train hands to nn.fit changed",
        "features": "the features changed, and the weights with them",
        "predict": "the weights changed",
    }
    return Finding.at(
        "future",
        _FAMILY,
        "fail",
        stage,
        f"{what[stage]} on {day(t)} when {how}",
        date=found["time"],
        asset=found["asset"],
        value=found["value"],
        cube=cube,
        fix="use nothing but the window that is handed over: no globals, no files; in batch mode, no whole-window sums",
    )


_Seen = tuple[xr.DataArray, list[Fit]]


def _decided(subject: Subject, data: Cubes, memory: Memory, days: np.ndarray, t: np.datetime64) -> _Seen:
    """Return the weights of t, dims (time, asset), and the fits before it, in a strategy that has been later already.

    A backtest trains ahead, and a research session runs days in any order, so the strategy is first called on later
    days: what it keeps outside models and state then comes from the future.
    """
    strategy = subject.fresh()
    recorder = Recorder()
    wrapped = recorder.wrap(strategy)
    with generators.kept(), recorder.recording(), ahead.collecting() as jobs:
        windows = subject.windows(wrapped, data)
        models = None
        if strategy.train is not None:
            assert memory.trained_at is not None
            models = engine.train(wrapped, windows(memory.trained_at, strategy.train_period), memory.trained_at)
            # Equal fits give equal networks, so those of the first run serve, and nothing is fitted twice.
            is_idle = jobs and not any(job.is_done for job in jobs) and is_plain(memory.models)
            if is_idle and _equal(subject, recorder.fits, memory.trained_at):
                models = memory.models
        _go_later(wrapped, recorder, windows, memory, t)
        rows, _ = decide(wrapped, recorder, Memory(memory.trained_at, models, memory.state), windows, days)
    row = rows[list(days).index(t)].fillna(0.0)
    known = windows.traded.get_index("asset")
    labelled = row.reindex(asset=known, fill_value=0.0).expand_dims(time=[t])
    return labelled, [fit for fit in recorder.fits if fit.t <= t]


def _go_later(strategy: Strategy, recorder: Recorder, windows: Windows, memory: Memory, t: np.datetime64) -> None:
    """Train and predict on the last day of the data; that the future may break them is no fault."""
    last = windows.times[-1]
    try:
        models = memory.models
        if strategy.train is not None:
            models = engine.train(strategy, windows(last, strategy.train_period), last)
        decide(strategy, recorder, Memory(memory.trained_at, models, memory.state), windows, np.array([last]))
    except (QlstmError, KeyError):  # a row that the output lacks
        return


def _equal(subject: Subject, fits: list[Fit], t: np.datetime64) -> bool:
    before = [fit for fit in subject.course.calls.fits if fit.t == t]
    return len(before) == len(fits) and not any(
        _changed(one, other, t) for one, other in zip(before, fits, strict=True)
    )


def _changed(one: Fit, other: Fit, t: np.datetime64) -> bool:
    return any(not a.identical(b) for a, b in ((one.X, other.X), (one.Y, other.Y)))


def _stage(plain: list[Fit], other: list[Fit], t: np.datetime64) -> str:
    """Tell where a difference sits: in what was fitted, or only after it."""
    changed = any(_changed(one, two, t) for one, two in zip(plain, other, strict=False))
    return "train" if changed or len(plain) != len(other) else "predict"


def files(subject: Subject) -> list[Finding]:
    """Name what the functions look at: a host, or a file with rows after the day, is the future; what else, may be."""
    found, known = [], set()
    loaded: list[What] = []
    with watching(loaded.append):
        made(subject.recipe)
    at_import = [Opened("load", subject.days[0], what) for what in loaded]
    for opened in (*at_import, *subject.course.calls.files):
        if (opened.role, opened.what) not in known:
            known.add((opened.role, opened.what))
            found.append(_of_file(opened))
    return found


def _of_file(opened: Opened) -> Finding:
    severity, message, fix = _judged(opened)
    value = opened.what if isinstance(opened.what, str) else opened.what.name
    return Finding.at("files", _FAMILY, severity, opened.role, message, date=opened.t, value=value, fix=fix)


def _judged(opened: Opened) -> tuple[str, str, str]:
    """Return severity, message and fix."""
    same = "make sure that the {} held the same on that day, or put its content in the strategy"
    if isinstance(opened.what, str):
        message = f"asks {opened.what} over the network, which answers with what it knows today"
        return "fail", message, "download the data beforehand, and hand them over as a cube: asof.align, asof.join"
    name = opened.what.name
    if isinstance(opened.what, Program):
        return "warning", f"starts {name}, and what that reads cannot be seen", "read it in Python, which is looked at"
    if opened.what.is_dir():
        message = f"lists the folder {name}, in an order that differs from machine to machine"
        return "warning", message, f"sort the names, and {same.format('folder')}"
    last = last_row(opened.what)
    if last is not None and last > opened.t:
        return "fail", f"reads {name}, which holds rows up to {day(last)}", "use the window that is handed over"
    return "warning", f"reads {name}", same.format("file")


def window_length(subject: Subject) -> list[Finding]:
    """Predict from a window half as long again: today's weights should be the same."""
    strategy = subject.course.strategy
    longer = dataclasses.replace(strategy, lookback_period=int(strategy.lookback_period * _LONGER) + 1)
    for t, one, again, other in _answers(subject, strategy, longer):
        if not one.identical(again):  # another check's business
            return []
        one, other = xr.align(one.fillna(0.0), other.fillna(0.0), join="outer", fill_value=0.0)
        gap = abs(one - other)
        if float(gap.max()) > _MATTERS * max(1e-12, float(abs(one).max())):
            i = int(gap.values.argmax())
            return [
                Finding.at(
                    "window-length",
                    _FAMILY,
                    "warning",
                    "predict",
                    f"a lookback of {longer.lookback_period} days, not {strategy.lookback_period}, changes the weights",
                    date=t,
                    asset=one["asset"].values[i],
                    value=change(one.values[i], other.values[i]),
                    fix="lengthen lookback_period until recursive indicators forget their start, or cut to a fixed "
                    "number of rows",
                )
            ]
    return []


def _answers(
    subject: Subject, strategy: Strategy, longer: Strategy
) -> Iterator[tuple[np.datetime64, xr.DataArray, xr.DataArray, xr.DataArray]]:
    """Yield each cut with its weights, the same again, and those from longer windows."""
    recorder = Recorder()
    windows = subject.windows(strategy)
    with generators.kept():
        for t in subject.cuts:
            days, memory = subject.course.memory_of(t)
            wrapped = [recorder.wrap(each) for each in (strategy, strategy, longer)]
            one, again, other = (decide(each, recorder, memory, windows, days)[0][0] for each in wrapped)
            yield days[0], one, again, other


def one_bar(subject: Subject) -> list[Finding]:
    """Tell when a network with a memory is fitted on sequences but scored on a single row, from a zero state."""
    fits, scores = subject.course.calls.fits, subject.course.calls.scores
    longest = max((fit.X.sizes["time"] for fit in fits), default=0)
    for score in scores:
        if score.recurrent and score.rows == 1 < longest:
            return [
                Finding.at(
                    "one-bar",
                    _FAMILY,
                    "warning",
                    "predict",
                    f"the network was fitted on sequences of {longest} rows and is scored on one, from a zero state",
                    date=score.t,
                    value=f"{score.rows} row",
                    fix="score the whole window and keep the last row",
                )
            ]
    return []
