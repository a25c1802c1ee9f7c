"""What may follow the body of a FUSE request that makes something: groups and a security attribute. Pure.

Source: fuse_ext_header, fuse_supp_groups and fuse_secctx_header of the kernel's header. Other types are passed over.
"""

import struct
from typing import NamedTuple

from commonhold.formats.malformed import Malformed

_MAX_CONTEXTS = 31  # a greater number is the type of another extension
_GROUPS = 32
_PAIR = struct.Struct("<II")


class Extensions(NamedTuple):
    """`groups`: the group of the directory, if the caller is in it and it is not the caller's first. `context`: name
    and value of a security attribute for what is made."""

    groups: tuple[int, ...]
    context: tuple[bytes, bytes] | None


NONE = Extensions((), None)


def parse(raw: bytes) -> Extensions:
    """Return what extensions say; each has its length and its type before it and ends on a multiple of 8 bytes."""
    groups, context = NONE
    at = 0
    while at < len(raw):
        if len(raw) - at < _PAIR.size:
            raise Malformed("extension", "cut short")
        size, kind = _PAIR.unpack_from(raw, at)
        if size < _PAIR.size or size > len(raw) - at:
            raise Malformed("extension", f"{size} bytes")
        content = raw[at + _PAIR.size : at + size]
        if kind == _GROUPS:
            groups = _groups(content)
        elif 0 < kind <= _MAX_CONTEXTS:
            context = _context(content, kind)
        at += -(-size // 8) * 8
    return Extensions(groups, context)


def _groups(content: bytes) -> tuple[int, ...]:
    count = int.from_bytes(content[:4], "little")
    if len(content) < 4 or count > (len(content) - 4) // 4:
        raise Malformed("extension", f"{count} groups")
    return struct.unpack_from(f"<{count}I", content, 4)


def _context(content: bytes, count: int) -> tuple[bytes, bytes]:
    if count > 1 or len(content) < _PAIR.size:
        raise Malformed("extension", f"{count} security attributes in {len(content)} bytes")
    size, _ = _PAIR.unpack_from(content, 0)
    name, nul, value = content[_PAIR.size :].partition(b"\0")
    if not nul or not name or size > len(value):
        raise Malformed("extension", "a security attribute without a name or cut short")
    return name, value[:size]
