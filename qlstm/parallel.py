"""One function over many items, on this machine's cores or on a Dask cluster, with the same results however many work.

The function, with all it holds (a cube, say), travels once: in a file that the workers of this machine map into their
memory, or scattered over a cluster. Items and results travel one by one. Functions of strategy files travel as code.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, lru_cache, partial
from itertools import count
from pathlib import Path
from pickle import PickleBuffer
from typing import Any, NamedTuple, TypeVar

import cloudpickle

from .errors import OutputError, QlstmError
from .extras import library

__all__ = ["THREADS", "each"]

Item = TypeVar("Item")
Out = TypeVar("Out")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that tell the libraries how many threads a new process may use."""
_ONE_THREAD = dict.fromkeys(THREADS, "1")  # a worker is one of many: more threads would fight for the same cores
_IDLE_S = 60  # a worker of this machine waits so long for more
_REACH_S = 10  # so long a scheduler may take to answer, and to have a worker
_ALIGNMENT = 64  # bytes; as numpy aligns arrays
_alone = threading.Lock()  # random generators are one per process, so two threads of a worker must not draw from them


def each(
    function: Callable[[Item], Out],
    items: Iterable[Item],
    *,
    jobs: int = 1,
    dask: str | None = None,
    name: Callable[[Item], str] = str,
) -> Iterator[Out]:
    """Yield ``function(item)`` for each item, in order, each as soon as it is ready.

    Parameters
    ----------
    function : callable
        Of one item. What it holds (``functools.partial(work, cube)``) reaches each worker once.
    items : iterable
        Consumed as workers become free, at most twice as many ahead as there are workers.
    jobs : int
        Processes on this machine; 1 works in this process, -1 means one for each core.
    dask : str, optional
        Address of a Dask scheduler, ``tcp://host:port``, used instead of `jobs`. Workers take one item at a time, so
        give them one thread each; they need the same packages as this process.
    name : callable
        ``name(item)`` is what errors call an item.

    Raises
    ------
    QlstmError
        A worker was killed, no scheduler or worker can be reached, something cannot be pickled, or a package is
        missing. An error that `function` raises comes as it is.
    """
    work = _Work(function, items, name)
    if dask is not None:
        return _on_dask(work, dask)
    if jobs < 1 and jobs != -1:
        raise QlstmError(f"jobs must be a positive whole number, or -1 for every core, got {jobs!r}")
    return map(function, items) if jobs == 1 else _on_cores(work, jobs)


class _Work(NamedTuple):
    function: Callable[[Any], Any]
    items: Iterable[Any]
    name: Callable[[Any], str]


def _in_order(
    submit: Callable[[bytes, str], Any],
    watched: Callable[[str], AbstractContextManager[None]],
    work: _Work,
    ahead: int,
) -> Iterator[Any]:
    """Keep `ahead` items with the workers and yield results in order; `watched` names what the workers' end raises."""
    waiting: deque[tuple[str, Any]] = deque()

    def take() -> Any:
        label, future = waiting[0]
        with watched(label):
            succeeded, payload = future.result()
        waiting.popleft()
        content = cloudpickle.loads(payload)
        if not succeeded:
            raise content
        return content

    try:
        for item in work.items:
            label = work.name(item)
            packed = _pack(item, label)
            with watched(waiting[0][0] if waiting else label):
                waiting.append((label, submit(packed, label)))
            if len(waiting) >= ahead:
                yield take()
        while waiting:
            yield take()
    finally:
        for _, future in waiting:
            future.cancel()


def _pack(content: Any, label: str, **options: Any) -> bytes:
    try:
        return cloudpickle.dumps(content, protocol=5, **options)
    except Exception as error:  # pickling runs the objects' own code
        raise QlstmError(f"{label} cannot be sent to another process: {_told(error)}") from error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _run(opened: Callable[[], Callable[[Any], Any]], packed: bytes, label: str, path: list[str]) -> tuple[bool, bytes]:
    """Run one item in a worker; return whether it succeeded, and its result or its error as bytes."""
    with _alone:
        _settle(path)
        try:
            function, item = opened(), cloudpickle.loads(packed)
        except Exception as error:  # unpickling imports the user's modules
            failure = QlstmError(f"{label}: a worker cannot load its work: {_told(error)}; install the same packages")
            return False, cloudpickle.dumps(failure)
        try:
            result = function(item)
        except (Exception, SystemExit) as error:  # the user's function may raise anything
            return False, _pack_error(error, label)
        try:
            return True, _pack(result, f"the result of {label}")
        except QlstmError as error:
            return False, cloudpickle.dumps(QlstmError(str(error)))


def _settle(path: list[str]) -> None:
    """Make a worker like the process that sends the work: its import path; and one thread."""
    sys.path.extend(folder for folder in path if folder not in sys.path)
    os.environ.update(_ONE_THREAD)  # for what is not imported yet
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _pack_error(error: BaseException, label: str) -> bytes:
    error.add_note(f"in the worker: {traceback.format_exc()}")  # its traceback cannot travel
    try:
        packed = cloudpickle.dumps(error)
        cloudpickle.loads(packed)  # an exception with arguments of its own may only fail on the way back
        return packed
    except Exception:  # whatever pickling it raised, its text is what counts
        return cloudpickle.dumps(QlstmError(f"{label}: {_told(error)}"))


