"""Work on the shares of a pack of 32 MiB, in memory, so many times in each of so many threads; print the seconds.

Usage: python share_work.py WHAT K N THREADS TIMES, where WHAT is one of those in `WORKS`. See `share_rows`.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from commonhold.crypto.aead import TAG
from commonhold.erasure.choosing import quickest
from commonhold.erasure.gathering import Gathering
from commonhold.erasure.layout import HEAD, SEGMENT
from commonhold.erasure.share import Share
from commonhold.erasure.spreading import Spreading
from commonhold.erasure.values import PackSeed, Piece, Place, Salt, Shape
from commonhold.formats.pin import SpkiPin

PACK = 32 << 20
_SEED = PackSeed(os.urandom(32))
_CODE = quickest()

Work: TypeAlias = Callable[[], None]


def _rooms(shape: Shape, more: int = 0) -> list[memoryview]:
    return [memoryview(bytearray(-(-SEGMENT // shape.k) + more)) for _ in range(shape.n)]


def _spreading(shape: Shape) -> Spreading:
    places = [Place(SpkiPin(os.urandom(32)), Salt(os.urandom(16))) for _ in range(shape.n)]
    return Spreading(_CODE, _SEED, shape, [memoryview(os.urandom(PACK))], places)


def _shares(shape: Shape, hashed: bool) -> Work:
    """Encode and seal, and hash each share or not."""
    spreading, rooms = _spreading(shape), _rooms(shape, TAG)

    def work() -> None:
        sums = [hashlib.sha256(share.head) for share in spreading.shares]
        for index in range(spreading.layout.segments):
            spreading.fill(index, rooms)
            if hashed:
                for one, sealed in zip(sums, rooms, strict=True):
                    one.update(sealed)

    return work


def _code(shape: Shape) -> Work:
    """Encode alone."""
    pieces = [Piece(number, data) for number, data in enumerate(_rooms(shape))]

    def work() -> None:
        for _ in range(PACK // SEGMENT):
            _CODE.compute(pieces[: shape.k], pieces[shape.k :])

    return work


def _zfec(shape: Shape) -> Work:
    """Encode alone, by zfec."""
    import zfec

    pieces = tuple(bytes(data) for data in _rooms(shape)[: shape.k])
    encoder, wanted = zfec.Encoder(shape.k, shape.n), tuple(range(shape.k, shape.n))

    def work() -> None:
        for _ in range(PACK // SEGMENT):
            encoder.encode(pieces, wanted)

    return work


def _hash(shape: Shape) -> Work:
    """Hash as many bytes as the shares have, piece by piece."""
    rooms = _rooms(shape, TAG)

    def work() -> None:
        sums = [hashlib.sha256() for _ in rooms]
        for _ in range(PACK // SEGMENT):
            for one, sealed in zip(sums, rooms, strict=True):
                one.update(sealed)

    return work


def _restore(shape: Shape, numbers: Sequence[int]) -> Work:
    """Open k shares and restore the pack. What is opened where it is has to be copied first, as the network does."""
    spreading = _spreading(shape)
    layout = spreading.layout
    sealed, rooms = [], _rooms(shape, TAG)
    for index in range(layout.segments):
        spreading.fill(index, rooms)
        sealed.append([bytes(rooms[number]) for number in numbers])
    shares = [
        Share(_SEED, spreading.shares[number].place.server, spreading.shares[number].head[:HEAD]) for number in numbers
    ]
    into = memoryview(bytearray(layout.segment))

    def work() -> None:
        for index in range(layout.segments):
            start, stop = layout.bounds(index)
            gathering = Gathering(layout, index, into[: stop - start])
            for share, piece, data in zip(shares, rooms, sealed[index], strict=False):
                piece[:] = data
                gathering.add(share, piece)
            gathering.restore(_CODE)

    return work


def _zfec_restore(shape: Shape) -> Work:
    """Restore from k pieces that are not the segment itself, by zfec; nothing is opened."""
    import zfec

    pieces = tuple(bytes(data) for data in _rooms(shape)[: shape.k])
    decoder, numbers = zfec.Decoder(shape.k, shape.n), tuple(range(shape.n - shape.k, shape.n))

    def work() -> None:
        for _ in range(PACK // SEGMENT):
            decoder.decode(pieces, numbers)

    return work


WORKS: dict[str, Callable[[Shape], Work]] = {
    "code": _code,
    "zfec": _zfec,
    "seal": lambda shape: _shares(shape, hashed=False),
    "seal-hash": lambda shape: _shares(shape, hashed=True),
    "hash": _hash,
    "restore-plain": lambda shape: _restore(shape, range(shape.k)),
    "restore": lambda shape: _restore(shape, range(shape.n - shape.k, shape.n)),
    "zfec-restore": _zfec_restore,
}


def main(what: str, shape: Shape, threads: int, times: int) -> None:
    """Work in threads that begin together; each has a pack of its own."""
    works = [WORKS[what](shape) for _ in range(threads)]
    works[0]()  # so that memory is there
    gate = threading.Barrier(threads + 1)

    def repeat(work: Work) -> None:
        gate.wait()
        for _ in range(times):
            work()

    pool = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in pool:
        thread.start()
    gate.wait()
    start = time.perf_counter()
    for thread in pool:
        thread.join()
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(sys.argv[1], Shape(int(sys.argv[2]), int(sys.argv[3])), int(sys.argv[4]), int(sys.argv[5]))
