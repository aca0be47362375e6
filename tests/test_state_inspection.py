"""What is shown of a state file, without the strategy and without the libraries it was made with."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stored import DAY, STRATEGY, VALUES, Scorer, memory, weights

from qlstm import state
from qlstm.errors import StateCorruptError, StateError
from qlstm.strategy import Memory


def test_an_inspection_tells_dates_models_and_weights(tmp_path: Path) -> None:
    path = tmp_path / "s.gz"
    state.write(Memory(DAY, {"A": Scorer()}, {"previous_weights": weights(20)}), path, STRATEGY, as_of=DAY)
    seen = state.inspect(path)
    assert (seen.schema, seen.strategy, seen.as_of, seen.created) == (1, "mine", "2020-01-03", "2020-01-03")
    assert [(m.key, m.kind, m.parameters) for m in seen.models] == [("A", "Scorer", 12)]
    (entry,) = seen.state.inside
    assert (entry.place, entry.kind, entry.shape, entry.dims) == (
        "state['previous_weights']",
        "DataArray",
        (20,),
        ("asset",),
    )
    assert entry.held == 19
    assert [label for label, _ in entry.largest[:2]] == ["SIM:019", "SIM:018"]
    assert json.loads(json.dumps(seen.to_dict()))["models"][0]["parameters"] == 12
    text = "\n".join(state.render(seen))
    for words in (
        "as of     2020-01-03",
        "mine (code ",
        "A  Scorer, 12 parameters",
        "SIM:019     +0.1000",
        "and 7 more",
    ):
        assert words in text


def test_every_kind_of_value_can_be_shown(tmp_path: Path) -> None:
    halves = {"first": VALUES[:20], "second": VALUES[20:]}
    state.write(Memory(None, {"deep": [torch.nn.Linear(1, 1)]}, halves), tmp_path / "s.gz")
    seen = state.inspect(tmp_path / "s.gz")
    assert seen.other_models.inside[0].inside[0].text == "2 parameters"
    lines = list(state.render(seen))
    for words in (
        "DatetimeIndex(3)",
        "2020-01-01 to 2020-01-03",
        "DataFrame(2, 4) a, b, t, f",
        "Timestamp 2020-01-02T03:04:00",
    ):
        assert any(words in line for line in lines), words
    json.dumps(seen.to_dict())


def test_files_of_other_programs_and_damaged_ones_are_inspected_too(tmp_path: Path) -> None:
    path = tmp_path / "s.gz"
    path.write_bytes(gzip.compress(pickle.dumps((DAY, None, {"w": np.zeros(2)}))))
    seen = state.inspect(path)
    assert (seen.schema, seen.strategy, seen.created) == (None, None, "2020-01-03")
    assert "written by another program" in list(state.render(seen))[1]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StateCorruptError, match=r"s.gz is damaged"):
        state.inspect(path)
    with pytest.raises(StateError, match="No such file"):
        state.inspect(tmp_path / "absent")


def test_inspecting_needs_neither_torch_nor_pandas_nor_xarray(tmp_path: Path) -> None:
    state.write(memory(), tmp_path / "s.gz", STRATEGY, as_of=DAY)
    code = (
        "import sys; from qlstm import state; print(*state.render(state.inspect(sys.argv[1])), sep='\\n');"
        "print([m for m in ('torch', 'pandas', 'xarray', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "s.gz"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "B  torch.nn.Linear, 3 parameters" in done.stdout


def test_newest_file_finds_the_file_that_a_folder_means(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="there is no"):
        state.newest_file(tmp_path / "absent")
    with pytest.raises(StateError, match="holds no saved state"):
        state.newest_file(tmp_path)
    store = state.Store(tmp_path / "one")
    store.commit(DAY, Memory(), b"w")
    folder = store.commit(DAY + np.timedelta64(1, "D"), Memory(), b"w")
    found = folder / "state.pickle.gz"
    assert [state.newest_file(p) for p in (tmp_path, tmp_path / "one", folder, found)] == [found] * 4
    state.Store(tmp_path / "two").commit(DAY, Memory(), b"w")
    with pytest.raises(StateError, match=r"several strategies: one, two; give .*one, or --state-dir .*one with a date"):
        state.newest_file(tmp_path)
