"""Opening a file runs nothing that is in it, and takes no more time or memory than it says."""

from __future__ import annotations

import copyreg
import datetime
import gzip
import pickle
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_files import CANARY, call, hostile
from stored import DAY, STRATEGY, memory

from qlstm import state
from qlstm.errors import StateCorruptError, StateError, StateForeignError
from qlstm.state import codec, envelope, opcodes, payload
from qlstm.state.plain import KIND


@pytest.fixture(autouse=True)
def _a_registered_extension() -> Iterator[None]:
    """Let code 240 mean ``os.system``, as a library may have registered it."""
    copyreg.add_extension("os", "system", 0xF0)
    yield
    copyreg.remove_extension("os", "system", 0xF0)


@pytest.mark.parametrize("family", list(hostile(Path(CANARY))))
def test_hostile_pickles_are_refused_by_name_and_run_nothing(family: str, tmp_path: Path) -> None:
    canary = tmp_path / CANARY
    content, name = hostile(canary)[family]
    readers = (state.read, state.inspect, partial(state.read, strategy=STRATEGY))
    loaded = set(sys.modules)
    for data in (gzip.compress(content), envelope.wrap(content, {})):
        (tmp_path / "f.gz").write_bytes(data)
        for read in readers:
            with pytest.raises(StateForeignError, match=r"f\.gz holds objects") as caught:
                read(tmp_path / "f.gz")
            assert name in str(caught.value)
    assert not canary.exists()
    assert set(sys.modules) == loaded


WATCHED = """
import sys, pathlib, pickle
from qlstm import state
from qlstm.errors import StateForeignError
folder = pathlib.Path(sys.argv[1])
files = sorted(folder.iterdir())
state.inspect(sys.argv[2])  # so that everything of ours is imported
seen, watching = [], False

def watch(event, arguments):
    quiet = ("object.__getattr__", "sys._getframe")
    if watching and event not in quiet:
        seen.append((event, str(arguments[0]) if arguments else ""))

sys.addaudithook(watch)
for file in files:
    for look in (state.read, state.inspect, state.verify):
        watching = True
        try:
            if getattr(look(file), "problems", ()):
                raise StateForeignError
            raise SystemExit(f"{file} was read")
        except StateForeignError:
            watching = False
strange = [(event, what) for event, what in seen if event != "open" or pathlib.Path(what).parent != folder]
print(len(files), strange)
"""


def test_reading_hostile_files_opens_nothing_else_and_starts_and_imports_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    state.write(memory(), tmp_path / "good.gz")
    corpus = hostile(tmp_path / CANARY)
    for i, (content, _) in enumerate(corpus.values()):
        (folder / f"{i}.gz").write_bytes(gzip.compress(content))
        (folder / f"{i}-sealed.gz").write_bytes(envelope.wrap(content, {}))
    command = [sys.executable, "-c", WATCHED, str(folder), str(tmp_path / "good.gz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{2 * len(corpus)} []\n", "")


def test_the_canary_sings_for_the_standard_unpickler(tmp_path: Path) -> None:
    canary = tmp_path / CANARY
    families = ("reduce", "eval", "inst", "name from the memo", "registered extension", "name overwritten in the memo")
    for family in (
        *families,
        "name below a mark that is popped",
        "name taken out of a frame",
        "names of other lengths",
    ):
        pickle.loads(hostile(canary)[family][0])
        assert canary.exists()
        canary.unlink()


def test_the_unpickler_refuses_by_itself_what_the_scan_would_have_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "scan", lambda *arguments: None)
    for family in ("reduce", "eval", "inst", "obj", "name from the memo", "newobj", "persistent id"):
        with pytest.raises(StateCorruptError, match=r"not allowed|cannot be read"):
            payload.loads(hostile(tmp_path / CANARY)[family][0], "f.gz")
    assert not (tmp_path / CANARY).exists()


def tuple_of(value: bytes) -> bytes:
    """Return the file of (None, None, value), the value given by its opcodes."""
    return gzip.compress(b"\x80\x04NN" + value + b"\x87.")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        # The real constructor takes the buffer's bytes for addresses of objects.
        (call("numpy", "ndarray", (1,), "O", b"\x10" * 8)[2:-1], "array dtype 'O'"),
        (call("numpy", "ndarray", (2,), "<f8", b"\x10" * 8)[2:-1], r"array of shape \(2,\)"),
        (call("numpy", "ndarray", (-1,), "<f8", b"")[2:-1], "array shape"),
        (call("numpy", "ndarray", (2**62, 4), "<f8", b"")[2:-1], "array of shape"),
        (call("numpy", "ndarray", (1,), "V8", b"\x00" * 8)[2:-1], "array dtype 'V8'"),
        (call("builtins", "bytearray", 2**40)[2:-1], "bytearray"),
        (call("numpy", "datetime64", "x")[2:-1], "pickle cannot be read"),
        (b"cnumpy\ndtype\n(U\x02V8I00\nI01\ntR", "array dtype 'V8'"),
        (b"cnumpy\nndarray\n}U\x05_makeNsb", "pickle cannot be read"),
        (b"cnumpy\nndarray\nN}U\x05_makeNs\x86b", "cannot be set"),
    ],
)
def test_makers_check_what_a_pickle_calls_them_with(value: bytes, message: str) -> None:
    with pytest.raises(StateCorruptError, match=message):
        codec.decode(tuple_of(value))


