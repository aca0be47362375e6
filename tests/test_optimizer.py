"""Searching constants: every combination once, failures on record, the same result for any number of workers."""

import numpy as np
import pytest
from toys import market

from qlstm import optimizer, stats, ta
from qlstm.errors import QlstmError

CUBE = market(days=120, assets=3)


def threshold(data, level=0.0, fails=False):
    if fails:
        raise ValueError("no such level")
    close = data.sel(field="close", drop=True)
    return (close / close.shift(time=1) - 1 > level).astype(float) / 3


def test_every_combination_occurs_once_the_last_argument_fastest():
    sets = optimizer.full_range_args_generator(a=[1, 2], b=range(3))
    assert len(sets) == 6
    assert list(sets) == list(sets) == [{"a": a, "b": b} for a in (1, 2) for b in range(3)]


def test_random_combinations_repeat_with_their_seed():
    one, two, other = (list(optimizer.random_range_args_generator(20, seed=s, a=range(100))) for s in (1, 1, 2))
    assert one == two != other
    assert all(0 <= s["a"] < 100 for s in one)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_best_is_the_largest_weight_for_any_number_of_workers(workers):
    sets = optimizer.full_range_args_generator(level=[0.0, 0.01, 0.02])
    found = optimizer.optimize_strategy(CUBE, threshold, sets, optimizer.fast_stats_function, workers=workers)
    assert [i["args"]["level"] for i in found["iterations"]] == [0.0, 0.01, 0.02]
    best = max(i["weight"] for i in found["iterations"])
    assert found["best_iteration"]["weight"] == best
    expected = optimizer.fast_stats_function(CUBE, threshold(CUBE, 0.01))
    assert found["iterations"][1]["result"] == expected


def test_a_failing_try_is_on_record_and_does_not_end_the_search():
    sets = [{"fails": True}, {"level": 0.0}]
    found = optimizer.optimize_strategy(CUBE, threshold, sets, optimizer.fast_stats_function)
    assert isinstance(found["iterations"][0]["exception"], ValueError)
    assert found["best_iteration"]["args"] == {"level": 0.0}


def test_weights_that_are_all_zero_have_no_sharpe_ratio():
    stat = optimizer.fast_stats_function(CUBE, 0.0 * threshold(CUBE))
    assert np.isnan(stat["sharpe_ratio"])
    assert (stat["mean_return"], stat["volatility"]) == (0.0, 0.0)


def test_a_score_that_is_no_number_never_wins():
    sets = optimizer.full_range_args_generator(level=[np.nan, -3.0, 0.5])
    found = optimizer.optimize_strategy(CUBE, lambda _, level: level, sets, lambda _, level: level, lambda level: level)
    assert found["best_iteration"]["args"] == {"level": 0.5}


def test_a_range_is_not_taken_for_the_seed_of_the_generator():
    with pytest.raises(QlstmError, match=r"seed must be a whole number, got \[1, 2, 3\]"):
        optimizer.random_range_args_generator(3, seed=[1, 2, 3], a=[1])


def test_when_every_try_fails_the_first_is_named():
    with pytest.raises(QlstmError, match=r"every try failed, the first with \{'fails': True\}: ValueError"):
        optimizer.optimize_strategy(CUBE, threshold, [{"fails": True}])
    with pytest.raises(QlstmError, match="nothing to optimise"):
        optimizer.optimize_strategy(CUBE, threshold, [])


def test_standard_statistics_are_the_last_row_of_the_table():
    result = optimizer.standard_stats_function(CUBE, threshold(CUBE))
    assert {"sharpe_ratio", "equity", "avg_turnover"} <= set(result)
    assert optimizer.standard_stats_to_weight(result) == result["sharpe_ratio"]
    assert optimizer.standard_stats_to_weight({"sharpe_ratio": np.nan}) == -np.inf


def test_standard_statistics_begin_with_the_contests_period():
    cube = market(days=200, assets=3, start="2005-08-01")
    weights = threshold(cube)
    early = weights.time < np.datetime64("2006-01-01")
    assert 100 < int(early.sum()) < 120
    result = optimizer.standard_stats_function(cube, weights)
    assert optimizer.standard_stats_function(cube, weights.where(~early, 1 / 3)) == result
    want = stats.calc_stat(cube, weights[~early.values])[-1]
    assert result == pytest.approx(dict(zip(want.field.values, want.values, strict=True)))
    assert result["equity"] != float(stats.calc_stat(cube, weights).sel(field="equity")[-1])


def plain_fast_statistics(cube, weights):
    """Return mean return and volatility by a loop; what is NaN counts as 0, and infinite days are left out."""
    close, high, low = (cube.sel(field=f).values for f in ("close", "high", "low"))
    atr = ta.atr(high.T, low.T, close.T, 14).T
    w = weights.values
    book = []
    for t in range(len(w)):
        total = 0.0
        for a in range(3):
            if t and np.isfinite(atr[t, a]):
                with np.errstate(divide="ignore", invalid="ignore"):
                    earned = (close[t, a] / close[t - 1, a] - 1) * w[t - 1, a]
                    cost = 0.05 * atr[t, a] * abs(w[t, a] / close[t, a] - w[t - 1, a] / close[t - 1, a])
                    earned = (earned - cost) * abs(w[t, a])
                total += 0.0 if np.isnan(earned) else earned
        book.append(total)
    book = np.array([total for total in book if np.isfinite(total)])
    return {"mean_return": np.exp(np.log(1 + book).mean()) - 1, "volatility": book.std()}


def fast(cube, weights):
    seen = optimizer.fast_stats_function(cube, weights)
    assert seen.pop("sharpe_ratio") == seen["mean_return"] / seen["volatility"]
    return seen


def test_fast_statistics_equal_a_plain_loop():
    assert fast(CUBE, threshold(CUBE)) == pytest.approx(plain_fast_statistics(CUBE, threshold(CUBE)), rel=1e-9)


def test_fast_statistics_leave_out_days_of_infinite_returns():
    cube, weights = CUBE.copy(deep=True), 0.0 * threshold(CUBE) + 0.3
    cube.loc[{"field": ["low", "close"], "asset": "TOY:001", "time": cube.time[60]}] = 0.0
    want = plain_fast_statistics(cube, weights)
    assert want["volatility"] != plain_fast_statistics(CUBE, weights)["volatility"]
    assert fast(cube, weights) == pytest.approx(want, rel=1e-9)


def test_fast_statistics_pass_over_days_without_any_price():
    cube, weights = CUBE.copy(deep=True), 0.0 * threshold(CUBE) + 0.3
    cube[:, 60] = np.nan
    want = plain_fast_statistics(cube.drop_isel(time=60), weights.drop_isel(time=60))
    assert fast(cube, weights) == pytest.approx(want, rel=1e-9)
