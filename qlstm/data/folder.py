"""A folder with one file of daily bars per asset, as a cube.

Files end with ``.csv``, ``.txt`` (both comma-separated text with a header) or ``.parquet``; other files and
subfolders are not looked at. A file's name without its ending, and without a trailing ``.us`` as in ``aapl.us.txt``
of Kaggle's Huge Stock Market Dataset, is the asset id in capitals: ``AAPL``. The columns Date, Open, High, Low, Close
and Volume must be there, in any order and case; ``is_liquid``, ``divs``, ``split`` and ``split_cumprod`` are read
where all files have them; others (``OpenInt``, ``Adj Close``) are left out, so prices should be adjusted already.
Dates are ISO (``2017-11-10``); a time zone behind a time of day is dropped, since the exchange's own date counts. An
empty cell, ``nan``, ``null`` or ``n/a`` is a missing value.

Where the files have no ``is_liquid``, an asset is liquid on a day when it is among the 100 largest by the trailing
60-row median of close × volume (`qlstm.data.liquidity`), known that day.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ..cube import DIMS, FIELDS, DataWarning
from ..dates import day
from ..errors import DataError
from .liquidity import most_traded
from .tables import SUFFIXES, Table
from .tables import read as read_table

__all__ = ["LIQUID_ASSETS", "read"]

LIQUID_ASSETS = 100
"""How many assets are liquid on a day when the files do not say: as many as the default contest's index has members."""
_OPTIONAL = ("divs", "split", "split_cumprod", "is_liquid")
_CONTEST = "stocks_nasdaq100"
_ZONED = r"(?i)^([\d/-]+[T ][\d:.,]*\d)\s*(?:Z|[+-]\d\d(?::?\d\d)?)$"  # only behind a time: 2017-11 ends with no zone
_MISSING = {"", "nan", "null", "none", "na", "n/a", "<na>"}


@dataclass(frozen=True)
class _Bars:
    """One asset's days, ascending, and its fields over them, all of shape (time,)."""

    path: Path
    times: np.ndarray
    fields: dict[str, np.ndarray]


