"""The embedded sample is what its script makes, and resembles the moments that it was made from."""

import numpy as np
import pytest

from qlstm import contests, data
from qlstm.data import motion, sample, simulate


@pytest.fixture(scope="module")
def cube():
    return data.load("sample")


@pytest.fixture(scope="module")
def bars(cube):
    return {str(name): cube.sel(field=name).values for name in cube.field.values}


@pytest.fixture(scope="module")
def returns(bars):
    """Log returns from close to close, (time, asset), NaN where one of the two is missing."""
    return np.diff(np.log(bars["close"]), axis=0)


@pytest.fixture(scope="module")
def market(returns):
    return np.nanmean(returns, axis=1)


def autocorrelation(series, lag):
    series = series[np.isfinite(series)]
    series = series - series.mean()
    return (series[lag:] * series[:-lag]).mean() / series.var()


def excess_kurtosis(series):
    series = series[np.isfinite(series)]
    z = (series - series.mean()) / series.std()
    return (z**4).mean() - 3.0


def regression(returns, market):
    """Beta and residual deviation of each asset against the market."""
    rows = []
    for column in returns.T:
        known = np.isfinite(column)
        beta, mean = np.polyfit(market[known], column[known], 1)
        rows.append((beta, (column[known] - beta * market[known] - mean).std()))
    return np.array(rows).T


def test_the_committed_sample_is_what_the_script_makes(cube):
    made = simulate.simulate_market()
    assert made.attrs == cube.attrs
    assert made.name == cube.name
    for dim in cube.dims:
        np.testing.assert_array_equal(made[dim].values, cube[dim].values)
    # One step of rounding apart at most: the last bit of exp and log differs between processors.
    for name, step in (
        ("open", 2.0**-15),
        ("high", 2.0**-15),
        ("low", 2.0**-15),
        ("close", 2.0**-15),
        ("vol", 2.0**-9),
    ):
        np.testing.assert_allclose(made.sel(field=name), cube.sel(field=name), rtol=step, err_msg=name)
    assert (made.sel(field="is_liquid") == cube.sel(field="is_liquid")).mean() > 0.9999


