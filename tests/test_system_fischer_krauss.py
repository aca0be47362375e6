"""V21, fischer_krauss: a planted reversal is found and traded, luck is not, and what is found is the reversal rule."""

import dataclasses
import functools
import importlib.util
import sys

import numpy as np
import pytest
import test_parity
import xarray as xr
from conftest import ROOT
from systems import functions, seeds
from toys import market

import qlstm
from qlstm import audit, labels, significance
from qlstm.data import synthetic
from qlstm.errors import DataError
from qlstm.nn.observers import observing
from qlstm.report import costs, performance
from qlstm.report.study import Study

FILE = ROOT / "strategies" / "fischer_krauss.py"
SHORT = {"LENGTH": 20, "TRAIN": 400, "TRADE": 250}
TINY = {"LENGTH": 10, "TRAIN": 60, "TRADE": 20, "SIDE": 2, "EPOCHS": 1}
MEMORY = SHORT | {"LENGTH": 6, "EPOCHS": 6}
LONG = {}  # the file's own: 240 rows, study periods of 750 + 250
IN_PROCESS = [check for check in audit.CHECKS if check not in ("parity", "processes")]


def studied(name, seed, constants, days=None):
    """Return forecasts and executed returns (time, asset) of consecutive study periods of a market, and the market."""
    strategy = functions("fischer_krauss", **constants)
    train, trade, before = strategy["TRAIN"], strategy["TRADE"], strategy["LENGTH"] + 1
    cube, _ = synthetic.market(name, seed=seed, n_assets=100, n_days=days or train + trade + 2)
    found = []
    for start in range(train, cube.sizes["time"] - 2, trade):
        models = strategy["train"](cube[:, start - train : start])
        found.append(strategy["forecast"](models, cube[:, start - before : start + trade])[before:])
    forecasts = xr.concat(found, "time")[:-2]
    earned = labels.executed_return(cube).sel(time=forecasts.time).reindex(asset=forecasts.asset)
    return forecasts, earned, cube


def ends(scores):
    """Return which are the ten highest and the ten lowest of each day, (time, asset) each."""
    ranks = scores.values.argsort(axis=1).argsort(axis=1)
    return ranks >= scores.shape[1] - 10, ranks < 10


def tail_accuracy(forecasts, earned):
    """Return the share of right calls among the ten highest and lowest, and how many these are."""
    (top, bottom), better = ends(forecasts), labels.above_median(earned).values
    right = np.concatenate([better[top], 1.0 - better[bottom]])
    return right.mean(), len(right)


def long_short(scores, earned):
    """Return what ten equal parts long and ten short earn on each day."""
    top, bottom = ends(scores)
    return (earned.values * top).sum(axis=1) / 20 - (earned.values * bottom).sum(axis=1) / 20


def held(scores):
    """Return the weights of each day, ten equal parts long and ten short."""
    top, bottom = ends(scores)
    return scores.copy(data=(top.astype(float) - bottom) / 20)


def turnover(scores):
    """Return the change of these weights from day to day, in shares of the capital."""
    return np.abs(np.diff(held(scores).values, axis=0, prepend=0.0)).sum(axis=1)


def reported(scores, cube):
    """Return the report's Sharpe ratios of what is held, by sub-period and by cost."""
    weights = held(scores)
    replay = qlstm.Strategy(predict=lambda data: weights.sel(time=data.time[-1]), contest="stocks_s&p500")
    first, last = weights.time.values[[0, -1]]
    result = qlstm.backtest(
        strategy=replay, data=cube, start_date=first, end_date=last, build_plots=False, progress=False
    )
    study = Study(result, cube)
    tables = performance.years(study)[0], costs.sensitivity(study)[1]
    return [{row[0]: float(row[3]) for row in table.rows} for table in tables]


def standard_errors(daily):
    """Return the mean of daily returns in units of its standard error."""
    return daily.mean() / daily.std() * np.sqrt(len(daily))


def fall(cube, times, rows=5):
    """Return how much each asset fell over the last rows, (time, asset): what a reversal rule goes by."""
    close = cube.sel(field="close", drop=True)
    return (1.0 - close / close.shift(time=rows)).sel(time=times)


def explained(daily, rule):
    """Return the R² of a regression of one daily return on another."""
    return np.corrcoef(daily, rule)[0, 1] ** 2


