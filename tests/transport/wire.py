"""What goes over the wire, and what a server can see: a relay that notes all bytes, and a ClientHello taken apart."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from commonhold.formats.hint import TcpHint

HANDSHAKE, ALERT = 22, 21
_RECORD_HEAD = 5


@dataclass
class Relayed:
    """One connection's bytes, in each direction."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)

    def sent(self) -> list[int]:
        """The types of the TLS records that the client sent."""
        types, at = [], 0
        while at < len(self.up):
            types.append(self.up[at])
            at += _RECORD_HEAD + int.from_bytes(self.up[at + 3 : at + 5], "big")
        return types


@asynccontextmanager
async def relay(target: TcpHint, sock: socket.socket | None = None) -> AsyncIterator[tuple[TcpHint, list[Relayed]]]:
    """Relay connections to a server; where to connect, which is where a socket listens if there is one, and what
    went by."""
    seen: list[Relayed] = []
    under_way: set[asyncio.Task[None]] = set()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        there, back = await asyncio.open_connection(target.host, target.port)
        seen.append(Relayed())
        with suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, back, seen[-1].up))
                both.create_task(_pump(there, writer, seen[-1].down))
        back.close()
        writer.close()
        under_way.discard(task)

    server = await asyncio.start_server(greet, sock=sock or socket.create_server(("127.0.0.1", 0)))
    try:
        yield TcpHint(*server.sockets[0].getsockname()[:2]), seen
    finally:
        server.close()
        for task in list(under_way):
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, into: bytearray) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            into += data
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass(frozen=True)
class Hello:
    """A ClientHello (RFC 8446 §4.1.2): its fields, extensions by number."""

    random: bytes
    session: bytes
    ciphers: bytes
    extensions: tuple[tuple[int, bytes], ...]

    def extension(self, number: int) -> bytes | None:
        """One extension's content."""
        return dict(self.extensions).get(number)


def hello(sent: bytes) -> Hello:
    """The ClientHello that a client's first bytes are."""
    assert sent[0] == HANDSHAKE and sent[5] == 1
    at = 5 + 4 + 2
    random, at = sent[at : at + 32], at + 32
    session, at = sent[at + 1 : at + 1 + sent[at]], at + 1 + sent[at]
    length = int.from_bytes(sent[at : at + 2], "big")
    ciphers, at = sent[at + 2 : at + 2 + length], at + 2 + length
    at += 1 + sent[at]  # compression
    end = at + 2 + int.from_bytes(sent[at : at + 2], "big")
    at += 2
    extensions = []
    while at < end:
        number, length = (int.from_bytes(sent[at + i : at + i + 2], "big") for i in (0, 2))
        extensions.append((number, bytes(sent[at + 4 : at + 4 + length])))
        at += 4 + length
    return Hello(bytes(random), bytes(session), bytes(ciphers), tuple(extensions))
