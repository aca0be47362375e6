"""The seam to the outside: where cubes come from and where they are kept.

`load` turns a name, a file or a folder into a checked cube; `save` keeps one as a netCDF file; `info` says what is in
it. Readers of formats (netCDF4, pyarrow) are imported when a file of theirs is read, `synthetic` (markets with known
truth) at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._lazy import attribute
from . import quality, stocks
from .netcdf import save
from .source import load
from .summary import info, sectors

if TYPE_CHECKING:
    from . import synthetic

__all__ = ["info", "load", "quality", "save", "sectors", "stocks", "synthetic"]


def __getattr__(name: str) -> Any:
    return attribute(__name__, {"synthetic": "synthetic"}, name)
