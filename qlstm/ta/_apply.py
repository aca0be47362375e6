"""The one adapter between what users hold and what kernels want: axes, dtypes, tiles, threads, averages of one's own.

An indicator is written once, as a kernel or as a function of rows (see `_rows`). `apply_kernel` and `apply` take it to
series of any kind (see `_containers`): they cut the input into strips of assets, which threads share where the input
is large, transpose each on the way in and out where time is not contiguous, and run it tile by tile, a tile being what
fits the processor's own cache. Tiles hold whole series, so neither their size nor the threads can change a number.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import config
from numpy.typing import NDArray

from ..errors import DataError
from ._containers import SeriesT, aligned, like, numbers, time_axis
from ._layout import Rows, transpose
from ._rows import run, scratch

__all__ = ["Average", "SeriesT", "apply", "apply_kernel", "average", "check_periods"]

Piece = tuple[list[NDArray[Any]], list[Rows]]  # inputs and outputs, (asset, time) views
Task = Callable[[list[Rows], list[Rows]], None]  # reads the inputs, fills the outputs

FLOAT64 = np.dtype(np.float64)
TILE = 1 << 15  # elements: 256 KiB per array, so a tile, its temporaries and its result stay in the second-level cache
STRIP = 32  # assets transposed at once: 1.6 ns per element in and 0.9 out, against 1.6 and 2.1 for 8, a cache line
SHARED = 1 << 19  # elements from which on a second thread, which takes 0.1 to 0.2 ms to start, pays


@dataclass(frozen=True)
class _CustomAverage:
    """A user's own moving average, which takes and returns whole series of the kind the indicator was called with."""

    function: Callable[[Any], Any]


Average = Callable[[Rows], Rows] | _CustomAverage


def check_periods(periods: object, where: str, least: int | None = 1) -> int:
    """Return `periods` as an int.

    Raises
    ------
    DataError
        Not a whole number, or less than `least`; the message begins with `where`.
    """
    try:
        number = operator.index(periods)  # type: ignore[arg-type]
    except TypeError:
        raise DataError(f"{where} must be a whole number of observations, got {periods!r}") from None
    if least is not None and number < least:
        raise DataError(f"{where} must be at least {least}, got {number}")
    return number


def average(ma: int | Callable[[Any], Any], kind: Callable[[Rows, int], Rows], where: str) -> Average:
    """Return what an argument called ``ma`` means: a period of the usual `kind` of average, or the user's own."""
    if callable(ma):
        return _CustomAverage(ma)
    periods = check_periods(ma, where)
    return lambda rows: kind(rows, periods)


def apply_kernel(kernel: Callable[..., None], first: SeriesT, *others: Any, args: tuple[Any, ...] = ()) -> SeriesT:
    """Run one kernel, which writes straight into the result, over series of any kind; see `apply` and `_rows.run`."""
    if _are_rows_up_to(SHARED, first, others):
        return run(kernel, first, *others, args=args, out=np.empty(first.shape))  # type: ignore[arg-type, return-value]

    def task(inputs: list[Rows], outs: list[Rows]) -> None:
        run(kernel, *inputs, args=args, out=outs[0])

    return _over_tiles(task, first, others, 1)[0]


def apply(
    body: Callable[..., Any], first: SeriesT, *others: Any, averages: Sequence[Average] = (), outputs: int = 1
) -> Any:
    """Run an indicator, written for rows, over series of any kind.

    Parameters
    ----------
    body : callable
        ``body(*rows, *averages) -> rows``, or a tuple of `outputs` rows; all of shape (asset, time).
    first : Series
        Decides kind, dims, labels and layout of the result.
    others : Series
        Further inputs of the same kind, aligned to `first` by label (numpy arrays: by position).
    averages : sequence of Average
        Handed to `body` behind the rows.
    outputs : int
        How many results `body` returns.

    Returns
    -------
    Series or tuple of Series
        Like `first`, float64.

    Raises
    ------
    DataError
        A type or dtype that holds no series of numbers, or labels or shapes that do not match.
    """

    def task(inputs: list[Rows], outs: list[Rows]) -> None:
        results = body(*inputs, *averages)
        for out, result in zip(outs, results if outputs > 1 else (results,), strict=True):
            out[...] = result

    if any(isinstance(one, _CustomAverage) for one in averages):
        results = _whole(body, first, others, averages, outputs)
    elif _are_rows_up_to(TILE, first, others):
        with np.errstate(all="ignore"):
            return body(first, *others, *averages)  # new arrays, because no step writes to its inputs
    else:
        results = _over_tiles(task, first, others, outputs)
    return results if outputs > 1 else results[0]


# --- running --------------------------------------------------------------------------------------------------------


def _over_tiles(task: Task, first: Any, others: tuple[Any, ...], outputs: int) -> tuple[Any, ...]:
    """Run a task on tiles of all rows, in this thread and, for large inputs, in others."""
    axis = time_axis(first)
    values = numbers(first)
    views = [_time_last(values, axis)] + [_time_last(numbers(aligned(first, other)), axis) for other in others]
    results = [np.empty_like(values, dtype=np.float64, subok=False) for _ in range(outputs)]
    strips = list(_strips(views, [_time_last(result, axis) for result in results]))
    queue = iter(strips)  # shared by the threads: `next` on a list's iterator is atomic
    limit = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # read from the environment when numba is imported
    workers = min(len(strips), limit) if values.size >= SHARED else 1
    if workers <= 1:
        _work(task, queue)
    else:
        # Threads of this call alone: a lasting pool would not survive a fork, and numba's own aborts under a second.
        with ThreadPoolExecutor(workers - 1) as pool:
            helpers = [pool.submit(_work, task, queue) for _ in range(workers - 1)]
            _work(task, queue)
        for helper in helpers:
            helper.result()
    return tuple(like(first, result) for result in results)


