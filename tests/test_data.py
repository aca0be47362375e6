"""Where cubes come from: netCDF files, memory and names; what is refused; splits, liquidity and info."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toys import market

from qlstm import data
from qlstm.cube import DataWarning
from qlstm.data import liquidity
from qlstm.errors import DataError, OutputError

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def cube_of(values=None):
    fields = ["open", "high", "low", "close", "vol"]
    times = pd.date_range("2020-01-01", periods=3).to_numpy("datetime64[ns]")
    values = np.full((5, 3, 2), 10.0) if values is None else values
    return xr.DataArray(values, [("field", fields), ("time", times), ("asset", ["B", "A"])], name="stocks")


def test_a_netcdf_file_gives_back_what_was_saved(tmp_path):
    cube = data.load(market(days=9, assets=3, gaps=0.3)).rename("stocks_s&p500")
    cube = cube.assign_attrs(note="hello", simulated=1, source="a folder")
    assert cube.isnull().any()
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
