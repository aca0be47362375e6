"""The command line in this process."""

from __future__ import annotations

from typing import Any

import pytest

from qlstm import cli


def call(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    """Run a command; return its exit status and what it wrote to stdout and stderr."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    seen = capsys.readouterr()
    return int(stopped.value.code or 0), seen.out, seen.err
