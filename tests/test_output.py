"""What is sent to a contest: cleaned by its rules with nothing dropped in silence, checked, written reproducibly."""

import dataclasses
import gzip
import io
import logging

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from qlstm import contests, output
from qlstm.errors import ContestError, OutputError, WeightsError

FAST = settings(derandomize=True, deadline=None, max_examples=25)
SEEDS = st.integers(0, 10**6)


def book_over(data, seed=0, scale=1.0):
    """Return long-short weights for every cell of the cube, some NaN."""
    random = np.random.default_rng(seed)
    values = scale * random.normal(size=(data.sizes["time"], data.sizes["asset"]))
    values[random.random(values.shape) < 0.1] = np.nan
    return xr.DataArray(values, dims=("time", "asset"), coords={"time": data.time, "asset": data.asset})


def gappy(seed, days=40, assets=6):
    """Return a market with days without price and days on which an asset is not liquid."""
    random = np.random.default_rng(seed)
    data = toys.market(days=days, assets=assets, seed=seed, gaps=0.1)
    liquid = data.sel(field="is_liquid").values
    data.loc[{"field": "is_liquid"}] = np.where(random.random(liquid.shape) < 0.2, 0.0, liquid)
    return data


def cleaned(weights, data, kind="stocks_nasdaq100"):
    report = []
    return output.clean(weights, data, kind, report=report), report


# --- clean --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stocks_nasdaq100", "stocks_s&p500"])
@given(seed=SEEDS, t=st.integers(0, 39), missing=st.booleans())
@FAST
def test_a_day_cleaned_alone_equals_that_day_among_others_to_the_bit(kind, seed, t, missing):
    data = gappy(seed)
    weights = book_over(data, seed)
    if missing:
        weights = weights.isel(time=[i for i in range(40) if i % 7 != 3 or i == t])
    whole = output.clean(weights, data, kind)
    day = data.time.values[t]
    alone = output.clean(weights.sel(time=[day]), data.isel(time=slice(t + 1)), kind)
    if day not in whole.time.values:  # a day on which nothing is liquid leaves a book with missed dates
        assert not alone.values.any()
        return
    one, other = xr.align(whole.sel(time=[day]), alone, join="outer", fill_value=0.0)
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("kind", contests.names())
@given(seed=SEEDS)
@settings(derandomize=True, deadline=None, max_examples=6)
def test_cleaned_weights_are_normalised_finite_and_keep_the_rules(kind, seed):
    data = gappy(seed)
    data = data.assign_coords(asset=["BTC", *data.asset.values[1:]])
    weights = book_over(data, seed)
    weights[3, 2] = np.inf
    got, rules = output.clean(weights, data, kind), contests.get(kind)
    assert np.isfinite(got.values).all()
    assert (abs(got).sum("asset") <= 1 + 1e-12).all()
    assert got.get_index("time").is_monotonic_increasing
    if rules.long_only:
        assert (got.values >= 0).all()
    if rules.liquid_only:
        illiquid = data.sel(field="is_liquid", time=got.time, asset=got.asset).values == 0
        assert not got.values[illiquid].any()
    if rules.allowed_assets:
        assert set(got.asset.values) <= set(rules.allowed_assets)
    if not rules.hold_gaps:  # else what is held over a gap depends on what was scaled before it
        xr.testing.assert_equal(output.clean(got, data, kind), got)


@given(seed=SEEDS)
@FAST
def test_the_order_of_assets_and_dates_does_not_matter(seed):
    data = gappy(seed)
    weights = book_over(data, seed)
    random = np.random.default_rng(seed)
    mixed = weights.isel(asset=random.permutation(6), time=random.permutation(40))
    want = output.clean(weights, data)
    xr.testing.assert_equal(output.clean(mixed, data), want)
    xr.testing.assert_equal(output.clean(weights, data.isel(asset=random.permutation(6))), want)


def test_nothing_is_dropped_in_silence(caplog):
    data = toys.market(days=20, assets=4)
    data.loc[{"field": "is_liquid", "asset": "TOY:001"}][5] = 0.0
    data.loc[{"field": "close", "asset": "TOY:002"}][6] = np.nan
    weights = book_over(data, 1).fillna(0.1)
    weights[7, 3] = np.nan
    unknown = weights.isel(asset=[0]).assign_coords(asset=["X"])
    weights = xr.concat([weights, unknown], "asset")
    late = weights.isel(time=[-1]).assign_coords(time=[np.datetime64("2031-01-01", "ns")])
    weights = xr.concat([weights.drop_isel(time=10), late, late], "time")
    with caplog.at_level(logging.INFO, logger="qlstm.output"):
        got, report = cleaned(weights, data)
    words = [
        "time labels named more than once, the first counts: 1, first 2031-01-01",
        "missing weights (NaN), taken as 0: 1",
        "asset labels the data lack: 1, first X, with 20 positions",
        "time labels the data lack: 1, first 2031-01-01",
        "no close: 1 positions, first TOY:002 on 2015-01-09",
        "not liquid: 1 positions, first TOY:001 on 2015-01-08",
        "days added without positions: 1, first 2015-01-15",
        "rows above the whole capital, scaled to it: 17, first 2015-01-01: 2.8008",
    ]
    for line, word in zip(report, words, strict=True):
        assert word in line
    assert report == caplog.messages
    assert {record.levelname for record in caplog.records} == {"INFO", "WARNING"}
    assert "X" not in got.asset.values
    assert not got.sel(time="2015-01-15").values.any()


