"""Leaving positions by rule: take profit, stop loss, longest holding time."""

import pickle

import numpy as np
import pytest
import xarray as xr
from portfolios import NAN, book, cube

from qlstm import exits
from qlstm.errors import DataError, WeightsError


def test_the_opening_price_is_that_of_the_day_a_position_began_or_turned():
    data = cube([(price, price) for price in range(10, 16)])
    weights = book([[0], [1], [0.5], [-1], [0], [1]])
    state, seen = {}, []
    for n in range(1, 7):
        seen.append(float(exits.update_open_price(data[:, :n], weights[:n], state)[0]))
    np.testing.assert_array_equal(seen, [NAN, 11, 11, 13, NAN, 15])


@pytest.mark.parametrize(
    ("rule", "side", "leaves_at", "keeps_at"),
    [
        (exits.take_profit_long_percentage, 1, 110, 109.9),
        (exits.take_profit_short_percentage, -1, 90, 90.1),
        (exits.stop_loss_long_percentage, 1, 90, 90.1),
        (exits.stop_loss_short_percentage, -1, 110, 109.9),
        (exits.take_profit_long_atr, 1, 110, 109.9),
        (exits.take_profit_short_atr, -1, 90, 90.1),
        (exits.stop_loss_long_atr, 1, 90, 90.1),
        (exits.stop_loss_short_atr, -1, 110, 109.9),
    ],
)
def test_a_position_is_left_at_its_limit_and_kept_before_it(rule, side, leaves_at, keeps_at):
    opened = xr.DataArray([100.0], dims="asset", coords={"asset": ["A"]})
    amounts = [opened * 0 + 5.0, 2.0] if rule.__name__.endswith("atr") else [10]

    def keeps(close, weight=side, price=opened):
        return float(rule(cube([(100, 100), (100, close)]), book([[weight], [weight]]), price, *amounts)[0])

    assert keeps(leaves_at) == 0
    assert keeps(keeps_at) == 1
    assert keeps(leaves_at, weight=-side) == 1
    assert keeps(leaves_at, weight=0) == 1
    assert keeps(leaves_at, price=opened * NAN) == 1
    assert keeps(NAN) == 0


def held(rule, weights, days):
    state, kept, counts = {}, [], []
    for n in range(1, weights.sizes["time"] + 1):
        kept.append(float(rule(weights[:n], state, days)[0]))
        counts.append(float(state["holding_time"][0]))
    return kept, counts


def test_a_position_is_left_after_its_longest_holding_time():
    weights = book([[0], [1], [1], [1], [1], [0], [1]])
    assert held(exits.max_hold_long, weights, 3) == ([1, 1, 1, 0, 1, 1, 1], [0, 1, 2, 3, 0, 0, 1])
    assert held(exits.max_hold_short, -weights, 3) == ([1, 1, 1, 0, 1, 1, 1], [0, 1, 2, 3, 0, 0, 1])
    assert held(exits.max_hold_short, weights, 3) == ([1] * 7, [0] * 7)


def test_exits_align_by_label_and_know_assets_that_are_new():
    data = cube([(100, 100), (100, 120)])
    both = xr.concat([data, data.assign_coords(asset=["B"])], "asset")
    opened = xr.DataArray([100.0, 150.0], dims="asset", coords={"asset": ["B", "A"]})
    weights = book([[1, 1, 1], [1, 1, 1]])  # assets A, B and C, which neither data nor opening prices know
    got = exits.take_profit_long_percentage(both, weights, opened, 10)
    assert dict(zip(got.asset.values, got.values, strict=True)) == {"A": 1.0, "B": 0.0, "C": 1.0}
    state = {"open_price": opened}
    assert np.isnan(exits.update_open_price(both, weights, state).values[2])


