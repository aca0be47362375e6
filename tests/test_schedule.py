"""Retrain dates and the days to predict."""

import datetime
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toys import market

import qlstm
from qlstm import schedule
from qlstm.dates import as_time, first_day, period
from qlstm.errors import DataError, StrategyError
from qlstm.schedule import Schedule, blocks, due, every_months, month_end, study_periods

TIMES = pd.bdate_range("2015-01-01", "2015-12-31").values.astype("datetime64[ns]")


def test_a_model_is_due_after_the_interval_in_calendar_days():
    trained = np.datetime64("2015-01-05")
    assert due(trained, None, 7, TIMES)
    assert not due(np.datetime64("2015-01-11"), trained, 7, TIMES)
    assert due(np.datetime64("2015-01-12"), trained, 7, TIMES)


SCHEDULES = [1, 2, 7, 30, 400, month_end(), every_months(3), every_months(5), study_periods(5, 1), study_periods(9, 20)]


@pytest.mark.parametrize("interval", SCHEDULES, ids=str)
@pytest.mark.parametrize("skipped", [1, 3])
def test_blocks_cover_every_day_once_and_start_where_a_step_by_step_rule_retrains(interval, skipped):
    days = TIMES[40::skipped]
    covered = list(blocks(days, interval, TIMES))
    assert np.array_equal(np.concatenate(covered), days)
    starts, trained = [], None
    for t in days:  # the rule the single pass follows, day by day, with data that end that day
        if due(t, trained, interval, TIMES[t >= TIMES]):
            trained = t
            starts.append(t)
    assert [block[0] for block in covered] == starts


def dates(times, interval):
    return [str(block[0])[:10] for block in blocks(times, interval)]


def test_month_ends_are_the_last_weekdays_after_the_first_training():
    assert dates(TIMES[:130], month_end()) == [
        *("2015-01-01", "2015-01-30", "2015-02-27", "2015-03-31", "2015-04-30", "2015-05-29", "2015-06-30")
    ]


def test_every_three_months_are_quarters_whenever_the_run_begins():
    assert dates(TIMES, every_months(3))[1:] == ["2015-03-31", "2015-06-30", "2015-09-30", "2015-12-31"]
    assert dates(TIMES[50:], every_months(3))[1:] == ["2015-03-31", "2015-06-30", "2015-09-30", "2015-12-31"]
    assert dates(TIMES, every_months(12))[1:] == ["2015-12-31"]


def without(first, last):
    first, last = np.datetime64(first), np.datetime64(last)
    return TIMES[(first > TIMES) | (last < TIMES)]


def test_a_month_without_a_trading_day_at_its_end_is_closed_on_the_next_one():
    assert dates(without("2015-03-27", "2015-04-02"), month_end())[3:5] == ["2015-04-03", "2015-04-30"]


def test_months_without_any_trading_day_are_closed_once():
    assert dates(without("2015-03-27", "2015-06-10"), month_end())[3:5] == ["2015-06-11", "2015-06-30"]


def test_on_hourly_bars_a_month_is_closed_by_the_first_bar_of_its_last_day():
    hours = pd.date_range("2015-01-29 09:00", "2015-02-02 16:00", freq="h").values.astype("datetime64[ns]")
    assert [str(block[0])[:16] for block in blocks(hours, month_end())][1:] == ["2015-01-30T00:00"]


def test_study_periods_count_rows_and_not_days():
    times = without("2015-02-02", "2015-04-30")
    assert [len(block) for block in blocks(times, study_periods(10, 50))] == [50, 50, 50, 47]


def test_a_study_period_trains_on_its_last_rows_or_says_what_is_missing():
    cube = market(40, 2, 1)
    assert study_periods(10, 5).training(cube).time.values.tolist() == cube.time.values[-10:].tolist()
    with pytest.raises(DataError, match=r"trains on 50 rows, the window that ends .* has 40; raise train_period"):
        study_periods(50, 5).training(cube)


def test_rows_since_a_training_before_the_data_cannot_be_counted():
    with pytest.raises(DataError, match="the data begin 2015-01-01, after the last training on 2014-12-01"):
        due(TIMES[3], np.datetime64("2014-12-01"), study_periods(10, 5), TIMES)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "3", 1201])
def test_months_must_be_a_count(wrong):
    with pytest.raises(StrategyError, match="months must be a whole number from 1 to 1200, got"):
        every_months(wrong)


def test_rows_must_be_a_count():
    with pytest.raises(StrategyError, match="schedule: trade must be a whole number"):
        study_periods(10, 0)


@dataclass(frozen=True)
class Backwards(schedule.Schedule):
    def following(self, done_at, times):
        return done_at


def test_a_schedule_that_stands_still_is_refused():
    with pytest.raises(StrategyError, match=r"Backwards\(\): due again 2015-01-01, not after 2015-01-01"):
        list(blocks(TIMES, Backwards()))


def last_close(data):
    return data.sel(field="close", drop=True).isel(time=-1, drop=True)


def trained(data):
    return {"day": str(data.time.values[-1])[:10]}


def predicted(models, data, state):
    models = [*(state or []), models["day"]]
    return 0 * last_close(data) + 0.1, models


def retraining(interval):
    return qlstm.Strategy(
        train=trained, predict=predicted, train_period=60, lookback_period=60, retrain_interval=interval, name="toy"
    )