@pytest.mark.parametrize("value", [b"cnumpy\nndarray\n", b"cnumpy\ndtype\n(U\x02f8I00\nI01\ntR"])
def test_nothing_but_values_gets_out_of_a_pickle(value: bytes) -> None:
    with pytest.raises(StateForeignError, match=r"it holds (numpy.ndarray|a dtype) where a plain value belongs"):
        codec.decode(tuple_of(value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"]" * 1000 + b"a" * 999, "nest deeper than 256"),
        (b"N" + b"\x85" * 1_000_000, "nest deeper than 256"),  # hashing such a tuple overflows the C stack
        (b"]\x94h\x00a", "contain themselves"),
        (b"N\x94" + b"".join(b"0](h%ch%ce\x94" % (i, i) for i in range(100)), "contain themselves or nest"),
    ],
)
def test_nesting_without_end_is_refused(value: bytes, message: str) -> None:
    with pytest.raises(StateForeignError, match=message):
        codec.decode(tuple_of(value))


def test_a_program_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcodes, "MAX_OPCODES", 1000)
    with pytest.raises(StateForeignError, match="longer than 1000 steps"):
        codec.decode(tuple_of(b"N0" * 1000 + b"N"))


def test_an_absurd_memo_index_is_damage_and_reserves_nothing() -> None:
    with pytest.raises(StateCorruptError, match="memo index"):
        codec.decode(tuple_of(b"Nr\xff\xff\xff\x7f"))


def test_a_length_beyond_the_file_is_damage_and_reserves_nothing() -> None:
    with pytest.raises(StateCorruptError, match="broken at step"):
        codec.decode(tuple_of(b"\x96" + struct.pack("<Q", 2**40)))


def test_a_bomb_that_owns_up_to_its_size_is_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "MAX_PAYLOAD", 1 << 20)
    bomb = gzip.compress(bytes(2 << 20))
    monkeypatch.setattr(zlib, "decompressobj", None)
    with pytest.raises(StateForeignError, match=r"unpacks to 2097152 bytes, more than 1048576"):
        codec.decode(bomb)


def test_a_bomb_that_hides_its_size_stops_where_it_said_it_would() -> None:
    import tracemalloc

    bomb = bytearray(gzip.compress(bytes(64 << 20)))
    bomb[-4:] = struct.pack("<I", 1000)
    tracemalloc.start()
    with pytest.raises(StateCorruptError, match="not as long as it says"):
        codec.decode(bytes(bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_mutated_pickles_end_in_values_or_named_errors() -> None:
    chance = random.Random(1)
    seeds = [
        pickle.dumps((DAY, {"A": np.arange(3)}, {"w": [1, "x", {2.5}], "d": datetime.date(2020, 1, 1)}), p)
        for p in (0, 2, 4, 5)
    ]
    outcomes = {"value": 0, "error": 0}
    for i in range(4000):
        content = bytearray(seeds[i % 4])
        for _ in range(chance.randint(1, 3)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            payload.loads(bytes(content), "f")
            outcomes["value"] += 1
        except (StateCorruptError, StateForeignError):
            outcomes["error"] += 1
    assert min(outcomes.values()) > 50


def test_mutated_hostile_pickles_never_do_what_they_were_made_for(tmp_path: Path) -> None:
    canary, chance = tmp_path / CANARY, random.Random(3)
    seeds = [content for content, _ in hostile(canary).values()]
    read, loaded = 0, set(sys.modules)
    for i in range(6000):
        content = bytearray(seeds[i % len(seeds)])
        for _ in range(chance.randint(1, 3)):
            place, kind = chance.randrange(len(content)), chance.randrange(3)
            if kind == 0:
                content[place] = chance.randrange(256)
            elif kind == 1:
                del content[place : place + chance.randint(1, 4)]
            else:
                other = chance.choice(seeds)
                start = chance.randrange(len(other))
                content[place:place] = other[start : start + chance.randint(1, 12)]
            content = content or bytearray(b".")
        try:
            payload.loads(bytes(content), "f")
            read += 1
        except (StateCorruptError, StateForeignError):
            continue
    assert read < 600  # most stay hostile or broken
    assert not canary.exists()
    assert {name for name in set(sys.modules) - loaded if not name.startswith("encodings.")} == set()


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({KIND: "unheard of"}, "state cannot be rebuilt"),
        ({KIND: "DataArray", "dims": ("x",)}, "state cannot be rebuilt"),
        ({"a": [{KIND: "module", "class": "os:system"}]}, "'system', which 'os' does not define"),
        ({KIND: "module", "class": "torch.nn:functional"}, "'functional', which 'torch.nn' does not define"),
        ({KIND: "module", "class": "qlstm.nn:fit"}, "'fit', which 'qlstm.nn' does not define"),
        ({KIND: "tensor", "dtype": "load", "values": np.zeros(1)}, "state cannot be rebuilt"),
        ({KIND: "tensor", "same": 0}, "state cannot be rebuilt"),
    ],
)
def test_a_description_that_breaks_the_schema_is_a_named_error(described: Any, message: str) -> None:
    data = envelope.wrap(payload.dumps((None, None, described)), {})
    with pytest.raises(StateError, match=message):
        codec.decode(data, what="f.gz")
