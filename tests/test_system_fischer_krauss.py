"""V21, fischer_krauss: a planted reversal is found and traded, luck is not, and what is found is the reversal rule."""

import dataclasses

import numpy as np
import pytest
import test_parity
import xarray as xr
from conftest import ROOT
from sklearn.linear_model import LogisticRegression
from systems import functions, seeds
from toys import market

import qlstm
from qlstm import audit, labels
from qlstm.data import synthetic
from qlstm.errors import DataError
from qlstm.nn.observers import observing

FILE = ROOT / "strategies" / "fischer_krauss.py"
SHORT = {"LENGTH": 20, "TRAIN": 400, "TRADE": 250}
TINY = {"LENGTH": 10, "TRAIN": 60, "TRADE": 20, "SIDE": 2, "EPOCHS": 1}
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


def turnover(scores):
    """Return the change of these weights from day to day, in shares of the capital."""
    top, bottom = ends(scores)
    weights = (top.astype(float) - bottom) / 20
    return np.abs(np.diff(weights, axis=0, prepend=0.0)).sum(axis=1)


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


@seeds(1, 3)
def test_an_edge_that_ends_is_seen_to_end_and_then_costs_are_all_that_is_left(seed):
    forecasts, earned, _ = studied("P10", seed, SHORT | {"TRADE": 300}, days=1002)  # it ends after 501 rows
    daily, turned = long_short(forecasts, earned), turnover(forecasts)
    early, late = slice(100), slice(101, None)
    assert standard_errors(daily[early] - 5e-4 * turned[early]) > 3.0
    assert abs(standard_errors(daily[late])) < 3.0
    after = [standard_errors(daily[late] - bp * 1e-4 * turned[late]) for bp in (0, 5, 10)]
    assert after[0] > after[1] > after[2]
    assert after[1] < 0.0


@pytest.mark.soak
def test_it_finds_what_takes_a_memory_and_a_logistic_regression_does_not():
    forecasts, earned, cube = studied("P3", 0, SHORT | {"EPOCHS": 6})
    past = xr.concat([-fall(cube, cube.time, rows) for rows in range(1, 21)], "lag").transpose("time", "asset", "lag")
    better = labels.above_median(labels.executed_return(cube))
    inputs, targets = past.values[20:398].reshape(-1, 20), better.values[20:398].ravel()
    linear = LogisticRegression().fit(inputs / inputs.std(axis=0), targets)
    tested = past.sel(time=forecasts.time, asset=forecasts.asset).values.reshape(-1, 20) / inputs.std(axis=0)
    rival = forecasts.copy(data=linear.decision_function(tested).reshape(forecasts.shape))
    mine, n = tail_accuracy(forecasts, earned)
    theirs, _ = tail_accuracy(rival, earned)
    assert mine - theirs > 3.0 / np.sqrt(n)
    assert abs(theirs - 0.5) < 1.5 / np.sqrt(n)


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
    cube[:, 84, 0] = np.nan
    inputs = strategy["features"](cube)
    assert float(inputs[84, 0, 0]) == 0.0
    assert bool(strategy["forecast"](models, cube)[-1].notnull().all())


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