def find_the_reversal(seed, constants):
    forecasts, earned, cube = studied("P2", seed, constants)
    share, n = tail_accuracy(forecasts, earned)
    daily = long_short(forecasts, earned)
    assert share >= 0.54 > 0.5 + 1.5 / np.sqrt(n), share
    assert standard_errors(daily) > 3.0
    assert explained(daily, long_short(fall(cube, forecasts.time), earned)) >= 0.5


def find_nothing(seed, constants):
    forecasts, earned, _ = studied("N0", seed, constants)
    share, n = tail_accuracy(forecasts, earned)
    assert abs(share - 0.5) < 1.5 / np.sqrt(n)
    assert abs(standard_errors(long_short(forecasts, earned))) < 3.0


@seeds(1, 4)
def test_the_planted_reversal_is_found_and_is_what_the_rule_trades(seed):
    find_the_reversal(seed, SHORT)


@seeds(1, 4)
def test_nothing_is_found_where_there_is_nothing(seed):
    find_nothing(seed, SHORT)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_at_full_length_the_reversal_is_found_and_nothing_else(seed):
    find_the_reversal(seed, LONG)
    find_nothing(seed, LONG)


@functools.cache
def ending(seed):
    """Return what `studied` does for a market whose edge ends after 501 of 1002 rows, on the last days of 2007."""
    return studied("P10", seed, SHORT | {"TRADE": 300}, days=1002)


@seeds(1, 3)
def test_an_edge_that_ends_is_seen_to_end_and_then_costs_are_all_that_is_left(seed):
    forecasts, earned, _ = ending(seed)
    daily, turned = long_short(forecasts, earned), turnover(forecasts)
    early, late = slice(100), slice(101, None)
    assert standard_errors(daily[early] - 5e-4 * turned[early]) > 3.0
    assert abs(standard_errors(daily[late])) < 3.0
    after = [standard_errors(daily[late] - bp * 1e-4 * turned[late]) for bp in (0, 5, 10)]
    assert after[0] > after[1] > after[2]
    assert after[1] < 0.0


def test_the_report_shows_when_the_edge_ended_and_what_costs_take():
    forecasts, _, cube = ending(0)
    assert str(cube.time.values[500])[:10] == "2007-12-27"
    by_year, by_cost = reported(forecasts, cube)
    assert by_year["2007"] > 3.0
    assert max(by_year[part] for part in ("2008", "2009", "second half")) < 0.0, by_year
    assert list(by_cost.values()) == sorted(by_cost.values(), reverse=True)
    assert by_cost["+5 bps a side"] < 0.0


def rival(name, strategy, lags):
    """Return one of the forecasters that benchmarks/systems_rivals.py puts beside the strategy."""
    spec = importlib.util.spec_from_file_location("systems_rivals", ROOT / "benchmarks" / "systems_rivals.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # where dataclasses look for it
        spec.loader.exec_module(module)
    (found,) = (one for one in module.rivals(strategy, lags) if one.name == name)
    return found


def beside(name, market_name, seed, constants):
    """Return the forecasts of the network and of a rival, what was earned, and a test whether the network's are better.

    Days are independent in these markets, so Diebold and Mariano's test of the daily errors is exact enough.
    """
    forecasts, earned, cube = studied(market_name, seed, constants)
    strategy = functions("fischer_krauss", **constants)
    other = rival(name, strategy, range(1, strategy["LENGTH"] + 1))
    models = other.train(cube[:, : strategy["TRAIN"]])
    theirs = other.forecast(models, cube).sel(time=forecasts.time, asset=forecasts.asset)
    errors = [
        ((1.0 / (1.0 + np.exp(-scores)) - labels.above_median(earned)) ** 2).mean("asset")
        for scores in (forecasts, theirs)
    ]
    return forecasts, theirs, earned, significance.diebold_mariano(*errors)


@seeds(1, 5)
def test_what_takes_a_memory_is_found_by_the_network_and_not_by_a_logistic_regression(seed):
    mine, theirs, earned, versus = beside("LOG", "P3", seed, MEMORY)
    share, n = tail_accuracy(mine, earned)
    assert share >= 0.574, share  # 60 % of the way to the ceiling
    assert abs(tail_accuracy(theirs, earned)[0] - 0.5) < 1.5 / np.sqrt(n)
    assert versus.rejects(0.001), str(versus)


@seeds(1, 5)
def test_a_reversal_takes_no_memory_so_a_logistic_regression_finds_it_as_well(seed):
    _, theirs, earned, versus = beside("LOG", "P2", seed, MEMORY | {"EPOCHS": 2})
    assert tail_accuracy(theirs, earned)[0] >= 0.54
    assert not versus.rejects(0.001), str(versus)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "least"), [("DNN", 0.54), ("RAF", 0.515)])  # a forest of few trees is weak
