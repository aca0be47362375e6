"""How indicators are computed: memory, tiles, threads, compilation and its cache change no bit."""

import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from indicators import TIMES, call, prices
from plain import CASES

import qlstm.ta as ta
from qlstm.errors import DataError
from qlstm.ta import _apply, _kernels


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("times", [TIMES, 20_000])  # one tile, and several
def test_inputs_are_neither_written_to_nor_shared_with_the_result(times, writable):
    market = prices(6, times=times, holes=0.1)
    kept = {key: values.copy() for key, values in market.items()}
    for values in market.values():
        values.flags.writeable = writable
    for name in CASES:
        for result in call(name, market):
            assert result.flags.writeable
            assert not any(np.shares_memory(result, values) for values in market.values())
    for key, values in market.items():
        np.testing.assert_array_equal(values, kept[key])


def test_small_arrays_and_what_takes_the_long_way_give_the_same_bits(monkeypatch):
    market = prices(10, times=101, assets=37, holes=0.05)
    small = {name: call(name, market) for name in CASES}
    monkeypatch.setattr(_apply, "_are_rows_up_to", lambda *_: False)
    for name, results in small.items():
        for got, want in zip(call(name, market), results, strict=True):
            assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("shape", [(37, 101), (101, 37)])
@pytest.mark.parametrize("name", CASES)
def test_tiles_and_threads_change_no_bit(monkeypatch, name, shape):
    market = prices(9, times=shape[1], assets=shape[0], holes=0.05)
    whole = call(name, market)
    monkeypatch.setattr(_apply, "SHARED", 1)
    monkeypatch.setattr(_apply, "STRIP", 8)
    monkeypatch.setattr(_apply, "TILE", 1)
    monkeypatch.setattr(_apply.config, "NUMBA_NUM_THREADS", 3)
    turned = {key: np.asfortranarray(values) for key, values in market.items()}
    for given in (market, turned):
        for got, want in zip(call(name, given), whole, strict=True):
            assert got.tobytes() == want.tobytes()


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(_apply, "SHARED", 1)
    monkeypatch.setattr(_apply, "TILE", 1)
    monkeypatch.setattr(_apply.config, "NUMBA_NUM_THREADS", 2)

    def body(x):
        if threading.current_thread() is not threading.main_thread():
            raise DataError("raised in a thread")
        threading.Event().wait(0.02)  # leaves strips to the other
        return x

    with pytest.raises(DataError, match="raised in a thread"):
        _apply.apply(body, np.zeros((120, 3)))


def test_nothing_is_compiled_twice_for_read_only_data():
    x = prices()["c"].copy()
    ta.sma(x, 3)
    x.flags.writeable = False
    ta.sma(x, 3)
    ta.sma(prices(holes=0.2)["c"], 3)
    assert len(_kernels.sma.signatures) == 1


TINY = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from qlstm._jit import kernel

    @kernel
    def one(x):
        return x + 1

    @kernel
    def two(x):
        return one(x) * 2

    print(two(1.0), one(2), len(caught), *{str(w.message)[:20] for w in caught})
"""


def run_tiny(where, cache):
    """Run TINY, a file or (numba then finds no folder for its cache) code without a file, and return what it prints."""
    command = [sys.executable, str(where)] if where else [sys.executable, "-c", TINY]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_kernels_work_without_any_folder_for_a_cache_and_warn_once(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder is wanted")
    assert run_tiny(None, blocked / "cache") == "4.0 3 1 numba's cache folder"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """TINY as a file, beside the cache of a run of it."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.py").write_text(TINY)
    assert run_tiny(folder / "tiny.py", folder / "cache") == "4.0 3 0"
    return folder


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_kernels_work_with_a_damaged_cache_and_warn_once(tiny, tmp_path, suffix, damage):
    cache = shutil.copytree(tiny / "cache", tmp_path / "cache")
    files = list(cache.rglob(f"*{suffix}"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:100] if damage is None else damage)
    assert run_tiny(tiny / "tiny.py", cache) == "4.0 3 1 numba's cache folder"
