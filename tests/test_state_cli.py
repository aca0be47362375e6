"""`qlstm state`: what is shown of saved state, what is changed in a store, exit statuses, one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pytest
import torch
import xarray as xr

from qlstm import nn, output, state
from qlstm.errors import StateError
from qlstm.state import codec
from qlstm.strategy import Memory

DATES = [np.datetime64(text, "ns") for text in ("2020-01-02", "2020-01-03", "2020-01-06")]
HEAVY = ("torch", "xarray", "pandas", "numba", "scipy")


def weights(n: int) -> xr.DataArray:
    values = np.array([[0.1, -0.2, 0.05 * n, 0.0]])
    coords = {"time": [DATES[n]], "asset": ["SIM:A", "SIM:B", "SIM:C", "SIM:D"]}
    return xr.DataArray(values, coords, ("time", "asset"), name="stocks")


def memory(n: int) -> Memory:
    torch.manual_seed(min(n, 1))
    models = {f"SIM:{key}": nn.LSTM(input_dim=1, hidden=2) for key in "ABC"[: n + 1]}
    return Memory(DATES[0], nn.Models(models), {"n": n, "previous_weights": weights(n).isel(time=0, drop=True)})


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with three days of one strategy, its parent as the working directory."""
    monkeypatch.chdir(tmp_path)
    store = state.Store(tmp_path / "state" / "idea")
    for n, date in enumerate(DATES):
        store.commit(date, memory(n), output.to_bytes(weights(n)), parent=store.newest())
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    return commands.call(capsys, "state", *arguments)


