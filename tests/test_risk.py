"""Risk rules with memory: what they do on a crash, through a long fall, and when something fails; state as in files."""

import json

import numpy as np
import pytest
from portfolios import row

from qlstm import portfolio, risk
from qlstm.errors import DataError, WeightsError

STEP, RUNGS = 0.5 / 4, 2 / 4


def as_from_a_file(state):
    return json.loads(json.dumps(state))


def traded(returns):
    """Return the weights (time, asset) of a ladder that always climbs, four assets, under the panic rule."""
    state, weights, rows = None, None, []
    for day in range(len(returns)):
        factor, state = risk.panic(state, returns[: day + 1])
        state = as_from_a_file(state)
        weights = portfolio.ladder(row([1.0] * 4), weights, step=STEP, largest=RUNGS) * factor
        rows.append(weights.values)
    return np.array(rows)


def calm(days, **crashes):
    returns = np.full(days, 0.001)
    for place, value in crashes.items():
        returns[int(place[1:])] = value
    return returns


@pytest.mark.parametrize(
    ("crashes", "first"), [({"d5": -0.06}, 5), ({"d5": -0.035, "d6": -0.035}, 6)], ids=["one day", "two days"]
)
def test_a_crash_empties_every_asset_that_day_and_the_next_22_then_the_ladder_starts_from_0(crashes, first):
    weights = traded(calm(40, **crashes))
    out = (weights == 0).all(axis=1)
    assert np.flatnonzero(out).tolist() == list(range(first, first + 23))
    assert not (weights[~out] == 0).any()
    np.testing.assert_allclose(weights[first + 23], STEP)
    np.testing.assert_allclose(weights[first + 24], 2 * STEP)


def test_a_second_panic_restarts_the_count():
    weights = traded(calm(60, d5=-0.06, d15=-0.06))
    assert np.flatnonzero((weights == 0).all(axis=1)).tolist() == list(range(5, 15 + 23))


@pytest.mark.parametrize("returns", [[-0.05], [-0.049, 0.01], [-0.03, -0.03], [-0.04], [-0.04, 0.0, -0.04], [np.nan]])
def test_at_the_limits_and_on_unknown_days_there_is_no_panic(returns):
    assert risk.panic(None, returns) == (1.0, {"rest": 0})


def test_the_rest_goes_on_through_unknown_days():
    assert risk.panic({"rest": 3}, [np.nan, np.nan]) == (0.0, {"rest": 2})


def test_panic_refuses_what_it_cannot_use():
    with pytest.raises(DataError, match=r"one_day must be below 0, got 0.05"):
        risk.panic(None, [0.0], one_day=0.05)
    with pytest.raises(DataError, match="returns must have shape"):
        risk.panic(None, [])
    with pytest.raises(DataError, match="cool_down"):
        risk.panic(None, [0.0], cool_down=0)


def stopped_days(prices, released=(), held=1.0):
    """Return on which days asset A0 is masked, when something wants to hold it every day; A1 never moves."""
    state, weights, out = None, None, []
    for day, price in enumerate(prices):
        if day in released:
            state = risk.release(state)
        mask, state = risk.peak_stop(state, weights, row([price, 10.0]))
        state = as_from_a_file(state)
        weights = row([held, 0.0]) * mask
        assert float(mask[1]) == 1.0
        if mask[0] == 0:
            out.append(day)
    return out


def test_a_fall_of_60_percent_means_no_position_until_released():
    prices = [100, 120, 90, 61, 48, 47, 130, 200, 200, 190, 150]
    assert stopped_days(prices) == list(range(4, 11))
    assert stopped_days(prices, released=[8]) == [4, 5, 6, 7]


def test_a_released_position_is_measured_from_a_new_peak():
    assert stopped_days([100, 40, 40, 40, 30, 19], released=[2]) == [1, 5]


def test_the_peak_counts_from_the_close_at_which_the_position_was_decided():
    _, state = risk.peak_stop(None, None, row([1000.0]))
    _, state = risk.peak_stop(state, row([0.0]), row([400.0]))
    mask, state = risk.peak_stop(state, row([1.0]), row([201.0]))
    assert float(mask[0]) == 1.0
    mask, _ = risk.peak_stop(state, row([1.0]), row([199.0]))
    assert float(mask[0]) == 0.0


def test_a_short_position_is_stopped_when_the_price_has_risen():
    assert stopped_days([100, 80, 119, 121, 50], held=-1.0) == [3, 4]


def test_a_turned_position_starts_anew():
    state = {"best": {"A0": [-1.0, 20.0]}, "last": {"A0": 30.0}, "stopped": []}
    mask, _ = risk.peak_stop(state, row([1.0]), row([12.0]))
    assert float(mask[0]) == 0.0  # 60 % below 30, not 40 % below 20
    mask, state = risk.peak_stop(state | {"best": {"A0": [1.0, 100.0]}}, row([-1.0]), row([30.0]))
    assert float(mask[0]) == 1.0
    assert state["best"] == {"A0": [-1.0, 30.0]}


def test_a_gap_overnight_after_the_decision_is_seen():
    assert stopped_days([100, 40, 40]) == [1, 2]


def test_no_price_is_no_news_and_a_stop_outlasts_absence():
    mask, state = risk.peak_stop(
        {"best": {"A0": [1.0, 100.0]}, "last": {}, "stopped": ["A9"]}, row([1.0]), row([np.nan])
    )
    assert float(mask[0]) == 1.0
    assert state["best"]["A0"] == [1.0, 100.0]
    mask, _ = risk.peak_stop(state, row([1.0]), row([1.0, 5.0], ["A9", "A0"]))
    assert mask.values.tolist() == [0.0, 0.0]


def test_some_can_be_released_and_the_state_given_is_not_changed():
    state = {"best": {"A0": [1.0, 2.0]}, "last": {}, "stopped": ["A1", "A2"]}
    assert risk.release(state, ["A1"]) == state | {"stopped": ["A2"]}
    assert risk.release(state) == {"best": {}, "last": {}, "stopped": []} == risk.release(None)
    risk.peak_stop(state, row([1.0]), row([0.5]))
    assert state == {"best": {"A0": [1.0, 2.0]}, "last": {}, "stopped": ["A1", "A2"]}


def test_peak_stop_refuses_what_it_cannot_use():
    with pytest.raises(DataError, match="close of A1 is 0"):
        risk.peak_stop(None, None, row([1.0, 0.0]))
    with pytest.raises(DataError, match="loss must be above 0"):
        risk.peak_stop(None, None, row([1.0]), loss=0.0)
    with pytest.raises(WeightsError, match="held must have dims"):
        risk.peak_stop(None, row([1.0]).expand_dims(time=["2020-01-01"]), row([1.0]))


def test_only_what_has_failed_so_far_is_left_out():
    failures, state, masks = [[], ["B"], [], ["C"]], None, []
    for failed in failures:
        mask, state = risk.blacklist(state, failed, ["A", "B", "C"])
        state = as_from_a_file(state)
        masks.append(mask.values.tolist())
    assert masks == [[1, 1, 1], [1, 0, 1], [1, 0, 1], [1, 0, 0]]
    assert state == {"listed": ["B", "C"]}
