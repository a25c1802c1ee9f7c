"""Sealing: a plain block in, a sealed one and the row for its parent out. docs/spec/sealing.md, "Keys"."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from commonhold.crypto import aead
from commonhold.crypto.derive import Deriver, derive
from commonhold.errors import HoldError, Kind
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.sealing.block import (
    HEADER,
    MAX_LOAD,
    MAX_SIZE,
    NO_KEY,
    Header,
    Row,
    outer_size,
    rows_digest,
    sealed_size,
)

SECRET = 32
READ_LABEL = b"commonhold sealed block v1 read\0"
VERIFY_LABEL = b"commonhold sealed block v1 verify\0"
_NO_ROWS = rows_digest(b"", b"")


class SealedBlock(NamedTuple):
    """A sealed block's bytes, and the row that its parent gets."""

    data: bytes
    row: Row


def verify_key(read_key: bytes, rows: int) -> bytes:
    """Return the verify key of a block by its read key."""
    return derive(read_key, VERIFY_LABEL) if rows else NO_KEY


def verify_capability(capability: ReadCapability) -> VerifyCapability:
    """Return the lesser right. There is no way back."""
    return VerifyCapability(capability.digest, capability.rows, verify_key(capability.key, capability.rows))


def checked_size(length: int, rows: int) -> int:
    """Return the size of the sealed block of so much; TOO_LARGE if it would be none."""
    size = sealed_size(length, rows)
    if size > MAX_SIZE:
        why = f"{length} bytes with {rows} links are too much for one sealed block; without links it takes {MAX_LOAD}"
        raise HoldError("seal", Kind.TOO_LARGE, "block", why, hint="smaller chunks: --chunker size-1048576")
    return size


class Sealer:
    """Seals blocks under one convergence secret of 32 bytes. Safe from many threads."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET:
            raise ValueError(f"a convergence secret of {len(secret)} bytes")
        self._derive = Deriver(secret).derive

    def leaf_in_place(self, room: memoryview, header: Header) -> tuple[bytes, Row]:
        """Seal the content at the start of a buffer of `checked_size`, in place; the content's digest, and the row."""
        length = header.length
        digest = hashlib.sha256(room[:length]).digest()
        head = header.pack()
        end = len(room) - aead.TAG
        room[length:end] = bytes(end - length - HEADER) + head
        key = self._derive(READ_LABEL + head + digest + _NO_ROWS)
        aead.seal_into(key, room[:end], room)
        return digest, Row(hashlib.sha256(room).digest(), 0, key, NO_KEY, length)

    def node(self, content: bytes, digest: bytes, header: Header, children: Sequence[Row]) -> SealedBlock:
        """Seal content of a known sha2-256 digest; the rows are its links' in order, as the header counts them."""
        inner = b"".join([row.inner() for row in children])
        outer = b"".join([row.outer() for row in children])
        size = checked_size(header.length, header.rows)
        head = header.pack()
        key = self._derive(READ_LABEL + head + digest + rows_digest(inner, outer))
        padding = size - outer_size(header.rows) - aead.TAG - HEADER - len(content) - len(inner)
        data = aead.seal(key, b"".join((content, inner, bytes(padding), head)))
        below = verify_key(key, header.rows)
        if header.rows:
            data += aead.seal(below, outer)
        return SealedBlock(data, Row(hashlib.sha256(data).digest(), header.rows, key, below, header.length))