def read(folder: Path) -> xr.DataArray:
    """Return the cube of all assets in a folder, over the union of their dates.

    Parameters
    ----------
    folder : Path
        Laid out as the module says.

    Returns
    -------
    xr.DataArray
        Dims ``(field, time, asset)``, float64, NaN where an asset has no bar; the name is ``stocks_nasdaq100``, the
        default contest.

    Raises
    ------
    DataError
        When there is no usable file, two files are one asset, a column is missing or in some files only, or a row has a
        date that is no date or is doubled, or a value that is no number; the message names file, line, column, value.

    Warns
    -----
    DataWarning
        When files without any row were left out.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(f"folder {folder} has no {', '.join(SUFFIXES)} files (subfolders are not searched)")
    assets, empty = _read_all(paths)
    if not assets:
        raise DataError(f"folder {folder}: none of its {len(paths)} files has a row, {paths[0].name} for one")
    if empty:
        names = ", ".join(path.name for path in empty[:3])
        warnings.warn(f"{folder}: {len(empty)} files without a row left out: {names}", DataWarning, stacklevel=3)
    return _assemble(assets)


def _read_all(paths: list[Path]) -> tuple[dict[str, _Bars], list[Path]]:
    """Return the bars by asset, and the files that have none."""
    files: dict[str, Path] = {}
    assets: dict[str, _Bars] = {}
    empty = []
    for path in paths:
        asset = path.stem.upper().removesuffix(".US")
        if asset in files:
            raise DataError(f"{files[asset]} and {path} are both asset {asset}; keep one")
        files[asset] = path
        table = read_table(path)
        if table is None:
            empty.append(path)
        else:
            assets[asset] = _bars(table)
    return assets, empty


def _bars(table: Table) -> _Bars:
    for name in ("date", *FIELDS):
        if name not in table.columns:
            header = ", ".join(table.columns)
            want = "Date, Open, High, Low, Close, Volume"
            raise DataError(f"{table.path} has no column {name!r}; its first line reads: {header}; want {want}")
    times = _times(table)
    order = np.argsort(times, kind="stable")
    doubled = np.flatnonzero(np.diff(times[order]) == np.timedelta64(0))
    if len(doubled):
        i = int(order[doubled[0] + 1])
        raise DataError(f"{table.place(i)}, column 'date': {day(times[i])} occurs before; keep one row per date")
    fields = {name: _numbers(table, name)[order] for name in (*FIELDS, *_OPTIONAL) if name in table.columns}
    return _Bars(table.path, times[order], fields)


def _times(table: Table) -> np.ndarray:
    """Return the dates of a table, shape (row,), datetime64[ns]."""
    raw = pd.Series(table.columns["date"]).astype(str).str.strip()
    local = raw.str.replace(_ZONED, r"\1", regex=True)
    odd = local.str.contains(r"[:T ].*[Z+-]", case=False)  # a zone of another form: pandas would move or mix times
    times = pd.to_datetime(local.mask(odd), format="ISO8601", errors="coerce")
    bad = np.flatnonzero(times.isna())
    if len(bad):
        i = int(bad[0])
        raise DataError(f"{table.place(i)}, column 'date': {raw[i]!r} is no date; write it as 2017-11-10")
    outside = np.flatnonzero((times < pd.Timestamp.min) | (times > pd.Timestamp.max))
    if len(outside):  # the cast below would wrap around
        i = int(outside[0])
        span = f"{pd.Timestamp.min:%Y-%m-%d} to {pd.Timestamp.max:%Y-%m-%d}"
        raise DataError(f"{table.place(i)}, column 'date': {raw[i]!r} is outside of {span}; correct or drop the row")
    return times.to_numpy(dtype="datetime64[ns]")


def _numbers(table: Table, name: str) -> np.ndarray:
    """Return one column of a table as float64, shape (row,), NaN where a cell says that there is no value."""
    raw = table.columns[name]
    values = pd.to_numeric(pd.Series(raw), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    for i in np.flatnonzero(~np.isfinite(values)).tolist():
        text = str(raw[i]).strip()
        if text.lower() not in _MISSING:
            raise DataError(
                f"{table.place(i)}, column {name!r}: {text!r} is no finite number; correct or empty the cell"
            )
    return values


def _optional_fields(assets: Mapping[str, _Bars]) -> list[str]:
    """Return the optional fields, which all assets must have or none."""
    found = []
    for name in _OPTIONAL:
        having = [bars.path for bars in assets.values() if name in bars.fields]
        lacking = [bars.path for bars in assets.values() if name not in bars.fields]
        if having and lacking:
            raise DataError(
                f"{lacking[0]} has no column {name!r}, but {having[0]} has; give it to all files or to none"
            )
        found += [name] if having else []
    return found


def _assemble(assets: Mapping[str, _Bars]) -> xr.DataArray:
    ids = sorted(assets)
    fields = [*FIELDS, *_optional_fields(assets)]
    times = np.unique(np.concatenate([assets[asset].times for asset in ids]))
    values = np.full((len(fields), len(times), len(ids)), np.nan)
    for k, asset in enumerate(ids):
        bars = assets[asset]
        at = times.searchsorted(bars.times)
        for f, name in enumerate(fields):
            values[f, at, k] = bars.fields[name]
    if "is_liquid" not in fields:
        liquid = most_traded(values[fields.index("close")], values[fields.index("vol")], LIQUID_ASSETS)
        fields, values = [*fields, "is_liquid"], np.concatenate([values, liquid[np.newaxis]])
    coords = {"field": np.array(fields), "time": times, "asset": np.array(ids)}
    return xr.DataArray(values, dims=DIMS, coords=coords, name=_CONTEST)
