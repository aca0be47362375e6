"""A search over constants: every trial a backtest, the same for any number of workers, honest about luck."""

import numpy as np
import pytest
from clusters import cluster
from searches import CUBE, DAYS, PERIOD, lines, make, outcome, write

import qlstm
from qlstm import optimizer, stats
from qlstm.errors import DataError, QlstmError, StrategyError
from qlstm.optimizer import Range
from qlstm.significance import deflated_sharpe


@pytest.fixture
def file(tmp_path):
    return write(tmp_path)


def test_a_trial_is_a_backtest_of_the_file_with_other_constants(file):
    found = optimizer.search(file, CUBE, {"LENGTH": [3, 8], "SIDE": [1, 0.5]}, **PERIOD)
    assert [t.arguments for t in found.trials] == [{"LENGTH": n, "SIDE": s} for n in (3, 8) for s in (1, 0.5)]
    for trial in found.trials:
        strategy = qlstm.load_strategy(file, **trial.arguments)
        result = qlstm.backtest(strategy=strategy, data=CUBE, start_date=DAYS[50], end_date=DAYS[110], progress=False)
        for name in ("equity", "sharpe_ratio", "avg_turnover"):
            assert trial.figures[name] == float(result.stats.sel(field=name)[-1])
        assert "relative_return" not in trial.figures
        assert (trial.status, trial.error, trial.seed) == ("done", None, 42)
    best = max(found.trials, key=lambda t: t.figures["sharpe_ratio"])
    assert found.best is best
    assert found.n_trials == len(found.table) == 4
    assert found.table["score"].tolist() == sorted(found.scores, reverse=True)
    assert found.table.iloc[0][["LENGTH", "SIDE"]].to_dict() == best.arguments


def test_a_function_that_makes_strategies_is_searched_too_and_its_arguments_are_part_of_the_code():
    seen = []

    def making(length):
        seen.append(length)
        return make(length)

    found = optimizer.search(making, CUBE, {"length": np.array([3, 8])}, **PERIOD)
    assert seen == [3, 8]
    assert all(type(t.arguments["length"]) is int for t in found.trials)
    file_like = optimizer.search(making, CUBE, {"length": [8]}, **PERIOD)
    assert outcome(file_like) == outcome(found)[1:]


def test_the_score_decides_which_is_best(file):
    calm = optimizer.search(file, CUBE, {"SIDE": [1, 0.2, 0.5]}, score=lambda f: -f["volatility"], **PERIOD)
    assert calm.best.arguments == {"SIDE": 0.2}


def test_no_trial_sees_a_day_after_the_last(file):
    later = CUBE.copy(deep=True)
    later[:, 111:] = 1e6
    space = {"LENGTH": [3, 8]}
    assert outcome(optimizer.search(file, CUBE, space, **PERIOD)) == outcome(
        optimizer.search(file, later, space, **PERIOD)
    )
    seen = []

    def spying(length):
        return qlstm.Strategy(predict=lambda data: seen.append(data.time.values[-1]) or make(length).predict(data))

    optimizer.search(spying, CUBE, {"length": [3]}, **PERIOD)
    assert (min(seen), max(seen)) == (DAYS[50], DAYS[110])


def test_the_result_is_the_same_for_any_number_of_workers_and_a_cluster(file):
    space = {"LENGTH": [3, 5, 100, 8], "NOISE": [0.0, 0.1]}  # one that fails, and one that draws random numbers
    plain = optimizer.search(file, CUBE, space, **PERIOD)
    assert sum(t.error is not None for t in plain.trials) == 2
    assert outcome(optimizer.search(file, CUBE, space, jobs=2, **PERIOD)) == outcome(plain)
    with cluster(workers=1) as (address, _):
        assert outcome(optimizer.search(file, CUBE, space, dask=address, **PERIOD)) == outcome(plain)


def test_a_failing_trial_is_on_record_with_its_reason_and_counts(file, tmp_path):
    record = tmp_path / "record.jsonl"
    found = optimizer.search(file, CUBE, {"LENGTH": [100, 3, "x"]}, record=record, **PERIOD)
    assert [t.status for t in found.trials] == ["failed", "done", "failed"]
    assert "LENGTH=100: predict failed on 2015-03-12: IndexError" in found.trials[0].error
    assert found.best.arguments == {"LENGTH": 3}
    assert (found.n_trials, np.isnan(found.sharpe_ratios).tolist()) == (3, [True, False, True])
    assert found.table["score"].tolist()[1:] == [-np.inf, -np.inf]
    assert [row["status"] for row in lines(record)] == ["failed", "done", "failed"]


def test_when_every_trial_fails_the_first_is_named(file):
    with pytest.raises(QlstmError, match="all 2 trials failed, the first with LENGTH=100: strategy idea"):
        optimizer.search(file, CUBE, {"LENGTH": [100, 200]}, **PERIOD)


