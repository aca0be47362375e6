"""One day of a strategy in a process of its own, for tests: as a script, or from `in_a_fork` and `in_a_new_interpreter`.

A new interpreter spends seconds on importing libraries. A fork of one that has imported libraries and nothing else spends
none, and shares as little with the days before: no module of the package or of a strategy is there before the day begins.
"""

import atexit
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys

# What a day spends most of its time on; xarray imports Dask, where it is installed, to read and write a file.
LIBRARIES = ("dask", "distributed", "netCDF4", "numba", "torch", "xarray")
SEEDS = (1, 2)  # of Python's hashes: days take turns


def decide(file, cube, folder, date, interval, killed):
    """Run the day and save what was decided; die just `before` the day is committed or just `after`, when asked to."""
    import dataclasses

    import numpy as np

    import qlstm

    renamed = os.rename

    def rename(before, after):
        commits = os.path.basename(before).startswith(".new-")
        if commits and killed == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        renamed(before, after)
        if commits and killed == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    os.rename = rename
    strategy = dataclasses.replace(
        qlstm.load_strategy(file), retrain_interval=interval, retrain_interval_after_submit=interval
    )
    result = qlstm.run(strategy, qlstm.data.load(cube), state_dir=folder, date=date)
    np.savez(
        f"{folder}/{date}.npz",
        raw=result.raw.values,
        assets=result.raw.asset.values.astype("U"),
        clean=result.weights.reindex(asset=result.raw.asset, fill_value=0.0).values,
    )


def serve():
    """Fork for every line of arguments that comes in, and answer with the fork's exit status."""
    for name in LIBRARIES:
        if importlib.util.find_spec(name):
            importlib.import_module("dask.array" if name == "dask" else name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            decide(*json.loads(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _start(seed, *arguments, **pipes):
    environment = os.environ | {"PYTHONHASHSEED": str(seed)}
    return subprocess.Popen([sys.executable, __file__, *arguments], env=environment, text=True, **pipes)


@functools.cache
def _server(seed):
    process = _start(seed, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(process.communicate)
    return process


def in_a_fork(*arguments, number=0):
    """Return the exit status of a day run in a fork; the number of the day says which of two interpreters forks."""
    server = _server(SEEDS[number % len(SEEDS)])
    print(json.dumps(arguments, default=str), file=server.stdin, flush=True)
    return int(server.stdout.readline())


def in_a_new_interpreter(*arguments, number=0):
    """Return the exit status of a day run in an interpreter of its own, with another hash seed for every number."""
    return _start(1 + number, json.dumps(arguments, default=str)).wait(timeout=300)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        decide(*json.loads(sys.argv[1]))
    else:
        serve()
