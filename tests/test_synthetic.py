"""What a synthetic market says it plants is there at its strength, where it says, and nothing is planted elsewhere."""

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter
from synthetics import (
    BAR,
    NIGHT,
    SEEDS,
    assert_near,
    correlation,
    executed,
    field,
    moves,
    shown,
)

from qlstm import cube as cubes
from qlstm import data
from qlstm.data import synthetic
from qlstm.data.synthetic import planting

CORRELATED = ["P1", "P1+", "P1f", "P1-FX", "P2", "P3", "P5-P1", "P7", "P9", "P10", "P12", "P13-P1", "P16"]
NULLS = ["N0", "N0-FX", "N1", "N1-IV", "P7-decoy", "P11", "P13", "P16-N0"]


@pytest.fixture(scope="module")
def markets(request):
    """The market of the test's parameter for each seed; pytest runs the tests of one market in a row."""
    return [synthetic.market(request.param, seed=seed) for seed in SEEDS]


def correlations_off(markets):
    for cube, truth in markets:
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


@pytest.mark.parametrize("markets", CORRELATED, indirect=True)
def test_the_signal_has_the_planted_correlation_with_the_executed_return(markets):
    assert_near(list(correlations_off(markets)))


def test_a_market_that_forgets_what_the_overnight_leg_takes_is_noticed(monkeypatch):
    monkeypatch.setattr(planting.Noise, "share", lambda noise, rho: np.full_like(noise.night, rho))
    with pytest.raises(AssertionError):
        assert_near(list(correlations_off(synthetic.market("P1", seed=seed) for seed in SEEDS)))


@pytest.mark.parametrize("markets", CORRELATED, indirect=True)
def test_the_sign_of_the_signal_is_right_as_often_as_the_ceiling_says(markets):
    off = []
    for cube, truth in markets:
        outcome, signal = executed(cube), truth.signal.values
        looked_at = (signal != 0) & np.isfinite(outcome) & (np.abs(outcome) > 1e-12)
        right = np.sign(signal[looked_at]) == np.sign(outcome[looked_at])
        # By rows again, because the assets of one may move together.
        rows = np.where(looked_at, (np.sign(signal) == np.sign(outcome)) - right.mean(), 0.0).sum(axis=1)
        off.append((right.mean() - truth.ceiling, np.sqrt((rows**2).sum()) / right.size))
    assert_near(off)


@pytest.mark.parametrize("markets", [*CORRELATED, "P4", "P5"], indirect=True)
def test_a_signal_knows_neither_the_gap_before_it_can_be_traded_nor_the_row_after(markets):
    gap, late = [], []
    for cube, truth in markets:
        # What a market plants decays over rows where signals persist, so the row after is left out for those.
        signal = truth.signal.values
        before = np.log(field(cube, "open"))[1:] - np.log(field(cube, "close"))[:-1]
        if truth.market != "P12":  # an order book has no gaps
            gap.append(correlation(signal[:-1], before))
        if truth.market in ("P7", "P9", "P12"):
            late.append(correlation(signal[:-1], executed(cube)[1:]))
    for pairs in filter(None, (gap, late)):
        assert_near(pairs)


@pytest.mark.parametrize("name", ["P1", "P1+", "P1f", "P1-FX", "P2", "P3", "P7", "P9", "P12"])
def test_the_signal_is_visible_in_the_cube_at_its_close(name):
    cube, truth = synthetic.market(name, seed=3)
    rho, _ = correlation(shown(name, cube), truth.signal.values)
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


def test_currencies_are_named_calm_and_share_the_dollar():
    cube, _ = synthetic.market("N0-FX")
    assert "EURUSD" in cube.asset.values
    returns = moves(cube)[1:]
    assert returns.std() == pytest.approx(0.5 * np.hypot(NIGHT, BAR), rel=0.03)
    assert np.corrcoef(returns.T)[np.triu_indices(9, 1)].mean() == pytest.approx(0.4, abs=0.05)
