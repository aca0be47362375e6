"""The contest's books: equal to their plain description, and to cases worked by hand."""

import math

import numpy as np
import pytest
import toys
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolios import NAN, all_in, cube, holes, random_book

from qlstm import stats
from qlstm.stats.books import GONE_AFTER

FAST = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 10**6)


# --- the global book, once more, as plainly as it can be said -----------------------------------------------------------


def plain_book(data, weights, locked):
    """Return relative returns by a loop over dicts: the description in qlstm.stats.books, line by line."""
    slip = stats.calc_slippage(data).values
    field = {str(name): data.sel(field=name).values for name in data.field.values}
    rows, assets = slip.shape
    target = np.vstack([np.zeros(assets), weights.values[:-1]])
    shares, opened, closed, absent = [0.0] * assets, [0.0] * assets, [0.0] * assets, [0] * assets
    equity, last, result = 1.0, 1.0, []
    for t in range(rows):
        wanted, unlocked = [], []
        for a in range(assets):
            w = target[t, a] * field["open"][t, a] / closed[a] if closed[a] else 0.0
            wanted.append(w if math.isfinite(w) else 0.0)
            priced = math.isfinite(field["open"][t, a]) and math.isfinite(field["close"][t, a])
            absent[a] = 0 if priced else absent[a] + 1
            unlocked.append(priced and math.isfinite(slip[t, a]) and field["open"][t, a] > 1e-7)
        gross = sum(map(abs, wanted))
        wanted = [w / max(1.0, gross) for w in wanted]
        for a in range(assets):
            now = field["open"][t, a]
            if math.isnan(now):
                now = closed[a] if locked == "hold" else opened[a]
            equity += (now - opened[a]) * shares[a]
            if "divs" in field and not math.isnan(field["divs"][t, a]):
                equity += field["divs"][t, a] * shares[a]
            opened[a] = now
        total = sum(map(abs, wanted))
        power = equity - sum(opened[a] * abs(shares[a]) for a in range(assets) if not unlocked[a])
        if locked == "hold":
            power = max(0.0, power)
        share = sum(abs(wanted[a]) for a in range(assets) if unlocked[a]) + max(1.0, total) - total
        night = 0.0
        for a in range(assets):
            if unlocked[a] and share >= 1e-7:
                bought = power * wanted[a] / (share * opened[a])
                equity -= slip[t, a] * abs(bought - shares[a])
                shares[a] = bought
            if not math.isnan(field["close"][t, a]):
                closed[a] = field["close"][t, a]
            night += (closed[a] - opened[a]) * shares[a]
        result.append((equity + night) / last - 1)
        last = equity + night
        for a in range(assets):
            if locked == "compat" and not unlocked[a]:
                shares[a] = 0.0
            elif absent[a] >= GONE_AFTER:
                equity += (closed[a] - opened[a]) * shares[a]
                shares[a] = 0.0
    return np.array(result)


