"""Strategies of the project earn nothing on markets that hold nothing; one that knows what is planted does."""

import numpy as np
import pytest
from conftest import ROOT

import qlstm
from qlstm.data import synthetic
from qlstm.data.synthetic.truth import Truth

STRATEGIES = ["trend", "buy_and_hold"]
DAYS = 500


def gains(weights, cube):
    """Simple return of each day's weights, executed at the next open, less what the same exposure to 1/N earns."""
    opens = cube.sel(field="open", drop=True)
    executed = (opens.shift(time=-2) / opens.shift(time=-1) - 1.0).sel(time=weights.time)
    mine = (weights * executed).sum("asset")
    equal = executed.mean("asset") * weights.sum("asset")
    return mine.values[:-2], (mine - equal).values[:-2]


def sharpe_and_limit(daily):
    daily = daily[np.flatnonzero(daily)[0] :]  # from the first position on
    return daily.mean() / daily.std() * np.sqrt(252), Truth.luckiest_sharpe(len(daily) / 252)


def look(name, market, seed):
    strategy = qlstm.load_strategy(ROOT / "strategies" / f"{name}.py")
    cube, _ = synthetic.market(market, seed=seed, n_assets=12, n_days=DAYS)
    result = qlstm.backtest(strategy=strategy, data=cube, build_plots=False)
    alone, above = gains(result.weights, cube)
    sharpe, limit = sharpe_and_limit(alone if market == "N0" else above)
    assert abs(sharpe) < limit, (name, market, seed)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("market", ["N0", "N1"])
def test_a_strategy_earns_nothing_on_a_null_market_before_costs(name, market):
    look(name, market, 0)


@pytest.mark.soak
@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("market", ["N0", "N1"])
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_strategy_earns_nothing_on_a_null_market_of_any_seed(name, market, seed):
    look(name, market, seed)


def test_what_is_planted_is_earned_by_who_knows_it():
    for market in ("P1", "P2", "P3", "P9"):
        cube, truth = synthetic.market(market, n_assets=12, n_days=DAYS)
        alone, _ = gains(np.sign(truth.signal) / 12, cube)
        sharpe, limit = sharpe_and_limit(alone)
        assert sharpe > limit, market
