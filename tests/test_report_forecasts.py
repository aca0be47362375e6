"""The report's panel of forecasts: changes beside persistence, and the lag at which the forecast fits best."""

import numpy as np
import pytest
import reports
import xarray as xr
from reports import Page, charts, trace

from qlstm import metrics, report
from qlstm.errors import OutputError
from qlstm.report import forecasts, lags
from qlstm.report.study import Study


@pytest.fixture
def data():
    return reports.spotty()


@pytest.fixture
def result():
    return reports.result()


def test_forecast_changes_are_scored_beside_persistence(result, data):
    close = data.sel(field="close", drop=True)
    ahead = (close.shift(time=-1) / close - 1).sel(time=result.weights.time)
    text = report.render(result, data, forecast=ahead)
    drawn = charts(text)[0]["changes"]
    means = trace(drawn, "forecast, mean of each tenth")
    np.testing.assert_allclose(means["x"], means["y"], rtol=1e-3)
    late = trace(drawn, "persistence, mean of each tenth")
    assert np.ptp(late["y"]) < 0.5 * np.ptp(late["x"])
    assert Page(text).rows("Size of the change")["correlation"][0] == "1.0000"


def test_a_forecast_without_data_or_without_sense_is_named(result, data):
    with pytest.raises(OutputError, match="pass data="):
        report.render(result, forecast=result.weights)
    blank = result.weights * np.nan
    assert "cannot be scored" in report.render(result, data, forecast=blank)
    zero = report.render(result, data, forecast=result.weights * 0)
    assert "cannot be scored: no direction is called: every forecast is 0" in zero


def test_a_forecast_is_drawn_as_it_is_scored_whatever_the_order_of_its_dims(result, data):
    close = data.sel(field="close", drop=True)
    perfect = (close.shift(time=-1) / close - 1).sel(time=result.weights["time"])
    turned = forecasts.changes(Study(result, data, perfect.transpose("asset", "time")))
    assert turned == forecasts.changes(Study(result, data, perfect))


def test_ten_cells_are_enough_to_draw():
    ten = xr.DataArray(
        np.arange(10.0).reshape(5, 2) / 100, dims=("time", "asset"), coords={"time": range(5), "asset": ["A", "B"]}
    )
    assert forecasts._half("forecast", ten, ten, "blue", "")["x"] == [0.5, 2.5, 4.5, 6.5, 8.5]


def test_the_axis_of_outcomes_holds_every_error_bar_and_little_more(result, data):
    chart = forecasts.changes(Study(result, data, noise(data).sel(time=result.weights.time)))[0].figure
    low, high = chart["layout"]["yaxis"]["range"]
    ends = [abs(y) + e for one in chart["data"] for y, e in zip(one["y"], one["error_y"]["array"], strict=True)]
    assert -low == high > max(ends) > 0.8 * high


# --- the lag at which the forecast fits best


def noise(data):
    """Return changes (time, asset) that know nothing."""
    close = data.sel(field="close", drop=True)
    return close.copy(data=0.01 * np.random.default_rng(3).standard_normal(close.shape))


def rows_of(parts):
    return {row[0]: row[1:] for row in parts[1].rows}


def test_a_forecast_of_no_change_is_the_last_value_a_row_late(data):
    close = data.sel(field="close", drop=True)
    parts = lags.lateness(xr.zeros_like(close), close)
    rows = rows_of(parts)
    assert rows["fits best at lag"] == ["1", "1"]
    assert rows["verdict"] == ["no information", "no information"]
    drawn = {one["name"]: one["y"] for one in parts[0].figure["data"]}
    assert drawn["forecast"] == drawn["last value"]
    assert "1 row late" in parts[2].text


def test_a_forecast_that_knows_the_next_change_fits_at_lag_0(data):
    close = data.sel(field="close", drop=True)
    ahead = close.shift(time=-1) / close - 1
    rows = rows_of(lags.lateness(ahead, close))
    assert rows["fits best at lag"] == ["0", "1"]
    assert rows["verdict"] == ["informative", "no information"]
    assert rows["direction right"][0] == "100.0 %"


def test_the_lag_is_that_of_price_forecasts_made_by_hand(result, data):
    close = data.sel(field="close", drop=True)
    forecast = noise(data).sel(time=result.weights.time)
    price = np.full(close.shape, np.nan)
    for i, t in enumerate(close.time.values[:-1]):
        if t in forecast.time.values:
            price[i + 1] = close.values[i] * (1 + forecast.sel(time=t).values)
    found = metrics.shift_report(np.log(price), np.log(close.values))
    parts = lags.lateness(forecast, close)
    assert parts[0].figure["data"][1]["y"] == pytest.approx(found.correlations.tolist(), rel=1e-4, abs=1e-9)
    assert rows_of(parts)["skill over the last value"][0] == f"{found.skill:.4f}"


def test_a_lag_that_cannot_be_found_is_no_error(data):
    close = data.sel(field="close", drop=True)
    parts = lags.lateness(xr.zeros_like(close).isel(time=slice(0, 20)), close)
    assert [part.text for part in parts] == [
        "The lag of the forecasts cannot be found: 20 rows have forecast, value and value before; it needs 30."
    ]