def test_exits_name_what_is_wrong():
    data = cube([(1, 1), (2, 2)])
    with pytest.raises(WeightsError, match="pass the history"):
        exits.update_open_price(data, book([[1.0]])[0], {})
    with pytest.raises(DataError, match="lack field 'open'"):
        exits.update_open_price(data.drop_sel(field="open"), book([[1.0], [1.0]]), {})
    opened = xr.DataArray([1.0], dims="asset", coords={"asset": ["A"]})
    weights, percent, atr = book([[1.0], [1.0]]), exits.stop_loss_long_percentage, exits.stop_loss_long_atr
    cases = [
        ("weights end on 2020-01-01, data on 2020-01-02", lambda: percent(data, weights[:1], opened, 5)),
        ("weights end on 2020-01-01, data on 2020-01-02", lambda: exits.update_open_price(data, weights[:1], {})),
        ("data have no rows, or are not sorted", lambda: percent(data[:, ::-1], weights[:1], opened, 5)),
        ("weights have no rows, or are not sorted", lambda: percent(data, weights[::-1], opened, 5)),
        ("weights have no rows, or are not sorted", lambda: exits.max_hold_long(weights[::-1], {}, 3)),
        ("open_price have no labels", lambda: percent(data, weights, opened.drop_vars("asset"), 5)),
        ("open_price name asset A more", lambda: percent(data, weights, xr.concat([opened, opened], "asset"), 5)),
        ("open_price must be .* got float", lambda: percent(data, weights, 1.0, 5)),
        ("data name time 2020-01-02 .* more than once", lambda: percent(data[:, [0, 1, 1]], weights, opened, 5)),
        ("data name time 2020-01-02 .* more than", lambda: exits.update_open_price(data[:, [0, 1, 1]], weights, {})),
        ("data name asset A more than once", lambda: percent(data[:, :, [0, 0]], weights, opened, 5)),
        ("dims .field, time, asset., got .time, asset.", lambda: percent(data[0], weights, opened, 5)),
        ("must be an xarray.DataArray, got ndarray", lambda: percent(data.values, weights, opened, 5)),
        ("percent must be a finite number, at least 0, got nan", lambda: percent(data, weights, opened, NAN)),
        ("percent must be a finite number, at least 0, got -5", lambda: percent(data, weights, opened, -5)),
        ("share no asset", lambda: atr(data, weights, opened, opened.assign_coords(asset=["X"]), 2)),
    ]
    for words, call in cases:
        with pytest.raises((DataError, WeightsError), match=words):
            call()
    for period in (0, -1, 2.5, 3.0, NAN, "3"):
        for rule in (exits.max_hold_long, exits.max_hold_short):
            with pytest.raises(WeightsError, match=f"whole number of days, at least 1, got {period!r}"):
                rule(weights, {}, period)


def test_a_missing_weight_is_no_position():
    data = cube([(10, 10), (11, 11), (12, 12)])
    state = {}
    exits.update_open_price(data[:, :1], book([[1.0]]), state)
    assert np.isnan(exits.update_open_price(data[:, :2], book([[1.0], [NAN]]), state).values[0])
    assert float(exits.update_open_price(data, book([[1.0], [NAN], [1.0]]), state)[0]) == 12
    assert held(exits.max_hold_long, book([[1], [NAN], [1], [1]]), 2) == ([1, 1, 1, 0], [1, 0, 1, 2])


def test_a_position_that_turns_away_is_not_left_for_its_age():
    assert held(exits.max_hold_long, book([[1], [-1], [1]]), 1)[0] == [0, 1, 0]
    assert held(exits.max_hold_short, book([[1], [-1], [1]]), 1)[0] == [1, 0, 1]


@pytest.mark.parametrize("name", [name for name in exits.__all__ if name.endswith(("_atr", "_percentage"))])
def test_a_rule_goes_by_its_name_and_says_what_it_does(name):
    rule = getattr(exits, name)
    assert rule.__name__ == rule.__qualname__ == name
    assert pickle.loads(pickle.dumps(rule)) is rule
    side, way = ("long" in name), ("profit" in name)
    first = rule.__doc__.splitlines()[0]
    assert f"with a {'profit' if way else 'loss'} the {'long' if side else 'short'} positions" in first
    assert f"close has {'risen' if side == way else 'fallen'} by `" in first
