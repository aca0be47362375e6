"""One file of bars as a table of raw columns: CSV text or Parquet, nothing interpreted but the names of the columns."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError

__all__ = ["SUFFIXES", "Table", "read"]

_CSV, _PARQUET = (".csv", ".txt"), (".parquet",)
SUFFIXES = _CSV + _PARQUET
_ALIASES = {"volume": "vol"}


@dataclass(frozen=True)
class Table:
    """The rows of one file, not interpreted.

    Attributes
    ----------
    path : Path
        The file.
    columns : dict of str to np.ndarray
        Raw cells by lower-case name (``volume`` is called ``vol``); text for CSV, the file's own types for Parquet.
    rows : np.ndarray
        Where each row stands in the file, counted from 1 as an editor does.
    unit : str
        What `rows` counts: ``"line"`` or ``"row"``.
    """

    path: Path
    columns: dict[str, np.ndarray]
    rows: np.ndarray
    unit: str

    def place(self, i: int) -> str:
        """Name the i-th row for a message: ``prices/a.csv, line 7``."""
        return f"{self.path}, {self.unit} {self.rows[i]}"


def read(path: Path) -> Table | None:
    """Return the table in a file, or None when the file has no rows.

    Parameters
    ----------
    path : Path
        A file with one of `SUFFIXES`.

    Raises
    ------
    DataError
        When the file cannot be read, two columns have one name, or a row has other columns than the header.
    """
    return _read_csv(path) if path.suffix.lower() in _CSV else _read_parquet(path)


def _names(path: Path, header: Iterable[object]) -> list[str]:
    """Return lower-case column names, each of them once."""
    names = [_ALIASES.get(name, name) for name in (str(cell).strip().lower() for cell in header)]
    for i, name in enumerate(names):
        if name and name in names[:i]:
            raise DataError(f"{path} has two columns {name!r}; keep one")
    return names


def _read_csv(path: Path) -> Table | None:
    cells: list[list[str]] = []
    rows: list[int] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # -sig: spreadsheets put a byte order mark first
            reader = csv.reader(file, strict=True)
            for row in reader:
                if any(cell.strip() for cell in row):
                    cells.append(row)
                    rows.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path} as CSV text: {error}") from error
    if len(cells) < 2:
        return None
    header, *body = cells
    names = _names(path, header)
    for row, line in zip(body, rows[1:], strict=True):
        if len(row) != len(names):
            raise DataError(f"{path}, line {line}: {len(row)} columns where the header has {len(names)}: {row}")
    table = np.array(body, dtype=object).reshape(len(body), len(names))
    return Table(path, dict(zip(names, table.T, strict=True)), np.array(rows[1:], dtype=int), "line")


def _read_parquet(path: Path) -> Table | None:
    try:
        pyarrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(f"cannot read {path}: Parquet needs pyarrow; pip install 'qlstm[parquet]'") from error
    try:
        frame = parquet.read_table(path).to_pandas()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"cannot read {path} as Parquet: {' '.join(str(error).split())}") from error
    if frame.index.name is not None:  # pandas writes a named index, usually the date, beside the columns
        frame = frame.reset_index()
    names = _names(path, frame.columns)
    columns = {name: frame.iloc[:, i].to_numpy() for i, name in enumerate(names)}
    return Table(path, columns, np.arange(1, len(frame) + 1), "row") if len(frame) else None
