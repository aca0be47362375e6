"""The constants of a strategy file: what it assigns at module level as plain values; putting others there."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import StrategyError, near

__all__ = ["REPLACED", "replace"]

REPLACED = "__constants__"
"""The name under which the changed code expects the new values among its globals."""
# What a value may be written with: 20, -0.1, 4 * 365, "long", (5, 20). Not a call, not another name.
_PLAIN = (ast.Constant, ast.UnaryOp, ast.BinOp, ast.Tuple, ast.List, ast.Set, ast.Dict)
_SYNTAX = (ast.expr_context, ast.operator, ast.unaryop)


def replace(tree: ast.Module, constants: Mapping[str, Any], where: str) -> None:
    """Change the code of a strategy file so that it takes some constants from the global `REPLACED` instead.

    Parameters
    ----------
    tree : ast.Module
        The file; changed in place. ``NAME = value``, ``NAME: type = value`` and ``A, B = 1, 2`` at module level count,
        each time a name is assigned.
    constants : mapping of str to object
        Name -> the value in place of the file's.
    where : str
        What errors call the file.

    Raises
    ------
    StrategyError
        When the file assigns no plain value to a name.
    """
    known: set[str] = set()
    for name, holder, place in list(_assignments(tree)):
        known.add(name)
        if name in constants:
            taken = ast.parse(f"{REPLACED}[{name!r}]", mode="eval").body
            holder[place] = ast.copy_location(taken, holder[place])
    for name in constants:
        if name not in known:
            raise StrategyError(
                f"{where} assigns no plain value to {name} at module level{near(name, sorted(known)) if known else ''}"
            )
    ast.fix_missing_locations(tree)


def _assignments(tree: ast.Module) -> Iterator[tuple[str, Any, Any]]:
    """Yield each constant's name, and the container and place in it that hold its value's code."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target = statement.target
        else:
            continue
        value = statement.value
        if isinstance(target, ast.Name) and _is_plain(value):
            yield target.id, vars(statement), "value"
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for place, part in enumerate(target.elts):
                if isinstance(part, ast.Name) and _is_plain(value.elts[place]):
                    yield part.id, value.elts, place


def _is_plain(value: ast.expr | None) -> bool:
    return value is not None and all(isinstance(node, _PLAIN + _SYNTAX) for node in ast.walk(value))
