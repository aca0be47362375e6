"""Trainings on other cores and machines: the same results for any number of workers, and named errors."""

import os
import sys

import numpy as np
import pytest
from toys import market

import qlstm
from qlstm.errors import QlstmError, StrategyError

CUBE = market(days=140, assets=3)
CODE = """
import os, signal
import numpy as np, torch, qlstm
LAST = np.datetime64("2015-06-20")
class Line(torch.nn.Module):
    def __init__(self, slope):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(slope))
    def forward(self, x):
        return x[..., 0] * self.slope
def mean(data):
    late = data.time.values[-1] > LAST
    if TRAP == "error" and late:
        raise ValueError("no luck")
    if TRAP == "kill" and late:
        os.kill(os.getpid(), signal.SIGKILL)
    if TRAP == "lock" and late:
        import threading
        return threading.Lock()
    if TRAP == "write":
        data.values[0, 0, 0] = 0.0
    close = data.sel(field="close", drop=True)
    return {"mean": close.mean("time"), "draw": np.random.rand(), "line": Line(0.5 + np.random.rand())}
def network(data):
    close = data.sel(field="close", drop=True)
    X = 100 * (close / close.shift(time=1) - 1)
    return {"models": qlstm.nn.fit(qlstm.nn.LSTM(hidden=3, layers=1), X, (X > 0).astype(float)), **mean(data)}
def predict(models, data):
    assert type(models["line"]) is Line
    close = data.sel(field="close", drop=True).isel(time=-1, drop=True)
    return (close < models["mean"]) * 0.1 * models["draw"] * float(models["line"].slope.detach())
strategy = qlstm.Strategy(train=TRAIN, predict=predict, train_period=30, lookback_period=10, retrain_interval=20)
"""


def run(folder, train="mean", trap="", **workers):
    file = folder / f"{train}_{trap}.py"
    file.write_text(CODE.replace("TRAIN", train).replace("TRAP", repr(trap)))
    return qlstm.backtest(
        strategy=qlstm.load_strategy(file), data=CUBE, start_date="2015-04-01", analyze=False, progress=False, **workers
    )


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs the extra qlstm[dask]")
    settings = {"n_workers": 2, "threads_per_worker": 1, "protocol": "tcp", "silence_logs": 50}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        with distributed.LocalCluster(dashboard_address="127.0.0.1:0", **settings) as local:  # any port that is free
            yield local.scheduler_address


@pytest.mark.parametrize("train", ["mean", "network"])
def test_results_are_the_same_for_any_number_of_workers(tmp_path, train):
    one = run(tmp_path, train)
    assert len(np.unique(one.raw)) > 5
    for jobs in (2, 4):
        assert run(tmp_path, train, jobs=jobs).raw.identical(one.raw)


@pytest.mark.parametrize("train", ["mean", "network"])
def test_results_are_the_same_on_a_cluster_over_tcp(tmp_path, cluster, train):
    assert cluster.startswith("tcp://")
    assert run(tmp_path, train, dask=cluster).raw.identical(run(tmp_path, train).raw)


def test_an_error_in_a_worker_names_its_date_as_it_would_here(tmp_path):
    messages = []
    for jobs in (1, 2):
        with pytest.raises(StrategyError, match=r"train failed on 2015-0\d-\d\d: ValueError: no luck") as caught:
            run(tmp_path, trap="error", jobs=jobs)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_windows_are_read_only_in_a_worker_too(tmp_path, cluster):
    with pytest.raises(StrategyError, match=r"train failed on 2015-04-01: .*windows are read-only"):
        run(tmp_path, trap="write", dask=cluster)


def test_a_killed_worker_is_named_with_the_date_and_loses_nothing(tmp_path):
    with pytest.raises(QlstmError, match=r"worker process was killed while the training of 2015-0\d-\d\d was waited"):
        run(tmp_path, trap="kill", jobs=2, models_dir=tmp_path / "models")
    assert len(list((tmp_path / "models").rglob("*.models"))) >= 1


def test_a_result_that_cannot_be_pickled_is_named_with_the_date(tmp_path):
    with pytest.raises(QlstmError, match=r"result of the training of 2015-0\d-\d\d cannot be sent"):
        run(tmp_path, trap="lock", jobs=2)


def test_a_scheduler_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("distributed", reason="needs the extra qlstm[dask]")
    from qlstm import parallel

    before, parallel._REACH_S = parallel._REACH_S, 1
    try:
        with pytest.raises(QlstmError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
            run(tmp_path, dask="tcp://127.0.0.1:9")
    finally:
        parallel._REACH_S = before
