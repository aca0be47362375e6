"""What an exported file holds, and what cannot be exported."""

import ast
import json

import pytest
from click.testing import CliRunner
from conftest import ROOT
from servers import REMEMBERING, write_remembering

from qlstm import export
from qlstm.cli.export import export as command
from qlstm.errors import OutputError, StrategyError


@pytest.fixture
def remembering(tmp_path):
    return write_remembering(tmp_path)


def test_the_sources_are_in_the_file_as_they_are(remembering, tmp_path):
    written = export.write(remembering, tmp_path / "submission.py")
    held = {}
    for node in ast.parse(written.path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            held[ast.literal_eval(node.targets[0].slice)] = ast.literal_eval(node.value)
    assert held["qlstm_strategy_remembering"] == REMEMBERING
    assert held["qlstm.engine"] == (ROOT / "qlstm" / "engine.py").read_text()
    assert list(held) == list(written.modules)
    assert "calm.numbers" in held
    assert not {"qlstm.nn.fitting", "qlstm.multipass", "qlstm.data"} & set(held)


def test_a_notebook_is_one_of_its_format_and_holds_the_same_code(remembering, tmp_path):
    content = json.loads(export.write(remembering, tmp_path / "submission.ipynb").path.read_text())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 4)
    kinds = [cell["cell_type"] for cell in content["cells"]]
    assert kinds == ["markdown", "code", "code", "code", "code"]
    keys = {"cell_type", "metadata", "source"}
    for cell in content["cells"]:
        assert set(cell) == keys | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set())
        assert isinstance(cell["metadata"], dict)
        assert all(isinstance(line, str) for line in cell["source"])
    cells = "\n".join("".join(cell["source"]) for cell in content["cells"][1:])
    script = export.write(remembering, tmp_path / "submission.py").path.read_text()
    assert ast.dump(ast.parse(cells)) == ast.dump(ast.parse(script))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import qlstm\ndef predict(data:\n    pass\n", r"bad\.py, line 2: '\(' was never closed"),
        ("import qlstm\nimport colorsys\nX", r"line 3: NameError"),
        ("import qlstm, lightgbm_made_up\nX", "No module named 'lightgbm_made_up'"),
        ("import qlstm\nimport click\nGOOD", r"bad\.py, line 2: imports click, which is neither .*--has click"),
        (
            "import qlstm\nfrom qlstm import optimizer\nGOOD",
            r"bad\.py uses qlstm\.\S+, which needs (joblib|cloudpickle)",
        ),
        ("import qlstm\nfrom qlstm.ta import *\nGOOD", r"bad\.py, line 2: imports \* from qlstm.ta; name what it uses"),
        ("import qlstm\nTABLE = __file__\nGOOD", r"bad\.py, line 2: uses __file__, but only the file itself"),
        ("import qlstm\nqlstm.contests.register(qlstm.Contest('my_own', '2010-01-01'))\nOWN", "'my_own' is its own"),
    ],
)
def test_what_cannot_be_submitted_is_refused_by_name(text, message, tmp_path):
    good = "strategy = qlstm.Strategy(predict=lambda data: data, name='bad'{})\n"
    text = text.replace("GOOD", good.format("")).replace("OWN", good.format(", contest='my_own'"))
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(StrategyError, match=message):
        export.write(file, tmp_path / "submission.py")
    assert not (tmp_path / "submission.py").exists()


def test_a_package_that_the_server_has_may_be_named(tmp_path):
    file = tmp_path / "good.py"
    file.write_text("import click, qlstm\nstrategy = qlstm.Strategy(predict=lambda data: data, name='good')\n")
    assert export.write(file, tmp_path / "submission.py", has=["click"]).modules[0] == "qlstm_strategy_good"


@pytest.mark.parametrize("name", ["submission.txt", "good.py"])
def test_a_target_of_no_use_is_refused(name, tmp_path):
    file = tmp_path / "good.py"
    file.write_text("import qlstm\nstrategy = qlstm.Strategy(predict=lambda data: data, name='good')\n")
    before = file.read_text()
    with pytest.raises(OutputError, match=r"end its name with \.py or \.ipynb|over itself"):
        export.write(file, tmp_path / name)
    assert file.read_text() == before


def test_the_command_writes_and_says_what(tmp_path):
    target = tmp_path / "submission.py"
    done = CliRunner().invoke(command, [str(ROOT / "strategies" / "trend.py"), "--to", str(target)])
    assert done.exit_code == 0
    assert done.output.startswith(f"{target}: ")
    assert target.stat().st_size < 600_000  # reviewers read it, and servers store it


def test_a_source_with_awkward_quotes_reads_back(tmp_path):
    file = tmp_path / "quoted.py"
    file.write_text(
        "'''A docstring in single quotes, \\\\ and \"\"\" inside.'''\nimport qlstm\n"
        "strategy = qlstm.Strategy(predict=lambda data: data, name='quoted')  # no newline at the end"
    )
    text = export.write(file, tmp_path / "submission.py").path.read_text()
    (found,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and "qlstm_strategy_quoted" in ast.unparse(node.targets[0])
    ]
    assert found == file.read_text()


def test_only_a_short_part_of_the_library_is_needed_by_a_short_strategy():
    held = set(export.collect(ROOT / "strategies" / "buy_and_hold.py"))
    assert {"qlstm.decision", "qlstm.state.codec", "qlstm.submission"} <= held
    assert not {"qlstm.ta", "qlstm.nn.fitting", "qlstm.backtester", "qlstm.cli"} & held