def _on_cores(work: _Work, jobs: int) -> Iterator[Any]:
    """Yield results of worker processes on this machine, through joblib's loky."""
    import joblib  # 0.2 s that one process does not need
    from joblib.externals.loky import get_reusable_executor

    jobs = joblib.cpu_count() if jobs == -1 else jobs
    # Loky replaces a worker whose memory has grown and warns of it; as an error that would end loky's own thread
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    with tempfile.TemporaryDirectory(prefix="qlstm-") as folder:
        opened = partial(_mapped, *_write(work.function, Path(folder) / "function"))
        executor = get_reusable_executor(max_workers=jobs, timeout=_IDLE_S, env=_ONE_THREAD)

        def submit(packed: bytes, label: str) -> Any:
            return executor.submit(_run, opened, packed, label, sys.path)

        yield from _in_order(submit, _watched_on_cores, work, 2 * jobs)


@contextmanager
def _watched_on_cores(label: str) -> Iterator[None]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool as error:
        raise QlstmError(
            f"a worker process was killed while {label} was waited for, by it or by an item run beside it; "
            "where memory ran out, use fewer jobs"
        ) from error


def _write(function: Any, file: Path) -> tuple[Path, tuple[tuple[int, int], ...]]:
    """Write a function to a file, its arrays aligned and after one another; return the file and each part's span."""
    buffers: list[PickleBuffer] = []
    head = _pack(function, "the function", buffer_callback=buffers.append)
    spans = []
    try:
        with file.open("wb") as stream:
            for part in (memoryview(head), *(buffer.raw() for buffer in buffers)):
                stream.write(bytes(-stream.tell() % _ALIGNMENT))
                spans.append((stream.tell(), part.nbytes))
                stream.write(part)
    except OSError as error:
        raise OutputError(f"cannot share data with the workers in {file.parent}: {error.strerror or error}") from error
    return file, tuple(spans)


@lru_cache(maxsize=1)
def _mapped(file: Path, spans: tuple[tuple[int, int], ...]) -> Any:
    """Read a function back; its arrays lie in memory that all workers share until one writes into its own copy."""
    with file.open("rb") as stream:
        view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
    head, *buffers = (view[start : start + size] for start, size in spans)
    return cloudpickle.loads(head, buffers=buffers)


class _Parcel:
    """A pickled function that a cluster keeps as bytes, unpickled by each worker when it first works with it."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __call__(self) -> Any:
        return self._function

    def __reduce__(self) -> tuple[Any, ...]:
        return _Parcel, (self._packed,)

    @cached_property
    def _function(self) -> Any:
        return cloudpickle.loads(self._packed)


def _on_dask(work: _Work, address: str) -> Iterator[Any]:
    """Yield results of a Dask cluster, each future by itself: joblib's backend batches, which hides who failed."""
    client, ahead, parcel = _reach(address, work.function)
    turn = count()

    def submit(packed: bytes, label: str) -> Any:
        # Dask takes what comes within a moment in any order; the first result is the first that is waited for
        future = client.submit(_run, parcel, packed, label, sys.path, pure=False, priority=-next(turn))
        return _Remote(client, future)

    with client:
        yield from _in_order(submit, partial(_watched_on_dask, address), work, ahead)


class _Remote:
    """A future of a cluster that gives up when no worker has been left for a while: Dask waits for one forever."""

    def __init__(self, client: Any, future: Any) -> None:
        self._client, self._future, self._done = client, future, threading.Event()
        future.add_done_callback(lambda _: self._done.set())
        self.cancel = future.cancel

    def result(self) -> Any:
        while not self._done.wait(_REACH_S):
            if not self._client.nthreads():
                raise RuntimeError("no worker is left")
        return self._future.result()


def _reach(address: str, function: Any) -> tuple[Any, int, Any]:
    """Return a client of the scheduler at `address`, how many items to send ahead, and the function, sent to it."""
    distributed = library("distributed", "dask")
    packed = _pack(function, "the function")
    try:
        client = distributed.Client(address, timeout=_REACH_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise QlstmError(
            f"no Dask scheduler answers at {address}: {_told(error)}; start one: dask scheduler"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_REACH_S)
        # a task, which is run again where its only worker was lost: scattered data would be gone with it
        with library("dask.config", "dask").set({"distributed.admin.large-graph-warning-threshold": sys.maxsize}):
            parcel = client.submit(_Parcel, packed, pure=False)
        return client, 2 * sum(client.nthreads().values()), parcel
    except TimeoutError as error:
        client.close()
        raise QlstmError(
            f"the Dask scheduler at {address} has no worker; start some: dask worker {address} --nthreads 1"
        ) from error


@contextmanager
def _watched_on_dask(address: str, label: str) -> Iterator[None]:
    from distributed import CancelledError, KilledWorker

    try:
        yield
    except (CancelledError, KilledWorker, OSError, RuntimeError) as error:
        raise QlstmError(
            f"the Dask cluster at {address} lost its scheduler or the workers that ran {label}, by it or by items run "
            f"beside it; where memory ran out, give the workers more ({_told(error)})"
        ) from error
