"""A server's onion address: its key in a private file, and a Tor of this machine told of it again whenever it forgets.

Tor keeps a service for as long as the control connection that told it lasts; its own config is not touched, and it has
nothing of this on its disk. docs/spec/transport.md.
"""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonhold.errors import HoldError, Kind, os_errors
from commonhold.formats.hint import TcpHint
from commonhold.formats.keys import Seed, decode_pem, encode_pem, seed_of
from commonhold.formats.malformed import Malformed
from commonhold.host.private import PrivateDirectory
from commonhold.transport import dial, torcontrol
from commonhold.transport.exchange import said_of
from commonhold.transport.kept import Time
from commonhold.transport.retrying import Pace, Retry
from commonhold.transport.rules import Proxy
from commonhold.transport.torcontrol import Refused, Replies, Service

PACE: Final = Pace(spread=1.0, first=1.0, longest=60.0)
_KEY: Final = "onion.pem"
_SECONDS = 30.0  # until Tor has been told
_OP = "publish onion address"
_READ = 4096


@dataclass(frozen=True, slots=True)
class Control:
    """Where a Tor of this machine takes orders, and the file with the cookie that both must have read."""

    where: Proxy
    cookie: Path

    def __post_init__(self) -> None:
        if isinstance(self.where, TcpHint) and not (self.where.address and self.where.address.is_loopback):
            why = "not loopback, in numbers: the onion address's key would go over a network as it is"
            raise HoldError(_OP, Kind.USAGE, str(self.where), why, hint="use a Tor of this machine")


def key(directory: PrivateDirectory, randomness: Callable[[int], bytes]) -> Seed:
    """The key of a server's onion address, which is made where there is none. CORRUPT, and what is said of a file that
    is not private. Who has the file has the address."""
    if _KEY not in directory.names():
        directory.place(_KEY, encode_pem(seed_of(randomness(32))))
    try:
        return decode_pem(directory.read(_KEY)).seed
    except Malformed as error:
        raise HoldError(_OP, Kind.CORRUPT, str(directory.path / _KEY), error.why) from error


class Onion:
    """A service that one Tor is told of. `randomness(n)` gives n random bytes."""

    def __init__(self, control: Control, service: Service, randomness: Callable[[int], bytes]) -> None:
        self.service = service
        self._control = control
        self._randomness = randomness

    async def keep(self, retry: Retry, clock: Time, told: Callable[[HoldError | None], None]) -> None:
        """Keep it published until cancelled. It is told when it is (None), and each time that it is not, why."""
        wait = retry.before_first()
        while True:
            await clock.sleep(wait)
            try:
                sock = await self.publish()
            except HoldError as error:
                told(error)
                wait = retry.after_failure()
                continue
            since = clock.now()
            with sock:
                told(None)
                await _ended(sock)
            told(self._failure("Tor has ended the connection"))
            wait = retry.after_end(clock.now() - since)

    async def publish(self) -> socket.socket:
        """Have it published for as long as this socket is open. UNREACHABLE; DENIED if Tor, or the cookie's file, is
        not for us."""
        cookie = self._cookie()
        try:
            async with asyncio.timeout(_SECONDS):
                sock = await dial.reach_proxy(self._control.where)
                try:
                    await self._tell(sock, cookie)
                except BaseException:
                    sock.close()
                    raise
                return sock
        except TimeoutError as error:
            raise self._failure(f"no answer within {_SECONDS:g} s") from error
        except Refused as error:
            raise self._failure(f"Tor says: {error}", Kind.DENIED) from error
        except Malformed as error:
            raise self._failure(f"what answers is not Tor: {error.why}") from error
        except OSError as error:
            raise self._failure(said_of(error)) from error

    async def _tell(self, sock: socket.socket, cookie: bytes) -> None:
        loop = asyncio.get_running_loop()
        talk, replies = torcontrol.publish(cookie, self._randomness(torcontrol.NONCE), self.service), Replies()
        ask = next(talk)
        while True:
            await loop.sock_sendall(sock, ask)
            found: list[torcontrol.Reply] = []
            while not found:
                data = await loop.sock_recv(sock, _READ)
                if not data:
                    raise ConnectionResetError("it has hung up")
                found = replies.feed(data)
            if len(found) > 1:
                raise Malformed("reply of Tor", "more than was asked for")
            try:
                ask = talk.send(found[0])
            except StopIteration:
                return

    def _cookie(self) -> bytes:
        path = self._control.cookie
        with os_errors(_OP, str(path)), path.open("rb") as file:
            found = file.read(torcontrol.COOKIE + 1)
        if len(found) != torcontrol.COOKIE:
            hint = "name what CookieAuthFile is in Tor's config"
            raise HoldError(_OP, Kind.INVALID, str(path), "not a cookie of Tor", hint=hint)
        return found

    def _failure(self, why: str, kind: Kind = Kind.UNREACHABLE) -> HoldError:
        return HoldError(_OP, kind, str(self._control.where), why, hint="see that Tor runs, and has this control port")


async def published(onion: Onion, say: Callable[[str], None]) -> None:
    """Keep a service published until cancelled, by this machine's clock and chance; what becomes of it is said once."""
    last = ""

    def told(error: HoldError | None) -> None:
        nonlocal last
        text = f"published at {onion.service.hint}" if error is None else f"{error}; try: {error.hint}"
        if text != last:
            say(text)
        last = text

    await onion.keep(Retry(PACE, random.SystemRandom().random), Time(time.monotonic, asyncio.sleep), told)


async def _ended(sock: socket.socket) -> None:
    """Return when the other end has ended a connection, at which nothing more is to be said."""
    try:
        await asyncio.get_running_loop().sock_recv(sock, 1)
    except OSError:
        return