def test_clean_weights_need_no_report():
    data = toys.market(days=20, assets=4)
    weights = output.normalize(book_over(data, 2, scale=0.1).fillna(0.0))
    got, report = cleaned(weights, data)
    assert report == []
    xr.testing.assert_equal(got, weights)


def test_a_gap_is_held_over_where_the_contest_has_it_so():
    data = toys.market(days=20, assets=2).drop_sel(field="is_liquid")
    data.loc[{"field": "close", "asset": "TOY:000"}][8:10] = np.nan
    weights = xr.full_like(data.isel(field=0, drop=True), 0.3)
    weights[8:10, 0] = 0.1
    assert float(output.clean(weights, data, "futures")[9, 0]) == 0.3
    assert float(output.clean(weights, data, "stocks_nasdaq100")[9, 0]) == 0.0


def test_big_positions_are_cut_and_if_that_is_not_enough_days_are_dropped():
    data = toys.market(days=20, assets=30)
    even = xr.full_like(data.isel(field=0, drop=True), 1 / 30)
    few = even.where(even.asset == "TOY:000", 0.0) * 30
    big = even.where(even.asset != "TOY:000", 0.4)
    assert cleaned(even, data, "stocks")[1] == []
    got, report = cleaned(big, data, "stocks")
    assert float(got.max()) <= 0.049
    assert len(report) == 2
    assert "cut to 0.049 of the capital: 20 positions" in report[0]
    assert "rows above the whole capital, scaled to it: 20, first 2015-01-01: 1.01567" in report[1]
    got, report = cleaned(few, data, "stocks")
    assert not got.values.any()
    assert "days dropped" in report[-1]


def test_a_single_day_is_dated_by_the_newest_day_of_the_data():
    data = toys.market(days=20, assets=3)
    row = book_over(data, 0).fillna(0.0)[4]
    got, report = cleaned(row, data)
    assert list(got.time.values) == [data.time.values[-1]]
    assert "weights of 2015-01-07 have no time dim: taken as those of 2015-01-28" in report[0]
    assert cleaned(row.drop_vars("time"), data)[1] == report[1:]


def test_a_contest_of_the_users_own_is_obeyed():
    rules = dataclasses.replace(
        contests.get("stocks_nasdaq100"), name="mine", long_only=True, allowed_assets=("TOY:001",)
    )
    data = toys.market(days=20, assets=3)
    got = output.clean(book_over(data), data, rules)
    assert list(got.asset.values) == ["TOY:001"]
    assert (got.values >= 0).all()


def test_the_contest_must_be_known():
    data = toys.market(days=20, assets=3)
    with pytest.raises(ContestError, match="did you mean 'stocks_nasdaq100'"):
        output.clean(book_over(data), data, "stocks_nasdaq")
    with pytest.raises(ContestError, match="data named None tell no contest; pass kind="):
        output.clean(book_over(data), data.rename(None))


def test_what_are_no_weights_is_refused():
    data = toys.market(days=20, assets=3)
    for wrong in (np.zeros(3), book_over(data).astype(str), book_over(data).expand_dims(model=2), None):
        with pytest.raises(WeightsError):
            output.clean(wrong, data)


def test_infinite_weights_become_what_is_reported_and_a_finding():
    data = toys.market(days=20, assets=30)
    weights = xr.full_like(data.isel(field=0, drop=True), 1 / 30)
    weights[3, 4] = np.inf
    weights[8, 5] = 0.6  # triggers cutting
    got, report = cleaned(weights, data, "stocks")
    assert "infinite weights, taken as 0: 1" in report[0]
    assert float(got[3, 4]) == 0.0
    found = {one.rule: one for one in output.check(weights, data, "stocks")}["finite weights"]
    assert found.ok is False
    assert "1 infinite weights, first 2015-01-06, asset TOY:004: inf" in found.message


def test_the_exposure_limit_of_a_contest_of_the_users_own_is_obeyed():
    assert contests.get("stocks").exposure_bounds == (0.05, 0.1)
    data = toys.market(days=20, assets=4)
    weights = xr.full_like(data.isel(field=0, drop=True), 0.25)
    loose = dataclasses.replace(contests.get("stocks"), name="loose", exposure_limit=0.4)
    assert "exposure" not in failed(weights, data, loose)
    got, report = cleaned(weights, data, loose)
    assert report == []
    xr.testing.assert_equal(got, weights)
    tight = dataclasses.replace(contests.get("stocks"), name="tight", exposure_limit=0.02)
    even = xr.full_like(toys.market(days=20, assets=30).isel(field=0, drop=True), 1 / 30)
    assert "exposure" in failed(even, toys.market(days=20, assets=30), tight)


