"""Small files committed once and read for ever: each released schema of ours, and what the libraries pickled.

A golden file is never made anew. When a schema changes, its first files are added here and the old ones stay.
"""

from __future__ import annotations

import contextlib
import datetime
import gzip
import hashlib
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from stored import equal

from qlstm import nn as qnn
from qlstm import state
from qlstm.errors import StateError
from qlstm.state import codec
from qlstm.strategy import Memory, Strategy

FOLDER = Path(__file__).parent / "golden" / "state"
DAY = np.datetime64("2020-01-03", "ns")


class Net(torch.nn.Module):
    """The network of the golden files; its attributes and their order must stay."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden_dim = 2
        self.first = torch.nn.LSTMCell(1, 2)
        self.linear = torch.nn.Linear(2, 1)
        with torch.no_grad():
            for i, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 8 - i)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.first(x)[0])


def predict(models: Any, data: Any) -> Any:
    return models


STRATEGY = Strategy(train=lambda data: None, predict=predict, name="golden")


def weights() -> xr.DataArray:
    coords = {"time": [DAY], "asset": pd.Index(["NAS:A", "NAS:B", "NAS:C"], dtype=object)}
    return xr.DataArray([[0.5, -0.25, 0.0]], coords, ("time", "asset"), name="stocks", attrs={"unit": "share"})


def plain() -> Memory:
    kept = {
        "n": 3,
        "none": None,
        "text": "é",
        "list": [1.5, float("inf"), -(2**70), b"\x00"],
        "set": {1, 2},
        "day": datetime.date(2020, 1, 2),
        "array": np.arange(6, dtype="f4").reshape(2, 3),
        "dates": np.array(["2020-01-01", "NaT"], "M8[ns]"),
        "names": np.array(["a", None], dtype=object),
        (1, 2): np.float32(0.5),
    }
    return Memory(DAY, {"A": [0.5, 0.25]}, kept)


def labelled() -> Memory:
    frame = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2020-01-01", "2020-01-02"]).astype("M8[ns]")})
    return Memory(None, None, {"previous_weights": weights(), "frame": frame, "at": pd.Timestamp(DAY)})


def networks() -> Memory:
    return Memory(DAY, {"NAS:A": Net(), "NAS:B": torch.nn.Linear(1, 1, bias=False).requires_grad_(False)}, weights())


def fitted() -> Memory:
    memory = networks()
    return Memory(DAY, qnn.Models({"g": memory.models["NAS:A"]}, groups={"A": "g"}, failures={"B": "no rows"}), None)


MEMORIES = {"plain": plain, "labelled": labelled, "networks": networks, "fitted": fitted}
FILES = {
    **{f"schema1_{name}.pickle.gz": name for name in MEMORIES},
    **{f"pickle{protocol}_{name}.pickle.gz": name for name in ("labelled", "networks") for protocol in (2, 5)},
}


def fix(memory: Memory) -> Memory:
    """Set the one parameter that is drawn at random."""
    if isinstance(memory.models, dict) and "NAS:B" in memory.models:
        torch.nn.init.constant_(memory.models["NAS:B"].weight, 0.125)
    return memory


def same(a: Memory, b: Memory) -> bool:
    return codec.encode(a, strategy=STRATEGY) == codec.encode(b, strategy=STRATEGY) and equal(a.state, b.state)


@pytest.mark.parametrize("file", FILES)
def test_a_golden_file_is_read_as_ever(file: str) -> None:
    path = FOLDER / file
    assert path.stat().st_size <= 4096
    memory = state.read(path, STRATEGY)
    assert memory is not None
    assert same(memory, fix(MEMORIES[FILES[file]]()))
    assert state.verify(path).problems == ()
    assert list(state.render(state.inspect(path)))


@pytest.mark.parametrize("file", FILES)
def test_golden_files_are_those_that_were_released(file: str) -> None:
    known = json.loads((FOLDER / "sha256.json").read_text())
    assert hashlib.sha256((FOLDER / file).read_bytes()).hexdigest() == known[file]


@pytest.mark.parametrize("file", FILES)
def test_a_golden_file_cut_at_any_length_is_a_named_error(file: str) -> None:
    data = (FOLDER / file).read_bytes()
    for length in range(len(data)):
        with pytest.raises(StateError, match=r"^f\.gz is damaged"):
            codec.decode(data[:length], STRATEGY, "f.gz")


@pytest.mark.parametrize("file", FILES)
def test_a_golden_file_with_any_byte_flipped_is_equal_or_a_named_error(file: str) -> None:
    data = (FOLDER / file).read_bytes()
    expected = fix(MEMORIES[FILES[file]]())
    equals = 0
    for place in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            bad = bytearray(data)
            bad[place] ^= flip
            try:
                memory = codec.decode(bytes(bad), STRATEGY, "f.gz")
            except StateError as error:
                assert str(error).startswith("f.gz")  # noqa: PT017 -- whether it raises depends on the place
            else:
                assert same(memory, expected)
                equals += 1
    # Time, system, flags, the id of our subfield and the bits that fill up the last byte; nothing checks those.
    assert equals < 60


@pytest.mark.parametrize("file", FILES)
def test_damage_to_a_golden_file_is_found_in_bounded_time_and_memory(file: str) -> None:
    data = (FOLDER / file).read_bytes()
    longest, most = 0.0, 0
    for place in range(0, len(data), 5):
        for bad in (data[:place], data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]):
            tracemalloc.start()
            started = time.process_time()
            with contextlib.suppress(StateError):
                codec.decode(bad, STRATEGY, "f.gz")
            longest = max(longest, time.process_time() - started)
            most = max(most, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert longest < 2  # of computing; it takes some milliseconds
    assert most < 3 << 20


def large() -> bytes:
    return codec.encode(Memory(DAY, None, np.random.default_rng(1).normal(size=200_000)), as_of=DAY)


def test_a_large_file_cut_or_flipped_anywhere_is_a_named_error() -> None:
    data, chance = large(), np.random.default_rng(2)
    for place in (*chance.integers(20, len(data) - 10, 40), len(data) - 1):
        with pytest.raises(StateError, match=r"^f\.gz is damaged"):
            codec.decode(data[:place], what="f.gz")
        bad = bytearray(data)
        bad[place] ^= 0x10
        with pytest.raises(StateError, match=r"^f\.gz"):
            codec.decode(bytes(bad), what="f.gz")


def test_the_document_of_the_format_is_enough_for_another_reader() -> None:
    """Read a file with the standard library alone, as docs/state.md says."""
    import struct

    data = (FOLDER / "schema1_plain.pickle.gz").read_bytes()
    assert data[:4] == b"\x1f\x8b\x08\x04"
    (length,) = struct.unpack_from("<H", data, 10)
    assert data[12:14] == b"QL"
    known = json.loads(data[16 : 12 + length])
    seal = known.pop("metadata_sha256")
    text = json.dumps(known, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    assert hashlib.sha256(text).hexdigest() == seal
    payload = gzip.decompress(data)
    assert known["payload_bytes"] == len(payload)
    assert known["payload_sha256"] == hashlib.sha256(payload).hexdigest()
    assert (known["schema"], known["strategy"]) == (1, "golden")


def test_every_proof_that_the_document_names_is_a_test() -> None:
    import re

    tests = Path(__file__).parent
    named = set(re.findall(r"`(test_\w+)`", (tests.parent / "docs" / "state.md").read_text()))
    defined = {
        name for file in tests.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert len(named) > 40
    assert named <= defined
