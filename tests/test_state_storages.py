"""The bytes of tensors in a pickle: read as numbers, never as another pickle."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from qlstm.errors import StateForeignError
from qlstm.state import codec, storages


def storage_bytes() -> bytes:
    """Return what torch puts into a pickle for the storage of three floats."""
    for value in pickled_arguments(torch.arange(3.0)):
        if isinstance(value, bytes) and b"storage" in value:
            return value
    raise AssertionError("torch writes another form")


def pickled_arguments(value: Any) -> list[Any]:
    import pickletools

    return [argument for _, argument, _ in pickletools.genops(pickle.dumps(value, 4))]


def test_the_bytes_of_a_storage_cut_or_flipped_anywhere_are_equal_or_refused() -> None:
    content = storage_bytes()
    assert storages.Storage(content).values.tolist() == [0, 1, 2]
    accepted = []
    for length in range(len(content)):
        with pytest.raises(storages.RefusedError):
            storages.Storage(content[:length])
    for place in range(len(content)):
        bad = bytearray(content)
        bad[place] ^= 0x01
        try:
            storages.Storage(bytes(bad))
            accepted.append(place)
        except storages.RefusedError:
            continue
    # The values themselves, which only the payload's checksum guards, names of memos, and the key where it occurs twice.
    values = range(len(content) - 12, len(content))
    assert set(values) <= set(accepted)
    for word in (b"storage", b"FloatStorage", b"protocol_version", b"\x8a\nl\xfc"):
        at = content.index(word)
        assert not set(range(at, at + len(word))) & set(accepted)
    assert len(accepted) < 12 + 40


def test_a_storage_that_hides_another_pickle_is_refused_by_name(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    inner = b"cos\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR."
    content = storage_bytes()
    for bad in (inner, content + inner, inner + content, content.replace(b"ctorch\nFloatStorage\n", b"cos\nsystem\n")):
        argument = pickle.dumps(bad, 3)[2:-1]
        data = gzip.compress(b"\x80\x03NNctorch.storage\n_load_from_bytes\n" + argument + b"\x85R\x87.")
        with pytest.raises(StateForeignError, match=r"trust: torch.storage._load_from_bytes of"):
            codec.decode(data)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (4,), (1,)),
        (3, (1,), (1,)),
        (0, (2, 2), (2, 1)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2**40,), (0,)),
        (0, (3,), (2**47,)),
        (0, (1,) * 40, (1,) * 40),
        (0, (1, 1), (1,)),
        (0.0, (1,), (1,)),
        (0, [1], [1]),
    ],
)
def test_a_tensor_never_reaches_beyond_its_storage(offset: Any, shape: Any, strides: Any) -> None:
    with pytest.raises(ValueError, match="a tensor of shape"):
        storages.tensor_values(storages.Storage(storage_bytes()), offset, shape, strides)


def test_the_count_before_the_values_must_be_the_one_announced() -> None:
    content = storage_bytes()
    assert content[-20:-12] == struct.pack("<q", 3)
    with pytest.raises(storages.RefusedError, match="a storage of 12 bytes where 3 values"):
        storages.Storage(content[:-20] + struct.pack("<q", 2) + content[-12:])
