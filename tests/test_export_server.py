"""An exported file, run as a contest's server would: processes of their own, another folder, no qlstm in sight."""

import gzip

import pytest
from conftest import ROOT
from servers import SERVER, Server, expected, hostile, same, site, write_remembering, year

import qlstm
from qlstm import data, export, state


@pytest.fixture
def remembering(tmp_path):
    return write_remembering(tmp_path)


@pytest.fixture
def cube(tmp_path):
    return year(tmp_path)


@pytest.fixture(scope="module")
def with_numba(tmp_path_factory):
    return site(tmp_path_factory.mktemp("server") / "site", SERVER)


@pytest.fixture(scope="module")
def without_numba(tmp_path_factory):
    return site(tmp_path_factory.mktemp("bare") / "site", [name for name in SERVER if name != "numba"])


def check_parity(file, cube, days, server, tmp_path):
    exported = export.write(file, tmp_path / "submission.py").path
    results = expected(file, cube, days, tmp_path / "state")
    for t, result in zip(days, results, strict=True):
        raw, book, log = server.run(exported, t)
        same(result, raw, book)
        assert ("THERE IS NO STATE FILE" in log) == (t == days[0])
        server.next_day()
    assert len({result.memory.trained_at for result in results}) == 1 + bool(qlstm.load_strategy(file).train)
    return server


@pytest.mark.parametrize("name", ["buy_and_hold", pytest.param("trend", marks=pytest.mark.soak)])
def test_the_server_finds_the_weights_of_qlstm_run(name, cube, with_numba, tmp_path):
    server = Server(tmp_path / "server", with_numba, cube)
    check_parity(ROOT / "strategies" / f"{name}.py", cube, cube.time.values[250:252], server, tmp_path)


def test_the_server_finds_the_weights_of_qlstm_run_across_a_retrain(remembering, cube, with_numba, tmp_path):
    server = Server(tmp_path / "server", with_numba, cube)
    days = cube.time.values[250:253]  # a Thursday, a Friday, and a Monday on which the third day is over
    check_parity(remembering, cube, days, server, tmp_path)
    saved = state.read(server.state, qlstm.load_strategy(remembering))
    assert saved.state["days"] == 3
    assert state.inspect(server.state).parent_sha256


def lstm(tmp_path, interval):
    """Return the LSTM strategy with another retrain interval, and the sample's last year."""
    text = (ROOT / "strategies" / "lstm_state.py").read_text()
    old = "retrain_interval_after_submit=1,"
    assert old in text
    file = tmp_path / "lstm_state.py"
    file.write_text(text.replace(old, f"retrain_interval_after_submit={interval},"))
    return file, data.load("sample").isel(time=slice(-260, None))


@pytest.mark.soak
def test_the_server_fits_the_same_networks(with_numba, tmp_path):
    file, cube = ROOT / "strategies" / "lstm_state.py", data.load("sample").isel(time=slice(-260, None))
    server = Server(tmp_path / "server", with_numba, cube)
    (result,) = expected(file, cube, cube.time.values[-1:], tmp_path / "state")
    same(result, *server.run(export.write(file, tmp_path / "submission.py").path, result.date)[:2])


@pytest.mark.soak
def test_networks_cross_the_servers_days_and_a_retrain(with_numba, tmp_path):
    file, cube = lstm(tmp_path, interval=3)
    server = Server(tmp_path / "server", with_numba, cube)
    check = expected(file, cube, cube.time.values[-4:], tmp_path / "state")
    assert len({result.memory.trained_at for result in check}) > 1
    exported = export.write(file, tmp_path / "submission.py").path
    for result in check:
        same(result, *server.run(exported, result.date)[:2])
        server.next_day()


@pytest.mark.soak
def test_without_numba_networks_go_through_torch(without_numba, tmp_path):
    file, cube = lstm(tmp_path, interval=3)
    server = Server(tmp_path / "server", without_numba, cube)
    (result,) = expected(file, cube, cube.time.values[-1:], tmp_path / "state")
    raw, book, log = server.run(export.write(file, tmp_path / "submission.py").path, result.date)
    same(result, raw, book, exact=False)
    assert "NO NUMBA" in log


def test_without_numba_kernels_run_as_plain_python(remembering, cube, without_numba, tmp_path):
    server = Server(tmp_path / "server", without_numba, cube)
    exported = export.write(remembering, tmp_path / "submission.py").path
    days = cube.time.values[250:252]
    for t, result in zip(days, expected(remembering, cube, days, tmp_path / "state"), strict=True):
        raw, book, log = server.run(exported, t)
        same(result, raw, book, exact=False)
        assert "NO NUMBA" in log
        server.next_day()


def test_a_notebook_finds_the_same_weights(remembering, cube, without_numba, tmp_path):
    server = Server(tmp_path / "server", without_numba, cube)
    notebook = export.write(remembering, tmp_path / "submission.ipynb").path
    date = cube.time.values[250]
    raw, book, log = server.run(notebook, date)
    same(expected(remembering, cube, [date], tmp_path / "state")[0], raw, book, exact=False)
    assert "THERE IS NO STATE FILE" in log


def test_the_server_never_executes_a_state_file(remembering, cube, without_numba, tmp_path):
    server = Server(tmp_path / "server", without_numba, cube)
    server.state.write_bytes(gzip.compress(hostile(tmp_path / "executed")))
    date = cube.time.values[250]
    raw, book, log = server.run(export.write(remembering, tmp_path / "submission.py").path, date)
    assert "THE STATE FILE CANNOT BE USED: state.in.pickle.gz" in log
    same(expected(remembering, cube, [date], tmp_path / "state")[0], raw, book, exact=False)
    assert not (tmp_path / "executed").exists()
