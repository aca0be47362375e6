"""What an audit is asked and what it tells: names of checks, declared findings, days, text, JSON, pages, exit status."""

import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from test_audit import CUBE, FAULTS, loaded
from toys import equal_weights

import qlstm
from qlstm import audit
from qlstm.audit import (
    look_ahead,
    training_data,
)
from qlstm.audit import subject as subject_module


def test_declared_findings_do_not_fail_and_stale_ones_are_named(tmp_path):
    text = (FAULTS / "filled_labels.py").read_text()
    shutil.copy(FAULTS / "parts.py", tmp_path)
    file = tmp_path / "declared.py"
    file.write_text(text + '\nKNOWN_FINDINGS = {"labels": "as published", "one-bar": "not so"}\n')
    report = audit.check(qlstm.load_strategy(file), CUBE, ["labels", "one-bar"], progress=False)
    assert report.ok
    assert [(one.check, one.severity) for one in report.findings] == [("one-bar", "warning"), ("labels", "known")]
    assert "as published" in str(report)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ('["labels"]', r"KNOWN_FINDINGS must be a dict {check: why} of texts, got \['labels'\]"),
        ('{"labels": None}', "KNOWN_FINDINGS must be a dict {check: why} of texts, got {'labels': None}"),
        ('{"lables": "x"}', "KNOWN_FINDINGS: no check 'lables'; did you mean 'labels'"),
    ],
)
def test_declarations_that_cannot_be_used_are_named_before_a_check_runs(tmp_path, monkeypatch, declared, message):
    file = tmp_path / "declared.py"
    text = "import qlstm\nstrategy = qlstm.Strategy(predict=lambda data: data, name='declared')\n"
    file.write_text(f"{text}KNOWN_FINDINGS = {declared}\n")
    monkeypatch.setitem(audit.CHECKS, "labels", audit.CHECKS["labels"]._replace(run=None))
    with pytest.raises(qlstm.errors.StrategyError, match=message):
        audit.check(qlstm.load_strategy(file), CUBE, ["labels"], progress=False)


def test_a_report_is_text_json_and_escaped_html(tmp_path):
    report = audit.check(loaded("filled_labels"), CUBE, ["labels"], progress=False)
    content = json.loads(report.to_json())
    assert content["ok"] is False
    assert content["findings"][0]["date"] == "2016-01-26"
    assert "1 failure" in str(report)
    one = audit.Finding("x", "data", "fail", "data", "<b>", asset="A&B")
    page = audit.Report("s", ("a", "b"), (one,), {"parity": 1.0}).to_html()
    assert "s, a to b: 1 check, 1 failure" in page
    assert "&lt;b&gt;" in page
    assert "A&amp;B" in page
    assert "<b>" not in page


def test_a_check_can_be_called_alone_and_an_unknown_one_is_named():
    subject = audit.Subject(loaded("filled_labels"), CUBE)
    assert training_data.labels(subject)[0].stage == "labels"
    with pytest.raises(qlstm.errors.StrategyError, match="no check 'lables'; did you mean 'labels'"):
        audit.check(loaded("filled_labels"), CUBE, ["lables"])
    assert list(audit.check(loaded("filled_labels"), CUBE, "labels", progress=False).seconds) == ["labels"]


def test_a_check_called_alone_does_not_warn_of_prices_that_are_not_there():
    cube = CUBE.copy()
    cube[:, :, 0], cube[:, :, 1] = np.nan, 0.0
    subject = audit.Subject(qlstm.Strategy(predict=equal_weights, lookback_period=20), cube)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert audit.CHECKS["future"].run(subject) == []


def test_every_day_is_looked_at_when_thorough():
    subject = audit.Subject(loaded("one_asset"), CUBE, start="2016-06-01", thorough=True)
    assert len(subject.sampled) == len(subject.days) - 3
    assert len(subject.cuts) == len(subject.sampled)
    assert look_ahead.future(subject) == []


def test_a_strategy_that_fails_on_its_own_data_is_an_error():
    def broken(data):
        raise ValueError("no")

    with pytest.raises(qlstm.errors.StrategyError, match="no"):
        audit.check(qlstm.Strategy(predict=broken), CUBE, ["future"], progress=False)


def test_replayed_days_are_of_all_weekdays_and_of_the_turns_of_months():
    for seed in range(50):
        random = np.random.default_rng(seed)
        days = pd.bdate_range("2014-01-01", periods=120 + 40 * seed).values
        days = days[np.sort(random.permutation(len(days))[: len(days) - len(days) // 25])]  # holidays
        places = subject_module._spread(days)
        chosen = pd.DatetimeIndex(days[places])
        assert (np.diff(places) > 0).all()
        assert (places[0], places[-1]) == (0, len(days) - 1)
        assert set(chosen.day_of_week) == set(range(5))
        months = pd.DatetimeIndex(days).month
        assert any(months[row] != months[row - 1] for row in places[1:])
        assert any(months[row] != months[row + 1] for row in places[:-1])
