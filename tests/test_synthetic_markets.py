"""Each synthetic market that plants something is what its page says it is."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetics import BAR, NIGHT, SEEDS, assert_near, correlation, executed, field, moves, shown

from qlstm import data
from qlstm.data import synthetic
from qlstm.data.synthetic import regimes


def test_p2_reaches_its_ic_day_by_day_and_p10_loses_it_at_half_time():
    _, truth = synthetic.market("P10")
    until = truth.facts["until"]
    assert truth.dates[1] == until
    for name in ("P2", "P10"):
        early, late = [], []
        for seed in range(3):
            cube, _ = synthetic.market(name, seed=seed)
            score, outcome = shown("P2", cube), executed(cube)
            half = list(cube.time.values).index(until)
            ics = np.array([np.corrcoef(score[t], outcome[t])[0, 1] for t in range(5, len(score) - 2)])
            for found, part, wanted in (
                (early, ics[: half - 4], 0.1),
                (late, ics[half - 4 :], 0.1 if name == "P2" else 0.0),
            ):
                found.append((part.mean() - wanted, part.std() / np.sqrt(len(part))))
        assert_near(early)
        assert_near(late)


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
