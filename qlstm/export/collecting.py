"""The sources a strategy needs: its own, those of modules beside it, and the parts of qlstm, by following imports."""

from __future__ import annotations

import ast
import importlib
import sys
import tokenize
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import StrategyError
from .naming import Import, imports_of, uses_of

__all__ = ["SERVER_PACKAGES", "SUBMISSION", "collect", "module_of"]

SERVER_PACKAGES = frozenset({"bottleneck", "numba", "numpy", "pandas", "qnt", "scipy", "torch", "xarray"})
"""What contests' servers have. bottleneck comes with the toolbox; numba is replaced where it is missing."""
SUBMISSION = "qlstm.submission"
_OURS = "qlstm"
_HERE = Path(__file__).parent
# On a server sources have no file, so numba has nowhere to keep compiled code, and may not be there at all.
_REPLACED = {"qlstm._jit": _HERE / "embedded_jit.py"}


@dataclass(frozen=True)
class _Source:
    """One module to embed: its full name, its file, and the folder its top-level name is looked for in."""

    name: str
    file: Path
    root: Path

    @property
    def package(self) -> str:
        return self.name if self.file.name == "__init__.py" else self.name.rpartition(".")[0]


def module_of(file: Path) -> str:
    """Return the name that a strategy's file has as a module, the same as `qlstm.load_strategy` gives it."""
    return f"qlstm_strategy_{file.stem}"


def collect(file: Path, has: Collection[str] = ()) -> dict[str, str]:
    """Return the source of every module that a strategy needs on a server, unchanged.

    Parameters
    ----------
    file : Path
        The strategy's file.
    has : collection of str
        Packages that the server has beside `SERVER_PACKAGES`.

    Returns
    -------
    dict of str to str
        Full module name -> source: the strategy first, then the modules beside it, then qlstm's, sorted.

    Raises
    ------
    StrategyError
        When the strategy, or a part of qlstm it uses, imports what the server does not have; names file and line.
    """
    strategy = _Source(module_of(file), file, file.resolve().parent)
    found: dict[str, str] = {}
    waiting = deque([strategy, *_located(SUBMISSION, _root_of_ours())])
    while waiting:
        source = waiting.popleft()
        if source.name in found:
            continue
        found[source.name] = _read(_REPLACED.get(source.name, source.file))
        waiting.extend(_needed(source, found[source.name], SERVER_PACKAGES | set(has), file))
    others = sorted((name for name in found if name != strategy.name), key=lambda name: (_top(name) == _OURS, name))
    return {name: found[name] for name in [strategy.name, *others]}


def _needed(source: _Source, text: str, has: Collection[str], strategy: Path) -> Iterator[_Source]:
    """Yield the modules to embed that a source names; refuse what is neither theirs, ours nor the server's."""
    tree = ast.parse(text)
    ours = _top(source.name) == _OURS
    if not ours:
        _check_is_movable(tree, source.file)
    imports = imports_of(tree, source.package)
    named: list[tuple[str, tuple[str, ...], Import | None]] = [(one.module, one.names, one) for one in imports]
    named += [(use.module, use.attributes, None) for use in uses_of(tree, imports)]
    for module, names, statement in named:
        root = _root_of_ours() if _top(module) == _OURS else source.root
        beside = list(_located(module, root)) if _is_free(module, has) else []
        if beside:
            yield from beside
            yield from _inside(module, names, root, chained=statement is None)
        elif statement is not None and (not ours or statement.at_once):
            _check_is_there(statement, source, has, strategy)


def _inside(module: str, names: tuple[str, ...], root: Path, chained: bool) -> Iterator[_Source]:
    """Yield the modules that names of a module are, or come from; a chain goes on from name to name."""
    for name in names:
        home = _home(module, name, root)
        if home is not None:
            yield from _located(home, root)
        if chained:
            if home != f"{module}.{name}":
                return
            module = home


def _home(module: str, name: str, root: Path) -> str | None:
    """Return the module that `name` of a package is, or is imported from at first use; None for anything else."""
    if _find(f"{module}.{name}", root):
        return f"{module}.{name}"
    file = _find(module, root)
    if file is None or file.name != "__init__.py" or _top(module) != _OURS:
        return None
    home = getattr(importlib.import_module(module), "_HOMES", {}).get(name)
    return f"{module}.{home}" if home else None


def _located(module: str, root: Path) -> Iterator[_Source]:
    """Yield the packages a full name lies in, and the module it is: of a name inside a module, up to that module."""
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        name = ".".join(parts[:i])
        file = _find(name, root)
        if file is None:
            return
        yield _Source(name, file, root)


def _find(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    choices = (path / "__init__.py", path.with_name(f"{path.name}.py"))
    return next((choice for choice in choices if choice.is_file()), None)


def _root_of_ours() -> Path:
    return _HERE.parent.parent


def _top(module: str) -> str:
    return module.partition(".")[0]


def _is_free(module: str, has: Collection[str]) -> bool:
    """Return whether a name means a module to embed: an installed package is never shadowed by a file."""
    return _top(module) not in has and _top(module) not in sys.stdlib_module_names


def _read(file: Path) -> str:
    try:
        with tokenize.open(file) as stream:
            return stream.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise StrategyError(f"cannot read {file}: {error}") from error


def _check_is_there(statement: Import, source: _Source, has: Collection[str], strategy: Path) -> None:
    """Refuse an import of a package that the server does not have."""
    name = _top(statement.module)
    if not _is_free(name, has):
        return
    if _top(source.name) == _OURS:
        raise StrategyError(f"{strategy} uses {source.name}, which needs {name}; contests' servers do not have it")
    raise StrategyError(
        f"{source.file}, line {statement.line}: imports {name}, which is neither a file beside it nor among what "
        f"contests' servers have; leave it out, or name it with --has {name} where the server has it"
    )


def _check_is_movable(tree: ast.Module, file: Path) -> None:
    """Refuse a user's source that one file cannot hold."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "__file__":
            raise StrategyError(f"{file}, line {node.lineno}: uses __file__, but only the file itself is submitted")
        if isinstance(node, ast.ImportFrom) and _top(node.module or "") == _OURS and node.names[0].name == "*":
            raise StrategyError(f"{file}, line {node.lineno}: imports * from {node.module}; name what it uses")
