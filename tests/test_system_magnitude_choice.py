"""One name at a time: `magnitude_choice`, its trades and what a wrong price does to them (A9a, A9b of docs/systems.md)."""

import dataclasses

import numpy as np
import pytest
import test_parity
import xarray as xr
from conftest import ROOT
from systems import functions
from test_system_alfred import IN_PROCESS, dirtied
from toys import market

import qlstm
from qlstm import audit, bars, labels, ledger, portfolio, stats
from qlstm.data import synthetic

FILE = ROOT / "strategies" / "magnitude_choice.py"


def guessing(forecast):
    """Return the strategy with another forecast: a function of the cube, as (quarter's end, asset)."""
    strategy = functions("magnitude_choice")
    strategy["forecast"] = lambda models, data: forecast(data)
    return strategy


def weights_of(strategy, cube, days):
    """Return the weights that predict gives on each of some days, one after the other, (time, asset)."""
    rows, state = [], None
    for t in days:
        row, state = strategy["predict"](None, cube[:, : t + 1], state)
        rows.append(row)
    times = cube.time[list(days)]
    return xr.concat(rows, times, coords="minimal", compat="override").rename(cube.name)


def last_move(data):
    """Return the quarter's own change as the forecast of the next."""
    close = data.sel(field="close", drop=True).isel(time=bars.ends(data.time.values))
    return close / close.shift(time=1) - 1


def test_it_holds_the_largest_forecast_by_its_sign_until_the_quarter_ends():
    cube = market(days=400, assets=4)
    held = weights_of(guessing(last_move), cube, range(200, 400))
    assert (abs(held).sum("asset") == 1).all()
    moves = last_move(cube)
    for i, t in enumerate(range(200, 400)):
        today = moves.sel(time=moves.time[moves.time <= cube.time[t]][-1])
        largest = today.asset[int(np.argmax(abs(today.values)))]
        assert float(held[i].sel(asset=largest)) == np.sign(float(today.sel(asset=largest)))
    trades = ledger.of_weights(held, cube).trades
    assert 2 <= len(trades) <= 4  # three quarters ended; the same name again is one trade


def test_nothing_forecast_is_nothing_held():
    held = weights_of(guessing(lambda data: last_move(data) * 0.0), market(days=260, assets=3), [250, 255])
    assert (held == 0).all()


def test_the_ledger_of_one_name_is_what_the_books_of_the_statistics_give():
    cube = market(days=400, assets=4)
    held = weights_of(guessing(last_move), cube, range(200, 400))
    trades = ledger.of_weights(held, cube).trades
    # On the day of a change the portfolio's book trades two names with one capital, the ledger's one each.
    total = float(stats.calc_relative_return(cube, held).sum())
    assert trades["contribution"].sum() == pytest.approx(total, abs=1e-3)
    assert trades["size"].tolist() == pytest.approx([1.0] * len(trades))


@pytest.mark.parametrize(
    ("p", "simple", "from_long", "from_flat", "from_short"),
    [
        (0.29, -1, -1, -1, -1),
        (0.3, -1, 0, 0, -1),
        (0.49, -1, 0, 0, -1),
        (0.5, 1, 1, 0, 0),
        (0.7, 1, 1, 0, 0),
        (0.71, 1, 1, 1, 1),
    ],
)
def test_the_bands_of_both_rules_leave_no_probability_without_an_answer(p, simple, from_long, from_flat, from_short):
    score = xr.DataArray([p], {"asset": ["A"]}, ["asset"])
    assert float(portfolio.long_short(score)[0]) == simple
    for before, after in ((1.0, from_long), (0.0, from_flat), (-1.0, from_short)):
        assert float(portfolio.nuanced(score, score.copy(data=[before]))[0]) == after


def chosen(cube, earned):
    """Return the ledger of a forecast that knows what will be earned: an impossible gain is then the largest of all."""
    held = weights_of(guessing(lambda data: earned.sel(time=slice(None, data.time[-1]))), cube, range(25, 80))
    return ledger.of_weights(held, cube)


def test_a_wrong_price_is_the_choice_without_the_guard_and_what_is_left_without_it_is_shown():
    _, dirty = dirtied(synthetic.market("P7", seed=0)[0])
    wrong = str(dirty.asset.values[0])
    bought = chosen(dirty, bars.earned(labels.executed_return(dirty)))
    assert bought.concentration().index[bought.concentration()["heavy"]].tolist() == [wrong]
    assert bought.leave_one_asset_out().index[0] == wrong
    best = bought.trades.loc[bought.leave_one_trade_out().index[0]]
    assert (best["asset"], best["return"] > 40) == (wrong, True)
    guarded = chosen(dirty, bars.earned(labels.executed_return(bars.sound(dirty))))
    assert guarded.trades["return"].max() < 1.0


def test_the_audit_names_the_trade_across_a_wrong_price():
    _, dirty = dirtied(synthetic.market("P7", seed=0)[0])

    def predict(data):
        return xr.ones_like(data.sel(field="close", drop=True).isel(time=-1, drop=True)) / data.sizes["asset"]

    holder = qlstm.Strategy(predict=predict, name="holder", lookback_period=100)
    found = audit.check(holder, dirty, ["profit-from-faults"], progress=False).findings
    assert [(one.asset, one.date) for one in found] == [(str(dirty.asset.values[0]), str(dirty.time.values[42])[:10])]


def small(epochs=5):
    """Return the strategy with a shorter fit of the file beside it."""
    strategy = qlstm.load_strategy(FILE)
    quick = functions("alfred_magnitude", EPOCHS=epochs)
    return dataclasses.replace(strategy, train=quick["train"], retrain_interval=100, retrain_interval_after_submit=100)


def test_days_run_one_by_one_from_a_file_equal_the_multi_pass(tmp_path):
    strategy, (cube, _) = small(), synthetic.market("P7", n_assets=5)
    days = cube.time.values[60:64]
    whole = qlstm.backtest(
        strategy=strategy, data=cube, start_date=days[0], end_date=days[-1], analyze=False, progress=False
    )
    assert (abs(whole.raw).sum("asset") == 1).all()
    for t in days:
        alone = qlstm.run(strategy, cube, state_dir=tmp_path, date=str(t)[:10])
        xr.testing.assert_equal(alone.raw, whole.raw.sel(time=[t]))


@pytest.mark.soak
def test_single_passes_in_processes_of_their_own_equal_the_multi_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(
        test_parity, "market", lambda days, assets, seed: synthetic.market("P7", n_assets=assets, n_days=days)[0]
    )
    test_parity.check_parity(FILE, tmp_path, 6, 100)


@pytest.mark.soak
def test_no_check_of_the_audit_fails():
    cube, _ = synthetic.market("N0", seed=1, n_assets=8, n_days=900)
    report = audit.check(qlstm.load_strategy(FILE), cube, IN_PROCESS, progress=False)
    assert report.ok, str(report)


def test_it_reads_in_two_minutes():
    text = FILE.read_text()
    assert len(text.splitlines()) < 100
    for part in ("Idea ", "State ", "Source ", "Changed ", "Backtest "):
        assert f"\n{part}" in text
