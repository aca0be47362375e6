"""Retrain dates and the days to predict."""

import numpy as np
import pandas as pd
import pytest

from qlstm.errors import DataError
from qlstm.schedule import as_time, blocks, due, first_day, period

TIMES = pd.bdate_range("2015-01-01", "2015-12-31").values.astype("datetime64[ns]")


def test_a_model_is_due_after_the_interval_in_calendar_days():
    trained = np.datetime64("2015-01-05")
    assert due(trained, None, 7)
    assert not due(np.datetime64("2015-01-11"), trained, 7)
    assert due(np.datetime64("2015-01-12"), trained, 7)


@pytest.mark.parametrize("interval", [1, 2, 7, 30, 400])
def test_blocks_cover_every_day_once_and_start_where_a_step_by_step_rule_retrains(interval):
    covered = list(blocks(TIMES, interval))
    assert np.array_equal(np.concatenate(covered), TIMES)
    starts, trained = [], None
    for t in TIMES:  # the rule the single pass follows, day by day
        if due(t, trained, interval):
            trained = t
            starts.append(t)
    assert [block[0] for block in covered] == starts


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
    with pytest.raises(DataError, match="no day to predict from 2015-03-02 to 2015-02-01"):
        period(TIMES, "2015-03-02", "2015-02-01", 10, 1)


@pytest.mark.parametrize("wrong", ["soon", "2015-13-01", None])
def test_what_is_not_a_date_is_refused(wrong):
    with pytest.raises(DataError, match="is not a date"):
        as_time(wrong)


@pytest.mark.parametrize("wrong", [20150601, 2015, 1.5, "3000-01-01", "1600-01-01"])
def test_numbers_and_times_out_of_range_are_not_taken_for_dates(wrong):
    with pytest.raises(DataError, match="is not a date"):
        as_time(wrong)


@pytest.mark.parametrize("days", [100_000, 10**9])
def test_a_period_longer_than_any_data_means_all_of_them(days):
    assert len(list(blocks(TIMES, days))) == 1
    assert not due(TIMES[-1], TIMES[0], days)
    assert len(period(TIMES, None, None, days, 1)) == len(period(TIMES, TIMES[1], None, 1, 1))
