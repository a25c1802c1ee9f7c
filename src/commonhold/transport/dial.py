"""The one function that opens connections. Whatever is dialled, by whichever address and for whom, goes through `dial`.

It asks `rules` for the way, makes a key that nobody will see twice, and checks who is there before a byte is sent.
REQUIREMENTS D1, D2, D10, D13, D18, notes 8 and 10. docs/spec/transport.md.
"""

import asyncio
import errno
import functools
import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohappyeyeballs
from aiohttp.client_proto import ResponseHandler

from commonhold.errors import HoldError, Kind
from commonhold.formats import keys
from commonhold.formats.hint import Hint, TcpHint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.host import sockets
from commonhold.transport import connection, rules, socks, tls
from commonhold.transport.connection import Connection, Make, Open
from commonhold.transport.exchange import said_of
from commonhold.transport.rules import Direct, Local, Proxied, Proxy, Route, Rules
from commonhold.transport.socks import Login
from commonhold.transport.stranger import Stranger
from commonhold.transport.tls import PinnedContext, PinnedObject, WrongPeer

MAX_HINTS = 16  # of one server; more are not tried
_STAGGER_SECONDS = 0.25  # until the next of a name's addresses is tried beside the one before
_LOGIN_BYTES = 16
_BYE_SECONDS = 1.0
_NOBODY = SpkiPin(bytes(32))  # whom no override can exempt


@dataclass(frozen=True, slots=True)
class Attempt:
    """A hint that led nowhere, and why."""

    hint: Hint
    kind: Kind
    why: str


class NotReached(HoldError):
    """No hint of a server led to it. ANONYMITY if the rules of anonymous mode alone were in the way."""

    def __init__(self, server: SpkiPin, attempts: list[Attempt], changes: list[str]) -> None:
        kinds = {attempt.kind for attempt in attempts}
        kind = Kind.ANONYMITY if kinds == {Kind.ANONYMITY} else Kind.UNREACHABLE
        why = "; ".join(f"{attempt.hint}: {attempt.why}" for attempt in attempts) or "it has no address"
        super().__init__("dial", kind, str(server), why, hint=changes[0] if changes else None)
        self.attempts = tuple(attempts)


async def dial(
    server: SpkiPin, hints: Iterable[Hint], permitted: Rules, randomness: Callable[[int], bytes]
) -> Connection:
    """Connect to a server by the first of its hints that leads to it, in their order. NotReached if none does.

    `randomness(n)` gives n random bytes. The key that is made of it lives as long as the connection, in memory.
    """
    context = tls.client_context(keys.seed_of(randomness(keys.LENGTH)), server)
    attempts: list[Attempt] = []
    changes: list[str] = []
    for hint in list(dict.fromkeys(hints))[:MAX_HINTS]:
        try:
            way = rules.route(permitted, server, hint)
        except HoldError as error:
            attempts.append(Attempt(hint, error.kind, error.why))
            changes.append(error.hint)
            continue
        try:
            return await connection.connect(server, hint, context.own, _opener(way, context, permitted, randomness))
        except HoldError as error:
            attempts.append(Attempt(hint, error.kind, error.why))
    raise NotReached(server, attempts, changes)


async def dial_unknown(hint: Hint, permitted: Rules, randomness: Callable[[int], bytes]) -> Stranger:
    """Connect to whoever is at an address, where its key cannot be known yet: for a meeting by a short code, and for
    nothing else. All the same rules; no override exempts what has no key. HoldError if nobody is reached.

    What is found is no `Connection`: nothing that trusts a server's pin takes it.
    """
    way = rules.route(permitted, _NOBODY, hint)
    context = tls.unpinned_context(keys.seed_of(randomness(keys.LENGTH)))
    try:
        found = await connection.connect(_NOBODY, hint, context.own, _opener(way, context, permitted, randomness))
    except HoldError as error:
        raise HoldError(
            "dial", error.kind, str(hint), error.why, hint="is the address right, and is it served?"
        ) from error
    assert context.expected is not None
    found.server = context.expected
    return Stranger(found)


async def reach(server: SpkiPin, hint: TcpHint, permitted: Rules) -> socket.socket:
    """A socket to an address of a server's, by the same rules, and nothing more: nobody is proved to be there, and it
    is not for this end to say anything that matters. For a relay (docs/spec/relay.md). HoldError."""
    way = rules.route(permitted, server, hint)
    seconds = permitted.direct_seconds
    try:
        async with asyncio.timeout(seconds):
            return await _reach(way, None)
    except TimeoutError as error:
        raise HoldError("dial", Kind.UNREACHABLE, str(hint), f"no answer within {seconds:g} s") from error
    except OSError as error:
        raise HoldError("dial", Kind.UNREACHABLE, str(hint), said_of(error)) from error


async def find_proxy(proxy: Proxy, seconds: float) -> None:
    """Connect to a proxy's port and hang up, without a word: whether anybody listens. UNREACHABLE with why not."""
    try:
        async with asyncio.timeout(seconds):
            sock = await reach_proxy(proxy)
    except TimeoutError as error:
        raise HoldError("dial", Kind.UNREACHABLE, str(proxy), f"no answer within {seconds:g} s") from error
    except OSError as error:
        raise HoldError("dial", Kind.UNREACHABLE, str(proxy), said_of(error)) from error
    sock.close()


