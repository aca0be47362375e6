"""Q4, fx_g10: a reversal planted in currencies is found and reported, and where there is none no edge is."""

import numpy as np
import pytest
import test_parity
import xarray as xr
from conftest import ROOT
from systems import assets_of, finds, functions, hits, renamed, seeds
from toys import market

import qlstm
from qlstm import audit, labels, schedule, significance
from qlstm.data import synthetic
from qlstm.errors import DataError
from qlstm.report.headline import verdicts
from qlstm.report.study import Study

FILE = ROOT / "strategies" / "fx_g10.py"


def forecasts(name, seed, train=1000, test=400):
    """Return forecasts of all currencies after one training, executed returns, the truth."""
    cube, truth = synthetic.market(name, seed=seed, n_days=train + test)
    strategy = functions("fx_g10")
    models = strategy["train"](cube[:, :train])
    return strategy["forecast"](models, cube[:, train - 40 :])[40:], labels.executed_return(cube), truth


@seeds(2, 5)
def test_the_reversal_of_currencies_is_found(seed):
    forecast, earned, truth = forecasts("P1-FX", seed)
    share, n, _ = hits(forecast, earned)
    assert finds(share, n, truth), share


@seeds(2, 5)
def test_no_currency_is_foretold_where_there_is_nothing(seed):
    forecast, earned, _ = forecasts("N0-FX", seed)
    signs = {
        str(asset): significance.pesaran_timmermann(*xr.align(forecast.sel(asset=asset)[:-2], earned.sel(asset=asset)))
        for asset in forecast.asset.values
    }
    assert float(significance.holm({asset: sign.p_value for asset, sign in signs.items()}).min()) > 0.05


def reported(name, seed, days):
    cube, _ = synthetic.market(name, seed=seed, n_days=1050 + days)
    strategy = qlstm.load_strategy(FILE)
    result = qlstm.backtest(strategy=strategy, data=cube, start_date=cube.time.values[1050], progress=False)
    return " ".join(verdicts(Study(result)))


@pytest.mark.parametrize(
    ("seed", "days"), [(0, 60), *(pytest.param(seed, 250, marks=pytest.mark.soak) for seed in range(3))]
)
def test_the_report_says_that_there_is_no_edge_where_there_is_none_and_that_there_is_one_where_there_is(seed, days):
    nothing = reported("N0-FX", seed, days)
    assert "cannot be told from luck" in nothing or "lies below 0" in nothing
    assert "lies above 0" in reported("P1-FX", seed, days)


def test_the_others_are_the_mean_of_the_currencies_that_have_a_return():
    strategy = functions("fx_g10")
    cube = renamed(market(days=12, assets=9), assets_of("fx_g10")).copy()
    cube.loc[{"asset": "EURUSD", "time": cube.time[6]}] = np.nan
    moves = cube.sel(field="close").to_pandas().pct_change(fill_method=None) * 100
    found = strategy["features"](cube).sel(feature="others").to_pandas()
    for row in (5, 6, 9):
        for asset in moves:
            assert found[asset].iloc[row] == pytest.approx(moves.iloc[row].drop(asset).mean())


def trained(days=300):
    strategy = functions("fx_g10")
    cube, _ = synthetic.market("P1-FX", seed=3, n_days=days)
    return strategy, strategy["train"](cube[:, : days - 20]), cube.copy()


def test_currencies_that_vanish_are_left_and_the_others_are_kept():
    strategy, models, cube = trained()
    before = strategy["predict"](models, cube)
    assert float(abs(before).sum()) == pytest.approx(1.0)
    gone = strategy["predict"](models, cube.drop_sel(asset="EURUSD"))
    assert "EURUSD" not in gone.asset
    assert float(abs(gone).sum()) == pytest.approx(1.0)
    cube.loc[{"asset": "JPYUSD", "time": cube.time[-3:]}] = np.nan
    silent = strategy["predict"](models, cube)
    assert float(silent.sel(asset="JPYUSD")) == 0.0
    assert float(abs(silent).sum()) == pytest.approx(1.0)


def test_a_currency_that_was_not_trained_is_not_held():
    strategy, _, cube = trained()
    models = strategy["train"](cube.drop_sel(asset="EURUSD"))
    weights = strategy["predict"](models, cube)
    assert float(weights.sel(asset="EURUSD")) == 0.0
    assert float(abs(weights).sum()) == pytest.approx(8 / 9)


def test_without_is_liquid_a_close_is_enough():
    strategy, models, cube = trained()
    weights = strategy["predict"](models, cube)
    xr.testing.assert_identical(strategy["predict"](models, cube.drop_sel(field="is_liquid")), weights)


def test_a_cube_of_other_assets_is_refused_by_name():
    with pytest.raises(DataError, match="the data hold none of AUDUSD, CADUSD"):
        functions("fx_g10")["train"](market(days=300, assets=3))


def test_it_trains_at_month_ends():
    assert qlstm.load_strategy(FILE).retrain_interval == schedule.month_end()


@pytest.mark.parametrize(
    ("days", "only"), [(200, ("look-ahead",)), pytest.param(1400, tuple(audit.CHECKS), marks=pytest.mark.soak)]
)
def test_no_check_of_the_audit_fails(days, only):
    cube, _ = synthetic.market("N0-FX", seed=1, n_days=days)
    report = audit.check(qlstm.load_strategy(FILE), cube, only, progress=False)
    assert report.ok, str(report)


def test_single_passes_through_files_equal_the_multi_pass_over_a_month_end(tmp_path):
    cube, _ = synthetic.market("N0-FX", seed=2, n_days=255)
    strategy, days = qlstm.load_strategy(FILE), cube.time.values[-8:]
    whole = qlstm.backtest(strategy=strategy, data=cube, start_date=days[0], analyze=False, progress=False)
    assert days[0] < whole.memory.trained_at
    for t in days:
        single = qlstm.run(strategy, data=cube, state_dir=tmp_path, date=t)
        xr.testing.assert_equal(single.raw, whole.raw.sel(time=[t]))
    assert single.memory.trained_at == whole.memory.trained_at


@pytest.mark.soak
def test_single_passes_in_processes_equal_the_multi_pass(tmp_path, monkeypatch):
    names = assets_of("fx_g10")
    monkeypatch.setattr(
        test_parity, "market", lambda days, assets, seed: renamed(market(days, len(names), seed), names)
    )
    test_parity.check_parity(FILE, tmp_path, 6, 3)


def test_it_reads_in_two_minutes():
    text = FILE.read_text()
    assert len(text.splitlines()) < 100
    for part in ("Idea ", "State ", "Source ", "Changed ", "Backtest "):
        assert f"\n{part}" in text
