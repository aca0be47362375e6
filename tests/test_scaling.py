"""Scalers: against numpy and scikit-learn, there and back, and blind to rows they were not fitted on."""

import copy

import numpy as np
import pytest
import xarray as xr

from qlstm import scaling
from qlstm.errors import DataError
from qlstm.state import codec
from qlstm.strategy import Memory

COLUMNS = {
    ("close",): "log-returns",
    "delta_.*": "yeo-johnson",
    "vol": "signed-log1p",
    "margin|eps": "robust",
    "vix": "minmax",
    "ma_\\d+": "standard",
    "sentiment": "size",
    "rank": "none",
}
FEATURES = ["close", "delta_a", "delta_b", "vol", "margin", "eps", "vix", "ma_7", "sentiment", "rank"]


def inputs(days=60, assets=3, seed=0):
    random = np.random.default_rng(seed)
    values = random.standard_normal((days, assets, len(FEATURES))) * 10.0 ** np.arange(-3, 7)
    values[..., 0] = 100 * np.exp(np.cumsum(0.01 * values[..., 0] / 1e-3, axis=0))
    values[..., 2] = 120 + random.standard_normal((days, assets))  # large numbers that hardly differ
    values[random.random(values.shape) < 0.03] = np.nan
    coords = {"time": np.datetime64("2020-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")}
    coords |= {"asset": [f"A{i}" for i in range(assets)], "feature": FEATURES}
    return xr.DataArray(values, dims=("time", "asset", "feature"), coords=coords)


@pytest.mark.parametrize("per", ["asset", "pooled"])
def test_there_and_back_gives_the_same_values(per):
    X = inputs()
    train, later = X[:40], X[20:]
    scaler = scaling.fit(train, COLUMNS, per=per)
    scaled = scaling.transform(scaler, later)
    levels = later.bfill("time").isel(time=0)
    back = scaling.inverse(scaler, scaled, levels)
    assert back.dims == X.dims
    has_return = scaled.notnull()
    assert bool(has_return.drop_sel(feature="close").equals(later.notnull().drop_sel(feature="close")))
    assert int(has_return.sel(feature="close").sum()) == int(later.sel(feature="close").notnull().sum()) - 3
    np.testing.assert_allclose(back.values[has_return], later.values[has_return], rtol=1e-9)


@pytest.mark.parametrize("per", ["asset", "pooled"])
def test_training_rows_come_out_with_the_promised_moments(per):
    scaled = scaling.transform(scaling.fit(X := inputs(), COLUMNS, per=per), X)
    over = ("time",) if per == "asset" else ("time", "asset")
    for name in ("close", "delta_a", "delta_b", "ma_7"):
        np.testing.assert_allclose(scaled.sel(feature=name).mean(over), 0.0, atol=1e-9)
        np.testing.assert_allclose(scaled.sel(feature=name).std(over), 1.0, rtol=1e-9)
    for name in ("vix", "vol"):
        np.testing.assert_allclose(scaled.sel(feature=name).min(over), 0.0, atol=1e-12)
        np.testing.assert_allclose(scaled.sel(feature=name).max(over), 1.0)
    np.testing.assert_allclose(scaled.sel(feature="eps").median(over), 0.0, atol=1e-12)
    np.testing.assert_allclose((scaled.sel(feature="sentiment") ** 2).mean(over), 1.0)
    xr.testing.assert_equal(scaled.sel(feature="rank"), X.sel(feature="rank"))


def test_yeo_johnson_is_that_of_scikit_learn():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    X = inputs().sel(feature=["delta_a"]).fillna(0.0)
    X = np.sign(X) * X**2  # skewed
    unit = np.sqrt((X.values**2).mean())
    expected = preprocessing.PowerTransformer().fit_transform(X.values.reshape(-1, 1) / unit)
    got = scaling.transform(scaling.fit(X, {"delta_a": "yeo-johnson"}, per="pooled"), X)
    np.testing.assert_allclose(got.values.reshape(-1, 1), expected, atol=1e-6)