def _work(task: Task, strips: Iterator[Piece]) -> None:
    """Do strips until none is left."""
    kept: dict[int, Rows] = {}
    with scratch, np.errstate(all="ignore"):  # 0 / 0 is how many indicators say "undefined"
        for views, targets in strips:
            inputs = [_load(view, kept, k) for k, view in enumerate(views)]
            outs = [
                target if target.flags.c_contiguous else _rows_for(target, kept, -1 - k)
                for k, target in enumerate(targets)
            ]
            rows, times = inputs[0].shape
            height = _height(TILE, times)
            for top in range(0, rows, height):
                scratch.rewind()
                part = slice(top, top + height)
                task([one[part] for one in inputs], [one[part] for one in outs])
            for target, out in zip(targets, outs, strict=True):
                if out is not target:
                    _turn(out, target.T)


def _strips(views: list[NDArray[Any]], targets: list[Rows]) -> Iterator[Piece]:
    """Cut (..., time) views into (asset, time) views of a few dozen assets."""
    if not views[0].size:
        return
    if views[0].ndim > 2:
        for i in range(len(views[0])):
            yield from _strips([view[i] for view in views], [target[i] for target in targets])
        return
    if views[0].ndim == 1:
        views, targets = [view[None] for view in views], [target[None] for target in targets]
    rows, times = views[0].shape
    width = max(STRIP, _height(TILE, times))
    for left in range(0, rows, width):
        part = slice(left, left + width)
        yield [view[part] for view in views], [target[part] for target in targets]


def _height(size: int, times: int) -> int:
    """Return how many rows make about `size` elements, by eights: what `ema` takes at once and a cache line holds."""
    return -(-size // times // 8) * 8


def _load(view: NDArray[Any], kept: dict[int, Rows], key: int) -> Rows:
    """Return a strip as contiguous float64 rows: itself where it is that already."""
    if _are_rows(view):
        return view
    rows = _rows_for(view, kept, key)
    if view.dtype == np.float64 and view.flags.aligned and view.strides[-1] != view.itemsize:
        _turn(view.T, rows)
    else:
        rows[...] = view
    return rows


def _are_rows(values: NDArray[Any]) -> bool:
    """Tell whether kernels take an array as it is.

    They would be compiled anew for arrays that cannot be written to; such windows of a cube are copied instead, which
    costs nothing where they are transposed anyway.
    """
    return values.dtype is FLOAT64 and values.flags.carray  # contiguous, aligned and writable


def _are_rows_up_to(size: int, first: Any, others: tuple[Any, ...]) -> bool:
    """Tell whether inputs are arrays that kernels take as they are, and few numbers: what others go through takes 5 µs.

    One step needs no tiles, because it keeps nothing; several need them from the size on that the cache holds.
    """
    for one in (first, *others):
        if not (type(one) is np.ndarray and _are_rows(one) and one.ndim == 2 and one.shape == first.shape):
            return False
    return 0 < first.size <= size


def _turn(source: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    source = source.view()
    source.flags.writeable = False  # whether it is or not: what is compiled for one then serves the other
    transpose(source, target)


def _rows_for(view: NDArray[Any], kept: dict[int, Rows], key: int) -> Rows:
    if key not in kept or kept[key].shape[0] < view.shape[0] or kept[key].shape[1] != view.shape[1]:
        kept[key] = np.empty(view.shape)
    return kept[key][: view.shape[0]]


def _time_last(values: NDArray[Any], axis: int) -> NDArray[Any]:
    if axis == values.ndim - 1:
        return values
    return values.T if values.ndim == 2 else np.moveaxis(values, axis, -1)  # moveaxis takes 3 µs


def _whole(
    body: Callable[..., Any], first: Any, others: tuple[Any, ...], averages: Sequence[Average], outputs: int
) -> tuple[Any, ...]:
    """Run the body once over all rows, handing the user's averages series of the kind they expect."""
    axis = time_axis(first)
    shape = _time_last(numbers(first), axis).shape
    assets = math.prod(shape[:-1])

    def to_rows(series: Any) -> Rows:
        rows = _time_last(numbers(series), axis)
        return np.array(rows, dtype=np.float64, order="C").reshape(assets, shape[-1])  # a copy: steps overwrite it

    def to_series(rows: Rows) -> Any:
        return like(first, np.moveaxis(rows.reshape(shape), -1, axis))

    def smoother(average: _CustomAverage) -> Callable[[Rows], Rows]:
        def smooth(rows: Rows) -> Rows:
            given = to_series(rows.copy())  # the user's to keep or to change
            smoothed = average.function(given)
            if type(smoothed) is not type(given) or smoothed.shape != given.shape:
                raise DataError(
                    f"an average must return a series like the one it takes, {type(given).__name__} of shape "
                    f"{given.shape}, got {type(smoothed).__name__} of shape {getattr(smoothed, 'shape', None)}"
                )
            return to_rows(aligned(given, smoothed))

        return smooth

    rows = [to_rows(first), *(to_rows(aligned(first, other)) for other in others)]
    means = [smoother(one) if isinstance(one, _CustomAverage) else one for one in averages]
    with np.errstate(all="ignore"):
        results = body(*rows, *means)
    return tuple(to_series(result) for result in (results if outputs > 1 else (results,)))
