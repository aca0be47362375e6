"""The store of trained models: always a hit for the same, never for anything else, and never in the way."""

import dataclasses
import hashlib
import importlib
import os
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
import xarray as xr
from commands import call
from toys import market

import qlstm
from qlstm import files, fingerprint, modelstore
from qlstm.errors import OutputError, StrategyError

CUBE = market(days=120, assets=3)

CODE = """
import qlstm, numpy as np, helper
SHARE = 0.1
CALLS = []
def train(data):
    CALLS.append(data.time.values[-1])
    return {"mean": data.sel(field="close", drop=True).mean("time"), "scale": helper.SCALE, "rows": np.arange(3)}
def predict(models, data):
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return (close < models["mean"]) * SHARE * models["scale"]
strategy = qlstm.Strategy(train=train, predict=predict, train_period=30, lookback_period=10, retrain_interval=20)
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    monkeypatch.setattr(fingerprint, "_own_code", lambda: "this version")  # the others edit qlstm while this runs
    (tmp_path / "helper.py").write_text("SCALE = 1.0\n")
    (tmp_path / "idea.py").write_text(CODE)
    return tmp_path


def run(folder, cube=CUBE, **changes):
    """Run the strategy of the folder; return how often it trained, and the raw weights."""
    strategy = qlstm.load_strategy(folder / "idea.py")
    strategy = dataclasses.replace(strategy, **changes)
    result = qlstm.backtest(
        strategy=strategy,
        data=cube,
        models_dir=folder / "models",
        start_date="2015-04-01",
        analyze=False,
        progress=False,
    )
    return len(strategy.namespace["CALLS"]), result.raw


def test_a_second_run_trains_nothing_and_gives_the_same(work):
    trained, raw = run(work)
    assert trained == 4
    again, same = run(work)
    assert again == 0
    xr.testing.assert_identical(raw, same)


@pytest.mark.parametrize(
    ("file", "found", "put"),
    [
        ("idea.py", "SHARE = 0.1", "SHARE = 0.2"),
        ("idea.py", '"rows": np.arange(3)', '"rows": np.arange(4)'),
        ("idea.py", "def predict", "# a comment\ndef predict"),
        ("helper.py", "SCALE = 1.0", "SCALE = 2.0"),
    ],
)
def test_an_edit_of_the_strategy_or_of_what_it_imports_is_a_miss(work, monkeypatch, file, found, put):
    run(work)
    path = work / file
    path.write_text(path.read_text().replace(found, put))
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    assert run(work)[0] == 4


@pytest.mark.parametrize(
    "change", [{"seed": 43}, {"train_period": 31}, {"lookback_period": 11}, {"contest": "stocks_long"}]
)
def test_another_setting_is_a_miss(work, change):
    run(work)
    assert run(work, **change)[0] == 4


def test_one_number_of_the_data_is_a_miss_where_a_window_holds_it(work):
    run(work)
    cube = CUBE.copy()
    cube[3, 70, 1] += 1e-9
    window_ends = [t for t in _dates() if t >= cube.time.values[70] >= t - np.timedelta64(30, "D")]
    assert 0 < len(window_ends) < 4
    assert run(work, cube)[0] == len(window_ends)
    assert run(work, cube.assign_coords(asset=["A", "B", "C"]))[0] == 4


def _dates():
    from qlstm import schedule

    days = CUBE.time.values[CUBE.time.values >= np.datetime64("2015-04-01")]
    return [block[0] for block in schedule.blocks(days, 20)]


def test_other_versions_are_a_miss(work, monkeypatch):
    run(work)
    monkeypatch.setattr(fingerprint, "_versions", lambda: ("numpy 0.1",))
    assert run(work)[0] == 4


def test_a_damaged_entry_is_trained_anew_with_a_warning(work, caplog):
    _, raw = run(work)
    entries = sorted((work / "models").rglob("*.models"))
    content = bytearray(entries[1].read_bytes())
    content[-1] ^= 1
    entries[1].write_bytes(content)
    entries[2].write_bytes(b"")
    trained, same = run(work)
    assert trained == 2
    xr.testing.assert_identical(raw, same)
    assert "damaged: its content is not what its checksum says" in caplog.text
    assert run(work)[0] == 0


def test_a_full_disk_is_noted_once_and_loses_nothing(work, monkeypatch, caplog):
    expected = run(work)[1]
    for entry in (work / "models").rglob("*.models"):
        entry.unlink()
    calls = []

    def full(path, content):
        calls.append(path)
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(files, "write_bytes", full)
    trained, raw = run(work)
    assert (trained, len(calls)) == (4, 1)
    assert "models are not stored: cannot write" in caplog.text
    xr.testing.assert_identical(raw, expected)


def test_models_that_are_no_values_are_trained_every_time_and_noted(work, caplog):
    path = work / "idea.py"
    path.write_text(path.read_text().replace('return {"mean"', 'return {"open": open, "mean"'))
    assert run(work)[0] == run(work)[0] == 4
    assert "models are not stored: " in caplog.text
    assert not list((work / "models").rglob("*.models"))


def test_an_entry_is_read_without_running_what_it_holds(work, caplog):
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {work}/owned",)

    run(work)
    for entry in (work / "models").rglob("*.models"):
        content = pickle.dumps(Evil())
        entry.write_bytes(hashlib.sha256(content).digest() + content)
    assert run(work)[0] == 4
    assert not (work / "owned").exists()


def test_two_processes_share_a_folder(work):
    code = (
        f"import sys; sys.path[:0] = [{str(work)!r}, {str(os.path.dirname(__file__))!r}]\n"
        "import qlstm\nfrom toys import market\n"
        f"s = qlstm.load_strategy({str(work / 'idea.py')!r})\n"
        f"qlstm.backtest(strategy=s, data=market(days=120, assets=3), models_dir={str(work / 'models')!r}, "
        "start_date='2015-04-01', analyze=False, progress=False)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert len(list((work / "models").rglob("*"))) == 1 + 4


def test_entries_are_listed_and_pruned(work, capsys):
    run(work)
    entries = list(modelstore.entries(work / "models"))
    assert [e.trained_at for e in entries] == [str(t)[:10] for t in _dates()]
    os.utime(entries[0].path, (0, 0))
    for arguments, words in (
        (["list"], "4 trainings"),
        (["prune", "--days", "100"], "removed 1 trainings"),
        (["prune", "--days", "0", "--strategy", "other"], "removed 0 trainings"),
        (["prune", "--days", "0"], "removed 3 trainings"),
        (["list"], "no models"),
    ):
        status, out, err = call(capsys, "models", *arguments, "--models", work / "models")
        assert status == 0, err
        assert words in out


def made_by(scale):
    return lambda data: scale


def test_what_a_function_encloses_defaults_to_or_names_is_part_of_its_fingerprint():
    def strategy(train):
        return fingerprint.of_strategy(qlstm.Strategy(train=train, predict=lambda models, data: None))

    def with_default(value):
        return types.FunctionType(made_by(1).__code__, globals(), "train", (value,), made_by(1).__closure__)

    assert strategy(made_by(1)) == strategy(made_by(1)) != strategy(made_by(2))
    assert strategy(made_by(np.arange(3))) != strategy(made_by(np.arange(4)))
    assert strategy(made_by({"a": 1})) != strategy(made_by({"a": 2}))
    assert strategy(made_by(qlstm.nn.LBFGS(lr=0.1))) != strategy(made_by(qlstm.nn.LBFGS(lr=0.2)))
    assert strategy(made_by(np.sum)) != strategy(made_by(np.mean))
    assert strategy(with_default(1)) != strategy(with_default(2))


def test_a_cube_has_one_fingerprint_whatever_holds_it(tmp_path):
    cube = market(days=30, assets=3).astype(np.float32)
    qlstm.data.save(cube, tmp_path / "cube.nc")
    objects = {dim: cube[dim].values.astype(object) for dim in ("field", "asset")}
    days = cube.get_index("time").as_unit("s")
    others = [
        qlstm.data.load(tmp_path / "cube.nc").sel(field=cube.field),
        cube.transpose("asset", "time", "field")
        .astype(float)
        .rename("another")
        .assign_coords(objects | {"time": days}),
        cube.assign_coords(made=1).assign_attrs(note="a note"),
    ]
    assert {fingerprint.of_cube(other) for other in others} == {fingerprint.of_cube(cube)}
    later = cube.assign_coords(time=cube.time + np.timedelta64(1, "D"))
    wrong = cube.copy()
    wrong[3, 5, 1] += 0.01
    for other in (wrong, later, cube[::-1], cube.assign_coords(asset=["A", "B", "C"]), cube.fillna(0.0)[:, :, :2]):
        assert fingerprint.of_cube(other) != fingerprint.of_cube(cube)


def test_what_is_no_value_is_named():
    with pytest.raises(StrategyError, match=r"train\.scale is a _thread.lock, whose content cannot be told"):
        fingerprint.of_strategy(qlstm.Strategy(train=made_by(threading.Lock()), predict=lambda models, data: None))


def networks(n):
    import torch

    from qlstm import nn

    made = {f"A{i}": nn.LSTM(hidden=2 + i % 2, layers=1) for i in range(n)}
    made["A0"].register_buffer("dates", torch.arange(3))
    made["A1"].register_buffer("none", torch.zeros((0, 2)))
    return {"models": nn.Models(made, {"B": "no row"}), "other": np.arange(4.0)}


def test_networks_come_back_as_they_were_and_their_form_is_written_once():
    import torch

    strategy = qlstm.Strategy(train=lambda data: None, predict=lambda models, data: None)
    models = networks(40)
    content = modelstore.pack(models, strategy)
    back = modelstore.unpack(content, strategy, "it")
    assert content == modelstore.pack(back, strategy)
    assert list(back["models"]) == list(models["models"])
    assert back["models"].failures == {"B": "no row"}
    np.testing.assert_array_equal(back["other"], models["other"])
    for name, network in models["models"].items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, back["models"][name].state_dict()[key])
    assert content.count(b"weight_ih") == 4  # two widths, and the two networks with a buffer


def test_a_sealed_network_with_too_few_bytes_is_damage():
    from qlstm.errors import StateCorruptError
    from qlstm.state import payload, plain, sealed

    content = sealed.seal(plain.describe(networks(2), "models", None))
    forms, values = payload.loads(content[32:], "it")
    entry = values["models"]["items"][0][1]
    for arrays in (entry["arrays"][:-1], b""):
        entry["arrays"] = arrays
        tampered = payload.dumps((forms, values))
        with pytest.raises(StateCorruptError, match="it is damaged"):
            sealed.unseal(hashlib.sha256(tampered).digest() + tampered, "it")


def test_an_edited_module_is_another_function_though_its_folder_has_no_init_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helpers_of_mine").mkdir()
    helper = tmp_path / "helpers_of_mine" / "parts.py"
    helper.write_text("def twice(x):\n    return 2 * x\n")
    importlib.invalidate_caches()
    parts = importlib.import_module("helpers_of_mine.parts")

    def predict(data):
        return parts.twice(data)

    file = tmp_path / "idea.py"
    file.write_text(
        "import qlstm\nimport helpers_of_mine.parts as parts\n\n\ndef predict(data):\n    return parts.twice(data)\n\n\n"
        "strategy = qlstm.Strategy(predict=predict)\n"
    )
    before = fingerprint.of_function(predict), fingerprint.of_strategy(qlstm.load_strategy(file))
    helper.write_text("def twice(x):\n    return 3 * x\n")
    after = fingerprint.of_function(predict), fingerprint.of_strategy(qlstm.load_strategy(file))
    assert before[0] != after[0]
    assert before[1] != after[1]
