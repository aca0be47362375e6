"""Single passes in processes of their own reproduce one multi-pass bit for bit, for every strategy of the project."""

import dataclasses
import json
import signal

import numpy as np
import pytest
import xarray as xr
from conftest import ROOT
from one_day import in_a_fork, in_a_new_interpreter
from toys import market

import qlstm
from qlstm import data, state

ON_OTHER_MARKETS = {"alfred_direction", "alfred_magnitude", "magnitude_choice"}  # in their own tests
ON_OTHER_MARKETS |= {"fischer_krauss", "fx_g10", "index_direction", "spy_rotation", "vrp_spy"}
STRATEGIES = sorted(file for file in (ROOT / "strategies").glob("*.py") if file.stem not in ON_OTHER_MARKETS)
IN_SOAK = {"lstm_careful", "smallcap_lstm"}  # the second is held to it in one process in its own test
# Cleaned weights are promised too where a contest's rules look at one day alone.
ONE_DAY_RULES = {"stocks_nasdaq100", "stocks_s&p500"}


def decided(folder, arguments, number, way, killed="never"):
    """Run one day in a process; return what it decided, None when it was killed (`before` or `after` its commit)."""
    status = way(*arguments, killed, number=number)
    assert status == (0 if killed == "never" else -signal.SIGKILL)
    return np.load(folder / f"{arguments[3]}.npz") if killed == "never" else None


def plain(value):
    """Return a state as JSON text, every float to its last bit."""
    if isinstance(value, xr.DataArray):
        return {
            "dims": value.dims,
            "coords": {k: plain(v.values) for k, v in value.coords.items()},
            "values": plain(value.values),
        }
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    return value.hex() if isinstance(value, float) else str(value)


def check_parity(file, tmp_path, n_days, interval, kills=(), fork=True):
    """Compare single passes with one multi-pass; `kills` are (number of the day, moment), each then run once more.

    With `fork`, all days but the last are forks of an interpreter that has imported libraries; otherwise none is.
    """
    cube_file = tmp_path / "cube.nc"
    data.save(market(days=260, assets=5, seed=7), cube_file)
    cube = data.load(cube_file)
    days = cube.time.values[230 : 230 + n_days]
    strategy = qlstm.load_strategy(file)
    strategy = dataclasses.replace(strategy, retrain_interval=interval, retrain_interval_after_submit=interval)
    whole = qlstm.backtest(
        strategy=strategy, data=cube, start_date=days[0], end_date=days[-1], analyze=False, progress=False
    )
    store = state.Store(tmp_path / str(strategy.name))
    for i, t in enumerate(days):
        date = str(t)[:10]
        arguments = (file, cube_file, tmp_path, date, interval)
        way = in_a_fork if fork and t != days[-1] else in_a_new_interpreter
        for moment in (moment for day, moment in kills if day == i):
            assert decided(tmp_path, arguments, i, way, moment) is None
            assert store.newest() == (t if moment == "after" else days[i - 1])
        seen = decided(tmp_path, arguments, i, way)
        for name, multi in (("raw", whole.raw), ("clean", whole.weights)):
            if name == "clean" and whole.contest.name not in ONE_DAY_RULES:
                continue
            row = multi.sel(time=t).reindex(asset=seen["assets"], fill_value=0.0).values
            np.testing.assert_array_equal(seen[name][0], row, err_msg=f"{name} weights of {date}")
    assert store.dates() == list(days)
    saved = store.read(days[-1], strategy)
    assert json.dumps(plain(saved.state)) == json.dumps(plain(whole.state))
    assert saved.trained_at == whole.memory.trained_at
    return saved, whole


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=pytest.mark.soak if file.stem in IN_SOAK else ()) for file in STRATEGIES],
    ids=lambda file: file.stem,
)
def test_single_passes_equal_the_multi_pass_bit_for_bit_though_one_is_killed(file, tmp_path):
    saved, whole = check_parity(file, tmp_path, 5, 3, kills=[(2, "before")])  # the day of a retraining: days 0 to 2
    if file.stem == "lstm_state":  # the fit itself crossed a process too
        assert saved.trained_at > whole.raw.time.values[0]
        for asset, model in whole.memory.models.items():
            for mine, theirs in zip(saved.models[asset].parameters(), model.parameters(), strict=True):
                assert bool((mine == theirs).all())


@pytest.mark.soak
@pytest.mark.parametrize("file", STRATEGIES, ids=lambda file: file.stem)
def test_thirty_single_passes_equal_the_multi_pass_though_six_are_killed(file, tmp_path):
    kills = [(day, "before" if day % 2 else "after") for day in range(4, 30, 5)]
    check_parity(file, tmp_path, 30, 7, kills, fork=False)


def test_a_state_whose_parts_share_memory_or_lie_across_it_is_the_same_from_a_file(tmp_path):
    file = tmp_path / "sharing.py"
    file.write_text(
        "import qlstm, numpy as np\n"
        "def predict(data, state):\n"
        "    close = data.sel(field='close', drop=True).isel(time=-1, drop=True)\n"
        "    if state is None:\n"
        "        w = close / close.sum()\n"
        "        state = {'now': w, 'anchor': w, 'table': np.asfortranarray(np.random.rand(50, close.size))}\n"
        "    state['now'] *= 0.5 + state['table'].sum(axis=0) / 100\n"
        "    return state['anchor'] * 0.5 + state['now'] * 0.1, state\n"
        "strategy = qlstm.Strategy(predict=predict, lookback_period=5)\n"
    )
    check_parity(file, tmp_path, 3, 3)


def test_the_check_sees_a_strategy_that_remembers_outside_its_state(tmp_path):
    """The parity test itself is tested: a global that survives between days must be caught."""
    file = tmp_path / "forgetful.py"
    file.write_text(
        "import qlstm\nseen = []\n"
        "def predict(data):\n"
        "    seen.append(1)\n"
        "    close = data.sel(field='close', drop=True).isel(time=-1, drop=True)\n"
        "    return close * 0 + 0.01 * len(seen)\n"
        "strategy = qlstm.Strategy(predict=predict, lookback_period=5)\n"
    )
    with pytest.raises(AssertionError, match="raw weights of"):
        check_parity(file, tmp_path, 2, 3)
