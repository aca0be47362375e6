"""One function over many items: the same results for any number of workers, and a named error for each way to fail."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from clusters import cluster, start_worker
from toys import market

from qlstm import parallel
from qlstm.errors import QlstmError

CUBE = market(days=60, assets=3)


@pytest.fixture(scope="module")
def dask():
    with cluster() as (address, _):
        yield address


def draw(cube, item):
    """Return numbers that depend on the global random generator, the cube and the item."""
    np.random.seed(item)
    return item, os.environ.get("OMP_NUM_THREADS"), float(cube.values[:, item].sum()), np.random.random(3).tolist()


def test_results_are_the_same_for_any_number_of_workers_and_a_cluster(dask, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    plain = [draw(CUBE, item) for item in range(9)]
    work = partial(draw, CUBE)
    for ways in ({"jobs": 1}, {"jobs": 2}, {"jobs": 4}, {"dask": dask}):
        assert list(parallel.each(work, range(9), **ways)) == plain, ways


def test_items_are_taken_as_workers_become_free_and_results_come_in_order():
    taken = []

    def items():
        for item in range(30):
            taken.append(item)
            yield item

    results = parallel.each(lambda item: item * 2, items(), jobs=2)
    assert taken == []
    assert next(results) == 0
    assert len(taken) == 4
    assert list(results) == [2 * item for item in range(1, 30)]


def test_one_process_takes_one_item_at_a_time():
    items = iter(range(5))
    results = parallel.each(str, items)
    assert next(results) == "0"
    assert next(items) == 1


def test_what_the_function_holds_lies_in_shared_memory_and_a_worker_may_write_into_its_own_copy():
    held = np.arange(1000.0)

    def work(item):
        before = held[0]
        held[0] += 1 + item
        return before, type(held.base.obj if isinstance(held.base, memoryview) else held.base).__name__

    values = list(parallel.each(work, [0] * 4, jobs=2))
    assert held[0] == 0.0
    assert min(value for value, _ in values) == 0.0
    assert max(value for value, _ in values) <= 3.0


def test_an_error_of_the_function_comes_as_it_is(dask):
    def work(item):
        raise KeyError(item)

    for ways in ({"jobs": 1}, {"jobs": 2}, {"dask": dask}):
        with pytest.raises(KeyError, match="day 1") as caught:
            list(parallel.each(work, ["day 1"], **ways))
        assert ways == {"jobs": 1} or "in work" in caught.value.__notes__[0]


class PickyError(Exception):
    """An exception that can be pickled but not unpickled."""

    def __init__(self, what, why):
        super().__init__(f"{what} because {why}")


def test_an_error_that_cannot_travel_is_told_with_its_item():
    def work(item):
        raise PickyError(item, "of no reason")

    with pytest.raises(QlstmError, match="2020-01-02: PickyError: 2020-01-02 because of no reason"):
        list(parallel.each(work, ["2020-01-02"], jobs=2))


def test_what_cannot_be_pickled_is_named(dask):
    for ways in ({"jobs": 2}, {"dask": dask}):
        with pytest.raises(QlstmError, match="the fold of 3 cannot be sent to another process: TypeError"):
            list(parallel.each(id, [threading.Lock()], name=lambda _: "the fold of 3", **ways))
        with pytest.raises(QlstmError, match="the result of 7 cannot be sent to another process: TypeError"):
            list(parallel.each(lambda _: threading.Lock(), [7], **ways))
        with pytest.raises(QlstmError, match="the function cannot be sent to another process: TypeError"):
            list(parallel.each(threading.Lock().acquire, [7], **ways))


def test_a_killed_worker_is_named_with_what_was_waited_for_and_the_next_call_works():
    def work(item):
        if item == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(QlstmError, match=r"a worker process was killed while 20\d\d-01-0\d was waited for"):
        list(parallel.each(work, [1, 2, 3], jobs=2, name=lambda item: f"2020-01-0{item}"))
    assert list(parallel.each(str, [1, 2], jobs=2)) == ["1", "2"]


GROWS = """
import sys, time
from qlstm import parallel
def grow(item):
    held = sys.__dict__.setdefault("held", [])
    held.append(b"x" * (400_000_000 if item > 1 else 1))
    time.sleep(0.6)
    return item
print(list(parallel.each(grow, range(8), jobs=2)))
"""


def test_a_worker_whose_memory_has_grown_is_replaced_without_a_word():
    pytest.importorskip("psutil", reason="without it workers are not replaced")
    command = [sys.executable, "-W", "error:A worker stopped", "-c", GROWS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[0, 1, 2, 3, 4, 5, 6, 7]\n", "")


def test_jobs_must_be_a_number_of_processes():
    for jobs in (0, -2):
        with pytest.raises(QlstmError, match=f"jobs must be a positive whole number, or -1 for every core, got {jobs}"):
            parallel.each(str, [1], jobs=jobs)
    assert list(parallel.each(str, [1, 2], jobs=-1)) == ["1", "2"]


def test_a_scheduler_that_is_not_there_or_no_address_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "_REACH_S", 0.5)
    for address in ("tcp://127.0.0.1:9", "no such"):
        with pytest.raises(QlstmError, match=f"no Dask scheduler answers at {address}: .*start one: dask scheduler"):
            list(parallel.each(str, [1], dask=address))


def test_a_scheduler_without_workers_is_named(monkeypatch):
    with cluster(workers=0) as (address, _):
        assert_reachable(address)
        monkeypatch.setattr(parallel, "_REACH_S", 1)
        with pytest.raises(QlstmError, match=f"the Dask scheduler at {address} has no worker; start some: dask worker"):
            list(parallel.each(str, [1], dask=address))


def assert_reachable(address):
    host, port = address.removeprefix("tcp://").split(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing listens at {address}")


@pytest.mark.parametrize("lost", [0, 1], ids=["scheduler", "worker"])
def test_a_cluster_that_disappears_ends_the_run_with_its_address(lost, monkeypatch):
    with cluster(workers=1) as (address, processes):
        results = parallel.each(lambda item: time.sleep(20 * item) or item, [0, 1], dask=address)
        assert next(results) == 0
        monkeypatch.setattr(parallel, "_REACH_S", 1)
        processes[lost].kill()
        with pytest.raises(QlstmError, match=f"{address} lost its scheduler or the workers that ran 1"):
            next(results)


def test_a_cluster_worker_killed_costs_nothing_even_if_it_alone_had_the_function_and_another_comes_later():
    with cluster(workers=1) as (address, processes):
        results = parallel.each(lambda item: time.sleep(0.2) or item, range(8), dask=address)
        assert next(results) == 0
        processes[1].kill()
        processes.append(start_worker(address))
        assert list(results) == list(range(1, 8))


def test_a_large_function_travels_without_a_warning(dask):
    held = np.arange(4e6)
    assert list(parallel.each(lambda item: held[item], [7], dask=dask)) == [7.0]


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(QlstmError, match=r"needs distributed.*pip install 'qlstm\[dask\]'"):
        list(parallel.each(str, [1], dask="tcp://127.0.0.1:9"))
