"""Packs, places and whole shares for tests."""

import hashlib
import random
from collections.abc import Sequence

from commonhold.crypto.aead import TAG
from commonhold.erasure.code import Code
from commonhold.erasure.gathering import Gathering
from commonhold.erasure.layout import HEAD, Layout
from commonhold.erasure.share import Share
from commonhold.erasure.spreading import Spreading
from commonhold.erasure.values import PIN, SALT, PackSeed, Place, Salt, Shape
from commonhold.formats.pin import SpkiPin

SEED = PackSeed(hashlib.sha256(b"the seed of a pack").digest())


def server(number: int) -> SpkiPin:
    return SpkiPin(hashlib.sha256(f"server {number}".encode()).digest()[:PIN])


def place(number: int, turn: int = 0) -> Place:
    return Place(server(number), Salt(hashlib.sha256(f"salt {number} {turn}".encode()).digest()[:SALT]))


def places(count: int, first: int = 0, turn: int = 0) -> list[Place]:
    return [place(first + number, turn) for number in range(count)]


def some(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def spread(code: Code, shape: Shape, pack: bytes, first: int = 0, turn: int = 0) -> list[bytearray]:
    """All shares of a pack, whole."""
    spreading = Spreading(code, SEED, shape, [memoryview(pack)], places(shape.n, first, turn))
    found = [bytearray(share.head) for share in spreading.shares]
    for index in range(spreading.layout.segments):
        rooms = [memoryview(bytearray(b"\xa5" * (spreading.layout.piece(index) + TAG))) for _ in found]
        spreading.fill(index, rooms)
        for share, one in zip(found, rooms, strict=True):
            share += one
    for share, made in zip(found, spreading.shares, strict=True):
        share += made.tail()
        assert len(share) == made.length
    return found


def opened(shares: Sequence[bytes | bytearray], first: int = 0) -> list[Share]:
    return [Share(SEED, server(first + at), bytes(share[:HEAD])) for at, share in enumerate(shares)]


def part(share: Share, data: bytes | bytearray, index: int) -> memoryview:
    """A copy of a sealed piece, to be opened where it is."""
    start, stop = share.layout.part(index)
    return memoryview(bytearray(data[start:stop]))


def buffer(layout: Layout, index: int) -> memoryview:
    """For the bytes of a segment, and not empty before."""
    start, stop = layout.bounds(index)
    return memoryview(bytearray(b"\xa5" * (stop - start)))


def gathered(index: int, which: Sequence[tuple[Share, bytes | bytearray]]) -> tuple[Gathering, memoryview]:
    """A segment whose pieces of these shares have come, and where it is to be."""
    layout = which[0][0].layout
    into = buffer(layout, index)
    gathering = Gathering(layout, index, into)
    for share, data in which:
        gathering.add(share, part(share, data, index))
    return gathering, into


def restored(code: Code, which: Sequence[tuple[Share, bytes | bytearray]]) -> bytes:
    """The pack, out of these shares."""
    found = b""
    for index in range(which[0][0].layout.segments):
        gathering, into = gathered(index, which)
        gathering.restore(code)
        found += into
    return found
