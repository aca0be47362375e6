"""The outside of a state file: one gzip member whose header carries what is known about the content.

RFC 1952 lets a gzip header hold an extra field, which every reader skips. Ours has one subfield, id ``QL``: a JSON
object in UTF-8 (keys sorted, no spaces), at most 65531 bytes, with the schema's number, length and SHA-256 of the
uncompressed payload, the metadata that the codec gives, and ``metadata_sha256``, the SHA-256 of the object without that
entry. So the metadata can be read and found undamaged without unpacking the payload, and ``gzip.open`` reads the file
as ever.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from typing import Any

from ..errors import StateCorruptError, StateError, StateForeignError, StateTooNewError

__all__ = ["MAX_PAYLOAD", "SCHEMA", "metadata", "unwrap", "wrap"]

SCHEMA = 1
"""The newest schema this version writes and reads."""
MAX_PAYLOAD = 2 * 1024**3
"""Bytes that a state file may unpack to."""

_MAGIC = b"\x1f\x8b\x08"
_HAS_CRC, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16
_CHUNK = 1 << 20
_ID = b"QL"
_SEAL = "metadata_sha256"


def _canonical(known: dict[str, Any]) -> bytes:
    return json.dumps(known, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def wrap(payload: bytes, known: dict[str, Any]) -> bytes:
    """Return the state file that holds `payload`; equal arguments give equal bytes.

    Parameters
    ----------
    payload : bytes
        What readers get from ``gzip.open``.
    known : dict
        Metadata, anything JSON holds.

    Raises
    ------
    StateError
        When payload or metadata are too large for the format.
    """
    if len(payload) > MAX_PAYLOAD:
        raise StateError(
            f"the state takes {len(payload)} bytes, more than {MAX_PAYLOAD}; keep less in models and state"
        )
    known = {
        **known,
        "schema": SCHEMA,
        "payload_bytes": len(payload),
        "payload_sha256": hashlib.sha256(payload).hexdigest(),
    }
    known[_SEAL] = hashlib.sha256(_canonical(known)).hexdigest()
    text = _canonical(known)
    if len(text) > 65531:  # the field's length has 16 bits and counts the subfield's own 4 bytes
        raise StateError(f"the metadata of the state take {len(text)} bytes, more than 65531")
    extra = _ID + struct.pack("<H", len(text)) + text
    # Time 0 and system 255 (unknown) keep the bytes the same everywhere. Run lengths and Huffman codes only: the bulk
    # is floats, which a search for matches cannot shorten either and takes three times as long for.
    head = _MAGIC + bytes([_HAS_EXTRA]) + struct.pack("<I", 0) + b"\x00\xff" + struct.pack("<H", len(extra)) + extra
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_RLE)
    body = packer.compress(payload) + packer.flush()
    return head + body + struct.pack("<II", zlib.crc32(payload), len(payload) & 0xFFFFFFFF)


def _split(data: bytes, what: str) -> tuple[bytes | None, int]:
    """Return the extra field (None without one) and where the compressed data start."""
    if data[:3] != _MAGIC or len(data) < 18:
        raise StateCorruptError(f"{what} is damaged: it is {'no gzip file' if data[:3] != _MAGIC else 'cut short'}")
    flags, at, extra = data[3], 10, None
    try:
        if flags & _HAS_EXTRA:
            (length,) = struct.unpack_from("<H", data, at)
            extra = data[at + 2 : at + 2 + length]
            at += 2 + length
        for flag in (_HAS_NAME, _HAS_COMMENT):
            if flags & flag:
                at = data.index(b"\x00", at) + 1
    except (struct.error, ValueError):
        raise StateCorruptError(f"{what} is damaged: it ends inside its header") from None
    at += 2 if flags & _HAS_CRC else 0
    if at > len(data) - 8:
        raise StateCorruptError(f"{what} is damaged: it ends inside its header")
    return extra, at


def _subfield(extra: bytes, what: str) -> bytes | None:
    """Return the content of our subfield of a gzip extra field, None when there is none."""
    at = 0
    while at + 4 <= len(extra):
        (length,) = struct.unpack_from("<H", extra, at + 2)
        if extra[at : at + 2] == _ID:
            if at + 4 + length > len(extra):
                raise StateCorruptError(f"{what} is damaged: its metadata are cut short")
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return None


def metadata(data: bytes, what: str = "the state") -> dict[str, Any]:
    """Return what the header of a state file says, without unpacking the file.

    Parameters
    ----------
    data : bytes
        The file.
    what : str
        What errors call it: its path.

    Returns
    -------
    dict
        Empty when the file has no metadata of ours (another program wrote it).

    Raises
    ------
    StateCorruptError
        When the header is damaged.
    StateTooNewError
        When a later schema wrote it.
    """
    extra, _ = _split(data, what)
    text = None if extra is None else _subfield(extra, what)
    if text is None:
        return {}
    try:
        known = json.loads(text)
        seal = known.pop(_SEAL)
        schema = known["schema"]
        whole = hashlib.sha256(_canonical(known)).hexdigest() == seal
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        raise StateCorruptError(f"{what} is damaged: its metadata cannot be read") from None
    if not whole:
        raise StateCorruptError(f"{what} is damaged: its metadata do not match their checksum")
    if type(schema) is not int or schema > SCHEMA:
        raise StateTooNewError(f"{what} has schema {schema}, this qlstm reads up to {SCHEMA}; upgrade qlstm")
    return dict(known)


def unwrap(data: bytes, what: str = "the state") -> tuple[bytes, dict[str, Any]]:
    """Return the payload of a state file, or of any gzip file, and its metadata.

    Memory is bounded by what the file itself says it unpacks to, and by `MAX_PAYLOAD`.

    Parameters
    ----------
    data : bytes
        The file.
    what : str
        What errors call it: its path.

    Raises
    ------
    StateCorruptError
        When anything in the file does not match its checksums.
    StateForeignError
        When it would unpack to more than `MAX_PAYLOAD` bytes.
    StateTooNewError
        When a later schema wrote it.
    """
    known = metadata(data, what)
    _, start = _split(data, what)
    crc, size = struct.unpack("<II", data[-8:])
    body = memoryview(data)[start:-8]
    # Deflate shortens to a thousandth at best: a larger size is not a bomb's but a cut file's.
    if size > 1040 * len(data) or size != known.get("payload_bytes", size):
        raise StateCorruptError(f"{what} is damaged: its content is not as long as it says")
    if size > MAX_PAYLOAD:
        raise StateForeignError(f"{what} is refused: it unpacks to {size} bytes, more than {MAX_PAYLOAD}")
    payload = _inflate(body, size, what)
    if len(payload) != size or zlib.crc32(payload) != crc:
        raise StateCorruptError(f"{what} is damaged: its content does not match its checksum")
    if known and hashlib.sha256(payload).hexdigest() != known.get("payload_sha256"):
        raise StateCorruptError(f"{what} is damaged: its content does not match the SHA-256 in its metadata")
    return payload, known


def _inflate(body: memoryview, size: int, what: str) -> bytes:
    """Unpack a deflate stream, and stop one byte past `size`, whatever the stream still holds."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    parts, left, at = [], size + 1, 0
    try:
        while at < len(body) and left > 0 and not unpacker.eof:
            part = unpacker.decompress(body[at : at + _CHUNK], left)
            at += _CHUNK
            parts.append(part)
            left -= len(part)
    except zlib.error as error:
        raise StateCorruptError(f"{what} is damaged: it does not unpack ({error})") from None
    if not unpacker.eof or unpacker.unused_data or at < len(body):
        raise StateCorruptError(f"{what} is damaged: its content is not as long as it says")
    return b"".join(parts)
