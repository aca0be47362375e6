"""What a synthetic market says it plants is there at its strength, where it says, and nothing is planted elsewhere.

Statistics are turned into z-scores by their sampling error and looked at over several fixed seeds: one may be 4 off, the
mean of all 3.5 of its own standard errors.
"""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import ROOT
from scipy.signal import lfilter

from qlstm import cube as cubes
from qlstm import data, ta
from qlstm.cli import main
from qlstm.data import synthetic
from qlstm.data.synthetic import planting, regimes
from qlstm.errors import DataError

SEEDS = range(6)
NIGHT, BAR = 0.005, 0.01
CORRELATED = ["P1", "P1+", "P1f", "P1-FX", "P2", "P3", "P5-P1", "P7", "P9", "P10", "P12", "P13-P1", "P16"]
NULLS = ["N0", "N0-FX", "N1", "N1-IV", "P7-decoy", "P11", "P13", "P16-N0"]


def field(cube, name):
    return cube.sel(field=name).values


def executed(cube):
    """Log return from open[t+1] to open[t+2] in row t, NaN in the last two rows."""
    log_open = np.log(field(cube, "open"))
    result = np.full(log_open.shape, np.nan)
    result[:-2] = log_open[2:] - log_open[1:-1]
    return result


def moves(cube):
    """Log return from the last close to that of row t, NaN in the first row."""
    return np.vstack([np.full((1, cube.sizes["asset"]), np.nan), np.diff(np.log(field(cube, "close")), axis=0)])


