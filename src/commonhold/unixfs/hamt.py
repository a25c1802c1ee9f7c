"""HAMT directories: names spread over shards by murmur3, some bits of the hash a level. Building only; `read` reads.

Source: UnixFS specification, "HAMTDirectory".
"""

from collections.abc import Generator
from typing import NamedTuple

import mmh3

from commonhold.api import MAX_BLOCK, Block
from commonhold.errors import HoldError, Kind
from commonhold.formats import dagpb, unixfs
from commonhold.formats.cid import Cid
from commonhold.formats.unixfs import HAMT_MURMUR3, Data, Mtime, Type
from commonhold.unixfs.profile import Profile, cid_for

HASH_BITS = 64


class Entry(NamedTuple):
    """One name of a directory, what it names, and the bytes of all blocks below it."""

    name: str
    cid: Cid
    tsize: int


def hash_name(name: str) -> int:
    """Return the 64 bits that place a name, used from the most significant on: murmur3-x64-128's first half."""
    return int(mmh3.hash64(name.encode(), 0, True, signed=False)[0])


def slot_of(hashed: int, fanout: int, depth: int) -> int | None:
    """Return the slot of a name's hash in a shard at a depth; None where no bits are left to tell."""
    width = fanout.bit_length() - 1
    shift = HASH_BITS - (depth + 1) * width
    return hashed >> shift & (fanout - 1) if shift >= 0 else None


def prefix_digits(fanout: int) -> int:
    """Return how many hexadecimal digits a slot's number has in a link's name."""
    return len(f"{fanout - 1:X}")


_Item = tuple[int, bytes, Cid, int]  # hash, name, target, tsize


def build(
    profile: Profile, entries: list[Entry], mode: int | None, mtime: Mtime | None
) -> Generator[Block, None, tuple[Cid, int]]:
    """Yield the shards, children first; the root's CID and the bytes of all below it. Names differ and are UTF-8."""
    items = sorted((hash_name(entry.name), entry.name.encode(), entry.cid, entry.tsize) for entry in entries)
    return (yield from _shard(profile, items, 0, mode, mtime))


def _shard(
    profile: Profile, items: list[_Item], depth: int, mode: int | None, mtime: Mtime | None
) -> Generator[Block, None, tuple[Cid, int]]:
    fanout = profile.fanout
    digits = prefix_digits(fanout)
    shift = HASH_BITS - (depth + 1) * (fanout.bit_length() - 1)
    if shift < 0:
        raise HoldError(
            "add",
            Kind.UNSUPPORTED,
            repr(items[0][1])[:80],
            "two names of one hash: no HAMT can hold them",
            hint="rename it",
        )
    links: list[bytes] = []
    bits = total = at = 0
    while at < len(items):
        run = items[at][0] >> shift
        end = at + 1
        while end < len(items) and items[end][0] >> shift == run:
            end += 1
        slot = run & (fanout - 1)
        prefix = b"%0*X" % (digits, slot)
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
    data = Data(Type.HAMT, data=field, hash_type=HAMT_MURMUR3, fanout=fanout, mode=mode, mtime=mtime)
    made = directory_block(profile, links, unixfs.encode(data))
    yield made
    return made.cid, total + len(made.data)


def directory_block(profile: Profile, links: list[bytes], data: bytes) -> Block:
    """Return the block of encoded links and a UnixFS message. TOO_LARGE where names make it more than a block."""
    block = b"".join(links) + dagpb.encode_data(data)
    if len(block) > MAX_BLOCK:
        raise HoldError("add", Kind.TOO_LARGE, "directory", f"names make a block of {len(block)} bytes")
    return Block(cid_for(profile, block), block)