def test_one_seed_gives_one_file_byte_by_byte_and_another_gives_another(tmp_path):
    for name in ("a.nc", "b.nc"):
        simulate.write_sample(tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    assert not simulate.simulate_market(seed=2).equals(simulate.simulate_market())


def test_the_sample_says_that_it_is_simulated_and_is_small(cube):
    assert "Simulated" in cube.attrs["note"]
    assert "no evidence of any strategy's merit" in cube.attrs["note"]
    assert data.info(cube)["simulated"] is True
    assert "simulated" in sample.__doc__
    assert sample.PATH.stat().st_size < 4_000_000
    assert contests.get(cube.name).liquid_only


def test_the_sample_has_sixty_assets_in_sectors_over_ten_years(cube):
    info = data.info(cube)
    assert (info["assets"], info["days"], info["start"], info["end"]) == (60, 2520, "2011-01-03", "2020-12-31")
    assert cube.asset.values[0] == "SIM:001"
    assert len(info["late"]) == 8
    assert len(info["ended"]) == 4
    assert info["gaps"] == 12
    assert info["sectors"] == dict.fromkeys(simulate._SECTORS, 10)
    assert set(data.sectors(cube)) == set(cube.asset.values)


def test_the_calendar_has_the_holidays_of_us_exchanges():
    days = simulate.trading_days("2012-01-01", "2016-12-31")
    closed = [
        "2012-01-02",
        "2012-04-06",
        "2012-05-28",
        "2012-09-03",
        "2012-11-22",
        "2013-01-21",
        "2014-02-17",
        "2015-07-03",
    ]
    closed += ["2016-12-26", "2016-01-02"]
    trading = ["2012-12-31", "2012-07-03", "2016-12-23", "2015-07-02", "2016-02-29"]
    assert not np.isin(np.array(closed, "datetime64[ns]"), days).any()
    assert np.isin(np.array(trading, "datetime64[ns]"), days).all()


def test_bars_are_consistent_and_prices_move(bars):
    known = np.isfinite(bars["close"])
    assert (bars["high"][known] >= np.maximum(bars["open"], bars["close"])[known]).all()
    assert (bars["low"][known] <= np.minimum(bars["open"], bars["close"])[known]).all()
    assert (bars["low"][known] > 0).all()
    assert (bars["vol"][known] > 0).all()
    for name in ("open", "high", "low", "vol"):
        np.testing.assert_array_equal(np.isfinite(bars[name]), known)
    assert (bars["high"][known] > bars["low"][known]).mean() > 0.999
    assert (bars["divs"] == 0).all()
    assert (bars["split"] == 1).all()
    assert (bars["split_cumprod"] == 1).all()


def test_forty_priced_assets_are_liquid_each_day_and_not_always_the_same(bars):
    liquid = bars["is_liquid"]
    assert (liquid.sum(axis=1) == 40).all()
    assert np.isfinite(bars["close"][liquid == 1]).all()
    assert (np.abs(np.diff(liquid, axis=0)).sum(axis=1) > 0).sum() > 50


def test_the_market_has_the_measured_deviation_tails_and_clusters(market):
    assert market.std() == pytest.approx(simulate._MARKET.deviation, rel=0.05)
    assert 5 < excess_kurtosis(market) < 15  # measured: 10.5
    for lag, measured in ((1, 0.265), (5, 0.28), (60, 0.145)):
        assert autocorrelation(np.abs(market), lag) == pytest.approx(measured, abs=0.06)


def test_betas_and_residual_deviations_are_those_of_the_moments(returns, market):
    moments = simulate.read_moments()
    beta, deviation = regression(returns, market)
    np.testing.assert_allclose(beta / beta.mean(), moments["beta"] / moments["beta"].mean(), atol=0.15)
    assert np.corrcoef(beta, moments["beta"])[0, 1] > 0.98
    ratio = deviation / moments["idio_vol_daily"].to_numpy()
    assert ratio.mean() == pytest.approx(1.0, abs=0.06)
    assert np.corrcoef(deviation, moments["idio_vol_daily"])[0, 1] > 0.9


def test_asset_returns_have_heavy_tails_and_clustered_volatility(returns):
    kurtosis = [excess_kurtosis(column) for column in returns.T]
    assert 4 < np.median(kurtosis) < 12  # measured: 9.1
    clusters = {lag: np.median([autocorrelation(np.abs(c), lag) for c in returns.T]) for lag in (1, 20)}
    assert clusters[1] == pytest.approx(0.22, abs=0.1)
    assert clusters[20] == pytest.approx(0.16, abs=0.08)


def test_returns_do_not_predict_returns(returns, market):
    for lag in (1, 2, 5):
        # Clustered volatility widens the noise of an autocorrelation; the last factor is White's correction of it.
        centred = market - market.mean()
        noise = np.sqrt((centred[lag:] ** 2 * centred[:-lag] ** 2).sum()) / (centred**2).sum()
        assert abs(autocorrelation(market, lag)) < 3 * noise
        assert abs(np.median([autocorrelation(column, lag) for column in returns.T])) < 0.05


def test_no_asset_has_a_drift_of_its_own(returns, market):
    moments = simulate.read_moments()
    deviation = moments["idio_vol_daily"].to_numpy()
    days = np.isfinite(returns).sum(axis=0)
    beta, _ = regression(returns, market)
    alpha = np.nanmean(returns - beta * market[:, np.newaxis], axis=0)
    z = (alpha - alpha.mean()) / (deviation / np.sqrt(days))
    assert z.std() < 1.5
    assert np.abs(z).max() < 4.5


def test_overnight_shares_ranges_and_volumes_are_those_of_the_moments(bars):
    moments = simulate.read_moments()
    overnight = np.log(bars["open"][1:] / bars["close"][:-1])
    intraday = np.log(bars["close"] / bars["open"])
    share = np.nanvar(overnight, axis=0) / (np.nanvar(overnight, axis=0) + np.nanvar(intraday[1:], axis=0))
    np.testing.assert_allclose(share, moments["overnight_var_share"], atol=0.15)
    spread = np.nanmean(np.log(bars["high"] / bars["low"]), axis=0) / np.nanmean(np.abs(intraday), axis=0)
    np.testing.assert_allclose(spread, moments["range_to_absret"], atol=0.15)
    dollars = np.log(bars["close"] * bars["vol"])
    np.testing.assert_allclose(np.nanmean(dollars, axis=0), moments["log_dollar_volume_mean"], atol=0.15)
    np.testing.assert_allclose(np.nanstd(dollars, axis=0), moments["log_dollar_volume_sd"], rtol=0.2)
    memory = np.array([autocorrelation(column, 1) for column in dollars.T])
    np.testing.assert_allclose(memory, moments["log_volume_ar1"], atol=0.2)


def test_volume_rises_with_the_size_of_a_move(bars, returns):
    dollars = np.log(bars["close"] * bars["vol"])[1:]
    together = []
    for i in range(dollars.shape[1]):
        known = np.isfinite(returns[:, i]) & np.isfinite(dollars[:, i])
        together.append(np.corrcoef(np.abs(returns[known, i]), dollars[known, i])[0, 1])
    assert np.median(together) == pytest.approx(0.34, abs=0.06)


def test_clustered_noise_is_student_t_whatever_its_clusters():
    noise = motion.clustered_noise(np.full(50, 5.0), 4000, np.random.default_rng(3)).returns
    scaled = np.sort(np.abs(noise).ravel()) * np.sqrt(5.0 / 3.0)  # to the plain Student t, whose variance is 5/3
    quantiles = np.quantile(scaled, [0.5, 0.9, 0.98, 0.998])
    np.testing.assert_allclose(quantiles, [0.7267, 2.0150, 3.3649, 5.8934], rtol=0.05)
    np.testing.assert_allclose(noise.std(axis=0), 1.0)


def test_an_excursion_has_the_mean_of_a_brownian_bridge():
    rng = np.random.default_rng(4)
    rise = motion.excursion(np.zeros(200_000), np.ones(200_000), rng)
    assert rise.mean() == pytest.approx(np.sqrt(np.pi / 8.0), rel=0.01)  # of the bridge from 0 to 0 over unit time
