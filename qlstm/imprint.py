"""What a strategy saw on a day, in one or two kilobytes: enough to tell later which of it has been restated.

The imprint of a window is a few bytes of SHA-256 over each of its fields, assets and rows. A later file of the same
data gives the same imprint; where a past price was corrected, a dividend adjusted or an asset renamed, the digests that
differ say in which fields, for which assets, and from which day on. `docs/state.md` has the form.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .dates import calendar_days, day
from .errors import StateCorruptError

__all__ = ["Restatement", "compare", "take"]

_FINE, _COARSE = 512, 16  # groups of assets, and of rows, told apart in the traded cube and in the others
_BYTES = 3  # of each digest, and of each label's key
_SHOWN = 3  # assets named in a sentence


@dataclass(frozen=True)
class Restatement:
    """How the data of a past window differ from what was seen then.

    Parameters
    ----------
    name : str
        The cube, where there are several; else empty.
    fields, assets : tuple of str
        Those that differ; empty where that cannot be told apart. Assets that are new are not among them.
    since : np.datetime64, optional
        The first row that differs; None where rows cannot be compared.
    gone : int
        Assets that the window had and the data now lack.
    among : bool
        Whether `assets` are groups that hold those that differ: a window of more than 512 assets keeps groups alone.
    """

    name: str
    fields: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    since: np.datetime64 | None = None
    gone: int = 0
    among: bool = False

    def __str__(self) -> str:
        parts = [f"field{'s' * (len(self.fields) > 1)} {', '.join(self.fields)}"] if self.fields else []
        if self.assets:
            more = f" and {len(self.assets) - _SHOWN} more" if len(self.assets) > _SHOWN else ""
            among = "some among " if self.among else ""
            parts.append(f"{among}asset{'s' * (len(self.assets) > 1)} {', '.join(self.assets[:_SHOWN])}{more}")
        if self.since is not None:
            parts.append(f"first row {day(self.since)}")
        if self.gone:
            parts.append(f"{self.gone} asset{'s' * (self.gone > 1)} gone")
        return (f"{self.name}: " if self.name else "") + ", ".join(parts)


def take(data: xr.DataArray | Mapping[str, xr.DataArray], t: np.datetime64, days: int) -> list[dict[str, Any]]:
    """Return the imprint of the last `days` calendar days up to t, one entry per cube, in terms of JSON.

    Parameters
    ----------
    data : xr.DataArray or mapping of str to xr.DataArray
        As `Windows.data`: one cube, or several by name of which the first is traded; dims ``(field, time, asset)``.
    t : np.datetime64
        The last day of the window.
    days : int
        Its length, calendar days, both ends included.

    Returns
    -------
    list of dict
        At most about 7 KB for the traded cube and 0.6 KB for each other one, whatever their size.
    """
    taken = []
    for number, (name, cube) in enumerate(_named(data).items()):
        view = _View.of(_between(cube, t - calendar_days(days), t))
        if len(view.times):
            taken.append({"name": name} | _imprint(view, _COARSE if number else _FINE))
    return taken


def compare(then: Any, data: xr.DataArray | Mapping[str, xr.DataArray], what: str = "the state") -> list[Restatement]:
    """Return how the data differ from their imprint; nothing where they are what was seen then.

    Rows that the data no longer reach back to are left out, as are assets, fields and cubes that are new.

    Parameters
    ----------
    then : list of dict
        What `take` returned.
    data : xr.DataArray or mapping of str to xr.DataArray
        The data now, of any later day.
    what : str
        What errors call the file that the imprint is from.

    Raises
    ------
    StateCorruptError
        When `then` is no imprint.
    """
    cubes = _named(data)
    try:
        found = [_difference(one, cubes[one["name"]]) for one in then if one["name"] in cubes]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StateCorruptError(f"{what} is damaged: the imprint of its data cannot be read ({error!r})") from error
    return [one for one in found if one is not None]


def _named(data: xr.DataArray | Mapping[str, xr.DataArray]) -> Mapping[str, xr.DataArray]:
    return {"": data} if isinstance(data, xr.DataArray) else data


def _between(cube: xr.DataArray, first: np.datetime64, last: np.datetime64) -> xr.DataArray:
    times = cube["time"].values
    return cube.isel(time=slice(int(times.searchsorted(first, "left")), int(times.searchsorted(last, "right"))))


@dataclass(frozen=True)
class _View:
    """A window in the one order that digests are made in: labels sorted, one kind of zero and of NaN."""

    fields: np.ndarray
    times: np.ndarray
    assets: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, cube: xr.DataArray) -> _View:
        """Arrange a cube of dims (field, time, asset); assets with nothing but NaN and 0 in it are left out."""
        fields, assets = (cube[dim].values.astype(str) for dim in ("field", "asset"))
        by_field, by_asset = np.argsort(fields), np.argsort(assets)
        values = cube.values[by_field][:, :, by_asset] + 0.0  # which makes -0 a 0
        values[np.isnan(values)] = np.nan
        held = np.nan_to_num(values).any(axis=(0, 1))
        return cls(fields[by_field], cube["time"].values, assets[by_asset][held], values[:, :, held])

    def only(self, fields: Any, assets: np.ndarray) -> _View:
        """Return the part of some fields, by name, and of some assets, by a mask."""
        held = np.isin(self.fields, list(fields))
        return _View(self.fields[held], self.times, self.assets[assets], self.values[held][:, :, assets])

    def digest(self, field: Any = slice(None), row: Any = slice(None), asset: Any = slice(None)) -> bytes:
        """Return the first bytes of SHA-256 over the labels and values of a part."""
        found = hashlib.sha256()
        for labels in (self.fields[field], self.assets[asset]):
            found.update("".join(f"{label}\n" for label in labels).encode())
        found.update(self.times[row].astype("<i8").tobytes())
        found.update(self.values[field][:, row][:, :, asset].astype("<f8").tobytes())
        return found.digest()[:_BYTES]


def _imprint(view: _View, most: int) -> dict[str, Any]:
    bits = 8 * _BYTES if len(view.assets) <= most else most.bit_length() - 1
    span = -(-len(view.times) // most)
    return {
        "first": str(view.times[0]),
        "last": str(view.times[-1]),
        "fields": _fields(view),
        "bits": bits,
        "assets": _text(b"".join(key.to_bytes(_BYTES, "big") + found for key, found in _assets(view, bits).items())),
        "span": span,
        "rows": _text(b"".join(_rows(view, span).values())),
    }


def _key(label: str, bits: int) -> int:
    """Return the group that an asset belongs to: the first bits of the SHA-256 of its name."""
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:_BYTES], "big") >> (8 * _BYTES - bits)


def _members(view: _View, bits: int) -> dict[int, list[int]]:
    members = defaultdict(list)
    for i, label in enumerate(view.assets):
        members[_key(label, bits)].append(i)
    return members


def _assets(view: _View, bits: int) -> dict[int, bytes]:
    return {key: view.digest(asset=places) for key, places in _members(view, bits).items()}


def _fields(view: _View) -> dict[str, str]:
    return {str(name): view.digest(field=slice(i, i + 1)).hex() for i, name in enumerate(view.fields)}


def _rows(view: _View, span: int) -> dict[int, bytes]:
    """Return first row -> digest of each group of `span` rows, counted from the last one."""
    ends = range(len(view.times), 0, -span)
    return {max(0, end - span): view.digest(row=slice(max(0, end - span), end)) for end in ends}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _pieces(text: str, size: int) -> list[bytes]:
    data = base64.b64decode(text, validate=True)
    if len(data) % size:
        raise ValueError(f"{len(data)} bytes are no digests of {size}")
    return [data[at : at + size] for at in range(0, len(data), size)]


def _difference(then: Mapping[str, Any], cube: xr.DataArray) -> Restatement | None:
    """Return how the rows of a cube differ from the imprint of one; None where they do not, or there are none left."""
    first, last = np.datetime64(then["first"], "ns"), np.datetime64(then["last"], "ns")
    bits, span = int(then["bits"]), int(then["span"])
    known = {int.from_bytes(one[:_BYTES], "big"): one[_BYTES:] for one in _pieces(then["assets"], 2 * _BYTES)}
    now = _View.of(_between(cube, first, last))
    now = now.only(then["fields"], np.array([_key(label, bits) in known for label in now.assets], dtype=bool))
    if not len(now.times):
        return None
    members = _members(now, bits)
    gone, lost = len(known.keys() - members.keys()), sorted(set(then["fields"]) - set(now.fields))
    reaches_back = bool(cube["time"].values[0] <= first)  # else fields and assets have fewer rows than then
    if lost:
        return Restatement(then["name"], fields=tuple(lost), gone=gone if reaches_back else 0)
    among = bits < 8 * _BYTES
    assets, fields, since = [], [], None
    if reaches_back:
        assets = sorted(
            str(now.assets[i]) for k, found in _assets(now, bits).items() if found != known[k] for i in members[k]
        )
    if reaches_back and not gone:
        fields = [name for name, found in _fields(now).items() if found != then["fields"][name]]
    if not gone:
        since = _first_changed(now, span, set(_pieces(then["rows"], _BYTES)), reaches_back)
    if not (assets or fields or since is not None or (gone and reaches_back)):
        return None
    return Restatement(then["name"], tuple(fields), tuple(assets), since, gone, among)


def _first_changed(now: _View, span: int, known: set[bytes], reaches_back: bool) -> np.datetime64 | None:
    """Return the first row of the first group that was not there then."""
    groups = _rows(now, span)
    if not reaches_back and len(now.times) % span:
        del groups[0]  # its earlier rows are gone
    changed = [row for row, found in groups.items() if found not in known]
    return now.times[min(changed)] if changed else None
