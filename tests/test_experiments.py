"""Experiments on record: the same key is run once, another split, data or code has a key of its own, a crash loses one."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from test_networks import table

from qlstm import nn, optimizer
from qlstm.data import synthetic
from qlstm.errors import QlstmError
from qlstm.optimizer import experiments

X = table(80, 4)
GRID = {"hidden": [3, 5], "share": [0.2]}


def networks(data, hidden, share):
    """Fit a network to the first rows; return its losses."""
    earlier, late = nn.Sequences(data, data.shift(time=2), length=4).split(share, embargo=0)
    epochs = 2
    fitted = nn.fit_pooled(nn.LSTM(1, hidden, 1), earlier, late, epochs=epochs)
    return {"validation": min(epoch["late"] for epoch in fitted.history), "epochs": epochs}


@pytest.fixture
def calls(monkeypatch):
    """Return the list of arguments that were run, and not taken from a record."""
    seen, run = [], experiments._try
    monkeypatch.setattr(experiments, "_try", lambda *given: seen.append(tuple(given[-1].values())) or run(*given))
    return seen


def figures(found):
    """Return all that a table says but for clock times."""
    return found.drop(columns=["seconds", "seconds_per_epoch", "at"])


def test_what_is_on_record_is_not_run_again(tmp_path, calls):
    first = optimizer.experiment(networks, X, GRID, folder=tmp_path)
    assert calls == [(3, 0.2), (5, 0.2)]
    again = optimizer.experiment(networks, X, GRID, folder=tmp_path)
    assert len(calls) == 2
    pd.testing.assert_frame_equal(again, first)
    wider = optimizer.experiment(networks, X, GRID | {"hidden": [3, 4, 5]}, folder=tmp_path)
    assert calls[2:] == [(4, 0.2)]
    assert len(wider) == 3
    assert wider["validation"].is_monotonic_increasing


def test_another_split_other_data_and_other_code_are_other_keys(tmp_path, calls):
    def changed(data, hidden, share):
        return networks(2.0 * data, hidden, share)

    changed.__name__ = networks.__name__
    keys = set()
    for run, data, space in (
        (networks, X, GRID),
        (networks, X, GRID | {"share": [0.3]}),
        (networks, X * 1.5, GRID),
        (changed, X, GRID),
    ):
        keys |= set(optimizer.experiment(run, data, space, folder=tmp_path)["key"])
    assert len(keys) == len(calls) == 8
    everything = optimizer.read_experiments(tmp_path)
    assert set(everything["key"]) == keys
    assert (everything["data"].nunique(), everything["code"].nunique()) == (2, 2)
    assert optimizer.experiment(networks, X, GRID, folder=tmp_path)["key"].isin(keys).all()
    assert len(calls) == 8


def test_a_table_can_be_exported_with_seconds_per_epoch(tmp_path):
    found = optimizer.experiment(networks, X, GRID, folder=tmp_path)
    optimizer.read_experiments(tmp_path).to_csv(tmp_path / "all.csv", index=False)
    back = pd.read_csv(tmp_path / "all.csv")
    assert back.columns.tolist()[:7] == ["key", "run", "code", "data", "hidden", "share", "validation"]
    np.testing.assert_allclose(back["seconds_per_epoch"], back["seconds"] / 2)
    assert set(back["key"]) == set(found["key"])


def drawing(data, n):
    return {"validation": np.random.random() + n}


def test_unseeded_draws_repeat_and_the_callers_generator_is_left_alone(tmp_path):
    expected = np.random.get_state()[1].copy()
    whole = optimizer.experiment(drawing, X, {"n": [1, 2, 3]}, folder=tmp_path / "whole")
    alone = optimizer.experiment(drawing, X, {"n": [3]}, folder=tmp_path / "alone")
    pd.testing.assert_frame_equal(figures(whole[2:]).reset_index(drop=True), figures(alone))
    np.testing.assert_array_equal(np.random.get_state()[1], expected)


@pytest.mark.soak
def test_figures_do_not_depend_on_the_number_of_workers(tmp_path):
    one = optimizer.experiment(drawing, X, {"n": [1, 2, 3]}, folder=tmp_path / "one")
    two = optimizer.experiment(drawing, X, {"n": [1, 2, 3]}, folder=tmp_path / "two", jobs=2)
    pd.testing.assert_frame_equal(figures(one), figures(two))


def test_a_failure_is_on_record_and_comes_last(tmp_path):
    found = optimizer.experiment(networks, X, {"hidden": [0, 3], "share": [0.2, 0.3]}, folder=tmp_path)
    assert found["error"].isna().tolist() == [True, True, False, False]
    assert "validation" not in str(found["error"][2])
    with pytest.raises(QlstmError, match=r"all 1 trials failed, the first with hidden=0, share=0\.2"):
        optimizer.experiment(networks, X, {"hidden": [0], "share": [0.2]}, folder=tmp_path)

    def silent(data, hidden):
        return {"test": 1.0}

    with pytest.raises(QlstmError, match=r"returned \['test'\]; return a mapping of figures with 'validation', a loss"):
        optimizer.experiment(silent, X, {"hidden": [1]}, folder=tmp_path)
    with pytest.raises(QlstmError, match="needs a function with a name"):
        optimizer.experiment(lambda data, hidden: {"validation": 0.0}, X, {"hidden": [1]}, folder=tmp_path)
    with pytest.raises(QlstmError, match="there is no folder"):
        optimizer.read_experiments(tmp_path / "nowhere")


def test_a_validation_that_is_no_number_has_failed_and_is_never_the_best(tmp_path, calls):
    grid = {"validation_of": ["nan", "-inf", "0.5", "inf"]}

    def run(data, validation_of):
        return {"validation": float(validation_of), "test": 0.0}

    found = optimizer.experiment(run, X, grid, folder=tmp_path)
    assert found["validation_of"][0] == "0.5"
    assert found["error"].isna().tolist() == [True, False, False, False]
    assert set(found["error"][1:]) == {
        f"validation is {value}, not a finite number: did the fit diverge?" for value in ("nan", "-inf", "inf")
    }
    assert found["validation"][1:].isna().all()
    optimizer.experiment(run, X, grid, folder=tmp_path)
    assert len(calls) == 4  # a failure is on record as well
    with pytest.raises(QlstmError, match="all 1 trials failed, the first with validation_of='nan': validation is nan"):
        optimizer.experiment(run, X, {"validation_of": ["nan"]}, folder=tmp_path)


def test_a_grid_that_died_goes_on_where_it_stopped(tmp_path, monkeypatch):
    def echo(data, n):
        return {"validation": n}

    def dying(run, data, arguments, whole=experiments._try):
        if arguments["n"] == 3:
            raise KeyboardInterrupt
        return whole(run, data, arguments)

    grid = {"n": [1, 2, 3, 4]}
    with monkeypatch.context() as patched:
        patched.setattr(experiments, "_try", dying)
        with pytest.raises(KeyboardInterrupt):
            optimizer.experiment(echo, 1.0, grid, folder=tmp_path)
    before = optimizer.read_experiments(tmp_path)
    assert before["n"].tolist() == [1, 2]
    (record,) = tmp_path.iterdir()
    with record.open("ab") as file:
        file.write(b'{"arguments": {"n": 3')  # as if it had died while writing
    done = optimizer.experiment(echo, 1.0, grid, folder=tmp_path)
    assert done["n"].tolist() == [1, 2, 3, 4]
    pd.testing.assert_frame_equal(done[:2], before)


def test_the_experiment_of_the_page_runs_as_it_is_written(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "optimizer.md").read_text()
    code = page[page.index("## Experiments") :].split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    cube, _ = synthetic.market("N1", n_assets=2, n_days=200)
    names = {"cube": cube, "__name__": "page"}
    exec(code.replace("2015-01-01", str(cube.time.values[150])[:10]), names)
    assert len(names["table"]) == len(pd.read_csv(tmp_path / "experiments.csv")) == 4
    assert names["table"]["validation"].notna().all()
