"""Contest rules as data."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toys import equal_weights, market

import qlstm
from qlstm import audit, contests, ledger, output, stats
from qlstm.audit import book
from qlstm.errors import ContestError
from qlstm.optimizer import searching, trials
from qlstm.report.study import Study

CUBE = market(days=60)
START = CUBE.time.values[30]
NASDAQ = contests.get("stocks_nasdaq100")
ONE = {"allowed_assets": ("TOY:001",), "slippage": 1.0, "points_per_year": 100}
OWN = [dataclasses.replace(NASDAQ, name=name, **ONE) for name in ("nowhere_registered", NASDAQ.name)]


def test_every_competition_type_of_the_established_toolbox_is_known():
    for name in [
        *("stocks_nasdaq100", "stocks_s&p500", "stocks", "stocks_long", "futures", "cryptofutures", "crypto_futures"),
        *("crypto", "crypto_daily", "cryptodaily", "crypto_daily_long", "crypto_daily_long_short"),
    ]:
        assert contests.get(name).points_per_year > 0


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ContestError, match="unknown contest 'stocks_nasdaq'; did you mean 'stocks_nasdaq100'"):
        contests.get("stocks_nasdaq")


def test_a_user_can_register_a_contest_and_strategies_can_name_it():
    mine = contests.Contest("house_rules", "2018-01-01", long_only=True)
    assert contests.register(mine) is mine
    assert contests.register(mine) is mine
    assert contests.get("house_rules").long_only
    with pytest.raises(ContestError, match="registered already"):
        contests.register(contests.Contest("house_rules", "2019-01-01"))


@pytest.mark.parametrize("wrong", [{"points_per_year": 0}, {"slippage": -0.1}, {"exposure_limit": 0.0}, {"name": ""}])
def test_contradicting_rules_are_refused(wrong):
    with pytest.raises(ContestError):
        contests.Contest(**{"name": "x", "start": "2018-01-01"} | wrong)


@pytest.mark.parametrize("rules", OWN, ids=lambda rules: rules.name)
def test_a_record_is_obeyed_by_a_backtest_its_report_and_audit(rules):
    strategy = qlstm.Strategy(predict=equal_weights, lookback_period=20, contest=rules)
    result = qlstm.backtest(strategy=strategy, data=CUBE, start_date=START, build_plots=False, progress=False)
    assert (list(result.weights.asset.values), result.weights.name) == (["TOY:001"], rules.name)
    costly = stats.calc_stat(CUBE, result.weights, rules.slippage, points_per_year=rules.points_per_year)
    np.testing.assert_array_equal(result.stats.values[-30:], costly.values[-30:])
    assert Study(result).points == rules.points_per_year
    study = Study(result, CUBE)  # refuses returns that are not the backtest's
    trades = ledger.of_weights(result.weights, CUBE, rules.slippage, points_per_year=rules.points_per_year).trades
    pd.testing.assert_frame_equal(study.ledger.trades, trades)
    pd.testing.assert_frame_equal(book._ledger(audit.Subject(strategy, CUBE, start=START)).trades, trades)
    days = str(START)[:10], str(CUBE.time.values[-1])[:10]
    figures = searching._figures(strategy, CUBE, trials.Setting("", "", "", *days))
    assert figures["points_per_year"] == rules.points_per_year


@pytest.mark.parametrize("rules", OWN, ids=lambda rules: rules.name)
def test_a_record_is_obeyed_by_a_single_pass(rules, tmp_path):
    strategy = qlstm.Strategy(predict=equal_weights, lookback_period=20, contest=rules, name="single")
    weights = qlstm.run(strategy, CUBE, state_dir=tmp_path, progress=False).weights
    assert (list(weights.asset.values), weights.name) == (["TOY:001"], rules.name)


def test_the_ratio_that_admits_pays_the_slippage_of_the_record():
    weights = xr.full_like(CUBE.sel(field="close", drop=True), 0.2)
    costs = [dataclasses.replace(NASDAQ, slippage=slippage) for slippage in (0.05, 5.0)]
    cheap, dear = (output.calc_sharpe_ratio_for_check(CUBE, weights, rules) for rules in costs)
    assert dear < cheap
