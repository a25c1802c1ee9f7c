"""Links of plain blocks, and the names that carry the key with them while a sealed tree is read.

A plan asks for the CIDs that it finds in blocks. So that nobody has to remember the key of each, an opened block is
given out with links that carry theirs (`cid.with_key`): reading a tree needs no table, however large it is.
"""

import struct
from typing import NamedTuple

from commonhold.formats import cid as cids
from commonhold.formats import dagpb
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed, Unsupported
from commonhold.formats.multihash import Multihash, from_sha2_256_digest
from commonhold.sealing.block import MAX_LOAD, MAX_ROWS, Outer
from commonhold.sealing.seal import verify_key

_SECRET = struct.Struct("<32s32sII")
_V1 = (b"\x01\x55\x12\x20", b"\x01\x70\x12\x20")

assert _SECRET.size == cids.KEYED_SECRET


class Link(NamedTuple):
    """What opens a sealed block, and what has to be in it: `length` bytes whose CID is `plain`."""

    digest: bytes
    read_key: bytes
    rows: int
    length: int
    plain: Cid

    @property
    def cid(self) -> Cid:
        """The plain CID, carrying this."""
        return cids.with_key(self.plain, _SECRET.pack(self.digest, self.read_key, self.rows, self.length))

    @property
    def sealed(self) -> Multihash:
        """The sealed block's key."""
        return from_sha2_256_digest(self.digest)


def link_of(key: Multihash) -> Link:
    """Return the link that a CID's multihash carries."""
    secret, plain = cids.key_of(key)
    digest, read_key, rows, length = _SECRET.unpack(secret)
    return Link(digest, read_key, rows, length, plain)


def length_of(key: Multihash) -> int:
    """Return the bytes of the content that a CID's multihash carries the link to."""
    return int.from_bytes(cids.key_of(key)[0][-4:], "little")


def is_sealed(cid: Cid) -> bool:
    """Whether a link has a row: all do but those that carry their content. Unsupported for what cannot be sealed."""
    if len(cid) == 36 and cid[:4] in _V1:
        return True
    if len(cid) == 34 and cid.version == 0:
        return True
    if cids.parse(cid).inline is not None:
        return False
    raise Unsupported("sealed block", "a link that is neither raw nor dag-pb, or not by sha2-256")


def targets(block: bytes) -> list[Cid]:
    """Return the links of a dag-pb block that have rows, in order; one that comes twice, twice."""
    return [cid for first, last in _places(block) if is_sealed(cid := Cid(block[first:last]))]


def _places(block: bytes) -> list[tuple[int, int]]:
    return [(span.first, span.last) for span in dagpb.link_spans(block)]


def relink(block: bytes, inner: list[tuple[bytes, int]], outer: list[Outer]) -> bytes:
    """Return a dag-pb block whose links carry their keys. Malformed where rows and links do not fit."""
    spans = dagpb.link_spans(block)
    rows = iter(zip(inner, outer, strict=True))
    found: list[Cid] = []
    for _, first, last, _ in spans:
        cid = Cid(block[first:last])
        if is_sealed(cid):
            row = next(rows, None)
            if row is None:
                raise Malformed("sealed block", "fewer rows than links")
            cid = _keyed(cid, *row)
        found.append(cid)
    if next(rows, None) is not None:
        raise Malformed("sealed block", "more rows than links")
    return dagpb.with_targets(block, spans, found) if spans else block


def _keyed(plain: Cid, inner: tuple[bytes, int], outer: Outer) -> Cid:
    read_key, length = inner
    digest, rows, below = outer
    if length > MAX_LOAD or rows > MAX_ROWS or (rows and plain.codec == cids.RAW):
        raise Malformed("sealed block", "a row that no block fits")
    # Else readers and verifiers would be led to different blocks.
    if below != verify_key(read_key, rows):
        raise Malformed("sealed block", "a row whose two keys do not belong together")
    return cids.with_key(plain, _SECRET.pack(digest, read_key, rows, length))