def correlation(x, y):
    """Correlation of all pairs that are known, and its standard error, by rows: the assets of one may move together."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = (np.where(known, (v - v[known].mean()) / v[known].std(), 0.0) for v in (x, y))
    rho = (x * y).sum() / known.sum()
    scores = x * (y - rho * x)
    return rho, np.sqrt((scores.reshape(len(x), -1).sum(axis=1) ** 2).sum()) / known.sum()


def assert_near(pairs):
    """Hold (measured - wanted, standard error) of several seeds to what sampling allows."""
    scores = np.array([difference / error for difference, error in pairs])
    assert np.abs(scores).max() < 4.0, scores
    assert abs(scores.mean()) * np.sqrt(len(scores)) < 3.5, scores


def correlations_off(name, seeds=SEEDS):
    for seed in seeds:
        cube, truth = synthetic.market(name, seed=seed)
        signal = truth.signal.where(truth.signal != 0).values
        rho, error = correlation(signal, executed(cube))
        yield rho - abs(truth.strength), error


@pytest.mark.parametrize("name", synthetic.names())
def test_a_market_is_a_consistent_cube_made_by_its_seed_alone(name):
    cube, truth = synthetic.market(name, seed=1)
    again, same = synthetic.market(name, seed=1)
    assert cubes.check(cube, warn=False) == []
    xr.testing.assert_identical(cube, again)
    xr.testing.assert_identical(truth.signal, same.signal)
    assert not cube.equals(synthetic.market(name, seed=2)[0])
    xr.testing.assert_identical(data.load(cube), cube)
    assert data.info(cube)["simulated"]
    assert truth.plants in cube.attrs["note"]
    assert truth.signal.dims == ("time", "asset")
    assert np.isfinite(truth.signal.values).all()
    if name != "P8":
        assert np.isfinite(cube.sel(field=["open", "low", "high", "close", "vol", "is_liquid"]).values).all()


@pytest.mark.parametrize("name", synthetic.names())
def test_a_signal_is_where_the_truth_says_and_its_ceiling_above_one_half(name):
    _, truth = synthetic.market(name)
    assert (truth.dates is not None) == bool(truth.assets) == bool((truth.signal != 0).any())
    assert 0.5 <= truth.must_find <= truth.ceiling <= 1.0
    assert (truth.ceiling > 0.5) == bool(truth.assets)
    with pytest.raises(ValueError, match="read-only"):
        truth.signal.values[0, 0] = 1.0
    with pytest.raises(TypeError):
        truth.facts["more"] = 1


@pytest.mark.parametrize("name", CORRELATED)
def test_the_signal_has_the_planted_correlation_with_the_executed_return(name):
    assert_near(list(correlations_off(name)))


def test_a_market_that_forgets_what_the_overnight_leg_takes_is_noticed(monkeypatch):
    monkeypatch.setattr(planting.Noise, "share", lambda noise, rho: np.full_like(noise.night, rho))
    with pytest.raises(AssertionError):
        assert_near(list(correlations_off("P1")))


@pytest.mark.parametrize("name", CORRELATED)
def test_the_sign_of_the_signal_is_right_as_often_as_the_ceiling_says(name):
    off = []
    for seed in SEEDS:
        cube, truth = synthetic.market(name, seed=seed)
        outcome, signal = executed(cube), truth.signal.values
        looked_at = (signal != 0) & np.isfinite(outcome) & (np.abs(outcome) > 1e-12)
        right = np.sign(signal[looked_at]) == np.sign(outcome[looked_at])
        # By rows again, because the assets of one may move together.
        rows = np.where(looked_at, (np.sign(signal) == np.sign(outcome)) - right.mean(), 0.0).sum(axis=1)
        off.append((right.mean() - truth.ceiling, np.sqrt((rows**2).sum()) / right.size))
    assert_near(off)


@pytest.mark.parametrize("name", [*CORRELATED, "P4", "P5"])
def test_a_signal_knows_neither_the_gap_before_it_can_be_traded_nor_the_row_after(name):
    gap, late = [], []
    for seed in SEEDS:
        cube, truth = synthetic.market(name, seed=seed)
        # What a market plants decays over rows where signals persist, so the row after is left out for those.
        signal = truth.signal.values
        before = np.log(field(cube, "open"))[1:] - np.log(field(cube, "close"))[:-1]
        if name != "P12":  # an order book has no gaps
            gap.append(correlation(signal[:-1], before))
        if name in ("P7", "P9", "P12"):
            late.append(correlation(signal[:-1], executed(cube)[1:]))
    for pairs in filter(None, (gap, late)):
        assert_near(pairs)


def shown(name, cube, truth):
    """What a strategy can work out of the cube alone that should be the signal, up to a factor."""
    last, close = moves(cube), cube.sel(field="close", drop=True)
    if name in ("P1", "P1-FX"):
        return -last
    if name == "P1+":
        return last
    if name == "P1f":
        return ta.roc(ta.lwma(close, 10), 1).values
    if name == "P2":
        week = np.log(close / close.shift(time=5)).values
        return -(week - week.mean(axis=1, keepdims=True)) / week.std(axis=1, keepdims=True)
    if name == "P3":
        product = np.full(last.shape, np.nan)
        product[4:] = np.sign(last[3:-1] * last[:-4])
        return product
    if name == "P7":
        return np.diff(field(cube, "margin_net"), axis=0, prepend=np.nan)
    if name == "P12":
        return np.log(field(cube, "bid_size_1") / field(cube, "ask_size_1"))
    assert name == "P9"
    return field(cube, "sentiment")


@pytest.mark.parametrize("name", ["P1", "P1+", "P1f", "P1-FX", "P2", "P3", "P7", "P9", "P12"])
def test_the_signal_is_visible_in_the_cube_at_its_close(name):
    cube, truth = synthetic.market(name, seed=3)
    rho, _ = correlation(shown(name, cube, truth), truth.signal.values)
    # Not 1: percent changes of prices for log returns, a tick's share of a price for a tick; and where a return is less
    # than the half variance of 0.6 bp below 0, its sign is another than that of the simple return.
    assert rho > (0.97 if name == "P3" else 0.999)


def test_p1_is_the_autoregression_that_a_filter_makes_of_the_same_noise():
    _, truth = synthetic.market("P1", n_assets=3, n_days=50)
    plan = synthetic.catalogue.Plan("P1", 0, 3, 50)
    noise = planting.gauss(plan)
    share = 0.3 * np.hypot(NIGHT, BAR) / BAR
    rows, start = planting.BURN + 50, 10  # the first ten rows are noise alone
    plain = noise.overnight + noise.intraday * np.sqrt(1.0 - share**2)
    plain[0] = noise.overnight[0] + noise.intraday[0]
    state = -0.3 * plain[start][np.newaxis]
    after, _ = lfilter([1.0], [1.0, 0.3], plain[start + 1 :], axis=0, zi=state)
    wanted = -0.3 * np.vstack([plain[start : start + 1], after])[planting.BURN - start :]
    assert len(wanted) == rows - planting.BURN
    np.testing.assert_allclose(truth.signal.values, wanted, atol=1e-12)


@pytest.mark.parametrize("name", NULLS)
def test_a_null_market_has_no_autocorrelation(name):
    off = []
    for seed in SEEDS:
        cube, _ = synthetic.market(name, seed=seed)
        # Signs of returns above their median: tails and clusters of volatility do not count.
        returns = moves(cube)[1:]
        signs = np.sign(returns - np.median(returns))
        for lag in (1, 2, 3, 5):
            products = signs[lag:] * signs[:-lag]
            per_day = products.mean(axis=1)  # assets of a day may move together, days do not
            off.append((per_day.mean(), per_day.std() / np.sqrt(len(per_day))))
    assert_near(off)


def test_n0_is_driftless_normal_noise_of_two_independent_legs():
    means, nights, intradays, legs, assets = [], [], [], [], []
    for seed in SEEDS:
        cube, _ = synthetic.market("N0", seed=seed)
        simple = np.expm1(executed(cube)[:-2])
        means.append((simple.mean(), simple.std() / np.sqrt(simple.size)))
        night = np.log(field(cube, "open"))[1:] - np.log(field(cube, "close"))[:-1]
        intraday = np.log(field(cube, "close") / field(cube, "open"))[1:]
        for found, values, wanted in ((nights, night, NIGHT), (intradays, intraday, BAR)):
            found.append((values.std() - wanted, wanted / np.sqrt(2 * values.size)))
        legs.append(correlation(night, intraday))
        assets.append(correlation(intraday[:, :-1], intraday[:, 1:]))
    for pairs in (means, nights, intradays, legs, assets):
        assert_near(pairs)


def test_n1_has_drift_clusters_tails_and_one_factor():
    drifts, factor = [], []
    for seed in SEEDS:
        cube, truth = synthetic.market("N1", seed=seed)
        returns = moves(cube)[1:]
        simple = np.expm1(returns).mean(axis=1)
        drifts.append((simple.mean() - truth.facts["drift"], simple.std() / np.sqrt(len(simple))))
        size = np.abs(returns)
        z = (returns - returns.mean(axis=0)) / returns.std(axis=0)
        assert (z**4).mean() > 4.0  # 3 is a normal's
        assert correlation(size[5:], size[:-5])[0] > 0.05
        factor.append(np.corrcoef(returns.T)[np.triu_indices(returns.shape[1], 1)].mean())
    assert_near(drifts)
    assert np.mean(factor) == pytest.approx(truth.facts["common_share"], abs=0.1)  # a t4's variance is slow to settle


def test_the_idle_fields_of_n1_know_nothing():
    off = []
    for seed in SEEDS:
        cube, _ = synthetic.market("N1-IV", seed=seed)
        assert {"iv30", "iv93", "txt_15", "available_from"} <= set(cube.field.values)
        off.append(correlation(field(cube, "sentiment"), np.sign(executed(cube))))
    assert_near(off)


def test_p2_reaches_its_ic_day_by_day_and_p10_loses_it_at_half_time():
    for name in ("P2", "P10"):
        early, late = [], []
        for seed in range(3):
            cube, truth = synthetic.market(name, seed=seed)
            score, outcome = shown("P2", cube, truth), executed(cube)
            half = list(cube.time.values).index(synthetic.market("P10")[1].facts["until"])
            ics = np.array([np.corrcoef(score[t], outcome[t])[0, 1] for t in range(5, len(score) - 2)])
            for found, part, wanted in (
                (early, ics[: half - 4], 0.1),
                (late, ics[half - 4 :], 0.1 if name == "P2" else 0.0),
            ):
                found.append((part.mean() - wanted, part.std() / np.sqrt(len(part))))
        assert_near(early)
        assert_near(late)
    assert synthetic.market("P10")[1].dates[1] == synthetic.market("P10")[1].facts["until"]


def test_p10_is_p2_then_shares_the_noise_of_n0():
    p10, truth = synthetic.market("P10", n_assets=20, n_days=200)
    p2 = synthetic.market("P2", n_assets=20, n_days=200)[0]
    n0 = synthetic.market("N0", n_assets=20, n_days=200)[0]
    xr.testing.assert_equal(p10.isel(time=slice(100)), p2.isel(time=slice(100)))
    np.testing.assert_allclose(moves(p10)[102:], moves(n0)[102:], atol=1e-12)
    assert truth.facts["until"] == p10.time.values[99]


def test_p3_shows_in_no_autocorrelation():
    off = [
        correlation(moves(cube)[1 + lag :], moves(cube)[1:-lag])
        for seed in SEEDS
        for cube in [synthetic.market("P3", seed=seed)[0]]
        for lag in range(1, 32)
    ]
    assert_near(off)


def test_p4_filters_the_state_as_bayes_does():
    cube, truth = synthetic.market("P4", seed=2)
    plan = synthetic.catalogue.Plan("P4", 2, 24, 1500)
    index = moves(cube)[:, 0] + np.hypot(NIGHT, BAR) ** 2 / 2.0
    index[0] = NIGHT * plan.rng("night").standard_normal() + BAR * plan.rng("bar").standard_normal()
    p_up, plain = 0.5, []
    for move in index:
        like = [np.exp(-((move - drift) ** 2) / (2 * (NIGHT**2 + BAR**2))) for drift in (0.0015, -0.0015)]
        p_up = p_up * like[0] / (p_up * like[0] + (1 - p_up) * like[1])
        p_up = regimes.STAY * p_up + (1 - regimes.STAY) * (1 - p_up)
        plain.append(2 * p_up - 1)
    np.testing.assert_allclose(truth.facts["filtered_state"], plain, atol=1e-9)


def test_p4_pays_by_state_and_loading_and_the_filter_beats_holding():
    stay, filtered, held, drift = [], [], [], []
    for seed in range(10):
        cube, truth = synthetic.market("P4", seed=seed)
        state, outcome = truth.facts["state"], executed(cube)[:, 0]
        same = state[1:] == state[:-1]
        stay.append((same.mean() - 0.98, np.sqrt(0.98 * 0.02 / same.size)))
        earned = outcome[:-2] * state[:-2]
        drift.append((earned.mean() - 0.0015, earned.std() / np.sqrt(earned.size)))
        choice = np.sign(truth.facts["filtered_state"])[:-2] * outcome[:-2]
        filtered.append(choice.mean() / choice.std())
        held.append(outcome[:-2].mean() / outcome[:-2].std())
        returns, sectors = moves(cube)[1:], data.sectors(cube)
        for asset, column in zip(cube.asset.values, returns.T, strict=True):
            slope = np.cov(column, returns[:, 0])[0, 1] / returns[:, 0].var()
            assert slope == pytest.approx(truth.facts["loadings"][sectors[asset].upper()], abs=0.08)
    assert_near(stay)
    assert_near(drift)
    assert np.median(filtered) > np.median(held) + 0.02
    assert sorted(set(sectors.values())) == ["index", "inverse", "long", "sector"]


@pytest.mark.parametrize("name", ["P5", "P6"])
def test_the_smallest_tenth_earns_its_premium_and_the_others_nothing(name):
    small, others = [], []
    for seed in SEEDS:
        cube, truth = synthetic.market(name, seed=seed, n_assets=40)
        caps, outcome = field(cube, "mcap"), executed(cube)[:-2]
        shares = caps / field(cube, "close")
        np.testing.assert_allclose(shares, np.broadcast_to(shares[0], shares.shape))
        smallest = caps.argsort(axis=1).argsort(axis=1) < truth.facts["n_small"]
        assert (smallest == (truth.signal.values > 0)).all()
        inside = smallest[:-2]
        crash = np.abs(np.median(outcome, axis=1)) > 0.02
        for found, cells, wanted in ((small, inside, 0.001), (others, ~inside, 0.0)):
            values = np.expm1(outcome[cells & ~crash[:, np.newaxis]])
            found.append((values.mean() - wanted, values.std() / np.sqrt(values.size)))
    assert_near(small)
    assert_near(others)


def test_p6_crashes_on_its_days_for_every_weighting():
    for seed in SEEDS:
        cube, truth = synthetic.market("P6", seed=seed)
        crashes = truth.facts["crashes"]
        assert sorted(crashes.values()) == [-0.06, -0.035, -0.035]
        simple = np.expm1(moves(cube))
        for date, change in crashes.items():
            row = list(cube.time.values).index(date)
            np.testing.assert_allclose(simple[row], change, atol=0.0012)  # the premium, and noise's half variance
        double = [list(cube.time.values).index(date) for date, change in crashes.items() if change == -0.035]
        assert double[1] - double[0] == 1


def test_p7_knows_a_margin_only_after_it_was_published():
    cube, truth = synthetic.market("P7")
    rows = (cube.time.values - np.datetime64(0, "s")) / np.timedelta64(1, "D")
    available, ends = field(cube, "available_from")[:, 0], field(cube, "period_end")[:, 0]
    assert (available - ends == truth.facts["lag_days"]).all()
    assert (available <= rows).all()
    np.testing.assert_array_equal(ends[1:], rows[:-1])
    for idle in ("margin_gross", "margin_operating", "eps_surprise", "sentiment"):
        change = np.diff(field(cube, idle), axis=0, prepend=np.nan)
        rho, error = correlation(change, executed(cube))
        assert abs(rho) < 4 * error


def test_the_decoy_of_p7_has_a_market_factor_that_macro_names_but_does_not_forecast():
    cube, truth = synthetic.market("P7-decoy")
    outcome = executed(cube)[:-2]
    assert (field(cube, "macro") == field(cube, "macro")[:, :1]).all()
    assert np.corrcoef(outcome.T)[np.triu_indices(60, 1)].mean() == pytest.approx(0.5, abs=0.15)
    # Knowing the sign of the other assets' mean of a quarter is right far more often than 60 %.
    others = np.sign(outcome[:, :30].mean(axis=1, keepdims=True))
    assert (np.sign(outcome[:, 30:]) == others).mean() > 0.7
    rho, _ = correlation(field(cube, "macro")[:-2, 0], outcome.mean(axis=1))
    assert abs(rho) < 4 / np.sqrt(len(outcome))
    assert truth.assets == ()


def test_p9_shows_its_signal_in_three_fields():
    cube, truth = synthetic.market("P9", seed=1)
    simple = pd.DataFrame(np.expm1(moves(cube)))
    premium = field(cube, "iv30") - simple.rolling(truth.facts["hv_days"]).std().to_numpy() * np.sqrt(252)
    words = np.stack([field(cube, f"txt_{k}") for k in range(16)])
    assert words.std() == pytest.approx(1.0, abs=0.01)
    news = np.tensordot(truth.facts["direction"], words, 1)
    for shown_by in (premium, field(cube, "sentiment"), news):
        assert correlation(shown_by, truth.signal.values)[0] > 0.9999
    days = (cube.time.values - np.datetime64(0, "s")) / np.timedelta64(1, "D")
    assert (field(cube, "available_from") == days[:, np.newaxis] + 0.5).all()
    assert np.nanmin(field(cube, "iv30")) > 0
    assert np.isnan(field(cube, "iv30")[:21]).all()


def test_p11_volume_is_the_autoregression_it_says_and_prices_are_those_of_n0():
    for seed in range(3):
        cube, truth = synthetic.market("P11", seed=seed)
        weekdays = pd.DatetimeIndex(cube.time.values).day_of_week
        around = np.log(field(cube, "vol"))
        means = np.array([around[weekdays == day].mean() for day in range(5)])
        error = 2.0 * 0.375 / np.sqrt(around.size / 5)  # autocorrelated: as many independent values as a quarter
        np.testing.assert_allclose(means - means.mean(), truth.facts["weekdays"], atol=4 * error)
        around = around - np.log(1e6) - np.array(truth.facts["weekdays"])[weekdays][:, np.newaxis]
        memory = (around[1:] * around[:-1]).sum() / (around[:-1] ** 2).sum()
        assert memory == pytest.approx(0.6, abs=4 * 0.8 / np.sqrt(around.size))
        assert (around[1:] - memory * around[:-1]).std() == pytest.approx(truth.facts["news_deviation"], rel=0.02)
        np.testing.assert_array_equal(field(cube, "close"), field(synthetic.market("N0", seed=seed)[0], "close"))


def test_p12_is_a_book_of_whole_ticks():
    cube, truth = synthetic.market("P12")
    tick = truth.facts["tick"]
    close, before = field(cube, "close"), field(cube, "open")
    steps = (close - before) / tick
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert set(np.round(steps).ravel()) == {-1.0, 0.0, 1.0}
    np.testing.assert_allclose(before[1:], close[:-1])
    assert (np.abs(steps) > 0.5).mean() == pytest.approx(truth.facts["moving"], abs=4 * 0.5 / np.sqrt(steps.size))
    for level in range(1, truth.facts["levels"] + 1):
        np.testing.assert_allclose(field(cube, f"ask_{level}") - close, level * tick)
        np.testing.assert_allclose(close - field(cube, f"bid_{level}"), level * tick)


@pytest.mark.parametrize("name", ["P13", "P13-P1"])
def test_blocks_share_half_of_their_variance_and_nothing_with_others(name):
    cube, truth = synthetic.market(name, seed=4)
    block = truth.facts["block"]
    matrix = np.corrcoef(moves(cube)[1:].T)
    inside = block[:, np.newaxis] == block
    np.fill_diagonal(inside, False)
    between = block[:, np.newaxis] != block
    np.testing.assert_allclose(matrix[inside], 0.5, atol=4.5 * 0.75 / np.sqrt(1499))
    np.testing.assert_allclose(matrix[between], 0.0, atol=4.5 / np.sqrt(1499))
    assert list(data.sectors(cube).values()) == [f"block {k + 1}" for k in block]


def test_only_one_block_of_p13_p1_turns_back():
    cube, truth = synthetic.market("P13-P1", seed=4)
    assert truth.assets == tuple(cube.asset.values[truth.facts["block"] == 0])
    returns = moves(cube)[1:]
    rhos = np.array([np.corrcoef(column[1:], column[:-1])[0, 1] for column in returns.T])
    np.testing.assert_allclose(rhos[:10], -0.3, atol=4.5 / np.sqrt(1498))
    np.testing.assert_allclose(rhos[10:], 0.0, atol=4.5 / np.sqrt(1498))


def test_p14_is_a_wave_without_noise_whose_next_return_is_known():
    cube, truth = synthetic.market("P14", n_assets=8)
    wave = field(cube, "wave")
    assert np.abs(wave).max() <= 1.0
    assert np.abs(wave).max(axis=0).min() > 0.8
    outcome = executed(cube)
    np.testing.assert_allclose(truth.signal.values[:-2], outcome[:-2], atol=1e-12)
    turn = 2.0 * np.pi / truth.facts["period"]
    for k in (0, 1, 4, 5):  # sines and cosines follow w[t+1] = 2 cos(turn) w[t] - w[t-1]
        np.testing.assert_allclose(wave[2:, k], 2 * np.cos(turn[k]) * wave[1:-1, k] - wave[:-2, k], atol=1e-9)
    assert truth.facts["kind"][:4] == ("sine", "cosine", "polynomial", "sines")


def test_p15_is_n1_but_for_one_day():
    cube, truth = synthetic.market("P15", seed=5)
    plain = synthetic.market("N1", seed=5)[0]
    difference = moves(cube)[1:] - moves(plain)[1:]
    row = list(cube.time.values).index(truth.facts["date"])
    assert 1500 // 4 <= row < 3 * 1500 // 4
    np.testing.assert_allclose(difference[row - 1], np.log(0.85))
    np.testing.assert_allclose(np.delete(difference, row - 1, axis=0), 0.0, atol=1e-12)


def test_p16_has_seven_bars_a_day_and_its_widest_gap_overnight():
    for name in ("P16", "P16-N0"):
        cube, truth = synthetic.market(name)
        times = pd.DatetimeIndex(cube.time.values)
        assert len(times) == 7 * 250
        assert list(times.hour[:7]) == list(range(10, 17))
        gaps = np.log(field(cube, "open"))[1:] - np.log(field(cube, "close"))[:-1]
        first = times.hour[1:] == 10
        assert gaps[first].std() == pytest.approx(truth.facts["night"], rel=0.05)
        assert gaps[~first].std() == pytest.approx(truth.facts["gap"], rel=0.05)


def test_p16_keeps_its_correlation_at_every_hour():
    cube, truth = synthetic.market("P16")
    hours = pd.DatetimeIndex(cube.time.values).hour
    off = []
    for hour in range(10, 17):
        at = hours == hour
        rho, error = correlation(truth.signal.values[at], executed(cube)[at])
        off.append((rho - 0.3, error))
    assert_near(off)


def test_currencies_are_named_calm_and_share_the_dollar():
    cube, _ = synthetic.market("N0-FX")
    assert "EURUSD" in cube.asset.values
    returns = moves(cube)[1:]
    assert returns.std() == pytest.approx(0.5 * np.hypot(NIGHT, BAR), rel=0.03)
    assert np.corrcoef(returns.T)[np.triu_indices(9, 1)].mean() == pytest.approx(0.4, abs=0.05)


def test_ceilings_are_those_of_the_closed_forms():
    for rho, wanted in ((0.1, 0.532), (0.2, 0.564), (0.3, 0.597)):  # the spec's table
        assert synthetic.truth.correlation_ceiling(rho) == pytest.approx(wanted, abs=5e-4)
        assert synthetic.truth.correlation_ceiling(-rho) == synthetic.truth.correlation_ceiling(rho)
    assert synthetic.truth.drift_ceiling(1.0) == pytest.approx(0.8413, abs=1e-4)
    assert synthetic.truth.sign_ceiling(0.3) == pytest.approx(0.6234, abs=1e-4)
    truth = synthetic.market("P1")[1]
    assert truth.must_find == pytest.approx(0.5582, abs=1e-4)
    assert truth.luckiest_sharpe(9.0) == 1.0


def test_the_command_line_takes_a_market_by_name(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["data", "info", "synthetic:P1?seed=3&n_assets=5&n_days=60"])
    assert not stopped.value.code
    assert "Synthetic market P1" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["data", "info", "synthetic:P99"])
    assert stopped.value.code == 2
    assert "no synthetic market 'P99'" in capsys.readouterr().err


def test_the_page_lists_every_market_with_its_ceiling():
    rows = [line.split("|") for line in (ROOT / "docs" / "synthetic.md").read_text().splitlines() if line[:3] == "| `"]
    listed = {name: row for row in rows if len(row) == 7 for name in re.findall(r"`([^`]+)`", row[1])}
    assert set(listed) == set(synthetic.names())
    for name, row in listed.items():
        assert f"{100 * synthetic.market(name)[1].ceiling:.3g} %" in row[4], name


def test_synthetic_markets_are_not_imported_with_the_data():
    code = "import sys, qlstm.data; print('qlstm.data.synthetic' in sys.modules, qlstm.data.synthetic.names()[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "N0"]


def test_markets_load_by_name():
    wanted, _ = synthetic.market("P1", seed=3, n_assets=5, n_days=60)
    xr.testing.assert_identical(data.load("synthetic:P1?seed=3&n_assets=5&n_days=60"), wanted)
    xr.testing.assert_identical(data.load(wanted.attrs["source"]), wanted)
    xr.testing.assert_identical(data.load("synthetic:P1"), synthetic.market("P1")[0])
    assert data.load("synthetic:P1+").attrs["source"].startswith("synthetic:P1+?")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("synthetic:Q1", r"no synthetic market 'Q1'"),
        ("synthetic:P1?sed=3", r"synthetic market P1\?sed=3: unknown option 'sed'; did you mean 'seed'\?"),
        ("synthetic:P1?seed=x", "seed must be a whole number, got 'x'"),
        ("synthetic:P1?n_days=5", "P1: n_days must be a whole number from 30 to 40000, got 5"),
        ("synthetic:N0-FX?n_assets=10", "N0-FX: n_assets must be a whole number from 1 to 9, got 10"),
        ("synthetic:P13?n_assets=2", "P13: n_assets must be a whole number from 6 to"),
    ],
)
def test_a_wrong_name_or_option_is_one_sentence(name, message):
    with pytest.raises(DataError, match=message):
        data.load(name)


def test_a_seed_is_a_whole_number():
    for seed in (-1, 1.5, True, "1"):
        with pytest.raises(DataError, match="P1: seed must be a whole number"):
            synthetic.market("P1", seed=seed)


@pytest.mark.parametrize("name", synthetic.names())
def test_the_smallest_size_is_enough(name):
    entry = synthetic.catalogue._MARKETS[name]
    cube, _ = synthetic.market(name, n_assets=entry.fewest_assets, n_days=entry.fewest_days)
    assert cube.sizes["asset"] == entry.fewest_assets
    assert cubes.check(cube, warn=False) == []
