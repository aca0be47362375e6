"""What the acceptance tests of all systems share: a strategy's functions, its right signs, and when they count."""

import numpy as np
import pytest
import xarray as xr
from conftest import ROOT

import qlstm
from qlstm import labels
from qlstm.data import synthetic


def seeds(short, long):
    """Run a test for the first seeds always, for the others in the long version."""
    return pytest.mark.parametrize(
        "seed", [*range(short), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(short, long))]
    )


def functions(name, **constants):
    return qlstm.load_strategy(ROOT / "strategies" / f"{name}.py", **constants).namespace


def assets_of(name):
    """Return the assets that a strategy's file names."""
    namespace = functions(name)
    values = [namespace[key] for key in ("INDEX", "ASSETS", "SECTORS", "INVERSE", "LONG") if key in namespace]
    return [asset for value in values for asset in ([value] if isinstance(value, str) else value)]


def renamed(cube, names):
    """Return the cube with its first assets called by these names."""
    return cube.assign_coords(asset=[*names, *cube.asset.values[len(names) :]])


def hits(forecast, earned):
    """Return the share of right signs, how many were compared, and what calls of this mix get right by luck."""
    forecast, earned = xr.align(forecast, earned, join="inner")
    known = (forecast.notnull() & earned.notnull()).values
    up, rose = forecast.values[known] > 0, earned.values[known] > 0
    luck = up.mean() * rose.mean() + (1 - up.mean()) * (1 - rose.mean())
    return (up == rose).mean(), known.sum(), luck


def finds(share, n, truth):
    return share >= truth.must_find and share - 1.5 / np.sqrt(n) > 0.5


def out_of_sample(name, market_name, seed, train=1000, test=400):
    """Return a strategy's forecasts of all assets after one training, executed returns, the truth."""
    cube, truth = synthetic.market(market_name, seed=seed, n_assets=24, n_days=train + test)
    strategy = functions(name, ASSETS=tuple(map(str, cube.asset.values)))
    models = strategy["train"](cube[:, :train])
    forecast = strategy["forecast"](models, cube[:, train - 170 :])[170:]
    return forecast, labels.executed_return(cube), truth, cube
