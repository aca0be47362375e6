"""Cubes from folders of CSV and parquet files, and every way in which such files can be wrong."""

import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from qlstm import data
from qlstm.cube import DataWarning
from qlstm.errors import DataError

HEADER = "Date,Open,High,Low,Close,Volume,OpenInt"


AAPL = f"""{HEADER}
2017-11-06,172.37,174.99,171.72,174.25,34901241,0
2017-11-07,173.91,175.25,173.6,174.81,24424877,0
2017-11-09,175.11,176.1,173.14,175.88,29533086,0
"""


MSFT = f"""{HEADER}
2017-11-08,84.14,84.61,83.83,84.56,22319100,0
2017-11-07,84.77,84.9,83.93,84.27,17933522,0
2017-11-09,84.11,84.27,82.9,84.09,21175767,0
"""


@pytest.fixture
def folder(tmp_path):
    """A folder in the layout of Kaggle's Huge Stock Market Dataset; MSFT's rows are not sorted."""
    folder = tmp_path / "Stocks"
    folder.mkdir()
    (folder / "msft.us.txt").write_text(MSFT)
    (folder / "aapl.us.txt").write_text(AAPL)
    (folder / "notes.md").write_text("not prices")
    return folder


def error_of(folder, text, name="bad.csv"):
    """The message with which a folder that holds this one file is refused."""
    (folder / name).write_text(text)
    with pytest.raises(DataError) as caught:
        data.load(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_of_kaggle_files_becomes_a_cube_over_the_union_of_dates(folder):
    cube = data.load(folder)
    assert cube.dims == ("field", "time", "asset")
    assert cube.dtype == np.float64
    assert cube.time.dtype == "datetime64[ns]"
    assert list(cube.asset.values) == ["AAPL", "MSFT"]
    assert list(cube.field.values) == ["open", "high", "low", "close", "vol", "is_liquid"]
    np.testing.assert_array_equal(cube.time, np.array([f"2017-11-0{d}" for d in (6, 7, 8, 9)], "datetime64[ns]"))
    np.testing.assert_array_equal(cube.sel(field="close", asset="AAPL"), [174.25, 174.81, np.nan, 175.88])
    np.testing.assert_array_equal(cube.sel(field="vol", asset="MSFT"), [np.nan, 17933522, 22319100, 21175767])
    np.testing.assert_array_equal(cube.sel(field="is_liquid", asset="AAPL"), [1, 1, 0, 1])
    assert cube.name == "stocks_nasdaq100"
    assert cube.attrs["source"] == str(folder)


def test_parquet_twins_of_csv_files_give_the_same_cube(folder, tmp_path):
    pytest.importorskip("pyarrow")
    twin = tmp_path / "parquet"
    twin.mkdir()
    for path in folder.glob("*.txt"):
        frame = pd.read_csv(path, parse_dates=["Date"])
        frame = frame.set_index("Date") if path.name.startswith("aapl") else frame
        frame.to_parquet(twin / f"{path.stem}.parquet")
    xr.testing.assert_equal(data.load(folder), data.load(twin))


def test_a_broken_parquet_file_is_an_error_that_names_it(tmp_path):
    pytest.importorskip("pyarrow")
    assert "cannot read" in error_of(tmp_path, "not parquet", "a.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'qlstm[parquet]'" in error_of(tmp_path, "", "a.parquet")


def test_a_bad_parquet_value_is_named_by_row(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"Date": ["2020-01-01", "2020-01-02"], "Volume": [1.0, np.inf]})
    frame[["Open", "High", "Low", "Close"]] = 1.0
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet, row 2, column 'vol': 'inf' is no finite number"):
        data.load(tmp_path)


def test_names_of_columns_in_any_case_and_order_time_zones_and_missing_values_are_understood(tmp_path):
    text = "CLOSE, volume ,open,low,high,date\n2,null,2,1,3,2020-01-02 00:00:00-05:00\n\n,5,2,1,3,2020-01-03\n"
    (tmp_path / "spy.csv").write_text("\ufeff" + text, encoding="utf-8")
    cube = data.load(tmp_path)
    assert [str(t)[:10] for t in cube.time.values] == ["2020-01-02", "2020-01-03"]
    assert np.isnan(cube.sel(field="vol").values[0, 0])
    assert np.isnan(cube.sel(field="close").values[1, 0])
    assert cube.sel(field="high").values.tolist() == [[3.0], [3.0]]


def test_a_time_zone_of_any_form_is_dropped_without_moving_the_date(tmp_path):
    zones = ["00:00:00 +0900", "00:00:00.000+09:00", "00:00:00+09", "00:00z", "23:30:00.5 -05:00", "00:00:00"]
    texts = [f"2020-01-0{i} {zone}" for i, zone in enumerate(zones, start=1)] + ["20200107T000000Z", "2020-01-08"]
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *(f"{text},1,2,1,2,9,0" for text in texts)]))
    times = data.load(tmp_path).time.values
    assert [str(t)[:10] for t in times] == [f"2020-01-0{i}" for i in range(1, 9)]
    assert times[4] == np.datetime64("2020-01-05T23:30:00.500")