def test_a_strategy_that_never_holds_anything_has_no_score_and_never_wins(file):
    found = optimizer.search(file, CUBE, {"SIDE": [0.0, 1.0]}, **PERIOD)
    assert np.isnan(found.trials[0].figures["sharpe_ratio"])
    assert found.best.arguments == {"SIDE": 1.0}
    none = optimizer.search(file, CUBE, {"SIDE": [0.0]}, **PERIOD)
    with pytest.raises(QlstmError, match="none of 1 trials has a score; did any of them hold a position"):
        none.best


def test_what_does_not_make_a_strategy_fails_that_trial_alone():
    def making(length):
        return make(length) if length else "nothing"

    found = optimizer.search(making, CUBE, {"length": [0, 3]}, **PERIOD)
    assert found.trials[0].error == "it returned a str, not a Strategy"
    assert found.best.arguments == {"length": 3}


def test_equal_arguments_are_run_once():
    seen = []

    def making(length):
        seen.append(length)
        return make(length)

    found = optimizer.search(making, CUBE, {"length": [3, 3, 8, 3]}, **PERIOD)
    assert seen == [3, 8]
    assert found.n_trials == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"space": {}}, "the space is empty"),
        ({"space": {"LENGTH": []}}, "LENGTH has no value to try"),
        ({"space": {"LENGTH": 3}}, "LENGTH must be a list of values or a Range, got 3"),
        ({"space": {"LENGTH": "357"}}, "LENGTH must be a list of values or a Range, got '357'"),
        ({"space": {"LENGTH": [(1, 2)]}}, r"text, True, False or None, not \(1, 2\)"),
        ({"space": {"LENGTH": [np.nan]}}, "can be a finite number, text, True, False or None, not nan"),
        ({"space": {"LENGTH": Range(1, 5)}}, "a grid needs the values of LENGTH one by one, not a range"),
        ({"space": {"LENGHT": [1]}}, "assigns no plain value to LENGHT at module level; did you mean 'LENGTH'"),
        ({"trials": 3}, "a grid tries every combination; leave trials out"),
        ({"method": "random"}, "say how many with trials=, got None"),
        ({"method": "optuna", "trials": 0}, "say how many with trials=, got 0"),
        ({"method": "gird"}, "no method 'gird'; did you mean 'grid'"),
        ({"storage": "sqlite://"}, "only the method 'optuna' has a storage, not 'grid'"),
        ({"start_date": "soon"}, "start date 'soon' is not a date"),
        ({"strategy": make}, "make cannot be called with LENGTH: "),
        ({"strategy": make(3)}, "needs the strategy's file or a function .* got Strategy"),
        ({"strategy": "nowhere.py"}, "cannot read strategy file nowhere.py"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_it_starts(file, change, told):
    call = {"strategy": file, "data": CUBE, "space": {"LENGTH": [3]}, **PERIOD, **change}
    with pytest.raises(QlstmError, match=told):
        optimizer.search(**call)


def test_the_best_is_deflated_by_all_that_was_tried(file):
    found = optimizer.search(file, CUBE, {"LENGTH": [2, 3, 5, 8, 13, 100]}, **PERIOD)
    strategy = qlstm.load_strategy(file, **found.best.arguments)
    result = qlstm.backtest(strategy=strategy, data=CUBE, start_date=DAYS[50], end_date=DAYS[110], progress=False)
    returns = result.stats.sel(field="relative_return").sel(time=slice(DAYS[50], None)).values
    points = stats.calc_avg_points_per_year(result.weights)
    ratio = returns.mean() / returns.std(ddof=1) * np.sqrt(points)
    assert found.sharpe_ratios[found.trials.index(found.best)] == pytest.approx(ratio)
    assert found.deflated() == deflated_sharpe(returns, found.sharpe_ratios, points)
    assert found.deflated().trials == 6
    assert "6 trials of idea, 1 of them failed" in str(found)
    assert f"score {found.scores.max():.3f} (the contest's Sharpe ratio, geometric)" in str(found)
    assert f"arithmetic Sharpe ratio {ratio:.2f} a year: the best of 6 without any skill" in str(found)
    assert f"{ratio:.2f} or more in up to {np.ceil(100 * found.deflated().p_value):.0f} % of searches" in str(found)


def test_a_search_too_small_to_judge_says_so(file):
    found = optimizer.search(file, CUBE, {"LENGTH": [3, 100]}, **PERIOD)
    with pytest.raises(DataError, match="1 of 2 tries have a Sharpe ratio"):
        found.deflated()
    assert "skill cannot be told from luck: 1 of 2 tries have a Sharpe ratio" in str(found)
    short = optimizer.search(file, CUBE, {"LENGTH": [3, 5]}, **{**PERIOD, "end_date": DAYS[60]})
    with pytest.raises(DataError, match=r"the best trial, LENGTH=\d, has no Sharpe ratio to be deflated"):
        short.deflated()


def test_an_unknown_constant_is_named_before_anything_runs(file):
    with pytest.raises(StrategyError, match="did you mean 'LENGTH'"):
        optimizer.search(file, CUBE, {"LENGTH_": [3]}, **PERIOD)
