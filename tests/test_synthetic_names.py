"""Synthetic markets by name: loaded, listed, refused, sized; and the ceilings of their page."""

import re
import subprocess
import sys

import pytest
import xarray as xr
from commands import call
from conftest import ROOT

from qlstm import cube as cubes
from qlstm import data
from qlstm.data import synthetic
from qlstm.errors import DataError


def test_ceilings_are_those_of_the_closed_forms():
    for rho, wanted in ((0.1, 0.532), (0.2, 0.564), (0.3, 0.597)):  # the spec's table
        assert synthetic.truth.correlation_ceiling(rho) == pytest.approx(wanted, abs=5e-4)
        assert synthetic.truth.correlation_ceiling(-rho) == synthetic.truth.correlation_ceiling(rho)
    assert synthetic.truth.drift_ceiling(1.0) == pytest.approx(0.8413, abs=1e-4)
    assert synthetic.truth.sign_ceiling(0.3) == pytest.approx(0.6234, abs=1e-4)
    truth = synthetic.market("P1")[1]
    assert truth.must_find == pytest.approx(0.5582, abs=1e-4)
    assert truth.luckiest_sharpe(9.0) == 1.0


def test_the_command_line_takes_a_market_by_name(capsys):
    status, out, err = call(capsys, "data", "info", "synthetic:P1?seed=3&n_assets=5&n_days=60")
    assert status == 0, err
    assert "Synthetic market P1" in out
    status, _, err = call(capsys, "data", "info", "synthetic:P99")
    assert status == 2
    assert "no synthetic market 'P99'" in err


def test_the_page_lists_every_market_with_its_ceiling():
    rows = [line.split("|") for line in (ROOT / "docs" / "synthetic.md").read_text().splitlines() if line[:3] == "| `"]
    listed = {name: row for row in rows if len(row) == 7 for name in re.findall(r"`([^`]+)`", row[1])}
    assert set(listed) == set(synthetic.names())
    for name, row in listed.items():
        assert f"{100 * synthetic.market(name)[1].ceiling:.3g} %" in row[4], name


def test_synthetic_markets_are_not_imported_with_the_data():
    code = "import sys, qlstm.data; print('qlstm.data.synthetic' in sys.modules, qlstm.data.synthetic.names()[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "N0"]


def test_markets_load_by_name():
    wanted, _ = synthetic.market("P1", seed=3, n_assets=5, n_days=60)
    xr.testing.assert_identical(data.load("synthetic:P1?seed=3&n_assets=5&n_days=60"), wanted)
    xr.testing.assert_identical(data.load(wanted.attrs["source"]), wanted)
    xr.testing.assert_identical(data.load("synthetic:P1"), synthetic.market("P1")[0])
    assert data.load("synthetic:P1+").attrs["source"].startswith("synthetic:P1+?")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("synthetic:Q1", r"no synthetic market 'Q1'"),
        ("synthetic:P1?sed=3", r"synthetic market P1\?sed=3: unknown option 'sed'; did you mean 'seed'\?"),
        ("synthetic:P1?seed=x", "seed must be a whole number, got 'x'"),
        ("synthetic:P1?n_days=5", "P1: n_days must be a whole number from 30 to 40000, got 5"),
        ("synthetic:N0-FX?n_assets=10", "N0-FX: n_assets must be a whole number from 1 to 9, got 10"),
        ("synthetic:P13?n_assets=2", "P13: n_assets must be a whole number from 6 to"),
    ],
)
def test_a_wrong_name_or_option_is_one_sentence(name, message):
    with pytest.raises(DataError, match=message):
        data.load(name)


def test_a_seed_is_a_whole_number():
    for seed in (-1, 1.5, True, "1"):
        with pytest.raises(DataError, match="P1: seed must be a whole number"):
            synthetic.market("P1", seed=seed)


@pytest.mark.parametrize("name", synthetic.names())
def test_the_smallest_size_is_enough(name):
    entry = synthetic.catalogue._MARKETS[name]
    cube, _ = synthetic.market(name, n_assets=entry.fewest_assets, n_days=entry.fewest_days)
    assert cube.sizes["asset"] == entry.fewest_assets
    assert cubes.check(cube, warn=False) == []
