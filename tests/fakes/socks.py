"""A SOCKS 5 proxy on loopback: notes who asks for what, and connects it to a server that the test names."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from commonhold.formats.hint import TcpHint


class Asked(NamedTuple):
    """One request: the login, None if there was none, and what was asked for. A name is text, an address bytes."""

    login: tuple[str, str] | None
    host: str | bytes
    port: int


@dataclass
class SocksProxy:
    """`asked` has all requests. `target` says where one leads; None refuses it. `methods` are what it takes."""

    target: Callable[[Asked], TcpHint | None]
    methods: tuple[int, ...] = (2, 0)  # the one it likes best first
    asked: list[Asked] = field(default_factory=list)
    offered: list[bytes] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self, sock: socket.socket | None = None) -> AsyncIterator[TcpHint]:
        """Serve while the block runs; where: at any free port of loopback, or by a socket that listens."""
        under_way: set[asyncio.Task[None]] = set()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            under_way.add(task)
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
            writer.close()
            under_way.discard(task)

        sock = sock or socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(greet, sock=sock)
        try:
            yield TcpHint(*server.sockets[0].getsockname()[:2])
        finally:
            server.close()
            for task in list(under_way):
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        assert version == 5
        offered = await reader.readexactly(count)
        self.offered.append(offered)
        chosen = next((method for method in self.methods if method in offered), 255)
        writer.write(bytes((5, chosen)))
        if chosen == 255:
            return
        login = await self._login(reader, writer) if chosen == 2 else None
        asked = Asked(login, *await _destination(reader))
        self.asked.append(asked)
        target = self.target(asked)
        if target is None:
            writer.write(bytes((5, 4, 0, 1)) + bytes(6))
            return
        there, back = await asyncio.open_connection(target.host, target.port)
        writer.write(bytes((5, 0, 0, 1)) + bytes(6))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, back))
                both.create_task(_pump(there, writer))
        finally:
            back.close()

    async def _login(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, str]:
        assert (await reader.readexactly(1)) == b"\x01"
        words = []
        for _ in range(2):
            (length,) = await reader.readexactly(1)
            words.append((await reader.readexactly(length)).decode())
        writer.write(b"\x01\x00")
        return words[0], words[1]


async def _destination(reader: asyncio.StreamReader) -> tuple[str | bytes, int]:
    head = await reader.readexactly(4)
    assert head[:3] == bytes((5, 1, 0))
    host: str | bytes
    if head[3] == 3:
        (length,) = await reader.readexactly(1)
        host = (await reader.readexactly(length)).decode()
    else:
        host = ipaddress.ip_address(await reader.readexactly(4 if head[3] == 1 else 16)).packed
    return host, int.from_bytes(await reader.readexactly(2), "big")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