def test_is_liquid_in_the_files_is_kept(tmp_path):
    text = "Date,Open,High,Low,Close,Volume,is_liquid\n2020-01-01,1,1,1,1,9,0\n2020-01-02,1,1,1,1,9,1\n"
    (tmp_path / "a.csv").write_text(text)
    assert data.load(tmp_path).sel(field="is_liquid").values[:, 0].tolist() == [0, 1]
    (tmp_path / "b.csv").write_text("Date,Open,High,Low,Close,Volume\n2020-01-01,1,1,1,1,9\n")
    with pytest.raises(DataError, match=r"b\.csv has no column 'is_liquid', but .*a\.csv has"):
        data.load(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2017-11-31,1,2,1,2,9,0", "bad.csv, line 3, column 'date': '2017-11-31' is no date; write it as 2017-11-10"),
        ("03/04/2017,1,2,1,2,9,0", "bad.csv, line 3, column 'date': '03/04/2017' is no date"),
        (",1,2,1,2,9,0", "bad.csv, line 3, column 'date': '' is no date"),
        ("2017-11-07,1,$2,1,2,9,0", "bad.csv, line 3, column 'high': '$2' is no finite number"),
        ("2017-11-07,1,2,1,inf,9,0", "bad.csv, line 3, column 'close': 'inf' is no finite number"),
        (
            "9999-12-31,1,2,1,2,9,0",
            "bad.csv, line 3, column 'date': '9999-12-31' is outside of 1677-09-21 to 2262-04-11",
        ),
        ("1600-12-31,1,2,1,2,9,0", "bad.csv, line 3, column 'date': '1600-12-31' is outside of 1677-09-21"),
        ("2017-11-07 00:00+9,1,2,1,2,9,0", "bad.csv, line 3, column 'date': '2017-11-07 00:00+9' is no date"),
        ("2017-11-06,1,2,1,2,9,0", "bad.csv, line 3, column 'date': 2017-11-06 occurs before; keep one row per date"),
        ("2017-11-07,1,2", "bad.csv, line 3: 3 columns where the header has 7: ['2017-11-07', '1', '2']"),
        ('2017-11-07,"1,2,1,2,9,0', "cannot read"),
    ],
)
def test_a_bad_row_is_named_by_file_line_column_and_value(tmp_path, row, message):
    assert message in error_of(tmp_path, f"{HEADER}\n2017-11-06,1,2,1,2,9,0\n{row}\n2017-11-08,1,2,1,2,9,0\n")


def test_blank_lines_do_not_shift_the_line_that_is_named(tmp_path):
    assert "line 5, column 'low': 'x'" in error_of(
        tmp_path, f"\n{HEADER}\n2017-11-06,1,2,1,2,9,0\n\n2017-11-07,1,2,x,2,9,0"
    )


def test_a_missing_header_shows_the_first_line(tmp_path):
    message = error_of(tmp_path, "2017-11-06,1,2,1,2,9\n2017-11-07,1,2,1,2,9\n".replace(",1,2,1,2", ",1,2,3,4"))
    assert "bad.csv has no column 'date'; its first line reads: 2017-11-06, 1, 2, 3, 4, 9" in message
    assert "want Date, Open, High, Low, Close, Volume" in message


def test_two_columns_of_one_name_are_refused(tmp_path):
    assert "bad.csv has two columns 'vol'; keep one" in error_of(tmp_path, "Date,Volume,vol\n2020-01-01,1,2\n")


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"Date,Open\xff\n")
    with pytest.raises(DataError, match=r"cannot read .*a\.csv as CSV text"):
        data.load(tmp_path)


def test_two_files_of_one_asset_are_refused(folder):
    (folder / "AAPL.csv").write_text(AAPL)
    with pytest.raises(DataError, match=r"AAPL\.csv and .*aapl\.us\.txt are both asset AAPL; keep one"):
        data.load(folder)


def test_files_without_a_row_are_left_out_with_a_warning(folder):
    (folder / "void.us.txt").write_text("")
    (folder / "bare.us.txt").write_text(HEADER + "\n")
    with pytest.warns(DataWarning, match=r"2 files without a row left out: bare\.us\.txt, void\.us\.txt"):
        cube = data.load(folder)
    assert list(cube.asset.values) == ["AAPL", "MSFT"]


def test_a_folder_without_prices_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"has no \.csv, \.txt, \.parquet files"):
        data.load(tmp_path)
    assert "none of its 1 files has a row" in error_of(tmp_path, "")


def test_contradicting_prices_load_with_a_warning(tmp_path):
    (tmp_path / "a.csv").write_text(f"{HEADER}\n2020-01-01,5,4,6,5,9,0\n")
    with pytest.warns(DataWarning) as caught:
        data.load(tmp_path)
    assert any("high below low: 1 of 1 cells, worst A 2020-01-01" in str(w.message) for w in caught)
