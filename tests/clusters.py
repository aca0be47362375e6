"""Dask clusters for tests: a scheduler and workers as processes, so that a test can kill them."""

import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

RUN = [sys.executable, "-W", "ignore", "-m"]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@contextmanager
def cluster(workers=2):
    """Run a Dask scheduler and its workers as processes of their own; yield the address and the processes."""
    pytest.importorskip("distributed", reason="needs dask and distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    scheduler = [*RUN, "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard"]
    processes = [subprocess.Popen(scheduler, **QUIET)]
    processes += [start_worker(address) for _ in range(workers)]
    try:
        yield address, processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def start_worker(address):
    """Start a worker of the scheduler at `address`; return its process."""
    worker = [*RUN, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    return subprocess.Popen(worker, **QUIET)
