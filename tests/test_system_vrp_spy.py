"""Q3, vrp_spy: what the premium knows is found, what knows nothing is not, and half of it is refused."""

import numpy as np
import pytest
import xarray as xr
from systems import assets_of, finds, functions, hits, out_of_sample, renamed, seeds
from toys import market


@seeds(1, 5)
def test_vrp_spy_finds_what_the_premium_knows(seed):
    forecast, earned, truth, _ = out_of_sample("vrp_spy", "P9", seed)
    share, n, _ = hits(forecast, earned)
    assert finds(share, n, truth), share


@seeds(1, 5)
def test_vrp_spy_finds_nothing_in_implied_volatility_that_knows_nothing(seed):
    forecast, earned, _, _ = out_of_sample("vrp_spy", "N1-IV", seed)
    share, n, luck = hits(forecast, earned)
    assert abs(share - luck) < 1.5 / np.sqrt(n / 8)  # 24 assets that share a factor count as about 3


def test_vrp_spy_without_implied_volatility_reads_its_own_past_and_says_so():
    strategy = functions("vrp_spy")
    cube = renamed(market(days=300, assets=3), assets_of("vrp_spy"))
    inputs = strategy["features"](cube)
    moves = cube.sel(field="close", asset="AMEX:SPY").to_series().pct_change()
    near, far = (moves.rolling(rows).std() * np.sqrt(252) for rows in (63, 126))
    np.testing.assert_allclose(inputs.sel(feature="slope")[-1, 0], (near / far).iloc[-1])
    assert "says nothing about the premium" in strategy["__doc__"]


def test_vrp_spy_refuses_half_of_implied_volatility_by_the_name_of_the_field():
    strategy = functions("vrp_spy")
    cube = renamed(market(days=300, assets=3), assets_of("vrp_spy"))
    one = xr.concat([cube, cube.sel(field=["close"]).assign_coords(field=["iv30"])], "field")
    with pytest.raises(ValueError, match="the data hold iv30 alone; give both iv30 and iv93, or neither"):
        strategy["features"](one)
    empty = xr.concat([one, xr.full_like(cube.sel(field=["close"]), np.nan).assign_coords(field=["iv93"])], "field")
    with pytest.raises(ValueError, match="the field iv93 is empty up to that day"):
        strategy["features"](empty)
