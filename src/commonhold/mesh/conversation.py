"""One connection, in both directions at once: messages out of a stream, messages into one, and signs of life.

Knows nothing of what is said. Whoever dialled sends in a request's body and hears in its answer, the other end the
other way round; both ends are alike here.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final

from commonhold.errors import HoldError, Kind
from commonhold.formats.malformed import Malformed
from commonhold.gossip.bounds import Bucket
from commonhold.gossip.values import Draw
from commonhold.mesh.framing import Frames
from commonhold.mesh.outbox import Outbox, Room
from commonhold.mesh.pulse import Beat, Pulse
from commonhold.transport.connection import Connection
from commonhold.transport.kept import Time

LARGE: Final = 64 << 10  # bytes of a message that takes a turn
TURNS: Final = 32  # of messages as large as that, which come at once from those who have dialled us
_LOOK: Final = 10.0  # seconds after which it is looked again what is due: something may have become so meanwhile
_SIGNS: Final = (8.0, 1 / 30)  # signs of life that may come: at once, and then in a second

Write = Callable[[bytes], Awaitable[None]]


class Turns:
    """How many large messages may come at once, of which each takes memory until it is whole."""

    def __init__(self, left: int = TURNS) -> None:
        self.left = left

    def take(self) -> bool:
        """Take one, if there is one."""
        if not self.left:
            return False
        self.left -= 1
        return True

    def give(self) -> None:
        """Give one back."""
        self.left += 1


class _Over(Exception):
    """The conversation has ended."""


class Conversation:
    """See the module. `heard` is called with each message that comes.

    `turns` are None where all large messages may come: from those whom we have dialled.
    """

    def __init__(self, time: Time, draw: Draw, room: Room, turns: Turns | None, heard: Callable[[bytes], None]) -> None:
        self._time = time
        self._heard = heard
        self._pulse = Pulse(draw, time.now())
        self._outbox = Outbox(room, lambda more: self._pulse.sent(self._time.now(), more))
        self._frames = Frames()
        self._turns = turns
        self._has_turn = False
        self._signs = Bucket(*_SIGNS)
        self._over = asyncio.Event()
        self.why = ""  # it has ended
        self.fault = False  # because of what the other end did
        self.pieces = self._outbox.pieces

    @property
    def waiting(self) -> int:
        """Bytes that wait to be sent."""
        return self._outbox.waiting

    def send(self, message: bytes) -> bool:
        """Have a message be sent; False if so much waits that the other end is too slow."""
        self._pulse.waits(self._time.now())
        return self._outbox.put(message)

    def end(self, why: str, fault: bool = False) -> None:
        """End it; the first reason counts."""
        if not self._over.is_set():
            self.why, self.fault = why, fault
            self._over.set()

    async def hold(self, coming: AsyncIterator[bytes], write: Write | None) -> None:
        """Hold it until it ends. `write` sends; None where somebody else takes the `pieces` and sends them."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(coming))
                group.create_task(self._watch())
                if write is not None:
                    group.create_task(self._speak(write))
                await self._over.wait()
                raise _Over
        except* _Over:
            pass
        finally:
            self._outbox.close()
            if self._has_turn and self._turns is not None:
                self._turns.give()

    async def _listen(self, coming: AsyncIterator[bytes]) -> None:
        while not self._over.is_set():
            try:
                data = await anext(coming, b"")
            except (HoldError, OSError) as error:
                self.end(error.why if isinstance(error, HoldError) else "the connection has broken")
                return
            if not data:
                self.end("it has hung up")
                return
            self._came(data)

    def _came(self, data: bytes) -> None:
        now, whole = self._time.now(), False
        messages = self._frames.feed(data)
        while not self._over.is_set():
            try:
                message = next(messages, None)
            except Malformed as error:
                self.end(f"what it sent is no stream of messages: {error.why}", fault=True)
                return
            if message is None:
                break
            whole = True
            if message:
                self._heard(message)
            elif not self._signs.take(1, now):
                self.end("it gives signs of life without end", fault=True)
        self._pulse.came(now, whole, self._frames.under_way > 0)
        self._turn()

    def _turn(self) -> None:
        """Whether a large message is under way, and may be."""
        if self._turns is None:
            return
        large = self._frames.under_way > LARGE
        if large and not self._has_turn:
            self._has_turn = self._turns.take()
            if not self._has_turn:
                self.end("too many send much at once")
        elif self._has_turn and not large:
            self._has_turn = False
            self._turns.give()

    async def _speak(self, write: Write) -> None:
        try:
            async for piece in self.pieces():
                await write(piece)
        except OSError:
            self.end("the connection has broken")

    async def _watch(self) -> None:
        while True:
            now = self._time.now()
            beat = self._pulse.due(now)
            if beat is Beat.SIGN:
                self._outbox.sign()
                self._pulse.sent(now, self._outbox.waiting > 0)
            elif beat is not None:
                self.end(beat.value)
            await self._time.sleep(max(0.01, min(self._pulse.next - now, _LOOK)))


async def asked(connection: Connection, path: str, conversation: Conversation) -> AsyncGenerator[bytes, None]:
    """What comes from a server that is sent the pieces of a conversation, in the body of one request."""
    async with connection.request("POST", path, body=conversation.pieces()) as answer:
        if answer.status != 200:
            raise HoldError(f"POST {path}", Kind.UNREACHABLE, str(connection.server), f"it answers {answer.status}")
        async for chunk in answer.chunks():
            yield chunk
