"""The file a contest reads: pinned in form, the same bytes for the same weights, written whole or not at all."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr
from portfolios import book_over

from qlstm import output
from qlstm.errors import OutputError, WeightsError


@pytest.mark.parametrize("name", [None, "stocks_nasdaq100", "stocks_s&p500"])
def test_the_file_is_netcdf_3_reads_back_and_is_the_same_each_time(name):
    data = toys.market(days=30, assets=4)
    weights = output.clean(book_over(data), data).rename(name)
    content = output.to_bytes(weights)
    assert content == output.to_bytes(weights.copy(deep=True))
    assert content[4:8] == bytes(4)  # no clock in the gzip header
    plain = gzip.decompress(content)
    assert plain[:4] == b"CDF\x02"
    back = xr.open_dataarray(io.BytesIO(plain)).load()
    assert back.name == name
    assert list(back.asset.values) == list(weights.asset.values)
    np.testing.assert_array_equal(back.time.values.astype("datetime64[ns]"), weights.time.values)
    np.testing.assert_array_equal(back.values, weights.values)


def test_netcdf4_reads_the_file_as_days_and_names(tmp_path):
    netcdf = pytest.importorskip("netCDF4")
    data = toys.market(days=3, assets=2)
    (tmp_path / "w.nc").write_bytes(gzip.decompress(output.to_bytes(book_over(data))))
    with netcdf.Dataset(tmp_path / "w.nc") as file:
        assert file.data_model == "NETCDF3_64BIT_OFFSET"
        assert file["time"].units == "days since 2015-01-01"
        assert list(file["time"][:]) == [0, 1, 4]
        assert file["asset"].dtype == "S1"


def test_hours_are_not_rounded_to_days():
    times = pd.date_range("2020-01-01 03:00", periods=3, freq="h")
    weights = xr.DataArray([[0.1], [0.2], [0.3]], dims=("time", "asset"), coords={"time": times, "asset": ["BTC"]})
    back = xr.open_dataarray(io.BytesIO(gzip.decompress(output.to_bytes(weights)))).load()
    np.testing.assert_array_equal(back.time.values.astype("datetime64[ns]"), times.values.astype("datetime64[ns]"))


def test_one_midnight_among_hours_does_not_make_them_days():
    times = pd.date_range("2020-01-01 23:00", periods=3, freq="h")
    weights = xr.DataArray([[0.1], [0.2], [0.3]], dims=("time", "asset"), coords={"time": times, "asset": ["BTC"]})
    back = xr.open_dataarray(io.BytesIO(gzip.decompress(output.to_bytes(weights)))).load()
    np.testing.assert_array_equal(back.time.values.astype("datetime64[ns]"), times.values.astype("datetime64[ns]"))


def test_write_goes_where_it_is_told(tmp_path, monkeypatch):
    weights = book_over(toys.market(days=3, assets=2))
    monkeypatch.chdir(tmp_path)
    assert str(output.write(weights)) == "fractions.nc.gz"
    monkeypatch.setenv("OUTPUT_PATH", str(tmp_path / "deep" / "out.nc.gz"))
    assert output.write(weights) == tmp_path / "deep" / "out.nc.gz"
    assert output.write(weights, tmp_path / "here.gz") == tmp_path / "here.gz"
    contents = {path.read_bytes() for path in tmp_path.rglob("*.gz")}
    assert contents == {output.to_bytes(weights)}


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("in the way")
    weights = book_over(toys.market(days=3, assets=2))
    with pytest.raises(OutputError, match="file"):
        output.write(weights, tmp_path / "file" / "fractions.nc.gz")
    with pytest.raises(WeightsError, match="more than once"):
        output.to_bytes(xr.concat([weights, weights], "time"))


@pytest.mark.parametrize("times", [[1, 2, 3], list("abc"), pd.date_range("2020", periods=3, tz="Asia/Tokyo")])
def test_times_that_are_no_plain_dates_are_not_written(times):
    weights = book_over(toys.market(days=3, assets=2)).drop_vars("time").assign_coords(time=times)
    with pytest.raises(WeightsError, match=r"times of dtype .* no time zone"):
        output.to_bytes(weights)
    with pytest.raises(WeightsError, match="weights have no assets"):
        output.to_bytes(book_over(toys.market(days=3, assets=2))[:, :0])
