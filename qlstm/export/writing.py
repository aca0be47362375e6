"""The exported file: the strategy first, then the day that runs it, then what both import, as Python or a notebook."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import __version__, contests, files
from ..errors import OutputError, StrategyError
from ..strategy import Strategy, load_strategy
from .collecting import SUBMISSION, collect, module_of

__all__ = ["Exported", "write"]

_HERE = Path(__file__).parent
_FOLDED = 2  # the cell of the library, which few want to read


@dataclass(frozen=True)
class Exported:
    """What `write` wrote.

    Parameters
    ----------
    path : Path
        Where.
    modules : tuple of str
        The full names of what it holds, the strategy first.
    size : int
        Bytes.
    """

    path: Path
    modules: tuple[str, ...]
    size: int


def write(file: str | Path, target: str | Path | None = None, has: Collection[str] = ()) -> Exported:
    """Write a strategy as one self-contained file for a contest's server.

    Parameters
    ----------
    file : str or Path
        The strategy's file.
    target : str or Path, optional
        Where to: a ``.py`` file, or an ``.ipynb`` notebook; by default ``<strategy>_submission.py`` in the working
        folder.
    has : collection of str
        Packages that the server has beside `SERVER_PACKAGES`.

    Returns
    -------
    Exported

    Raises
    ------
    StrategyError
        When the strategy cannot be loaded, its contest is none of the toolbox's, or it needs what servers do not have.
    OutputError
        When `target` has another suffix, is the strategy itself, or cannot be written.
    """
    file = Path(file)
    known = contests.names()  # before the strategy's file may register its own
    strategy = load_strategy(file)
    path = Path(target or f"{file.stem}_submission.py")
    if path.suffix not in (".py", ".ipynb"):
        raise OutputError(f"cannot export to {path}; end its name with .py or .ipynb")
    if path.resolve() == file.resolve():
        raise OutputError(f"cannot export {file} over itself; choose another name with --to")
    if strategy.rules.name not in known:
        raise StrategyError(f"{file}: its contest {strategy.rules.name!r} is its own; servers know {', '.join(known)}")
    sources = collect(file, has)
    cells = [_read("finder"), *_library(sources), _main(file, str(strategy.name))]
    for cell in cells:
        compile(cell, str(path), "exec")
    head = _head(file, len(sources) - 1)
    content = (_notebook(head, cells) if path.suffix == ".ipynb" else _script(head, cells)).encode()
    files.write_bytes(path, content)
    return Exported(path, tuple(sources), len(content))


def _read(name: str) -> str:
    return (_HERE / f"embedded_{name}.py").read_text()


def _head(file: Path, n_modules: int) -> list[str]:
    return [
        f"{file.name} as a submission: it decides one day, the newest of the server's data.",
        "",
        "It needs Python 3.11 or later, numpy, pandas, xarray, scipy, the contest's toolbox (qnt), and numba and torch",
        f"where the strategy uses them; not qlstm. Written by qlstm {__version__}; edit {file.name} and export again.",
        "",
        "What follows: 1. how modules are imported from this file; 2. the strategy, unchanged; 3. the parts of qlstm",
        f"it uses, and modules of its own, {n_modules} in all (qlstm._jit alone is another: here it keeps nothing);",
        "4. at the end, the lines that run it.",
    ]


def _library(sources: Mapping[str, str]) -> list[str]:
    """Return the strategy's cell and the cell of everything else."""
    strategy, *others = [f"SOURCES[{name!r}] = {_literal(source)}\n" for name, source in sources.items()]
    fallback = f"FALLBACKS = {{'numba': {_literal(_read('numba'))}}}  # imported only where there is no numba\n"
    return [f"SOURCES = {{}}\n\n{strategy}", "\n".join([*others, fallback])]


def _literal(source: str) -> str:
    """Return a source as a literal that shows it as it is, or, where its own quotes forbid that, line by line."""
    if not source or ("'''" not in source and source.endswith("\n")):
        return f"r'''{source}'''"
    return "".join(["(\n", *(f"    {line!r}\n" for line in source.splitlines(keepends=True)), ")"])


def _main(file: Path, name: str) -> str:
    module = module_of(file)
    variable = next(name for name, value in vars(sys.modules[module]).items() if isinstance(value, Strategy))
    return (
        "import dataclasses\n"
        "import importlib\n\n"
        "install(SOURCES, FALLBACKS)\n"
        f"strategy = importlib.import_module({module!r}).{variable}\n"
        f"strategy = dataclasses.replace(strategy, name={name!r})\n"
        f"result = importlib.import_module({SUBMISSION!r}).main(strategy)\n"
    )


def _script(head: list[str], cells: list[str]) -> str:
    return "\n\n".join(["".join(f"# {line}".rstrip() + "\n" for line in head), *cells])


def _notebook(head: list[str], cells: list[str]) -> str:
    """Return a notebook of format 4; its library cell is folded away."""
    first = {"cell_type": "markdown", "metadata": {}, "source": "\n".join(head).splitlines(keepends=True)}
    code = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {"jupyter": {"source_hidden": i == _FOLDED}},
            "outputs": [],
            "source": cell.splitlines(keepends=True),
        }
        for i, cell in enumerate(cells)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": [first, *code], "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