def _opener(way: Route, context: PinnedContext, permitted: Rules, randomness: Callable[[int], bytes]) -> Open:
    """How sockets of one connection are opened."""
    seconds = permitted.proxied_seconds if isinstance(way, Proxied) else permitted.direct_seconds
    login = _login(randomness) if isinstance(way, Proxied) and way.isolated else None
    return functools.partial(_open, way, context, login, seconds)


def _login(randomness: Callable[[int], bytes]) -> Login:
    """Credentials that nobody else has: Tor gives them a circuit of their own."""
    return Login(randomness(_LOGIN_BYTES).hex(), randomness(_LOGIN_BYTES).hex())


async def _open(way: Route, context: PinnedContext, login: Login | None, seconds: float, make: Make) -> ResponseHandler:
    """Open one socket by a route, and shake hands. HoldError with what was in the way."""
    try:
        async with asyncio.timeout(seconds):
            sock = await _reach(way, login)
            protocol = await _greet(sock, context, seconds, make)
            if context.expected is None:  # the connection's other sockets lead to whom the first has found
                assert protocol.transport is not None
                context.expected = cast(PinnedObject, protocol.transport.get_extra_info("ssl_object")).peer
            return protocol
    except TimeoutError as error:
        raise _failure(context, Kind.UNREACHABLE, f"no answer within {seconds:g} s") from error
    except WrongPeer as error:
        raise _failure(context, Kind.DENIED, error.why) from error
    except socks.Refused as error:
        raise _failure(context, Kind.UNREACHABLE, f"the proxy says: {error}") from error
    except Malformed as error:
        raise _failure(context, Kind.UNREACHABLE, f"the proxy is none: {error.why}") from error
    except OSError as error:
        raise _failure(context, Kind.UNREACHABLE, said_of(error)) from error


async def _greet(sock: socket.socket, context: PinnedContext, seconds: float, make: Make) -> ResponseHandler:
    """Shake hands over a socket, which is the protocol's from now on."""
    protocol = make()
    try:
        await asyncio.get_running_loop().create_connection(
            lambda: protocol,
            sock=sock,
            ssl=context,
            server_hostname="",  # none is said
            ssl_handshake_timeout=seconds,
            ssl_shutdown_timeout=_BYE_SECONDS,
        )
    except BaseException:
        if protocol.transport is not None:  # given up in the turn in which hands were shaken: uvloop has closed the
            protocol.transport.abort()  # socket below TLS, which knows nothing of it and has something to send
        raise
    return protocol


def _failure(context: PinnedContext, kind: Kind, why: str) -> HoldError:
    return HoldError("dial", kind, str(context.expected or "server"), why)


async def _reach(way: Route, login: Login | None) -> socket.socket:
    """A connected socket."""
    if isinstance(way, Proxied):
        sock = await reach_proxy(way.proxy)
        try:
            await _ask_proxy(sock, way, login)
        except BaseException:
            sock.close()
            raise
        return sock
    if isinstance(way, Local):
        return await _reach_path(way.path)
    return await _reach_host(way)


async def _reach_host(way: Direct) -> socket.socket:
    loop = asyncio.get_running_loop()
    found: Sequence[aiohappyeyeballs.AddrInfoType] = _in_numbers(way)
    if not found:
        found = await loop.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)
    try:
        return await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_STAGGER_SECONDS, loop=loop)
    except RuntimeError as error:  # uvloop's word for some of what the machine says
        raise ConnectionError(str(error)) from error


def _in_numbers(way: Direct) -> list[aiohappyeyeballs.AddrInfoType]:
    """An address that needs no looking up, which is a question to somebody, and takes a thread; none for a name."""
    try:
        version = ipaddress.ip_address(way.host).version
    except ValueError:
        return []
    if "%" in way.host:
        return []
    family, rest = (socket.AF_INET, ()) if version == 4 else (socket.AF_INET6, (0, 0))
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (way.host, way.port, *rest))]


async def _reach_path(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sockets.connect(sock, Path(path))
    except BlockingIOError as error:
        sock.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, "too many wait there") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def reach_proxy(proxy: Proxy) -> socket.socket:
    """A socket to a proxy, or to Tor's control port, whose address is a number or a path: nothing is looked up."""
    if isinstance(proxy, TcpHint):
        return await _reach_host(Direct(proxy.host, proxy.port))
    return await _reach_path(proxy.path)


async def _ask_proxy(sock: socket.socket, way: Proxied, login: Login | None) -> None:
    loop = asyncio.get_running_loop()
    talk = socks.connect(way.host, way.port, login)
    ask, count = next(talk)
    while True:
        if ask:
            await loop.sock_sendall(sock, ask)
        said = b""
        while len(said) < count:
            more = await loop.sock_recv(sock, count - len(said))
            if not more:
                raise ConnectionResetError(errno.ECONNRESET, "the proxy has hung up")
            said += more
        try:
            ask, count = talk.send(said)
        except StopIteration:
            return