def test_weights_that_share_nothing_with_the_data_are_refused():
    data = toys.market(days=20, assets=3)
    with pytest.raises(WeightsError, match="share no asset: weights have X to Z, data TOY:000 to TOY:002"):
        output.clean(book_over(data).assign_coords(asset=["X", "Y", "Z"]), data)
    with pytest.raises(WeightsError, match="share no date: weights have 2035-01-01 to"):
        output.clean(book_over(data).assign_coords(time=pd.bdate_range("2035-01-01", periods=20)), data)


@pytest.mark.parametrize("times", [[1, 2, 3], list("abc"), pd.date_range("2020", periods=3, tz="Asia/Tokyo")])
def test_times_that_are_no_plain_dates_are_not_written(times):
    weights = book_over(toys.market(days=3, assets=2)).drop_vars("time").assign_coords(time=times)
    with pytest.raises(WeightsError, match=r"times of dtype .* no time zone"):
        output.to_bytes(weights)
    with pytest.raises(WeightsError, match="weights have no assets"):
        output.to_bytes(book_over(toys.market(days=3, assets=2))[:, :0])


# --- align --------------------------------------------------------------------------------------------------------------


def test_align_gives_exactly_the_dates_asked_for():
    data = toys.market(days=20, assets=3)
    weights = book_over(data).fillna(0.0).isel(time=slice(5, 10))
    got = output.align(weights, data.time, start="2015-01-05", end=data.time.values[12])
    assert list(got.time.values) == list(data.time.values[2:13])
    assert not got.values[:3].any()
    np.testing.assert_array_equal(got.values[3:8], output.normalize(weights).values)
    wide = toys.market(days=20, assets=5)
    assert list(output.align(weights, wide).asset.values) == list(wide.asset.values)


# --- check --------------------------------------------------------------------------------------------------------------


def failed(weights, data, kind):
    return {found.rule for found in output.check(weights, data, kind) if found.ok is False}


def test_each_broken_rule_is_a_finding_with_its_fix(capsys):
    data = toys.market(days=40, assets=4)
    data.loc[{"field": "is_liquid", "asset": "TOY:000"}][5] = 0.0
    weights = book_over(data).fillna(0.0).drop_isel(time=9)
    broken = failed(weights, data, "stocks_long")
    assert {"liquidity", "missed dates", "exposure", "long only", "in-sample period"} <= broken
    assert "allowed assets" in failed(weights, data, "crypto")
    unknown = weights.assign_coords(asset=["X", *weights.asset.values[1:]])
    assert "assets" in failed(unknown, data, "stocks_nasdaq100")
    for found in output.check(weights, data, "stocks_long"):
        assert found.ok or ";" in found.message
    assert capsys.readouterr().out == ""


def test_cleaned_weights_break_no_rule_that_cleaning_can_mend():
    data = gappy(4, assets=60)
    asked = (1 + 0.5 * book_over(data)).drop_isel(time=9)
    assert failed(asked, data, "stocks_long") > {"liquidity", "missed dates", "long only"}
    assert failed(output.clean(asked, data, "stocks_long"), data, "stocks_long") == {"in-sample period", "Sharpe ratio"}


def test_an_empty_book_and_an_unasked_correlation():
    data = toys.market(days=40, assets=4)
    assert [found.rule for found in output.check(book_over(data) * 0, data)] == ["positions"]
    rules = [(found.rule, found.ok) for found in output.check(book_over(data), data, check_correlation=True)]
    assert rules[-1] == ("correlation", None)
    assert ("correlation", None) not in [(found.rule, found.ok) for found in output.check(book_over(data), data)]


def test_a_period_covered_with_a_good_sharpe_ratio_passes():
    rules = dataclasses.replace(contests.get("stocks_nasdaq100"), name="mine", start="2015-02-02", min_sharpe=0.5)
    data = toys.market(days=300, assets=4, seed=1)
    change = data.sel(field="open").shift(time=-2) / data.sel(field="open").shift(time=-1) - 1
    seer = np.sign(change.fillna(0.0)) / 4
    assert failed(seer, data, rules) == set()
    assert failed(-seer, data, rules) == {"Sharpe ratio"}
    assert output.calc_sharpe_ratio_for_check(data, seer, rules) > 5
    future = dataclasses.replace(rules, start="2030-01-01")
    assert np.isnan(output.calc_sharpe_ratio_for_check(data, seer, future))


# --- write --------------------------------------------------------------------------------------------------------------


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
