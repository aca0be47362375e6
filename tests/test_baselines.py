"""Baselines: each is a strategy that does what its name says, sees nothing ahead and does not mind the assets' order."""

import numpy as np
import pytest
import xarray as xr
from toys import market

import qlstm
from qlstm import baselines
from qlstm.errors import DataError

MADE = {
    "equal_weight": baselines.equal_weight,
    "buy_and_hold": baselines.buy_and_hold,
    "random_portfolio": lambda **k: baselines.random_portfolio(3, hold=5, **k),
    "persistence": baselines.persistence,
    "reversal": baselines.reversal,
    "majority": lambda **k: baselines.majority(200, 60, **k),
    "autoregression": lambda **k: baselines.autoregression(3, 250, 60, **k),
    "arma_garch": lambda **k: baselines.arma_garch(250, 60, **k),
}


def weights(strategy, cube, days=40):
    start = cube.time.values[-days]
    return qlstm.backtest(strategy=strategy, data=cube, start_date=start, analyze=False, progress=False).raw


@pytest.mark.parametrize("name", MADE)
def test_a_baseline_runs_and_holds_at_most_its_capital(name):
    book = weights(MADE[name](), market(300, gaps=0.02))
    assert np.isfinite(book.values).all()
    assert float(abs(book).sum("asset").max()) <= 1 + 1e-9
    assert float(abs(book).sum()) > 0


@pytest.mark.parametrize("name", MADE)
def test_the_order_of_the_assets_changes_no_weight(name):
    cube = market(280)
    turned = cube.isel(asset=[3, 0, 4, 2, 1])
    one, other = (weights(MADE[name](), data, 8) for data in (cube, turned))
    xr.testing.assert_allclose(one, other.sel(asset=one.asset), rtol=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_what_comes_later_changes_no_weight(name):
    cube = market(280)
    later = cube.copy(data=cube.values.copy())
    later[:4, -5:] *= 1.5
    one, other = (weights(MADE[name](), data, 15)[:-5] for data in (cube, later))
    xr.testing.assert_identical(one, other)


@pytest.mark.parametrize("name", MADE)
def test_the_memory_of_a_baseline_can_be_saved(name, tmp_path):
    cube = market(280)
    run = qlstm.run(MADE[name](), data=cube, state_dir=tmp_path)
    last = weights(MADE[name](), cube, 1)
    run_weights = run.raw.sel(asset=last.asset)
    np.testing.assert_array_equal(run_weights.values, last.values)


@pytest.mark.parametrize("name", ["persistence", "reversal", "majority"])
def test_a_long_only_contest_is_sold_nothing_short(name):
    assert float(weights(MADE[name](), market(280)).min()) < 0
    assert float(weights(MADE[name](contest="stocks_long"), market(280)).min()) >= 0


def test_equal_weight_is_one_over_the_liquid_assets():
    cube = market(100)
    cube.loc[{"field": "is_liquid", "asset": "TOY:001"}] = 0
    book = weights(baselines.equal_weight(), cube, 3)
    assert book.values.tolist() == [[0.25, 0.0, 0.25, 0.25, 0.25]] * 3 or "TOY:001" not in book.asset


def test_buy_and_hold_holds_the_same_shares():
    cube = market(100)
    book = weights(baselines.buy_and_hold(), cube, 30)
    close = cube.sel(field="close", drop=True).sel(time=book.time)
    shares = book / close
    ratio = shares / shares.isel(asset=0)
    np.testing.assert_allclose(ratio.values, np.broadcast_to(ratio.values[0], ratio.shape), rtol=1e-9)


def test_persistence_follows_the_last_move_and_reversal_goes_against_it():
    cube = market(100)
    close = cube.sel(field="close", drop=True)
    follow = weights(baselines.persistence(), cube, 5)
    np.testing.assert_array_equal(np.sign(follow), np.sign(close.diff("time")).sel(time=follow.time))
    against = weights(baselines.reversal(5), cube, 5)
    change = (close / close.shift(time=5) - 1).sel(time=against.time)
    np.testing.assert_array_equal(np.sign(against), np.sign(change.mean("asset") - change))


def test_the_majority_is_that_of_the_training_days():
    cube = market(300)
    book = weights(baselines.majority(200, 60), cube, 2)
    first = book.time.values[0]
    window = cube.sel(field="close", drop=True).sel(time=slice(first - np.timedelta64(200, "D"), first))
    ups = np.sign(np.sign(window.diff("time")).sum("time"))
    np.testing.assert_array_equal(np.sign(book[0]), ups)


def test_random_portfolios_are_seeded_hold_and_differ():
    cube = market(200, assets=20)
    one, again, other = (weights(baselines.random_portfolio(s, 0.3, 10), cube, 30) for s in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    one, other = xr.align(one, other, join="outer", fill_value=0.0)
    assert (abs(one - other).sum("asset") > 0).mean() > 0.8
    assert set((one > 0).sum("asset").values) == {6}
    changes = np.flatnonzero(abs(one.diff("time")).sum("asset") > 0)
    assert (np.diff(changes) == 10).all()


def cube_of(returns):
    """Return a market whose closes make the given log returns (time, asset)."""
    cube = market(*returns.shape)
    close = 50 * np.exp(np.cumsum(returns, axis=0))
    return cube.copy(data=np.stack([close, close, close, close, np.full_like(close, 1e6), np.ones_like(close)]))


@pytest.mark.parametrize("name", ["autoregression", "arma_garch"])
def test_a_fitted_baseline_finds_planted_reversal(name):
    random = np.random.default_rng(5)
    returns = 0.01 * random.standard_normal((500, 4))
    for t in range(1, 500):
        returns[t] += -0.5 * returns[t - 1]
    cube = cube_of(returns)
    book = weights(MADE[name](), cube, 100)
    ahead = cube.sel(field="close", drop=True).pipe(np.log).diff("time").shift(time=-1).sel(time=book.time)
    hits = (np.sign(book) == np.sign(ahead))[:-1]
    assert float(hits.mean()) > 0.6


def test_an_autoregression_forecasts_as_statsmodels_does():
    from statsmodels.tsa.ar_model import ar_select_order

    returns = 0.01 * np.random.default_rng(6).standard_normal((300, 1))
    for t in range(2, 300):
        returns[t] += 0.4 * returns[t - 2]
    cube = cube_of(returns)
    strategy = baselines.autoregression(4, 10_000, 10_000)
    (model,) = strategy.train(cube).values()
    known = np.diff(np.log(cube.sel(field="close").values[:, 0]))
    fitted = ar_select_order(known, 4, ic="aic").model.fit()
    past = np.array([1.0, *(known[-lag] for lag in model["lags"])])
    assert past @ model["parameters"] == pytest.approx(fitted.forecast(1)[0])
    assert 2 in model["lags"]


def test_assets_without_history_have_no_model_and_no_weight():
    cube = market(280)
    cube[:4, :-20, 2] = np.nan
    book = weights(baselines.arma_garch(250, 60), cube, 3)
    assert "TOY:002" not in book.asset or not book.sel(asset="TOY:002").values.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: baselines.random_portfolio(share=0), "share must be above 0"),
        (lambda: baselines.random_portfolio(seed=-1), "seed not below 0"),
        (lambda: baselines.reversal(0), "at least 1 row"),
        (lambda: baselines.autoregression(0), "at least 1 lag"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(DataError, match=message):
        make()
