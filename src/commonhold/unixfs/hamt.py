"""HAMT directories: names spread over shards by murmur3, a byte of the hash a level. Building only; `read` reads.

Source: UnixFS specification, "HAMTDirectory".
"""

from collections.abc import Generator
from typing import NamedTuple

import mmh3

from commonhold.api import Block
from commonhold.errors import HoldError, Kind
from commonhold.formats import dagpb, unixfs
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import HAMT_MURMUR3, Data, Mtime, Type
from commonhold.unixfs.profile import Profile

_HASH_BYTES = 8


class Entry(NamedTuple):
    """One name of a directory, what it names, and the bytes of all blocks below it."""

    name: str
    cid: Cid
    tsize: int


def hash_name(name: str) -> bytes:
    """Return the 8 bytes that place a name: the first half of murmur3-x64-128, most significant first."""
    return int(mmh3.hash64(name, 0, True, signed=False)[0]).to_bytes(8, "big")


_Item = tuple[bytes, bytes, Cid, int]  # hash, name, target, tsize


def build(
    profile: Profile, entries: list[Entry], mode: int | None, mtime: Mtime | None
) -> Generator[Block, None, tuple[Cid, int]]:
    """Yield the shards, children first; the root's CID and the bytes of all below it. For a fanout of 256."""
    items = sorted((hash_name(entry.name), entry.name.encode(), entry.cid, entry.tsize) for entry in entries)
    return (yield from _shard(profile, items, 0, mode, mtime))


def _shard(
    profile: Profile, items: list[_Item], depth: int, mode: int | None, mtime: Mtime | None
) -> Generator[Block, None, tuple[Cid, int]]:
    if depth == _HASH_BYTES:
        raise HoldError("add", Kind.UNSUPPORTED, repr(items[0][1])[:80], "two names of one hash: no HAMT can hold them")
    links: list[bytes] = []
    bits = total = 0
    at = 0
    while at < len(items):
        slot = items[at][0][depth]
        end = at + 1
        while end < len(items) and items[end][0][depth] == slot:
            end += 1
        prefix = b"%02X" % slot
        if end - at == 1:
            _, name, cid, tsize = items[at]
            links.append(dagpb.encode_link(cid, prefix + name, tsize))
        else:
            cid, tsize = yield from _shard(profile, items[at:end], depth + 1, None, None)
            links.append(dagpb.encode_link(cid, prefix, tsize))
        total += tsize
        bits |= 1 << slot
        at = end
    field = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    data = Data(Type.HAMT, data=field, hash_type=HAMT_MURMUR3, fanout=profile.fanout, mode=mode, mtime=mtime)
    block = b"".join(links) + dagpb.encode_data(unixfs.encode(data))
    cid = profile.cid(block)
    yield Block(cid, block)
    return cid, total + len(block)
