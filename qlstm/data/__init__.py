"""The seam to the outside: where cubes come from and where they are kept.

`load` turns a name, a file or a folder into a checked cube; `save` keeps one as a netCDF file; `info` says what is in
it. Readers of formats (netCDF4, pyarrow) are imported when a file of theirs is read.
"""

from __future__ import annotations

from . import stocks
from .netcdf import save
from .source import load
from .summary import info, sectors

__all__ = ["info", "load", "save", "sectors", "stocks"]