@pytest.mark.parametrize("power", [-2.0, 0.0, 1e-9, 0.7, 1.0, 2.0, 2.0 - 1e-9, 4.0])
def test_yeo_johnson_and_its_inverse_hold_at_every_power(power):
    from scipy import stats

    from qlstm.scaling.kinds import BY_NAME

    x = np.concatenate([-np.logspace(-6, 2, 20), [0.0], np.logspace(-6, 2, 20)])[:, np.newaxis]
    mapped = BY_NAME["yeo-johnson"].apply(x, np.array([power]))
    np.testing.assert_allclose(mapped[:, 0], stats.yeojohnson(x[:, 0], power), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(BY_NAME["yeo-johnson"].undo(mapped, np.array([power])), x, rtol=1e-9)


def test_log_returns_go_from_one_known_value_to_the_next():
    X = inputs(days=5, assets=1).sel(feature=["close"])
    X[:, 0, 0] = [100.0, 110.0, np.nan, 121.0, 121.0]
    scaler = scaling.fit(X, {"close": "log-returns"}, per="asset")
    fitted = scaler["features"]["close"]
    returns = scaling.transform(scaler, X)[:, 0, 0] * fitted["scale"][0] + fitted["shift"][0]
    np.testing.assert_allclose(returns, [np.nan, np.log(1.1), np.nan, np.log(1.1), 0.0], atol=1e-12)
    with pytest.raises(DataError, match="'close' holds log-returns; give levels"):
        scaling.inverse(scaler, X)


def test_every_feature_must_be_covered_by_exactly_one_rule():
    X = inputs()
    without = {key: kind for key, kind in COLUMNS.items() if key != "vix"}
    with pytest.raises(DataError, match="no rule covers feature 'vix'"):
        scaling.fit(X, without, per="pooled")
    with pytest.raises(DataError, match="more than one rule covers feature 'vix'"):
        scaling.fit(X, COLUMNS | {"v.x": "none"}, per="pooled")
    with pytest.raises(DataError, match=r"no rule covers feature 'ma_7'"):  # a whole name, not a part of it
        scaling.fit(X, {"ma" if key == "ma_\\d+" else key: kind for key, kind in COLUMNS.items()}, per="pooled")
    with pytest.raises(DataError, match="there is no feature 'closed'; did you mean 'close'"):
        scaling.fit(X, COLUMNS | {("closed",): "none"}, per="pooled")
    with pytest.raises(DataError, match="unknown kind 'standart' for 'vix'; did you mean 'standard'"):
        scaling.fit(X, COLUMNS | {"vix": "standart"}, per="pooled")
    with pytest.raises(DataError, match="per is 'each'"):
        scaling.fit(X, COLUMNS, per="each")


def test_the_configuration_is_left_as_it_was():
    columns = dict(COLUMNS)
    before = copy.deepcopy(columns)
    for _ in range(2):
        scaling.fit(inputs(), columns, per="asset")
    assert columns == before


@pytest.mark.parametrize("per", ["asset", "pooled"])
def test_later_rows_move_neither_parameters_nor_scaled_training_rows(per):
    X = inputs()
    noise = X.copy(data=np.abs(np.random.default_rng(9).standard_normal(X.shape)) * 1e6)
    other = xr.concat([X[:40], noise[40:]], "time")
    scaler, again = (scaling.fit(rows[:40], COLUMNS, per=per) for rows in (X, other))
    for name, fitted in scaler["features"].items():
        for part in ("unit", "power", "shift", "scale"):
            np.testing.assert_array_equal(fitted[part], again["features"][name][part])
    xr.testing.assert_identical(scaling.transform(scaler, X)[:40], scaling.transform(scaler, other)[:40])


def test_the_order_of_assets_and_features_does_not_matter():
    X = inputs()
    turned = X.isel(asset=[2, 0, 1], feature=slice(None, None, -1))
    for per in ("asset", "pooled"):
        expected = scaling.transform(scaling.fit(X, COLUMNS, per=per), X)
        got = scaling.transform(scaling.fit(turned, COLUMNS, per=per), turned)
        xr.testing.assert_identical(got.sel(asset=X.asset, feature=X.feature), expected)


def test_an_asset_that_was_not_fitted_has_no_scale_of_its_own_but_the_pooled_one():
    X = inputs()
    own = scaling.transform(scaling.fit(X.isel(asset=[0, 1]), COLUMNS, per="asset"), X)
    assert own.isel(asset=2).isnull().all()
    assert own.isel(asset=1).notnull().any()
    pooled = scaling.transform(scaling.fit(X.isel(asset=[0, 1]), COLUMNS, per="pooled"), X)
    assert pooled.isel(asset=2).notnull().any()


def test_a_constant_feature_keeps_a_scale_of_1_and_an_empty_one_has_none():
    X = inputs()
    X.loc[{"feature": "ma_7"}] = 5.0
    X.loc[{"feature": "eps", "asset": "A1"}] = np.nan
    scaled = scaling.transform(scaling.fit(X, COLUMNS, per="asset"), X)
    np.testing.assert_array_equal(scaled.sel(feature="ma_7"), 0.0)
    assert scaled.sel(feature="eps", asset="A1").isnull().all()


def test_labels_are_never_centred():
    Y = inputs().sel(feature="sentiment", drop=True) + 5e5
    for kind in sorted(set(scaling.KINDS) - {"size", "none"}):
        with pytest.raises(DataError, match=f"not scaled by '{kind}', which moves 0"):
            scaling.fit_labels(Y, kind, per="pooled")
    for kind in ("size", "none"):
        scaler = scaling.fit_labels(Y, kind, per="asset")
        scaled = scaling.transform(scaler, Y)
        assert scaled.dims == Y.dims
        np.testing.assert_array_equal(np.sign(scaled), np.sign(Y))
        np.testing.assert_allclose(scaling.inverse(scaler, scaled), Y, rtol=1e-12)
        zero = scaling.inverse(scaler, xr.zeros_like(Y))  # a forecast of nothing is one of a return of nothing
        assert float(abs(zero).max()) == 0.0


def test_values_that_cannot_be_scaled_are_named():
    X = inputs()
    X[3, 1, FEATURES.index("vix")] = np.inf
    with pytest.raises(DataError, match=r"'vix' is infinite at 2020-01-04, asset A1"):
        scaling.fit(X, COLUMNS, per="asset")
    X = inputs()
    X[3, 1, 0] = -1.0
    with pytest.raises(DataError, match=r"'close' has no logarithm at 2020-01-04, asset A1: -1"):
        scaling.fit(X, COLUMNS, per="asset")
    X = inputs()
    scaler = scaling.fit(X, COLUMNS, per="asset")
    with pytest.raises(DataError, match="'vix' was fitted, but is not there"):
        scaling.transform(scaler, X.drop_sel(feature="vix"))


def test_a_state_file_keeps_a_scaler_with_the_models(tmp_path):
    X = inputs()
    scaler = scaling.fit(X, COLUMNS, per="asset")
    memory = Memory(X.time.values[-1], {"scaler": scaler}, None)
    codec.write(memory, tmp_path / "state.pickle.gz")
    kept = codec.read(tmp_path / "state.pickle.gz").models["scaler"]
    xr.testing.assert_identical(scaling.transform(kept, X), scaling.transform(scaler, X))
