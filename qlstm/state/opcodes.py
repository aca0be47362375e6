"""The first look at a pickle: walk its opcodes, name every class it asks for, and run nothing.

A pickle is a program for a small stack machine. The walk here keeps that machine's stack, but in place of each value
only what has to be known about it: a string itself (it may become part of a class name), or how deeply it nests.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection
from typing import Any

from ..errors import StateCorruptError, StateForeignError

__all__ = ["MAX_DEPTH", "MAX_OPCODES", "scan"]

MAX_DEPTH = 256
"""Nesting of containers in a payload. Deep tuples overflow the C stack when they are hashed."""
MAX_OPCODES = 10_000_000
"""Length of the program; at a microsecond each, seconds."""

_REFUSED = {
    "PERSID": "persistent ids",
    "BINPERSID": "persistent ids",
    "EXT1": "extension codes",
    "EXT2": "extension codes",
    "EXT4": "extension codes",
    "INST": "the opcode INST",
    "OBJ": "the opcode OBJ",
    "NEWOBJ_EX": "the opcode NEWOBJ_EX",
    "NEXT_BUFFER": "out-of-band buffers",
    "READONLY_BUFFER": "out-of-band buffers",
}
# Container on the stack below what goes into it.
_MUTATORS = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_MARK = object()


def _effects() -> dict[str, tuple[int, bool, bool]]:
    """Return for each opcode how many items it takes below or without a mark, whether a mark, whether it gives one."""
    effects = {}
    for opcode in pickletools.opcodes:
        marked = pickletools.markobject in opcode.stack_before
        count = opcode.stack_before.index(pickletools.markobject) if marked else len(opcode.stack_before)
        effects[opcode.name] = (count, marked, bool(opcode.stack_after))
    return effects


_EFFECTS = _effects()


class _Machine:
    """The stack and the memo of one walk, and what it has found."""

    def __init__(self, allowed: Collection[tuple[str, str]]) -> None:
        self.allowed = allowed
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.foreign: dict[str, None] = {}  # ordered, each once

    def put(self, index: int) -> None:
        # The real machine's memo is an array: one absurd index would reserve that much memory.
        if index > len(self.memo) + 1:
            raise ValueError(f"memo index {index} out of order")
        self.memo[index] = self.stack[-1]

    def name(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            self.foreign["a class whose name is made up while reading"] = None
        elif (module, name) not in self.allowed:
            self.foreign[f"{module}.{name}"] = None

    def refuse(self, name: str) -> None:
        self.foreign[_REFUSED[name]] = None
        self.replace(name)

    def replace(self, name: str) -> None:
        """Take off the stack what the opcode consumes and put its result there."""
        count, marked, gives = _EFFECTS[name]
        taken = self._take(count, marked)
        if not gives:
            return
        depth = taken.pop(0) if taken and name in _MUTATORS else 0  # of the container that the rest goes into
        for item in taken:
            if type(item) is not str and item >= depth:
                depth = item + 1
        if taken and not depth:
            depth = 1
        if depth > MAX_DEPTH:
            raise _TooDeepError
        self.stack.append(depth)

    def _take(self, count: int, marked: bool) -> list[Any]:
        start = (_last_mark(self.stack) if marked else len(self.stack)) - count
        if start < 0:
            raise IndexError("the stack is empty")
        taken = self.stack[start:]
        del self.stack[start:]
        if marked:
            taken.remove(_MARK)
        return taken


def _global(machine: _Machine, argument: str) -> None:
    machine.name(*argument.split(" ", 1))
    machine.replace("GLOBAL")


def _stack_global(machine: _Machine, argument: None) -> None:
    machine.name(*machine.stack[-2:])
    machine.replace("STACK_GLOBAL")


def _inst(machine: _Machine, argument: str) -> None:
    machine.name(*argument.split(" ", 1))
    machine.refuse("INST")


_SPECIAL: dict[str, Callable[[_Machine, Any], None]] = {
    **{name: lambda machine, argument, name=name: machine.refuse(name) for name in _REFUSED},  # type: ignore[misc]
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.stack.append(machine.memo[index])),
    "MEMOIZE": lambda machine, argument: machine.put(len(machine.memo)),
    "MARK": lambda machine, argument: machine.stack.append(_MARK),
    "DUP": lambda machine, argument: machine.stack.append(machine.stack[-1]),
    "GLOBAL": _global,
    "INST": _inst,
    "STACK_GLOBAL": _stack_global,
}


def _push(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument if type(argument) is str else 0)


def _handler(name: str) -> Callable[[_Machine, Any], None]:
    """Return what an opcode does to the machine."""
    count, marked, gives = _EFFECTS[name]
    if name in _SPECIAL:
        return _SPECIAL[name]
    if count or marked:
        return lambda machine, argument: machine.replace(name)
    return _push if gives else lambda machine, argument: None


_HANDLERS = {name: _handler(name) for name in _EFFECTS}


class _TooDeepError(Exception):
    """Nesting passed MAX_DEPTH."""


def _last_mark(stack: list[Any]) -> int:
    for i in range(len(stack) - 1, -1, -1):
        if stack[i] is _MARK:
            return i
    raise IndexError("no mark on the stack")


def scan(payload: bytes, allowed: Collection[tuple[str, str]], what: str) -> int:
    """Check that a pickle asks for nothing but `allowed`, without running it, and return its length in steps.

    Parameters
    ----------
    payload : bytes
        The pickle.
    allowed : collection of (module, name)
        The classes and functions it may name, exactly.
    what : str
        What errors call the file: its path.

    Raises
    ------
    StateForeignError
        When it asks for anything else, names up to five of them; when it nests deeper than `MAX_DEPTH` or is longer
        than `MAX_OPCODES`.
    StateCorruptError
        When it is no pickle.
    """
    machine = _Machine(allowed)
    count = 0
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(payload)):
            if count >= MAX_OPCODES:
                raise StateForeignError(f"{what} is refused: its pickle is longer than {MAX_OPCODES} steps")
            _HANDLERS[opcode.name](machine, argument)
    except _TooDeepError:
        raise StateForeignError(f"{what} is refused: its values nest deeper than {MAX_DEPTH} levels") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        if not machine.foreign:
            raise StateCorruptError(f"{what} is damaged: its pickle is broken at step {count} ({error})") from error
    if machine.foreign:
        names = list(machine.foreign)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise StateForeignError(
            f"{what} holds objects that reading it would have to trust: {', '.join(names[:5])}{more}; "
            "plain values, arrays and networks are read; save it with qlstm.state.write instead"
        )
    return count
