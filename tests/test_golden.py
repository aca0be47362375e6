"""What the established toolbox computed, on simulated inputs, case by case: names, arguments and numbers are the same."""

import gzip
import importlib
import io

import golden_io
import numpy as np
import pandas as pd
import pytest
import xarray as xr

# What the reference takes from its server, or prints instead of returning.
NOT_ASKED = ("stats.calc_sector_distribution", "output.check")


def function(dotted):
    module, name = dotted.rsplit(".", 1)
    return getattr(importlib.import_module(f"qlstm.{module}"), name)


def name_of(case):
    return case["function"].removeprefix("qnt.")


def asked(case):
    refused = "raises" in case and name_of(case) != "neutralization.neutralize"
    return not refused and name_of(case) not in NOT_ASKED


CASES = [case for case in golden_io.index()["cases"] if asked(case)]


# --- functions that act day by day are driven by a loop, as the reference was ----------------------------------------


def bare(values):
    return values.drop_vars([name for name in values.coords if name != "asset"])


def walk(data, weights, decide):
    """Call `decide` on every window from the start, and stack what it returns by the last date."""
    data = data.sel(time=weights.time)
    dates = pd.DatetimeIndex(weights.time.values[1:], name="time")
    rows = [
        decide(data.isel(time=slice(0, n)), weights.isel(time=slice(0, n))) for n in range(2, weights.time.size + 1)
    ]
    return xr.concat([bare(row) for row in rows], dates).astype(float)


def drive_exit(case, rule):
    def run(data, weights, amount=None):
        state = {"open_price": xr.full_like(weights.isel(time=0, drop=True), np.nan)}
        atr = function("ta.atr")(data.sel(field="high"), data.sel(field="low"), data.sel(field="close"), 5)

        def decide(window, rows):
            opened = function("exits.update_open_price")(window, rows, state)
            if case["driver"] == "open_walk":
                return opened
            ranges = [atr.sel(time=rows.time.values[-1])] if "atr" in case["function"] else []
            return rule(window, rows, opened, *ranges, amount)

        return walk(data, weights, decide)

    return run


def drive_holding(case, rule):
    def run(weights, days):
        state, held = {"holding_time": xr.zeros_like(weights.isel(time=0, drop=True))}, []

        def decide(_, rows):
            kept = rule(rows, state, days)
            held.append(bare(state["holding_time"]))
            return kept

        kept = walk(weights.expand_dims(field=["x"]), weights, decide)
        return kept, xr.concat(held, pd.DatetimeIndex(weights.time.values[1:], name="time")).astype(float)

    return run


def drive_file(case, rule):
    def run(weights):
        path = rule(weights)
        with gzip.open(path) as file:
            return xr.open_dataarray(io.BytesIO(file.read())).load()

    return run


DRIVERS = {
    None: lambda case, rule: rule,
    "exit_walk": drive_exit,
    "open_walk": drive_exit,
    "hold_walk": drive_holding,
    "write_roundtrip": drive_file,
    "dict": lambda case, rule: lambda *args: tuple(float(value) for value in rule(*args).values()),
    "fullrange": lambda case, rule: lambda a, b: np.array([[q["a"], q["b"]] for q in rule(a=a, b=b)], dtype=float),
}


# --- comparison -------------------------------------------------------------------------------------------------------


def numbers(values):
    values = np.asarray(values)
    return values.astype("datetime64[ns]").astype("int64") if values.dtype.kind == "M" else values


def assert_same(got, key, case):
    """Labels are equal, numbers within the case's tolerance; NaN only where the reference has it."""
    want = golden_io.stored("outputs", key)
    if isinstance(want, xr.DataArray):
        assert isinstance(got, xr.DataArray)
        assert set(got.dims) == set(want.dims)
        for dim in set(want.dims) & set(want.coords):
            assert list(got[dim].values.astype(want[dim].values.dtype)) == list(want[dim].values), dim
        got = got.transpose(*want.dims)
    elif isinstance(want, (pd.DataFrame, pd.Series)):
        assert list(got.index) == list(want.index)
    got, want = numbers(got), numbers(want)
    if want.dtype.kind in "US":
        assert got.astype(str).tolist() == want.tolist()
        return
    assert got.shape == want.shape
    compared = golden_io.valid(key)
    if compared is not None:
        got, want = np.where(compared, got, 0), np.where(compared, want, 0)
    np.testing.assert_allclose(
        got.astype(float), want.astype(float), rtol=case["rtol"], atol=case["atol"], equal_nan=True
    )


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_case_equals_the_reference(case, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTPUT_PATH", str(tmp_path / "fractions.nc.gz"))
    run = DRIVERS[case.get("driver")](case, function(name_of(case)))
    arguments = [golden_io.argument(each, function) for each in case["args"]]
    named = {name: golden_io.argument(each, function) for name, each in case["kwargs"].items()}
    if "raises" in case:
        with pytest.raises(ValueError, match="no such group"):
            run(*arguments, **named)
        return
    result = run(*arguments, **named)
    results = result if case.get("tuple") else (result,)
    assert len(results) == len(case["outputs"])
    for got, key in zip(results, case["outputs"], strict=True):
        assert_same(got, key, case)


def test_a_function_that_is_gone_fails_its_cases_instead_of_skipping_them(tmp_path, monkeypatch):
    monkeypatch.delattr("qlstm.ta.sma")
    case = next(case for case in CASES if name_of(case) == "ta.sma")
    with pytest.raises(AttributeError, match="'sma'"):
        test_a_case_equals_the_reference(case, tmp_path, monkeypatch)


def test_no_module_lost_its_cases():
    found = {name_of(case).split(".")[0] for case in CASES}
    assert {"ta", "stats", "output", "exposure", "exits", "filter", "neutralization"} <= found
