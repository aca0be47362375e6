"""How many versions were tried: the number reaches the page, from the caller, the command line or a search's record."""

import json
import re
import types

import numpy as np
import pytest
import reports
from reports import Page
from test_cli import STRATEGY, call
from toys import market

from qlstm import data as cubes
from qlstm import report, results, significance
from qlstm.errors import OutputError
from qlstm.optimizer.trials import Record, Setting, Trial
from qlstm.report import headline
from qlstm.report.study import Study

ALONE, AMONG = "Chance that it is above 0", "Chance that it is above luck"


@pytest.fixture
def result():
    return reports.result()


def test_without_a_number_the_page_says_that_it_assumes_one_trial(result):
    study = Study(result)
    card = next(one for one in headline.cards(study) if one.label == ALONE)
    assert "one trial assumed" in card.detail
    assert card.value == f"{100 * significance.probabilistic_sharpe(study.returns.values):.1f} %"
    assert "give the number of trials" in headline.verdicts(study)[1]


@pytest.mark.parametrize("trials", [25, types.SimpleNamespace(sharpe_ratios=np.linspace(-1.0, 2.0, 25))])
def test_trials_deflate_the_sharpe_ratio_on_the_page(result, trials):
    study = Study(result)
    found = significance.deflated_sharpe(study.returns.values, trials, study.points)
    page = report.render(result, trials=trials)
    assert Page(page).cards[AMONG] == f"{100 * found.probability:.1f} %"
    assert ALONE not in Page(page).cards
    assert "deflated Sharpe ratio, 25 trials" in page
    luck = found.benchmark * study.points**0.5
    assert f"the best of 25 without any skill is expected to show {luck:.2f}, and luck alone shows" in page
    assert f"or more in up to {np.ceil(100 * found.p_value):.0f} % of searches" in page


def test_more_trials_leave_less(result):
    chances = []
    for trials in (1, 2, 3):
        card = next(one for one in headline.cards(Study(result, trials=trials)) if one.label == AMONG)
        chances.append(float(card.value.split()[0]))
    assert chances == sorted(set(chances), reverse=True)


@pytest.mark.parametrize("trials", [0, -3, 2.5, True, "x", [0.1, 0.2]])
def test_what_is_neither_a_number_of_trials_nor_a_search_is_refused(result, tmp_path, trials):
    message = f"trials must be a whole number of 1 or more, or the record of a search; got {re.escape(repr(trials))}"
    with pytest.raises(OutputError, match=message):
        report.write(result, tmp_path / "report.html", trials=trials)
    with pytest.raises(OutputError, match=message):
        results.save(result, tmp_path, reports.spotty(), "toy", trials=trials)
    assert not list(tmp_path.iterdir())


def test_the_manifest_has_the_number_of_trials_where_it_is_known(result, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "render", lambda *_, manifest, **named: f"{manifest.get('trials')}")
    search = types.SimpleNamespace(sharpe_ratios=[0.1, 0.2, float("nan")])
    for trials, number in ((None, None), (7, 7), (search, 3)):
        results.save(result, tmp_path, reports.spotty(), "toy", trials=trials)
        assert json.loads((tmp_path / "manifest.json").read_text()).get("trials") == number
        assert (tmp_path / "report.html").read_text() == str(number)


# --- the command


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a strategy and a cube, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idea.py").write_text(STRATEGY)
    cubes.save(market(days=120), tmp_path / "cube.nc")
    return tmp_path


def recorded(path, end, ratios):
    """Write the record of a search over days up to `end`, a trial for each ratio per row."""
    with Record.opened(Setting("idea", "a", "b", "2015-01-01", end), path) as record:
        for i, ratio in enumerate(ratios):
            record.add(Trial({"LENGTH": i}, {"sharpe_per_row": ratio, "points_per_year": 252.0}, seconds=1.0))


def backtested(capsys, *options):
    """Return what a backtest from 2015-03-02 on wrote beside the table."""
    status, _, err = call(
        capsys, "backtest", "idea.py", "--data", "cube.nc", "--start", "2015-03-02", "--models", "none", *options
    )
    assert status == 0, err
    return err


@pytest.fixture
def saved(monkeypatch):
    """The trials that reach the files of a backtest, which are not made here."""
    trials = []
    monkeypatch.setattr(results, "save", lambda *_, **named: trials.append(named["trials"]) or [])
    return trials


def test_a_search_on_record_is_found_and_counts(work, capsys):
    recorded(work / "trials" / "idea.jsonl", "2015-05-01", [0.01, 0.03, -0.02, float("nan")])
    err = backtested(capsys)
    assert "deflated Sharpe ratio, 4 trials" in (work / "results" / "idea" / "report.html").read_text()
    assert "4 trials on record: the report deflates the Sharpe ratio for them" in err


def test_a_search_on_earlier_days_deflates_nothing_and_page_and_manifest_say_so(work, capsys):
    recorded(work / "trials" / "idea.jsonl", "2015-02-27", [0.01, 0.03, -0.02])
    err = backtested(capsys)
    page = (work / "results" / "idea" / "report.html").read_text()
    assert "Trials on record: 3, all on days up to 2015-02-27. This backtest is later, so nothing is deflated." in page
    assert "probabilistic Sharpe ratio; 3 trials, all on earlier days" in page
    assert AMONG not in page
    assert "one trial assumed" not in page
    manifest = json.loads((work / "results" / "idea" / "manifest.json").read_text())
    assert manifest["trials_on_earlier_days"] == {"number": 3, "last_day": "2015-02-27", "deflated": False}
    assert "trials" not in manifest
    assert "3 trials on record, all on days up to 2015-02-27: this backtest is later, so nothing is deflated" in err


def test_a_search_of_which_one_trial_lives_counts_by_its_number(work, capsys, saved):
    recorded(work / "other.jsonl", "2015-05-01", [0.01, float("nan")])
    backtested(capsys, "--trials", "other.jsonl")
    assert saved == [2]


def test_a_number_of_trials_goes_before_the_record(work, capsys, saved):
    recorded(work / "trials" / "idea.jsonl", "2015-05-01", [0.01, 0.03])
    err = backtested(capsys, "--trials", "9")
    assert saved == [9]
    assert "on record" not in err


@pytest.mark.parametrize(
    ("given", "shown"),
    [("nowhere.jsonl", "'nowhere.jsonl'"), ("0", "0"), ("-3", "'-3'"), ("1.5", "'1.5'"), ("²", "'²'")],
)
def test_trials_that_cannot_be_are_named_before_the_backtest(work, capsys, given, shown):
    status, _, err = call(capsys, "backtest", "idea.py", "--data", "cube.nc", "--trials", given)
    message = f"trials must be a whole number of 1 or more, or the record of a search; got {shown}"
    assert (status, err) == (2, f"error: {message}\n")
    assert not (work / "results").exists()
