"""A Tor's control port: who proves to have its cookie has services published, for as long as the connection lasts."""

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from commonhold.formats.hint import UnixHint


class FakeTor:
    """`services`: what each key leads to now, by the key as it was sent. `asked` has all that was sent."""

    def __init__(self, directory: Path) -> None:
        self.control = UnixHint(str(directory / "control"))
        self.cookie = directory / "cookie"
        self.names: dict[str, str] = {}  # which service a key is: a fake cannot compute it
        self.services: dict[str, str] = {}
        self.asked: list[str] = []
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs; like Tor, with another cookie each time."""
        self.cookie.write_bytes(os.urandom(32))
        server = await asyncio.start_unix_server(self._greet, self.control.path)
        try:
            yield
        finally:
            server.close()
            self.hang_up()
            await asyncio.gather(*self._talks)

    def hang_up(self) -> None:
        """End all connections, and with them what they had published."""
        for writer in self._talks.values():
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks[task] = writer
        own: set[str] = set()
        with suppress(ConnectionError):
            await self._talk(reader, writer, own)
        for key in own:
            del self.services[key]
        writer.close()
        del self._talks[task]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, own: set[str]) -> None:
        due, proved = b"", False
        while line := await reader.readline():
            self.asked.append(line.decode().removesuffix("\r\n"))
            match self.asked[-1].split(" "):
                case ["AUTHCHALLENGE", "SAFECOOKIE", nonce]:
                    said, due = self._challenge(bytes.fromhex(nonce))
                case ["AUTHENTICATE", proof] if due and bytes.fromhex(proof) == due:
                    said, proved = "250 OK", True
                case ["ADD_ONION", key, port] if proved:
                    said = self._add(key.removeprefix("ED25519-V3:"), port.removeprefix("Port="), own)
                case _:
                    said = "514 Authentication required."
            writer.write(said.encode() + b"\r\n")
            await writer.drain()

    def _challenge(self, nonce: bytes) -> tuple[str, bytes]:
        own = os.urandom(32)
        whole = self.cookie.read_bytes() + nonce + own
        keys = [f"Tor safe cookie authentication {way} hash".encode() for way in _WAYS]
        here, there = (hmac.new(key, whole, hashlib.sha256).digest() for key in keys)
        return f"250 AUTHCHALLENGE SERVERHASH={here.hex().upper()} SERVERNONCE={own.hex().upper()}", there

    def _add(self, key: str, port: str, own: set[str]) -> str:
        assert len(base64.b64decode(key, validate=True)) == 64
        if key in self.services:
            return "550 Onion address collision"
        self.services[key] = port
        own.add(key)
        return f"250-ServiceID={self.names[key]}\r\n250 OK"


_WAYS = ("server-to-controller", "controller-to-server")
