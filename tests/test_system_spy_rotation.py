"""Q1 and Q2, spy_rotation: regimes are found and traded, drift is not, and the planted input is the one that counts."""

import numpy as np
import pytest
import xarray as xr
from systems import assets_of, functions, renamed
from toys import market

from qlstm import labels
from qlstm.data import synthetic
from qlstm.errors import DataError
from qlstm.metrics import shift_report


def regimes(name, seed, days, **constants):
    """Return a market of sectors and bonds, its truth, and spy_rotation's functions for it."""
    cube, truth = synthetic.market("P4", seed=seed, n_assets=12, n_days=days)
    if name != "P4":
        cube = renamed(synthetic.market(name, seed=seed, n_assets=12, n_days=days)[0], cube.asset.values)
    members = {g: tuple(a for a in cube.asset.values if a.startswith(g)) for g in ("SECTOR", "INVERSE", "LONG")}
    groups = {"SECTORS": members["SECTOR"], "INVERSE": members["INVERSE"], "LONG": members["LONG"]}
    return cube, truth, functions("spy_rotation", INDEX="INDEX", **groups, **constants)


def rotate(cube, functions, every):
    """Return forecasts after 1280 rows of training, anew after so many."""
    found = []
    for start in range(1280, cube.sizes["time"] - 2, every):
        models = functions["train"](cube[:, start - 1280 : start])
        found.append(functions["forecast"](models, cube[:, start - 165 : start + every])[165:])
    return xr.concat(found, "time")[:-2]


def books(cube, functions, rising):
    """Return the weights (time, asset) of the rotation that holds the first groups where `rising`."""
    up = cube.asset.isin([*functions["SECTORS"], *functions["INVERSE"]])
    down = cube.asset.isin(functions["LONG"])
    return xr.where(rising, up / up.sum(), down / down.sum())


def expected_sharpe(weights, truth, earned):
    """Return what weights earn by what is known of the market, a year: luck moves it far less than what they earned."""
    daily = (weights * earned).sum("asset")
    return float((weights * truth.signal).sum("asset").mean() / daily.std() * np.sqrt(252))


def rotation_against_the_filter(seed, every):
    cube, truth, strategy = regimes("P4", seed, 2540)
    forecast, earned = rotate(cube, strategy, every), labels.executed_return(cube)
    best = truth.signal.sel(asset="INDEX", time=forecast.time, drop=True)
    signs = (forecast > 0, best > 0, xr.ones_like(best) > 0)
    return [expected_sharpe(books(cube, strategy, rising), truth, earned) for rising in signs]


def test_spy_rotation_earns_most_of_what_the_best_filter_of_the_regimes_does():
    found = np.array([rotation_against_the_filter(seed, 126) for seed in (0, 1, 2)]).mean(axis=0)
    mine, filtered, always = found
    assert mine >= 0.6 * filtered
    assert mine > always


@pytest.mark.soak
def test_spy_rotation_trained_monthly_earns_most_of_what_the_best_filter_does_in_twelve_markets():
    mine, filtered, always = np.median([rotation_against_the_filter(seed, 21) for seed in range(12)], axis=0)
    assert mine >= 0.6 * filtered
    assert mine > always


def against_always_up(seed, every):
    """Return how far the rotation's Sharpe ratio after 5 bp a side is above that of the first groups alone."""
    cube, _, strategy = regimes("N1", seed, 2040)
    forecast, earned = rotate(cube, strategy, every), labels.executed_return(cube)
    ratios = []
    for rising in (forecast > 0, xr.ones_like(forecast) > 0):
        weights = books(cube, strategy, rising)
        turnover = abs(weights.diff("time")).sum("asset").reindex(time=weights.time, fill_value=0.0)
        daily = (weights * earned).sum("asset") - 5e-4 * turnover
        ratios.append(float(daily.mean() / daily.std() * np.sqrt(252)))
    return ratios[0] - ratios[1]


def test_spy_rotation_is_no_better_than_always_up_where_there_is_no_regime():
    assert np.median([against_always_up(seed, 252) for seed in range(3)]) <= 0


@pytest.mark.soak
def test_spy_rotation_is_no_better_than_always_up_in_twenty_markets():
    assert np.median([against_always_up(seed, 63) for seed in range(20)]) <= 0


def test_spy_rotation_forecasts_the_next_bar_of_a_wave_and_not_the_last():
    cube, _, strategy = regimes("N0", 0, 1400, INPUTS=("range", "move"))
    wave = 50 + 5 * np.sin(2 * np.pi * np.arange(1400) / 30)
    cube = cube.copy()
    for field in ("open", "high", "low", "close"):
        cube.loc[{"field": field, "asset": "INDEX"}] = wave
    models = strategy["train"](cube[:, :1280])
    forecast = strategy["forecast"](models, cube[:, 1100:])[180:-2]
    report = shift_report(forecast.values, labels.executed_return(cube).sel(asset="INDEX", time=forecast.time).values)
    assert report.best_lag == 0


def losses_without(seed):
    """Return input -> how much less of the executed return is explained when its values are shuffled; P1."""
    inputs = ("rsi", "macd", "atr", "roc", "move")
    cube, _ = synthetic.market("P1", seed=seed, n_assets=2, n_days=2000)
    strategy = functions("spy_rotation", INDEX=str(cube.asset.values[0]), INPUTS=inputs)
    models, original = strategy["train"](cube[:, :1280]), strategy["features"]
    earned, rng = labels.executed_return(cube)[1280:-2, 0].values, np.random.default_rng(seed)
    shown = original(cube[:, 1100:])

    def correlation(X):
        strategy["features"] = lambda data: X
        return np.corrcoef(strategy["forecast"](models, cube)[180:-2], earned)[0, 1]

    whole, lost = correlation(shown), {}
    for i, name in enumerate(inputs):
        other = shown.copy()
        other[180:, :, i] = rng.permutation(shown[180:, :, i].values)
        lost[name] = whole - correlation(other)
    return lost


def test_taking_out_the_planted_input_costs_spy_rotation_most():
    assert all(max(lost, key=lost.get) == "move" for lost in map(losses_without, range(3)))


@pytest.mark.soak
def test_taking_out_the_planted_input_costs_most_in_nineteen_of_twenty_markets():
    assert sum(max(lost, key=lost.get) == "move" for lost in map(losses_without, range(20))) >= 19


def test_a_group_that_names_an_unknown_asset_is_refused_by_name():
    cube = renamed(market(days=300, assets=20), assets_of("spy_rotation")[:-1])
    strategy = functions("spy_rotation")
    with pytest.raises(DataError, match="data lack asset 'AMEX:SHY'; they have AMEX:SPY, AMEX:XLB"):
        strategy["predict"](strategy["train"](cube), cube)


def test_spy_rotation_holds_neither_group_where_no_network_could_be_fitted():
    cube = renamed(market(days=300, assets=20), assets_of("spy_rotation"))
    cube.loc[{"asset": "AMEX:SPY"}] = 100.0
    strategy = functions("spy_rotation")
    weights = strategy["predict"](strategy["train"](cube), cube)
    assert not weights.any()