def test_the_other_rivals_find_the_reversal_too(name, least):
    _, theirs, earned, _ = beside(name, "P2", 0, MEMORY | {"EPOCHS": 2})
    assert tail_accuracy(theirs, earned)[0] >= least


def test_the_last_targets_learned_from_are_known_before_validation_and_before_trading():
    strategy, seen = functions("fischer_krauss", **TINY), []
    cube = market(days=90, assets=4)
    with observing(lambda event, arguments: seen.append((event, arguments))):
        strategy["train"](cube)
    (targets,) = (arguments["Y"] for event, arguments in seen if event == "fit")
    learned = cube.time.values[-60:]
    np.testing.assert_array_equal(targets.time, learned)
    assert targets[-2:].isnull().all()
    assert targets[:-2].notnull().all()


def test_the_scaler_knows_the_rows_of_training_alone():
    strategy = functions("fischer_krauss", **TINY)
    cube = market(days=90, assets=4)
    later = cube.copy()
    later[:, 80:] *= 3.0
    scalers = [strategy["train"](one[:, :80])["scaler"] for one in (cube, later)]
    assert str(scalers[0]) == str(scalers[1])


def test_it_holds_the_ends_of_its_forecasts_among_what_is_liquid():
    strategy = functions("fischer_krauss", **TINY)
    cube = market(days=90, assets=8)
    models = strategy["train"](cube[:, :80])
    scores = strategy["forecast"](models, cube)[-1]
    first, *_, last = scores.sortby(scores).asset.values
    cube.loc[{"field": "is_liquid", "asset": first, "time": cube.time[-1]}] = 0.0
    weights = strategy["predict"](models, cube)
    ranked = [asset for asset in scores.sortby(scores).asset.values if asset != first]
    expected = dict.fromkeys(ranked[:2], -0.25) | dict.fromkeys(ranked[-2:], 0.25)
    assert {str(a): float(w) for a, w in zip(weights.asset.values, weights, strict=True) if w} == expected
    gone = strategy["predict"](models, cube.sel(asset=cube.asset != last))  # vanished while held
    assert last not in gone.asset.values
    assert float(abs(gone).sum()) == pytest.approx(1.0)


def test_days_without_a_price_are_no_move_and_cost_no_forecast():
    strategy = functions("fischer_krauss", **TINY)
    cube = market(days=90, assets=4)
    models = strategy["train"](cube[:, :80])
    for row in (79, 84):  # the first close that the last window needs, and one within
        cube[:, row, 0] = np.nan
        assert float(strategy["features"](cube)[row, 0, 0]) == 0.0
    last = strategy["forecast"](models, cube, last=True)
    assert last.notnull().sum("time").values.tolist() == [1, 1, 1, 1]
    xr.testing.assert_equal(last[-1], strategy["forecast"](models, cube)[-1])


def test_a_study_period_whose_last_day_has_nothing_liquid_is_named():
    cube = market(days=400, assets=4)
    cube.loc[{"field": "is_liquid", "time": cube.time[-1]}] = 0.0
    with pytest.raises(ValueError, match="nothing is liquid on the last day of the study period"):
        functions("fischer_krauss", **SHORT)["train"](cube)


def test_too_few_rows_for_a_study_period_are_refused_by_number():
    with pytest.raises(DataError, match="trains on 60 rows"):
        functions("fischer_krauss", **TINY)["train"](market(days=50, assets=4))


def test_no_check_of_the_audit_fails():
    cube, _ = synthetic.market("N0", seed=1, n_assets=12, n_days=300)
    strategy = dataclasses.replace(qlstm.load_strategy(FILE, **TINY), train_period=120, lookback_period=30)
    report = audit.check(strategy, cube, IN_PROCESS, progress=False)
    assert report.ok, str(report)


def test_single_passes_equal_the_multi_pass(tmp_path):
    text = FILE.read_text()
    for before, after in (
        ("LENGTH = 240", "LENGTH = 10"),
        ("TRAIN, TRADE = 750, 250", "TRAIN, TRADE = 60, 20"),
        ("SIDE = 10", "SIDE = 2"),
    ):
        assert before in text
        text = text.replace(before, after)
    small = tmp_path / "fischer_krauss.py"
    small.write_text(text)
    test_parity.check_parity(small, tmp_path, 2, 2)
