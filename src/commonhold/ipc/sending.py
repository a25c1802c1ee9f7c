"""How blocks get to a node: by memory that it shares with us, or in archives where there is none."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from commonhold.api import Slot
from commonhold.formats import car, spots
from commonhold.formats import cid as cids
from commonhold.formats.multihash import Multihash
from commonhold.formats.spots import Spot
from commonhold.host import disk
from commonhold.ipc.unixhttp import Client, Upload

Blocks = Sequence[tuple[Multihash, Slot]]

_HEADER = car.encode_header([])
_APART = 64 << 10  # smaller blocks are sent together
_GAP = memoryview(bytes(63))  # between blocks that are written in one go, at most


class Way(Protocol):
    """Sends blocks of one session, from one thread. Each step tells how many of those that the node answered for it had
    had before."""

    @property
    def under_way(self) -> bool:
        """Whether something was sent that is not yet answered for."""
        ...

    def send(self, blocks: Blocks) -> int:
        """Send blocks; they may be changed after that."""
        ...

    def finish(self) -> int:
        """Return when all that was sent is answered for."""
        ...

    def close(self) -> None:
        """Let go of what it has."""
        ...


class InMemory:
    """The blocks are written to memory that the node shares, which is a descriptor, and it is told where they lie."""

    under_way = False

    def __init__(self, client: Client, session: str, memory: int) -> None:
        self._client = client
        self._at = f"{session}/spots"
        self._memory = memory

    def send(self, blocks: Blocks) -> int:
        """See `Way`."""
        try:
            for start, parts in _runs(blocks):
                disk.write_all(self._memory, parts, start)
        except OSError as error:
            raise self._client.lied(f"memory that cannot be written: {error.strerror}") from error
        packed = spots.pack(Spot(key, slot.start, len(slot.into)) for key, slot in blocks)
        answer = self._client.read(self._client.call("POST", self._at, packed))
        counts = self._client.understood(lambda: _counts(json.loads(answer)))
        return _known(self._client, counts, len(blocks))

    def finish(self) -> int:
        """See `Way`."""
        return 0

    def close(self) -> None:
        """See `Way`."""
        os.close(self._memory)


def _runs(blocks: Blocks) -> Iterator[tuple[int, list[memoryview]]]:
    """What lies side by side, or nearly so, each run with its first byte."""
    first = end = 0
    run: list[memoryview] = []
    for _, slot in blocks:
        gap = slot.start - end
        if not run or not 0 <= gap <= len(_GAP):
            if run:
                yield first, run
            first, run = slot.start, []
        elif gap:
            run.append(_GAP[:gap])
        run.append(slot.into)
        end = slot.start + len(slot.into)
    if run:
        yield first, run


class InArchives:
    """The blocks go over the socket: one call for as many as come."""

    def __init__(self, client: Client, session: str) -> None:
        self._client = client
        self._at = f"{session}/blocks"
        self._upload: Upload | None = None
        self._sent = 0

    @property
    def under_way(self) -> bool:
        """See `Way`."""
        return self._upload is not None

    def send(self, blocks: Blocks) -> int:
        """See `Way`."""
        if self._upload is None:
            self._upload = self._client.upload(self._at)
            self._upload.send([_HEADER])
        parts: list[bytes | memoryview] = []
        small: list[bytes | memoryview] = []
        for key, slot in blocks:
            small.append(car.section_head(cids.make_v1(cids.RAW, key), len(slot.into)))
            small.append(slot.into)
            if len(slot.into) >= _APART:
                parts += (b"".join(small[:-1]), slot.into)
                small = []
        parts.append(b"".join(small))
        self._upload.send(parts)
        self._sent += len(blocks)
        return 0

    def finish(self) -> int:
        """See `Way`."""
        upload, self._upload = self._upload, None
        sent, self._sent = self._sent, 0
        return 0 if upload is None else _known(self._client, upload.finish(_counts), sent)

    def close(self) -> None:
        """See `Way`."""


def _counts(said: Any) -> list[int]:
    return [int(said[name]) for name in ("blocks", "known")]


def _known(client: Client, counts: list[int], sent: int) -> int:
    taken, known = counts
    if taken != sent:
        raise client.lied(f"word of {taken} blocks where {sent} were sent")
    return known
