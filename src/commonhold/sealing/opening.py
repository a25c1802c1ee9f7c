"""Opening: a sealed block and its key in, plain content out, checked against the CID that its parent named.

A sealed tree may be a stranger's: whatever a block says is checked before it is believed. Malformed says what is wrong.
"""

import hashlib

from commonhold.crypto import aead
from commonhold.formats import cid as cids
from commonhold.formats.capability import ReadCapability, VerifyCapability
from commonhold.formats.malformed import Malformed
from commonhold.sealing.block import (
    HEADER,
    INNER_ROW,
    Header,
    Outer,
    is_size,
    outer_size,
    sealed_size,
    unpack_header,
    unpack_inner,
    unpack_outer,
)
from commonhold.sealing.links import Link, relink
from commonhold.sealing.seal import verify_key


def open_outer(sealed: bytes | memoryview, rows: int, key: bytes) -> list[Outer]:
    """Return the outer rows of a sealed block that was checked against its digest, by its verify key."""
    if not is_size(len(sealed), rows):
        raise Malformed("sealed block", f"{len(sealed)} bytes for {rows} rows")
    if not rows:
        return []
    return unpack_outer(aead.unseal(key, sealed[-outer_size(rows) :]))


def check_unread(sealed: bytes, capability: VerifyCapability) -> list[Outer]:
    """Return what is below the block of a verify capability."""
    return open_outer(sealed, capability.rows, capability.key)


def open_leaf_in_place(room: memoryview, link: Link) -> int:
    """Open a sealed block without rows where it is, to the start of its buffer; its content's length."""
    header = _open_body(room, link.read_key, link.rows)
    _check_name(room, header, link)
    return header.length


def open_node(sealed: bytes, link: Link) -> bytes:
    """Return the content of a sealed block, with links that carry their keys."""
    room = memoryview(bytearray(sealed))
    header = _open_body(room, link.read_key, link.rows)
    _check_name(room, header, link)
    return _content(room, header, link.read_key, sealed)


def open_root(sealed: bytes, capability: ReadCapability) -> tuple[Link, bytes]:
    """Return the link to a capability's root as if a parent had it, and the root's content as `open_node` has it."""
    room = memoryview(bytearray(sealed))
    header = _open_body(room, capability.key, capability.rows)
    plain = header.plain_cid(hashlib.sha256(room[: header.length]).digest())
    link = Link(capability.digest, capability.key, capability.rows, header.length, plain)
    return link, _content(room, header, capability.key, sealed)


def _open_body(room: memoryview, key: bytes, rows: int) -> Header:
    """Open a body where it is; its header, which fits the block's size and number of rows."""
    end = len(room) - outer_size(rows) - aead.TAG - HEADER
    if end < 0:
        raise Malformed("sealed block", f"{len(room)} bytes for {rows} rows")
    body = aead.unseal_in_place(key, room[: end + HEADER + aead.TAG])
    header = unpack_header(body[end:])
    if header.rows != rows:
        raise Malformed("sealed block", f"{header.rows} rows, its parent says {rows}")
    used = header.length + rows * INNER_ROW
    if used > end or sealed_size(header.length, rows) != len(room):
        raise Malformed("sealed block", f"{header.length} bytes of content in a block of {len(room)}")
    if used < end and bytes(body[used:end]) != bytes(end - used):
        raise Malformed("sealed block", "padding that is not zero")
    return header


def _check_name(room: memoryview, header: Header, link: Link) -> None:
    if header.length != link.length:
        raise Malformed("sealed block", f"{header.length} bytes of content, its parent says {link.length}")
    if header.plain_cid(hashlib.sha256(room[: header.length]).digest()) != link.plain:
        raise Malformed("sealed block", "its content is not what its parent names")


def _content(room: memoryview, header: Header, key: bytes, sealed: bytes) -> bytes:
    """The content of an opened body, with links that carry their keys."""
    content = bytes(room[: header.length])
    if header.codec != cids.DAG_PB:
        return content
    inner = unpack_inner(room[header.length : header.length + header.rows * INNER_ROW])
    return relink(content, inner, open_outer(sealed, header.rows, verify_key(key, header.rows)))
