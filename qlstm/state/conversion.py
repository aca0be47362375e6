"""A memory as other programs pickle it: for the established toolbox, and for notebooks that know nothing of qlstm.

What is written runs code when it is read, as every ordinary pickle does; the reader has to trust it. Protocol 3 is the
newest that names classes as text, which lets them be renamed: those of the strategy's file become a notebook's own
(``__main__``), and numpy's private names those that numpy 1 had too.
"""

from __future__ import annotations

import gzip
import pickle
import pickletools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import StateError

if TYPE_CHECKING:
    from ..strategy import Memory, Strategy

__all__ = ["to_plain"]

_PROTOCOL = 3


def to_plain(memory: Memory, strategy: Strategy | None = None) -> bytes:
    """Return the gzip of the ordinary pickle of ``(created, models, state)``: torch modules and xarray objects as such.

    `qlstm.nn.Models` become a dictionary; a `qlstm.nn.LSTM` inside still needs qlstm where the file is read.

    Parameters
    ----------
    memory : Memory
        What to write.
    strategy : Strategy, optional
        Its file's classes are written as those of ``__main__``.

    Raises
    ------
    StateError
        When something in it cannot be pickled.
    """
    from ..nn import Models

    models = dict(memory.models) if isinstance(memory.models, Models) else memory.models
    try:
        content = pickle.dumps((memory.trained_at, models, memory.state), _PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise StateError(f"the state cannot be pickled: {error}") from error
    home = None if strategy is None else str(strategy.namespace.get("__name__"))
    return gzip.compress(b"".join(_renamed(content, home)), mtime=0)


def _renamed(content: bytes, home: str | None) -> Iterator[bytes]:
    """Yield a pickle piece by piece, with other modules in the names that it asks for."""
    done = 0
    for opcode, argument, place in pickletools.genops(content):
        if opcode.name != "GLOBAL" or argument is None or place is None:
            continue
        module, name = argument.split(" ", 1)
        renamed = "__main__" if module == home else module.replace("numpy._core.", "numpy.core.")
        if renamed != module:
            yield content[done:place] + f"c{renamed}\n{name}\n".encode()
            done = place + len(f"c{module}\n{name}\n".encode())
    yield content[done:]
