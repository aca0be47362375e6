"""From the form of other programs to ours, and back for a notebook without qlstm."""

from __future__ import annotations

import gzip
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import call
from pickles import NETWORK, VALUES, pickled, strategy_file
from stored import DAY, equal, weights

from qlstm import nn as qnn
from qlstm import state
from qlstm.errors import StateError
from qlstm.state import codec
from qlstm.strategy import Memory


def test_a_foreign_file_becomes_one_of_ours_when_it_is_written_again(tmp_path: Path) -> None:
    strategy = strategy_file()
    content = (DAY, {"A": strategy.namespace["Net"]()}, {"previous_weights": weights()})
    (tmp_path / "in.gz").write_bytes(pickled(content, 4))
    memory = state.read(tmp_path / "in.gz", strategy)
    assert memory is not None
    state.write(memory, tmp_path / "out.gz", strategy)
    seen = state.inspect(tmp_path / "out.gz")
    assert (seen.schema, seen.models[0].kind) == (1, "Net")


FILE = NETWORK.replace('name="idea"', "contest='stocks_nasdaq100'")
NOTEBOOK = """
import gzip, pickle, sys, torch
{classes}
with gzip.open(sys.argv[1]) as file:
    created, models, state = pickle.load(file)
print(type(created).__name__, type(models).__name__, type(models["NAS:A"]).__module__)
print(repr(models["NAS:A"](torch.ones(1, 1)).item()))
print(state["previous_weights"].asset.values.tolist(), float(state["previous_weights"].sum()))
print("qlstm" in sys.modules)
"""


def test_a_notebook_without_qlstm_reads_what_convert_plain_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from qlstm.strategy import load_strategy

    (tmp_path / "idea.py").write_text(FILE)
    strategy = load_strategy(tmp_path / "idea.py")
    torch.manual_seed(0)
    models = qnn.Models({"NAS:A": strategy.namespace["Net"]()})
    state.write(Memory(DAY, models, {"previous_weights": weights(3)}), tmp_path / "ours.gz", strategy)
    arguments = [str(tmp_path / "ours.gz"), str(tmp_path / "plain.gz"), "--strategy", str(tmp_path / "idea.py")]
    status, _, err = call(capsys, "state", "convert", "--plain", *arguments)
    assert (status, err) == (0, "")
    classes = FILE[FILE.index("class Net") : FILE.index("class Record")]
    (tmp_path / "notebook.py").write_text(NOTEBOOK.format(classes=classes))
    command = [sys.executable, tmp_path / "notebook.py", tmp_path / "plain.gz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == ""
    first, score, row, ours = done.stdout.splitlines()
    assert first == "datetime64 dict __main__"
    assert score == repr(models["NAS:A"](torch.ones(1, 1)).item())
    assert row == f"{weights(3).asset.values.tolist()} {float(weights(3).sum())}"
    assert ours == "False"
    back = state.read(tmp_path / "plain.gz", strategy)
    assert back is not None
    assert codec.encode(back, strategy=strategy) == codec.encode(
        Memory(DAY, dict(models), {"previous_weights": weights(3)}), strategy=strategy
    )


def test_convert_without_plain_makes_a_foreign_file_one_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    (tmp_path / "theirs.gz").write_bytes(gzip.compress(pickle.dumps((DAY, torch.nn.Linear(1, 1), weights()))))
    status, out, _ = call(capsys, "state", "convert", tmp_path / "theirs.gz", tmp_path / "ours.gz")
    assert status == 0
    assert " as a state file\n" in out
    assert state.inspect(tmp_path / "ours.gz").schema == 1


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_convert_plain_writes_is_read_by_pickle_and_by_us(value: Any) -> None:
    data = state.to_plain(Memory(DAY, None, value))
    assert equal(pickle.loads(gzip.decompress(data))[2], value)
    assert equal(codec.decode(data).state, value)
    assert b"numpy._core" not in gzip.decompress(data)


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(StateError, match=r"the state cannot be pickled: .*lambda"):
        state.to_plain(Memory(state=lambda: None))
