"""Q5, training elsewhere and in time: a budget is kept, and models that were shipped predict as where they were made."""

import shutil
import time
from functools import partial

import numpy as np
import pytest
import xarray as xr
from conftest import ROOT
from toys import market

import qlstm
from qlstm import engine, fingerprint, nn

FILE = ROOT / "strategies" / "lstm_careful.py"
BUDGET = 2.0  # seconds


def walk(days, assets, features=1):
    """Return inputs (time, asset, feature) and targets (time, asset) of noise."""
    random = np.random.default_rng(0)
    X = xr.DataArray(random.standard_normal((days, assets, features)), dims=("time", "asset", "feature"))
    X = X.assign_coords(time=market(days=days, assets=1).time.values, asset=[f"A{i}" for i in range(assets)])
    return X, X.isel(feature=0, drop=True) * 0.0 + random.standard_normal((days, assets))


def pooled(assets):
    X, Y = walk(1500, 10 * assets)
    early, late = nn.Sequences(X, Y, length=60).split(0.95, embargo=0)  # one validation takes longer than the budget
    return lambda **limits: nn.fit_pooled(nn.LSTM(1, 25, 1), early, late, batch=128, **limits).cut


def per_asset(mode, optimizer, assets):
    X, Y = walk(69, assets)
    return lambda **limits: bool(nn.fit(nn.LSTM(hidden=16), X, Y, mode=mode, optimizer=optimizer, **limits).cut)


@pytest.mark.parametrize(
    "work",
    [
        pooled,
        pytest.param(partial(per_asset, "fused", nn.LBFGS(lr=0.01)), marks=pytest.mark.soak, id="fused"),
        pytest.param(partial(per_asset, "stacked", nn.Adam()), marks=pytest.mark.soak, id="stacked"),
        pytest.param(partial(per_asset, "loop", nn.Adam()), marks=pytest.mark.soak, id="loop"),
    ],
)
def test_a_budget_of_two_seconds_is_kept_within_a_fifth(work):
    assert not work(1)(epochs=1)  # compiles
    fit = work(24)
    began, used = time.monotonic(), time.process_time()
    assert fit(epochs=10**6, budget_s=BUDGET)
    wall, worked = time.monotonic() - began, time.process_time() - used
    assert wall >= BUDGET
    assert min(wall, worked) <= 1.2 * BUDGET  # on a busy machine the last step waits for its turn


def test_models_trained_elsewhere_are_shipped_and_predict_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "_own_code", lambda: "this version")  # whoever edits the package meanwhile
    cube = market(days=160, assets=14)
    settings = {"data": cube, "start_date": cube.time.values[-20], "analyze": False, "progress": False}
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    trainer = qlstm.load_strategy(FILE)
    trained = qlstm.backtest(strategy=trainer, models_dir=elsewhere / "models", **settings).raw
    qlstm.run(trainer, cube, state_dir=elsewhere, date=cube.time.values[-20])
    shutil.move(elsewhere, here)

    def refuse(*arguments):
        raise AssertionError("trained here")

    monkeypatch.setattr(engine, "train", refuse)
    strategy = qlstm.load_strategy(FILE)
    found = qlstm.backtest(strategy=strategy, models_dir=here / "models", **settings).raw
    xr.testing.assert_identical(found, trained)
    day = cube.time.values[-19]
    shipped = qlstm.run(strategy, cube, state_dir=here, date=day).raw
    np.testing.assert_array_equal(shipped[0], trained.sel(time=day, asset=shipped.asset))
    with pytest.raises(AssertionError, match="trained here"):
        qlstm.backtest(strategy=strategy, models_dir=tmp_path / "empty", **settings)
