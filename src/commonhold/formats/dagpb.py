"""dag-pb: nodes of named, sized links and opaque data. Canonical when written, strict when read.

Source: IPLD dag-pb specification. Links (field 2) are written before data (field 1), which is what fixes a CID.
"""

from dataclasses import dataclass
from typing import NamedTuple

from commonhold.formats import cid as cids
from commonhold.formats import protobuf, varint
from commonhold.formats.cid import Cid
from commonhold.formats.malformed import Malformed


@dataclass(frozen=True, slots=True)
class Link:
    """One arrow of the graph: the target, its name ('' for none), and the size in bytes of all that is below it."""

    cid: Cid
    name: str
    tsize: int


@dataclass(frozen=True, slots=True)
class Node:
    """A dag-pb node. `data` is None where the field is absent, which is not the same block as an empty one."""

    links: tuple[Link, ...]
    data: bytes | None


def encode_link(cid: Cid, name: bytes, tsize: int) -> bytes:
    """Return one encoded link with its field tag and length."""
    encode = varint.encode
    body = b"\x0a%b%b\x12%b%b\x18%b" % (encode(len(cid)), cid, encode(len(name)), name, encode(tsize))
    return b"\x12%b%b" % (encode(len(body)), body)


def link_size(cid_length: int, name_length: int, tsize: int) -> int:
    """Return len(encode_link(…)) without encoding."""
    size = varint.size
    body = 3 + size(cid_length) + cid_length + size(name_length) + name_length + size(tsize)
    return 1 + size(body) + body


def encode_data(data: bytes) -> bytes:
    """Return the data field with its tag and length."""
    return b"\x0a%b%b" % (varint.encode(len(data)), data)


def encode(links: tuple[Link, ...] | list[Link], data: bytes | None) -> bytes:
    """Return the canonical block. The order of links is the caller's: files keep it, directories sort by name."""
    parts = [encode_link(link.cid, link.name.encode(), link.tsize) for link in links]
    if data is not None:
        parts.append(encode_data(data))
    return b"".join(parts)


def decode(block: bytes) -> Node:
    """Return the node in a block; refuses unknown fields, repeated data, and links among data."""
    links: list[Link] = []
    data: bytes | None = None
    runs = 0  # how often the field number changed: links then data, or data then links, never a third run
    last = 0
    for number, wire, a, b in protobuf.fields(block, "dag-pb node"):
        if wire != protobuf.BYTES or number not in (1, 2):
            raise Malformed("dag-pb node", f"field {number} of wire type {wire}")
        if number != last:
            runs, last = runs + 1, number
        if number == 2:
            links.append(_decode_link(block[a:b]))
        elif data is not None:
            raise Malformed("dag-pb node", "data twice")
        else:
            data = block[a:b]
    if runs > 2:
        raise Malformed("dag-pb node", "links and data are mixed")
    return Node(tuple(links), data)


def _decode_link(body: bytes) -> Link:
    target: Cid | None = None
    name = ""
    tsize = last = 0
    for number, wire, a, b in protobuf.fields(body, "dag-pb link"):
        if number <= last:
            raise Malformed("dag-pb link", "fields out of order")
        last = number
        if number == 1 and wire == protobuf.BYTES:
            target = cids.parse(body[a:b])
        elif number == 2 and wire == protobuf.BYTES:
            try:
                name = body[a:b].decode()
            except UnicodeDecodeError as error:
                raise Malformed("dag-pb link", "a name that is not UTF-8") from error
        elif number == 3 and wire == protobuf.VARINT:
            tsize = a
        else:
            raise Malformed("dag-pb link", f"field {number} of wire type {wire}")
    if target is None:
        raise Malformed("dag-pb link", "no CID")
    return Link(target, name, tsize)


class Span(NamedTuple):
    """Where a link is in a block: its field begins at `start`, its CID is at [first, last), it ends at `stop`."""

    start: int
    first: int
    last: int
    stop: int


def link_spans(block: bytes) -> list[Span]:
    """Return where the links are, in order, without looking at the rest of them: `decode` does, for those who need it.

    Stricter in form: a link's CID comes first in it, and tags have one byte.
    """
    spans: list[Span] = []
    at, end = 0, len(block)
    while at < end:
        start = at
        tag = block[at]
        length, at = _length(block, at + 1, end)
        if tag == 0x12:
            if not length or block[at] != 0x0A:
                raise Malformed("dag-pb link", "its CID does not come first")
            size, first = _length(block, at + 1, at + length)
            spans.append(Span(start, first, first + size, at + length))
        elif tag != 0x0A:
            raise Malformed("dag-pb node", f"a field of tag {tag}")
        at += length
    return spans


def _length(block: bytes, at: int, end: int) -> tuple[int, int]:
    """A field's length at an offset, and where it begins; Malformed if it does not lie before `end`."""
    if at < end and block[at] < 128:
        length, at = block[at], at + 1
    else:
        length, at = varint.decode(block, at, strict=False)
    if length > end - at:
        raise Malformed("dag-pb node", "a field is cut short")
    return length, at


def with_targets(block: bytes, spans: list[Span], targets: list[Cid]) -> bytes:
    """Return a block whose links lead elsewhere, one target a span; all else in it stays as it is."""
    parts: list[bytes] = []
    done = 0
    for (start, _, last, stop), target in zip(spans, targets, strict=True):
        rest = block[last:stop]
        inner = b"\x0a%b%b%b" % (varint.encode(len(target)), target, rest)
        parts.append(b"%b\x12%b%b" % (block[done:start], varint.encode(len(inner)), inner))
        done = stop
    parts.append(block[done:])
    return b"".join(parts)