def test_show_prints_dates_lineage_weights_with_bars_models_and_the_state(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = call(capsys, "show", "state")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    parent = state.generations(state.Store("state/idea"))[1].sha256
    assert parent is not None
    for line in (
        "as of     2020-01-06",
        "trained   2020-01-02",
        f"parent    2020-01-03 (sha256 {parent[:12]})",
        "weights   3 positions, 0.4000 of the capital",
        f"  SIM:B       -0.200000  {'░' * 24}",
        f"  SIM:A       +0.100000  {'█' * 12}",
        "models    3",
        "state     dict(2)",
    ):
        assert line in lines
    (model,) = [line for line in lines if line.startswith("  SIM:A  qlstm.nn.LSTM")]
    norm = float(torch.cat([p.detach().ravel() for p in memory(2).models["SIM:A"].parameters()]).double().norm())
    assert f"norm {norm:.4g}" in model
    assert "output.weight 1×2" in out.split("  shapes: ")[1]


def test_show_as_json_holds_the_same(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = json.loads(call(capsys, "show", "state/idea/2020-01-03", "--json")[1])
    assert (seen["as_of"], seen["parent"]) == ("2020-01-03", "2020-01-02")
    assert seen["weights"] == [["SIM:B", -0.2], ["SIM:A", 0.1], ["SIM:C", 0.05]]
    assert ["output.weight", [1, 2]] in seen["models"][0]["shapes"]


def test_a_notebook_shows_a_file_as_html_and_nothing_in_it_is_taken_for_html(work: Path) -> None:
    harm = "<script>alert(1)</script>"
    seen = state.inspect("state/idea/2020-01-06/state.pickle.gz")
    assert "width:160px" in seen._repr_html_()
    assert "SIM:B" in seen._repr_html_()
    row = xr.DataArray([0.5], {"asset": [harm]}, ("asset",))
    models = {harm: torch.nn.Linear(1, 1)}
    store = state.Store(work / harm.replace("/", "-"))
    folder = store.commit(DATES[0], Memory(DATES[0], models, {harm: [row, harm]}), output.to_bytes(row))
    page = state.inspect(folder / "state.pickle.gz")._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


def test_list_names_what_each_day_follows_from(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "list", "state")
    assert status == 0
    first, second, third = out.splitlines()
    assert first.startswith("2020-01-02")
    assert first.endswith("a first day")
    assert second.endswith("from 2020-01-02")
    assert third.endswith("from 2020-01-03")
    listed = json.loads(call(capsys, "list", "state", "--json")[1])
    assert [one["date"] for one in listed] == ["2020-01-02", "2020-01-03", "2020-01-06"]
    assert listed[2]["parent_sha256"] == listed[1]["sha256"]


def test_diff_tells_what_changed_between_two_days(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "diff", "state/idea/2020-01-02", "state/idea/2020-01-03")
    assert status == 0
    lines = out.splitlines()
    assert lines[1].endswith("state/idea/2020-01-03/state.pickle.gz, its child")
    for line in (
        "as of     2020-01-02 -> 2020-01-03",
        "weights   1 position changed",
        f"  SIM:C       +0.000000 -> +0.050000  {'█' * 24}",
        "models    2 changes",
        "  SIM:B: absent -> a network",
        "  state['n']: 0 -> 1",
        "  state['previous_weights']['SIM:C']: 0.0 -> 0.05",
    ):
        assert line in lines
    (moved,) = [line for line in lines if line.startswith("  SIM:A: ")]
    old, new = memory(0).models["SIM:A"], memory(1).models["SIM:A"]
    pairs = zip(old.parameters(), new.parameters(), strict=True)
    away = float(torch.cat([(a - b).detach().ravel() for a, b in pairs]).double().norm())
    assert moved.endswith(f", {away:.4g} away")
    same = json.loads(call(capsys, "diff", "state", "state", "--json")[1])
    assert [same[key] for key in ("facts", "weights", "models", "state", "follows")] == [[], [], [], [], False]


def test_days_are_meant_by_their_dates_and_the_newest_by_nothing(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_path = call(capsys, "diff", "state/idea/2020-01-02", "state/idea/2020-01-03")
    assert call(capsys, "diff", "2020-01-02", "2020-01-03") == by_path
    assert call(capsys, "diff", "2020-01-02", "2020-01-03T00:00", "--state-dir", "state/idea") == by_path
    assert call(capsys, "show", "2020-01-03") == call(capsys, "show", "state/idea/2020-01-03")
    assert call(capsys, "show") == call(capsys, "show", "state/idea/2020-01-06")
    assert call(capsys, "list") == call(capsys, "list", "state")
    assert call(capsys, "verify")[1] == "state/idea: 3 checked, no problems\n"


def test_what_is_printed_fits_eighty_columns(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("show",), ("list",), ("diff", "2020-01-02", "2020-01-03"), ("verify",), ("--help",)):
        out = call(capsys, *arguments)[1]
        assert max(map(len, out.splitlines())) <= 80
    shapes = call(capsys, "show")[1].split("shapes: ")[1].split("state     dict")[0]
    assert [line.rstrip(",").split(", ")[-1].count(" ") for line in shapes.split("\n          ")] == [1] * 3


def test_small_changes_of_a_number_are_told_apart(work: Path) -> None:
    days = [Path(f"{n}.gz") for n in range(3)]
    for path, value in zip(days, (1 / 3, 1 / 3 + 1e-12, 1 / 7), strict=True):
        state.write(Memory(state={"x": xr.DataArray([value], {"asset": ["A"]}, ("asset",))}), path)
    said = [list(state.compare(*pair).lines())[-1] for pair in pairwise(days)]
    assert said == [
        "  state['x']['A']: 0.3333333333333333 -> 0.3333333333343333",
        "  state['x']['A']: 0.333333 -> 0.142857",
    ]


def test_verify_notes_what_the_file_system_lacks(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("state/idea/.lock").write_text("no flock: Function not implemented\n")
    status, out, _ = call(capsys, "verify", "state")
    assert status == 0
    assert out.startswith("note: this file system has no flock (Function not implemented); .lock.held keeps")
    assert json.loads(call(capsys, "verify", "--json")[1])["notes"] == [out.splitlines()[0].removeprefix("note: ")]


def test_verify_is_status_1_and_one_line_for_each_problem(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "verify", "state") == (0, "state/idea: 3 checked, no problems\n", "")
    path = work / "state" / "idea" / "2020-01-03" / "state.pickle.gz"
    path.write_bytes(path.read_bytes()[:-1])
    for target in ("state", "state/idea", "state/idea/2020-01-03", str(path)):
        status, out, err = call(capsys, "verify", target)
        assert (status, err) == (1, "")
        assert "2020-01-03/state.pickle.gz is damaged" in out.splitlines()[0]
    found = json.loads(call(capsys, "verify", "state", "--json")[1])
    assert found["checked"] == 3
    assert "2020-01-06 follows from a state" in found["problems"][1]


def test_rollback_and_prune_say_what_is_gone(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "prune", "state", "--keep", "2")
    assert (status, out) == (0, "state/idea: removed 1 generation, 2020-01-02\n")
    assert call(capsys, "prune", "state", "--keep", "2")[1] == "state/idea: removed no generations\n"
    status, out, _ = call(capsys, "rollback", "state", "2020-01-03", "--json")
    assert (status, json.loads(out)) == (0, {"path": "state/idea", "removed": ["2020-01-06"]})
    assert state.Store("state/idea").dates() == [DATES[1]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "nowhere"), "there is no file or folder nowhere"),
        (("verify", "nowhere"), "there is no file or folder nowhere"),
        (("list", "damaged.gz"), "damaged.gz is a file; give a strategy's folder"),
        (("show", "damaged.gz"), "damaged.gz is damaged: it is no gzip file"),
        (("diff", "state", "damaged.gz"), "damaged.gz is damaged: it is no gzip file"),
        (("show", "hostile.gz"), "hostile.gz holds objects that reading it would have to trust: os.system"),
        (("rollback", "state", "2019-01-01"), "has no generation 2019-01-01; the newest are: 2020-01-02"),
        (("rollback", "state", "soon"), "'soon' is not a date; write 2024-03-15"),
        (("rollback", "state", "2020-01-02T00:00:01"), "cannot name a generation"),
        (("prune", "state", "--keep", "0"), "keep at least 1"),
        (("prune", "state"), "Missing option '--keep'"),
        (("diff", "state"), "Missing argument 'AFTER'"),
        (("diff", "2020-01-02", "2020-01-05"), "has no generation 2020-01-05; the newest are: 2020-01-02, 2020-01-03"),
        (("diff", "2020-01-02", "2020-01-5"), "there is no file or folder 2020-01-5"),
        (("show", "2020-01-02", "--state-dir", "nowhere"), "there is no file or folder nowhere"),
        (("show", "state/idea/2020-01-02/fractions.nc.gz"), "holds weights; the state is state/idea/2020-01-02/state"),
        (("verify", "state/idea/2020-01-02/fractions.nc.gz"), "holds weights; the state is"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(
    work: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    import gzip

    (work / "damaged.gz").write_bytes(b"x")
    (work / "hostile.gz").write_bytes(gzip.compress(b"cos\nsystem\n(S'true'\ntR."))
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert words in err
    assert len(state.Store("state/idea").dates()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "state"),
        ("show", "state", "--json"),
        ("list", "state"),
        ("verify", "state"),
        ("diff", "state/idea/2020-01-02", "state"),
        ("prune", "state", "--keep", "3"),
    ],
    ids=" ".join,
)
def test_looking_imports_nothing_heavy(work: Path, arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom qlstm import cli\n"
        f"try:\n    cli.main(['state', *{arguments!r}])\n"
        f"finally:\n    print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_weights_that_are_no_netcdf_file_are_damage(work: Path) -> None:
    store = state.Store(work / "state" / "other")
    folder = store.commit(DATES[0], Memory(), b"not weights")
    with pytest.raises(StateError, match=r"fractions.nc.gz is damaged: it is no gzip file"):
        state.inspect(folder / "state.pickle.gz")
    assert codec.decode((folder / "state.pickle.gz").read_bytes()) == Memory()