@given(seed=SEEDS, locked=st.sampled_from(["compat", "hold"]))
@FAST
def test_the_book_equals_its_plain_description_with_gaps_listings_and_delistings(seed, locked):
    data = holes(toys.market(days=80, assets=4, seed=seed), seed)
    weights = random_book(data, seed)
    got = stats.calc_relative_return(data, weights, locked=locked)
    np.testing.assert_allclose(got.values, plain_book(data, weights, locked), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("locked", ["compat", "hold"])
def test_dividends_are_paid_to_the_shares_held_overnight(locked):
    data = toys.market(days=60, assets=3, seed=5)
    dividends = xr.full_like(data.sel(field=["open"]), 0.0).assign_coords(field=["divs"])
    dividends[0, 40, 1] = 0.7
    data = xr.concat([data, dividends], "field").rename("stocks")
    weights = random_book(data, 5)
    got = stats.calc_relative_return(data, weights, locked=locked)
    np.testing.assert_allclose(got.values, plain_book(data, weights, locked), rtol=1e-9, atol=1e-12)


# --- Q2: what becomes of an asset without a price ---------------------------------------------------------------------


def stopped(rows_after=10, back=None):
    """Return 20 flat days at 100, a day that closes at 50, then no price (or, from row 20 + `back`, one of 60)."""
    prices = [(100, 100)] * 20 + [(100, 50)] + [(NAN, NAN)] * rows_after
    if back is not None:
        prices[20 + back] = (60, 60)
    # A second asset keeps the calendar alive; without it the empty rows would leave the cube.
    data = cube(prices)
    other = xr.full_like(data, 10.0).assign_coords(asset=["B"])
    return xr.concat([data, other], "asset").rename(data.name)


def test_compat_takes_a_loss_back_two_days_later_as_the_contest_does():
    data = stopped()
    returns = stats.calc_relative_return(data, all_in(data), slippage_factor=0.0)
    np.testing.assert_allclose(returns.values[19:24], [0.0, -0.5, 0.0, 1.0, 0.0], atol=1e-12)


def test_hold_keeps_the_last_close_of_an_asset_that_stops_trading():
    data = stopped(rows_after=GONE_AFTER + 5)
    returns = stats.calc_relative_return(data, all_in(data), slippage_factor=0.0, locked="hold")
    np.testing.assert_allclose(returns.values[20], -0.5)
    np.testing.assert_allclose(returns.values[21:], 0.0, atol=1e-12)
    equity = stats.calc_stat(data, all_in(data), slippage_factor=0.0, locked="hold").sel(field="equity")
    assert float(equity[-1]) == pytest.approx(0.5)


def test_hold_books_the_gap_when_a_price_returns():
    data = stopped(back=5)
    returns = stats.calc_relative_return(data, all_in(data), slippage_factor=0.0, locked="hold")
    assert float(returns[25]) == pytest.approx(60 / 50 - 1)


def test_hold_locks_the_capital_until_the_asset_counts_as_gone():
    data = stopped(rows_after=GONE_AFTER + 5)
    data.loc[{"field": ["open", "close"], "asset": "B"}] = 10.0 * 1.01 ** np.arange(data.sizes["time"])
    weights = all_in(data)
    weights[20:] = 0.0
    weights.loc[{"asset": "B"}][20:] = 1.0  # from the next open on, everything in B
    returns = stats.calc_relative_return(data, weights, slippage_factor=0.0, locked="hold").values
    np.testing.assert_allclose(returns[21 : 20 + GONE_AFTER], 0.0, atol=1e-12)
    assert returns[22 + GONE_AFTER] == pytest.approx(0.01)


def test_books_per_asset_hold_in_both_modes():
    data = stopped()
    both = [
        stats.calc_relative_return(data, all_in(data), slippage_factor=0.0, per_asset=True, locked=locked)
        for locked in ("compat", "hold")
    ]
    xr.testing.assert_equal(*both)
    np.testing.assert_allclose(both[0].sel(asset="A").values[20:], [-0.5] + [0.0] * 10, atol=1e-12)


# --- worked by hand -----------------------------------------------------------------------------------------------------


def test_slippage_is_a_share_of_the_mean_true_range_of_14_days():
    prices = [(10, 10)] + [(10, 12)] * 20
    data = cube(prices)
    slippage = stats.calc_slippage(data, fract=0.1).values[:, 0]
    assert np.isnan(slippage[:14]).all()
    np.testing.assert_allclose(slippage[14:], 0.1 * 2.0)


def test_a_day_costs_slippage_on_what_is_traded():
    data = cube([(100, 101)] * 14 + [(101, 100), (100, 100)])
    weights = xr.zeros_like(data.isel(field=0, drop=True)) + 1.0
    returns = stats.calc_relative_return(data, weights, slippage_factor=0.5)
    a_share = float(stats.calc_slippage(data, fract=0.5)[14, 0])  # row 14 is the first with slippage: bought there
    assert (returns.values[:14] == 0).all()
    assert float(returns[14]) == pytest.approx((100 - 101 - a_share) / 101)


def test_rolls_cost_their_gap_and_slippage_on_contracts_held_through_them():
    flat = [(100, 101), (101, 100)] * 10
    data = cube(flat, name="futures", roll=[0.0] * 18 + [2.0, 0.0])
    weights = xr.zeros_like(data.isel(field=0, drop=True)) + 1.0
    plain = stats.calc_relative_return(data.sel(field=["open", "high", "low", "close"]), weights, 0.0, 0.0)
    rolled = stats.calc_relative_return(data, weights, 0.0, 0.0)
    dear = stats.calc_relative_return(data, weights, 0.0, 0.5)
    np.testing.assert_allclose(rolled.values[:18], plain.values[:18])
    assert rolled.values[18] < plain.values[18] - 0.019
    assert dear.values[18] < rolled.values[18]


@pytest.mark.parametrize(("locked", "moves"), [("hold", 0.0), ("compat", 0.5)])
def test_with_less_capital_than_is_locked_hold_buys_nothing(locked, moves):
    prices = {name: np.full((24, 2), 100.0) for name in "ABC"}
    prices["A"][20:] = NAN  # half the capital is locked in A
    prices["B"][20:] = 250.0  # held short, B eats three quarters of it
    prices["C"][21:] = 50.0
    data = xr.concat([cube(prices[name]).assign_coords(asset=[name]) for name in "ABC"], "asset")
    weights = xr.zeros_like(data.isel(field=0, drop=True)).fillna(0.0)
    weights[:19, :2] = [0.5, -0.5]
    weights[19:, 2] = 1.0
    returns = stats.calc_relative_return(data, weights, slippage_factor=0.0, locked=locked).values
    np.testing.assert_allclose(returns[20], -0.75)
    np.testing.assert_allclose(returns[21], moves, atol=1e-12)