@pytest.mark.parametrize("interval", [month_end(), study_periods(10, 5)], ids=str)
def test_single_passes_through_files_retrain_on_the_days_of_the_multi_pass(interval, tmp_path):
    cube, strategy = market(130, 2, 3), retraining(interval)
    days = cube.time.values[82:94]
    result = qlstm.backtest(strategy=strategy, data=cube, start_date=days[0], end_date=days[-1], progress=False)
    assert len(set(result.state)) > 1
    assert sorted(set(result.state)) == [str(block[0])[:10] for block in blocks(days, interval)]
    for t in days:
        single = qlstm.run(strategy, data=cube, state_dir=tmp_path, date=t)
    assert single.memory.state == result.state


def test_in_batch_mode_one_predict_decides_the_days_of_a_schedule():
    def close(models, data):
        return 0 * data.sel(field="close", drop=True) + 0.1

    cube = market(130, 2, 3)
    each = replace(retraining(month_end()), predict=close)
    whole = replace(each, predict_each_day=False)
    one, other = (
        qlstm.backtest(strategy=s, data=cube, start_date=cube.time.values[70], progress=False) for s in (each, whole)
    )
    assert one.raw.identical(other.raw)


def test_a_schedule_is_checked_with_trainings_of_its_own():
    report = qlstm.audit.check(retraining(every_months(6)), market(200, 3, 2), only=("look-ahead",), progress=False)
    assert report.ok, str(report)


def test_a_strategy_refuses_what_is_neither_days_nor_a_schedule():
    with pytest.raises(StrategyError, match="retrain_interval must be a positive whole number of days"):
        retraining("monthly")
    with pytest.raises(StrategyError, match="train_period must be a positive whole number of days"):
        replace(retraining(1), train_period=month_end())


def test_both_ends_of_a_period_count():
    days = period(TIMES, "2015-03-02", "2015-03-06", 10, 1)
    assert [str(d)[:10] for d in days] == [f"2015-03-0{i}" for i in range(2, 7)]


def test_without_a_start_the_last_days_are_taken():
    days = period(TIMES, None, "2015-06-30", 8, 30)
    assert str(days[0])[:10] == "2015-06-23"


def test_without_a_start_none_is_taken_before_the_windows_are_full():
    assert period(TIMES, None, None, 5000, 100)[0] == first_day(TIMES, 100) >= TIMES[0] + np.timedelta64(100, "D")


def test_data_shorter_than_the_window_are_still_tested():
    assert len(period(TIMES[:5], None, None, 5000, 100)) == 5


def test_a_start_after_the_data_is_refused_with_both_dates():
    with pytest.raises(DataError, match="start date 2016-02-01 is after the data, which end 2015-12-31"):
        period(TIMES, "2016-02-01", None, 10, 1)


def test_an_end_before_the_start_is_refused():
    with pytest.raises(DataError, match="start date 2015-03-02 is after end date 2015-02-01"):
        period(TIMES, "2015-03-02", "2015-02-01", 10, 1)


@pytest.mark.parametrize(
    "wrong", ["soon", "2015-13-01", None, "01/12/2020", "12.1.2020", "1 Dec 2020", "2020-1-5", "today", ""]
)
def test_what_is_not_a_date_is_refused(wrong):
    with pytest.raises(DataError, match="is not a date"):
        as_time(wrong)


def test_iso_text_and_the_dates_of_libraries_are_taken():
    same = ["2020-12", "2020-12-01", "2020-12-01T00:00", "2020-12-01 00:00:00", "2020-12-01T00:00:00.000000000"]
    same += [pd.Timestamp(2020, 12, 1), datetime.date(2020, 12, 1), np.datetime64("2020-12")]
    assert {as_time(date) for date in same} == {np.datetime64("2020-12-01", "ns")}
    assert as_time("2020") == np.datetime64("2020-01-01")


@pytest.mark.parametrize("wrong", [20150601, 2015, 1.5, "3000-01-01", "1600-01-01"])
def test_numbers_and_times_out_of_range_are_not_taken_for_dates(wrong):
    with pytest.raises(DataError, match="is not a date"):
        as_time(wrong)


@pytest.mark.parametrize("days", [100_000, 10**9])
def test_a_period_longer_than_any_data_means_all_of_them(days):
    assert len(list(blocks(TIMES, days))) == 1
    assert not due(TIMES[-1], TIMES[0], days, TIMES)
    assert len(period(TIMES, None, None, days, 1)) == len(period(TIMES, TIMES[1], None, 1, 1))


def test_due_takes_what_a_state_keeps_and_refuses_what_is_no_interval():
    times = pd.bdate_range("2020-01-01", periods=60).to_numpy().astype("datetime64[ns]")
    labelled = xr.DataArray(times, dims="time", coords={"time": times})
    assert due(times[40], "2020-01-01", month_end(), labelled)
    assert not due(times[5], str(times[0]), 30, times)
    for interval in ("month", 3.5, 0):
        with pytest.raises(StrategyError, match="must be a whole number"):
            due(times[5], times[0], interval, times)

    class Silent(Schedule):
        def following(self, done_at, times):
            return None

    with pytest.raises(StrategyError, match=r"following\(\) must return a numpy.datetime64, got None"):
        due(times[5], times[0], Silent(), times)
