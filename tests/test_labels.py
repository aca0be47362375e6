"""Labels: against the books of the statistics, which they must not contradict, and against prices by hand."""

import numpy as np
import pytest
import xarray as xr

from qlstm import labels, stats
from qlstm.data import synthetic
from qlstm.errors import DataError


def cube(opens, closes=None, **extra):
    """Return a cube of one asset, A, with these opens."""
    opens = np.array(opens, dtype=float)
    closes = opens if closes is None else np.array(closes, dtype=float)
    fields = {"open": opens, "high": opens, "low": opens, "close": closes, "vol": np.ones_like(opens), **extra}
    return xr.DataArray(
        np.array(list(fields.values()), dtype=float)[:, :, np.newaxis],
        dims=("field", "time", "asset"),
        coords={
            "field": list(fields),
            "time": np.datetime64("2020-01-01", "ns") + np.arange(len(opens)) * np.timedelta64(1, "D"),
            "asset": ["A"],
        },
    )


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_label_is_the_return_from_the_next_open_to_a_later_one(rows):
    data, _ = synthetic.market("N1", n_assets=4, n_days=60)
    opens = data.sel(field="open", drop=True)
    expected = opens.shift(time=-1 - rows) / opens.shift(time=-1) - 1.0
    got = labels.executed_return(data, rows)
    assert got.dims == ("time", "asset")
    xr.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
    assert got[-1 - rows :].isnull().all()
    assert got[: -1 - rows].notnull().all()
    assert labels.horizon(rows) == rows + 1


@pytest.mark.parametrize("name", ["N1", "P8"])
def test_a_label_is_what_the_statistics_book_for_the_position(name):
    data, _ = synthetic.market(name, n_assets=4, n_days=130)
    data = data.dropna("time", how="all")
    got = labels.executed_return(data)
    opens, close = data.sel(field="open", drop=True), data.sel(field="close", drop=True)
    for t in range(20, 127):  # slippage is unknown before row 14, and nothing is booked without
        weights = xr.zeros_like(close)
        weights[t] = 0.5  # decided on row t, given up on the next
        booked = stats.calc_relative_return(data, weights, slippage_factor=0.0, per_asset=True)
        earned = (1.0 + booked.reindex(time=data.time)).prod("time") - 1.0
        invested = (0.5 * opens[t + 1] / close[t]).clip(max=1.0)  # the weight, drifted overnight
        known = got[t].notnull() & close[t].notnull()
        assert known.any()
        np.testing.assert_allclose((got[t] * invested).where(known, 0.0), earned.where(known, 0.0), atol=1e-15)


@pytest.mark.parametrize("rows", [2, 4])
def test_a_longer_label_compounds_shorter_ones(rows):
    data, _ = synthetic.market("N0", n_assets=4, n_days=60)
    growth = 1.0 + labels.executed_return(data)
    expected = np.prod([growth.shift(time=-row).values for row in range(rows)], axis=0) - 1.0
    np.testing.assert_allclose(labels.executed_return(data, rows), expected, rtol=1e-12, atol=1e-14)


def test_rolls_of_futures_count_as_in_the_books():
    data = cube(np.full(20, 10.0), roll=np.where(np.arange(20) == 17, 1.0, 0.0))
    weights = xr.zeros_like(data.sel(field="close", drop=True))
    weights[15:17] = 1.0  # bought at the open of row 16, sold at that of row 18
    booked = stats.calc_relative_return(data, weights, slippage_factor=0.0, roll_slippage_factor=0.0, per_asset=True)
    label = labels.executed_return(data, 2)[:, 0]
    assert float(label[15]) == pytest.approx(float((1.0 + booked).prod()) - 1.0) == pytest.approx(-0.1)
    np.testing.assert_array_equal(label[[14, 16]], 0.0)  # who buys or sells there pays no roll


def test_dividends_count_as_in_the_books():
    data = cube([10, 10, 10, 10, 10], divs=[0, 0, 0, 1, 0])
    np.testing.assert_allclose(labels.executed_return(data)[:3, 0], [0.0, 0.1, 0.0], atol=1e-15)
    np.testing.assert_allclose(labels.executed_return(data, 2)[:2, 0], [0.1, 0.1], atol=1e-15)


def test_without_a_price_to_trade_at_there_is_no_label():
    opens = [10, 11, np.nan, 12, 13, 14, 15]
    got = labels.executed_return(cube(opens, closes=[10, 11, 11.5, 12, 13, 14, 15]))[:, 0]
    assert got.isnull().values.tolist() == [True, True, False, False, False, True, True]
    assert float(got[2]) == pytest.approx(13 / 12 - 1)


def test_a_day_that_is_empty_for_all_assets_is_passed_over():
    opens = [10, 11, np.nan, 12, 15, 16]
    data = cube(opens)
    data[:, 2] = np.nan
    got = labels.executed_return(data)[:, 0]
    np.testing.assert_allclose(got[:2], [12 / 11 - 1, 15 / 12 - 1])
    assert np.isnan(got[2])


def test_later_rows_change_no_label_that_was_known():
    data, _ = synthetic.market("N0", n_assets=3, n_days=80)
    known = labels.executed_return(data.isel(time=slice(0, 50)), 2)
    xr.testing.assert_identical(labels.executed_return(data, 2).isel(time=slice(0, 47)), known.isel(time=slice(0, 47)))


def test_the_label_agrees_with_the_return_that_markets_plant():
    data, truth = synthetic.market("P1", n_assets=24, n_days=1500)
    known = labels.direction(labels.executed_return(data))
    right = ((truth.signal > 0) == (known > 0)).where(known.notnull() & (truth.signal != 0))
    assert float(right.mean()) == pytest.approx(truth.ceiling, abs=0.01)


def test_directions_and_sides_of_the_median_keep_what_is_missing():
    returns = xr.DataArray(
        [[0.1, -0.1, 0.0, np.nan], [0.3, 0.2, 0.1, 0.0], [np.nan] * 4],
        dims=("time", "asset"),
        coords={"time": np.arange(3).astype("datetime64[ns]"), "asset": list("ABCD")},
    )
    np.testing.assert_array_equal(labels.direction(returns), [[1, 0, 0, np.nan], [1, 1, 1, 0], [np.nan] * 4])
    np.testing.assert_array_equal(labels.above_median(returns), [[1, 0, 0, np.nan], [1, 1, 0, 0], [np.nan] * 4])
    turned = returns.transpose("asset", "time")
    assert labels.above_median(turned).dims == ("asset", "time")
    random = returns.copy(data=np.random.default_rng(0).standard_normal((3, 4)))
    expected = (random > random.median("asset")).astype(float)
    xr.testing.assert_equal(labels.above_median(random), expected)
    assert labels.above_median(random[:, :0]).shape == (len(random), 0)


def test_a_position_of_no_rows_is_refused():
    with pytest.raises(DataError, match="held for 0 rows"):
        labels.executed_return(cube([1, 2, 3]), 0)
