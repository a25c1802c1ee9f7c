"""SOCKS 5, as much of it as a client needs: one way to log in, one name to connect to. Pure: bytes in and out.

Sources: RFC 1928, RFC 1929; Tor's socks-extensions. Ready-made clients offer to go without credentials beside; a proxy
that takes that up puts all connections on one circuit, and nobody is told.
"""

import ipaddress
from collections.abc import Generator
from typing import NamedTuple

from commonhold.formats.malformed import Malformed

_VERSION = 5
_NOBODY, _PASSWORD = 0, 2
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_ADDRESS = {_IPV4: 4, _IPV6: 16}
_REPLIES = {
    1: "it failed",
    2: "its rules forbid it",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the connection was refused",
    6: "it took too long",
    7: "it cannot connect",
    8: "it does not know this kind of address",
    # Tor's, if ExtendedErrors is set
    0xF0: "the onion service is not known",
    0xF1: "the onion service's descriptor is damaged",
    0xF2: "no introduction point answered",
    0xF3: "the rendezvous failed",
    0xF6: "the onion address is wrong",
    0xF7: "the introduction took too long",
}


class Login(NamedTuple):
    """Who asks, as far as the proxy is concerned."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Login()"


class Refused(Exception):
    """The proxy has said no, and why."""


def connect(host: str, port: int, login: Login | None) -> Generator[tuple[bytes, int], bytes, None]:
    """Yield what to send and how many bytes to read then, which are sent in; at the end the proxy has connected.

    Refused, or Malformed. A name is never looked up here.
    """
    method = _NOBODY if login is None else _PASSWORD
    said = yield bytes((_VERSION, 1, method)), 2
    if said[0] != _VERSION:
        raise Malformed("SOCKS", "it speaks another version")
    if said[1] != method:
        raise Refused("it takes no login" if login else "it wants a login")
    if login is not None:
        user, password = login.user.encode(), login.password.encode()
        said = yield bytes((1, len(user))) + user + bytes((len(password),)) + password, 2
        if said[1] != 0:
            raise Refused("it does not take the login")
    head = yield bytes((_VERSION, _CONNECT, 0)) + _address(host) + port.to_bytes(2, "big"), 4
    if head[0] != _VERSION or head[1] != 0:
        raise Refused(_REPLIES.get(head[1], f"it failed ({head[1]})"))
    length = _ADDRESS.get(head[3])
    if length is None:
        if head[3] != _NAME:
            raise Malformed("SOCKS", "an address of an unknown kind")
        length = (yield b"", 1)[0]
    yield b"", length + 2


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return bytes((_NAME, len(name))) + name
    return bytes((_IPV4 if address.version == 4 else _IPV6,)) + address.packed
