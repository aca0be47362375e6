"""Where cubes come from: files, folders and memory; and every way in which they can be wrong."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from qlstm import data
from qlstm.cube import DataWarning
from qlstm.data import liquidity
from qlstm.errors import DataError, OutputError

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
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


def cube_of(values=None):
    fields = ["open", "high", "low", "close", "vol"]
    times = pd.date_range("2020-01-01", periods=3).to_numpy("datetime64[ns]")
    values = np.full((5, 3, 2), 10.0) if values is None else values
    return xr.DataArray(values, [("field", fields), ("time", times), ("asset", ["B", "A"])], name="stocks")


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


def test_a_netcdf_file_gives_back_what_was_saved(folder, tmp_path):
    cube = data.load(folder).rename("stocks_s&p500").assign_attrs(note="hello", simulated=1)
    data.save(cube, tmp_path / "new" / "cube.nc")
    back = data.load(tmp_path / "new" / "cube.nc")
    xr.testing.assert_identical(back, cube.astype("float32").astype(float))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["cube.nc"]
    data.save(cube.rename(None), tmp_path / "unnamed.nc")
    assert data.load(tmp_path / "unnamed.nc").name is None


def test_saving_refuses_what_would_not_come_back(tmp_path):
    with pytest.raises(OutputError, match=r"cube\.h5: a cube's file ends with '\.nc'"):
        data.save(cube_of(), tmp_path / "cube.h5")
    with pytest.raises(DataError, match="must be an xarray"):
        data.save("prices", tmp_path / "cube.nc")
    with pytest.raises(OutputError, match=r"too large for float32: field open, 2020-01-01, asset B: 1e[+]300"):
        data.save(cube_of(np.full((5, 3, 2), 1e300)), tmp_path / "cube.nc")
    with pytest.raises(OutputError, match="cannot write"):
        data.save(cube_of().assign_attrs(rows={}), tmp_path / "cube.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_older_file(tmp_path):
    data.save(cube_of(), tmp_path / "cube.nc")
    before = (tmp_path / "cube.nc").read_bytes()
    with pytest.raises(OutputError):
        data.save(cube_of().assign_attrs(rows={}), tmp_path / "cube.nc")
    assert (tmp_path / "cube.nc").read_bytes() == before


def test_a_file_that_is_not_netcdf_is_refused(tmp_path):
    (tmp_path / "cube.nc").write_text("not netCDF")
    with pytest.raises(DataError, match=r"cannot read .*cube\.nc as netCDF"):
        data.load(tmp_path / "cube.nc")
    data.save(cube_of(), tmp_path / "whole.nc")
    content = (tmp_path / "whole.nc").read_bytes()
    (tmp_path / "cube.nc").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cannot read .*cube\.nc as netCDF"):
        data.load(tmp_path / "cube.nc")


def test_a_netcdf_file_of_several_variables_or_of_weights_is_refused(tmp_path):
    xr.Dataset({"a": ("x", [1.0]), "b": ("x", [2.0])}).to_netcdf(tmp_path / "two.nc", engine="netcdf4")
    with pytest.raises(DataError, match=r"must hold one variable .* holds 2: \['a', 'b'\]"):
        data.load(tmp_path / "two.nc")
    cube_of().sel(field="open", drop=True).to_netcdf(tmp_path / "weights.nc", engine="netcdf4")
    with pytest.raises(DataError, match=r"weights\.nc must have dims \(field, time, asset\), got \(time, asset\)"):
        data.load(tmp_path / "weights.nc")


def test_a_cube_in_memory_is_checked_and_brought_into_form():
    cube = data.load(cube_of(np.arange(30.0).reshape(5, 3, 2) * 0 + 7).astype("float32").transpose("asset", ...))
    assert (cube.dims, cube.dtype, cube.name) == (("field", "time", "asset"), np.float64, "stocks")
    assert list(cube.asset.values) == ["A", "B"]
    with pytest.raises(DataError, match="data lacks field 'vol'"):
        data.load(cube_of().isel(field=slice(4)))


def test_assets_of_a_cube_are_sorted_by_label():
    cube = cube_of(np.broadcast_to([7.0, 9.0], (5, 3, 2)).copy())  # asset B costs 7, A costs 9
    loaded = data.load(cube)
    assert loaded.sel(asset="B").values.max() == 7.0
    assert loaded.isel(asset=0).values.min() == 9.0


def test_an_unknown_name_lists_what_is_accepted_and_what_is_near(tmp_path):
    with pytest.raises(DataError, match=r"no data 'sampel': accepted are 'sample', .*did you mean 'sample'\?"):
        data.load("sampel")
    data.save(cube_of(), tmp_path / "prices.nc")
    with pytest.raises(DataError, match=r"did you mean '.*prices\.nc'\?"):
        data.load(tmp_path / "price.nc")
    with pytest.raises(DataError, match=r"no data .*nowhere"):
        data.load(tmp_path / "nowhere" / "x.nc")
    (tmp_path / "prices.xls").write_text("")
    with pytest.raises(DataError, match=r"prices\.xls: it is not a \.nc file; accepted are"):
        data.load(tmp_path / "prices.xls")
    with pytest.raises(DataError, match="cannot load data from a int"):
        data.load(5)


def test_liquidity_equals_its_definition_and_sees_nothing_later():
    rng = np.random.default_rng(1)
    close, vol = rng.lognormal(size=(90, 7)), rng.lognormal(size=(90, 7))
    close[rng.random(close.shape) < 0.1] = np.nan
    vol[:, 6] = 0.0
    got = liquidity.most_traded(close, vol, 3)
    dollars = close * vol
    for t in (0, 5, 59, 60, 89):
        measure = pd.DataFrame(dollars[max(0, t - 59) : t + 1]).median().to_numpy(copy=True)
        measure[np.isnan(close[t])] = np.nan
        above = [(measure > m).sum() < 3 if m > 0 else False for m in measure]
        np.testing.assert_array_equal(got[t], above, err_msg=f"row {t}")
        np.testing.assert_array_equal(got[: t + 1], liquidity.most_traded(close[: t + 1], vol[: t + 1], 3))


def test_one_asset_alone_is_liquid_wherever_it_trades():
    close = np.array([[1.0], [np.nan], [2.0]])
    assert liquidity.most_traded(close, np.ones((3, 1)), 100).tolist() == [[1.0], [0.0], [1.0]]


def test_info_says_which_assets_come_late_end_early_or_never_trade():
    values = np.full((5, 3, 4), 10.0)
    values[:, 0, 0] = values[:, 2, 1] = values[:, :, 2] = values[:, 1, 3] = np.nan
    times = pd.date_range("2020-01-01", periods=3)
    fields = ["open", "high", "low", "close", "vol"]
    cube = xr.DataArray(values, [("field", fields), ("time", times), ("asset", ["LATE", "ENDED", "EMPTY", "GAP"])])
    info = data.info(cube.assign_attrs(note="n"))
    assert info["late"] == {"LATE": "2020-01-02"}
    assert info["ended"] == {"ENDED": "2020-01-02"}
    assert info["empty"] == ["EMPTY"]
    assert info["gaps"] == 1
    assert info["nan_share"] == pytest.approx(6 / 12)
    assert (info["assets"], info["days"], info["start"], info["end"]) == (4, 3, "2020-01-01", "2020-01-03")
    assert (info["note"], info["source"], info["simulated"], info["liquid_mean"]) == ("n", None, False, None)


def test_prices_adjusted_by_splits_and_restored_are_the_prices_quoted():
    fields = ["open", "high", "low", "close", "vol", "divs", "split_cumprod"]
    values = np.full((7, 2, 1), 100.0)
    values[-1, :, 0] = [0.25, 1.0]
    times = pd.date_range("2020-01-01", periods=2)
    quoted = xr.DataArray(values, [("field", fields), ("time", times), ("asset", ["A"])], name="stocks")
    adjusted = data.stocks.adjust_by_splits(quoted)
    assert adjusted.sel(field="close").values[:, 0].tolist() == [25.0, 100.0]
    assert adjusted.sel(field="divs").values[:, 0].tolist() == [25.0, 100.0]
    assert adjusted.sel(field="vol").values[:, 0].tolist() == [400.0, 100.0]
    assert adjusted.name == "stocks"
    xr.testing.assert_identical(data.stocks.restore_origin_data(adjusted), quoted)
    with pytest.raises(DataError, match="no field 'split_cumprod'"):
        data.stocks.adjust_by_splits(quoted.isel(field=slice(6)))


def test_whole_numbers_are_not_truncated_by_splits():
    fields = ["close", "vol", "split_cumprod"]
    values = np.array([[[101]], [[7]], [[4]]])
    cube = xr.DataArray(values, [("field", fields), ("time", pd.to_datetime(["2020-01-01"])), ("asset", ["A"])])
    restored = data.stocks.restore_origin_data(cube)
    assert restored.values[:, 0, 0].tolist() == [25.25, 28.0, 4.0]
    assert cube.dtype == values.dtype


@pytest.mark.parametrize("factor", [0.0, -0.5, np.inf])
def test_a_split_factor_that_is_not_positive_is_named_by_date_and_asset(factor):
    cube = cube_of().assign_coords(field=["open", "high", "close", "vol", "split_cumprod"])
    cube.values[4, 1, 1] = factor
    for scale in (data.stocks.adjust_by_splits, data.stocks.restore_origin_data):
        with pytest.raises(DataError, match=rf"split_cumprod that is not positive .* 2020-01-02, asset A: {factor:g};"):
            scale(cube)


def test_importing_the_package_loads_no_reader_of_files():
    code = "import sys, qlstm.data; sys.exit('netCDF4' in sys.modules or 'pyarrow.parquet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_large_real_cube_loads_and_its_liquidity_follows_the_rule_here():
    path = SHARED / "data" / "us100.nc"
    if not path.is_file():
        pytest.skip("needs us100.nc in the shared folder beside the project")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # real prices contradict each other here and there
        cube = data.load(path)
    assert cube.shape == (9, 3239, 124)
    assert cube.dtype == np.float64
    assert cube.name == "stocks_nasdaq100"
    rule = liquidity.most_traded(cube.sel(field="close").values, cube.sel(field="vol").values, 80)
    assert (rule == cube.sel(field="is_liquid").values).mean() > 0.995
