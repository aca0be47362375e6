"""What a source names: the modules it imports, and the attributes of modules it uses, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Import", "Use", "imports_of", "uses_of"]


@dataclass(frozen=True)
class Import:
    """One import statement.

    Parameters
    ----------
    module : str
        The full name of the module.
    names : tuple of str
        What is taken out of it; empty where the module itself is imported.
    line : int
        Where.
    at_once : bool
        Whether importing the source needs it: not inside a function, nor tried with another way out.
    bound : tuple of pairs of str
        Each name it binds, and what that stands for.
    """

    module: str
    names: tuple[str, ...]
    line: int
    at_once: bool
    bound: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Use:
    """A chain of attributes on a name that an import bound: ``qlstm.nn.fit``.

    Parameters
    ----------
    module : str
        The module that the first name stands for, or ``module.name`` for a name taken out of one.
    attributes : tuple of str
        What follows.
    """

    module: str
    attributes: tuple[str, ...]


def imports_of(tree: ast.Module, package: str) -> list[Import]:
    """Return what a source imports when it runs on a server.

    Blocks that run only for a type checker or only as the main program are left out.

    Parameters
    ----------
    tree : ast.Module
        The source.
    package : str
        The package that relative imports start from.
    """
    return [one for node, at_once in _running(tree, True) for one in _imports(node, package, at_once)]


def uses_of(tree: ast.Module, imports: list[Import]) -> set[Use]:
    """Return the chains of attributes a source uses on names that its imports bound."""
    bound = dict(name for one in imports for name in one.bound)
    chains = (_chain(node) for node, _ in _running(tree, True) if isinstance(node, ast.Attribute))
    return {Use(bound[name], tuple(rest)) for name, *rest in chains if name in bound}


def _imports(node: ast.AST, package: str, at_once: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            first = alias.name.partition(".")[0]
            bound = (alias.asname, alias.name) if alias.asname else (first, first)
            yield Import(alias.name, (), node.lineno, at_once, (bound,))
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".")
        base = parts[: len(parts) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        names = tuple(alias.name for alias in node.names)
        stands = tuple((alias.asname or alias.name, f"{module}.{alias.name}") for alias in node.names)
        yield Import(module, names, node.lineno, at_once, stands)


def _running(node: ast.AST, at_once: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the nodes of a source that a server may run, each with whether importing the source runs it."""
    yield node, at_once
    if isinstance(node, ast.If) and _is_elsewhere(node.test):
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    guarded = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.Try))
    for child in children:
        yield from _running(child, at_once and not guarded)


def _is_elsewhere(test: ast.expr) -> bool:
    """Return whether a condition holds only for a type checker, or only in the main program."""
    if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name):
        return test.left.id == "__name__"
    return isinstance(test, (ast.Name, ast.Attribute)) and ast.unparse(test).endswith("TYPE_CHECKING")


def _chain(node: ast.expr) -> list[str]:
    """Return ``["a", "b", "c"]`` for ``a.b.c``, and ``[""]`` for attributes of anything but a name."""
    if isinstance(node, ast.Attribute):
        return [*_chain(node.value), node.attr]
    return [node.id if isinstance(node, ast.Name) else ""]
