"""A pack on its way to storage servers: its shares are made segment by segment, and sent side by side.

What is made of a segment goes to all servers before much more is made, so that memory stays small; a server that keeps
the others waiting is left behind. docs/spec/keeping.md.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

from commonhold.erasure.share import NewShare
from commonhold.erasure.spreading import Spreading
from commonhold.errors import HoldError, Kind
from commonhold.exchange.server import StorageServer
from commonhold.formats.pin import SpkiPin
from commonhold.formats.shareindex import ShareIndex

WAITING: Final = 8  # pieces that wait for one server
PATIENCE: Final = 30.0  # seconds that all wait for the slowest
_AHEAD: Final = 3  # segments that are made at once

_EVEN: Final = 256 << 10  # what is written at once: pieces end where the pack does, which no two servers are to see

Piece = bytes | memoryview
Sent = Callable[[SpkiPin, int], None]  # so many more bytes are on their way to a server


def nobody(_server: SpkiPin, _count: int) -> None:
    """A `Sent` for whom nobody waits."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One share and where it goes."""

    server: StorageServer
    number: int
    index: ShareIndex
    until: int


class _Stream:
    """One share on its way. Pieces are put in order; those that the server has already are hashed, and not sent."""

    def __init__(self, parcel: Parcel, share: NewShare, told: Sent) -> None:
        self.parcel = parcel
        self._told = told
        self.share = share
        self.failure: HoldError | None = None
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue(WAITING)
        self._hashed = hashlib.sha256()
        self._skip = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Start to send."""
        self._task = group.create_task(self._sent())

    def hash(self, piece: Piece) -> None:
        """Take a piece into account; from one thread at a time, in order."""
        self._hashed.update(piece)

    def take(self, piece: Piece | None) -> bool:
        """Hand on the next piece, None at the end, if that can be done at once. Who has failed takes all."""
        if self.failure is None:
            if self._pieces.full():
                return False
            self._pieces.put_nowait(piece)
        return True

    async def put(self, piece: Piece | None) -> None:
        """Hand it on when there is room again. A server that takes none for long is left behind."""
        if self.failure is not None:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._pieces.put(piece)
        except TimeoutError:
            why = f"it took nothing for {PATIENCE:g} s"
            self.failure = HoldError("store share", Kind.UNREACHABLE, str(self.parcel.server.pin), why)
            assert self._task is not None
            self._task.cancel()

    async def _sent(self) -> None:
        """Send it all. What goes wrong is its `failure`."""
        try:
            await self._send()
        except HoldError as error:
            self.failure = error
        except asyncio.CancelledError:
            if self.failure is None:
                raise
        while not self._pieces.empty():  # nobody is to wait for what is not sent any more
            self._pieces.get_nowait()

    async def _send(self) -> None:
        server, index, size = self.parcel.server, self.parcel.index, self.share.length
        here = await server.begin(index, size, self.parcel.until)
        self._skip = here
        if here < size:
            here = await server.append(index, here, self._body(), size)
        else:
            async for _ in self._body():
                pass
        if here != size:
            raise HoldError("store share", Kind.CHANGED, str(server.pin), f"it has {here} of {size} bytes")
        await server.finish(index, self._hashed.digest())

    async def _body(self) -> AsyncIterator[Piece]:
        """What is to be sent, in parts that do not show where its pieces end."""
        parts: list[memoryview] = []
        filled = 0
        while (piece := await self._pieces.get()) is not None:
            left, self._skip = memoryview(piece)[self._skip :], max(0, self._skip - len(piece))
            while filled + len(left) >= _EVEN:
                some, left = left[: _EVEN - filled], left[_EVEN - filled :]
                yield b"".join((*parts, some))
                parts, filled = [], 0
                self._told(self.parcel.server.pin, _EVEN)
            parts.append(left)
            filled += len(left)
        if filled:
            yield b"".join(parts)
            self._told(self.parcel.server.pin, filled)


async def send(
    spreading: Spreading, parcels: Sequence[Parcel], threads: Executor, told: Sent = nobody
) -> list[HoldError | None]:
    """Send shares of a pack; for each what went wrong, or None: then it is on that server's disk.

    Sent again with the same spreading, a share goes on where it was cut off.
    """
    streams = [_Stream(parcel, spreading.shares[parcel.number], told) for parcel in parcels]
    async with asyncio.TaskGroup() as group:
        for stream in streams:
            stream.begin(group)
        await _make(spreading, streams, threads)
    return [stream.failure for stream in streams]


async def _make(spreading: Spreading, streams: Sequence[_Stream], threads: Executor) -> None:
    loop = asyncio.get_running_loop()
    await _put(streams, [stream.share.head for stream in streams], threads)
    making: list[asyncio.Future[list[memoryview]]] = []
    for index in range(spreading.layout.segments + _AHEAD):
        if index < spreading.layout.segments:
            making.append(loop.run_in_executor(threads, _fill, spreading, index))
        if len(making) > _AHEAD or index >= spreading.layout.segments:
            rooms = await making.pop(0)
            await _put(streams, [rooms[stream.parcel.number] for stream in streams], threads)
        if not making or all(stream.failure is not None for stream in streams):
            break
    for left in making:
        await left
    await _put(streams, [stream.share.tail() for stream in streams], threads)
    await _hand_on((stream, None) for stream in streams)


def _fill(spreading: Spreading, index: int) -> list[memoryview]:
    """All shares' pieces of one segment."""
    start, stop = spreading.layout.part(index)
    rooms = [memoryview(bytearray(stop - start)) for _ in spreading.shares]
    spreading.fill(index, rooms)
    return rooms


async def _put(streams: Sequence[_Stream], pieces: Sequence[Any], threads: Executor) -> None:
    def hash_all() -> None:
        for stream, piece in zip(streams, pieces, strict=True):
            stream.hash(piece)

    await asyncio.get_running_loop().run_in_executor(threads, hash_all)
    await _hand_on(zip(streams, pieces, strict=True))


async def _hand_on(pieces: Iterable[tuple[_Stream, Piece | None]]) -> None:
    """Wait only for those that have no room: mostly that is nobody."""
    await asyncio.gather(*[stream.put(piece) for stream, piece in pieces if not stream.take(piece)])
