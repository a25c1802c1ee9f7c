"""Hints: typed addresses of a server, `tcp:` `tor:` `i2p:` `unix:`. Pure: nothing is looked up, nothing dialled.

Sources: RFC 1123 §2.1 and RFC 5952 (hosts), Tor's rend-spec-v3 "Encoding onion addresses", I2P "Naming and Addressbook"
(base 32 names). docs/spec/transport.md has the grammar and the limits.
"""

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed, Unsupported

MAX_TEXT = 512
MAX_HOST = 253
MAX_PORT = 65535

_SCHEME = re.compile("([a-z][a-z0-9+.-]{0,15}):")
_LABEL = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile("[0-9]+|0x[0-9a-f]*")  # as the last label it makes a name an address, to some readers
_PORT = re.compile("[1-9][0-9]{0,4}")
_ONION = re.compile("[a-z2-7]{56}")
_ONION_VERSION = b"\x03"
_B32 = re.compile("[a-z2-7]{51}[aq]")  # 256 bits, and four zeros
_ELSEWHERE = {"onion": "tor", "i2p": "i2p"}  # names that must never be looked up
_THIS_HOST = ipaddress.ip_network("0.0.0.0/8")
_EVERYBODY = ipaddress.ip_address("255.255.255.255")
_SHARED = ipaddress.ip_network("100.64.0.0/10")


@dataclass(frozen=True, slots=True)
class TcpHint:
    """A host, by name or address, and a port."""

    host: str  # canonical: small letters, IPv6 as RFC 5952 has it, without brackets
    port: int

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host's address; None for a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TorHint:
    """An onion service of version 3. Its checksum was right."""

    host: str  # with `.onion`
    port: int

    def __str__(self) -> str:
        return f"tor:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class I2pHint:
    """A destination of I2P, by its hash."""

    host: str  # with `.b32.i2p`
    port: int

    def __str__(self) -> str:
        return f"i2p:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixHint:
    """A socket of this machine: an absolute path."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class UnknownHint:
    """A hint of a scheme that is not known yet: kept, passed on, never dialled."""

    text: str

    def __str__(self) -> str:
        return self.text


Hint: TypeAlias = TcpHint | TorHint | I2pHint | UnixHint | UnknownHint


class Reach(Enum):
    """From where an address means the same. What a stranger says about LOCAL places must not be believed."""

    EVERYWHERE = "everywhere"
    NETWORK = "this network"  # private addresses, names without a dot
    MACHINE = "this machine"  # unix sockets, loopback, link-local, and what is no host's address
    UNKNOWN = "unknown"


def parse(text: str) -> Hint:
    """Return the hint of a text. Malformed if its scheme is known and the rest is not what that asks for."""
    if len(text) > MAX_TEXT:
        raise Malformed("hint", f"{len(text)} characters, the limit is {MAX_TEXT}")
    scheme = _SCHEME.match(text)
    if scheme is None or not text.isprintable():
        raise Malformed("hint", "not a scheme, a colon and a printable address")
    rest = text[scheme.end() :]
    if scheme[1] == "unix":
        return UnixHint(_path(rest))
    if scheme[1] not in ("tcp", "tor", "i2p"):
        if not text.isascii() or " " in text:
            raise Malformed("hint", f"{scheme[1]}: has a blank or what is not ASCII")
        return UnknownHint(text)
    host, port = _split(scheme[1], rest)
    if scheme[1] == "tcp":
        return TcpHint(_host(host), port)
    if scheme[1] == "tor":
        return TorHint(_onion(host.lower()), port)
    return I2pHint(_destination(host.lower()), port)


def onion(key: PublicKey, port: int) -> TorHint:
    """Return the address of the onion service that has this key."""
    raw = key + _onion_checksum(key, _ONION_VERSION) + _ONION_VERSION
    return TorHint(base64.b32encode(raw).decode().lower() + ".onion", port)


def reach(hint: Hint) -> Reach:
    """Tell from where an address means the same. A name counts as what it says, not as what it may be looked up to."""
    if isinstance(hint, UnknownHint):
        return Reach.UNKNOWN
    if isinstance(hint, UnixHint):
        return Reach.MACHINE
    if isinstance(hint, TcpHint):
        address = hint.address
        return _reach_of_name(hint.host) if address is None else _reach_of_address(address)
    return Reach.EVERYWHERE


def may_be_announced(hint: Hint) -> bool:
    """Whether a stranger may name this address: not one that is another on every machine. Overrides alone may."""
    return reach(hint) is not Reach.MACHINE


def _reach_of_name(name: str) -> Reach:
    last = name.rpartition(".")[2]
    if last == "localhost":
        return Reach.MACHINE
    near = "." not in name or last in ("local", "internal") or name.endswith(".home.arpa")
    return Reach.NETWORK if near else Reach.EVERYWHERE


def _reach_of_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Reach:
    if address.is_loopback or address.is_link_local or address.is_multicast or address in _THIS_HOST:
        return Reach.MACHINE
    if address == _EVERYBODY or address.is_unspecified:
        return Reach.MACHINE
    return Reach.NETWORK if address.is_private or address.is_reserved or address in _SHARED else Reach.EVERYWHERE


def _split(scheme: str, rest: str) -> tuple[str, int]:
    host, colon, port = rest.rpartition(":")
    if not colon or not host:
        raise Malformed("hint", f"{scheme}: is not followed by a host, a colon and a port")
    if not _PORT.fullmatch(port) or int(port) > MAX_PORT:
        raise Malformed("hint", f"{scheme}: has a port that is not a number from 1 to {MAX_PORT}")
    return host, int(port)


def _host(text: str) -> str:
    """A host in its canonical form."""
    if text.startswith("["):
        if not text.endswith("]"):
            raise Malformed("hint", "tcp: has a bracket that is not closed")
        return _ipv6(text[1:-1])
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return _name(text.lower())


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise Malformed("hint", "tcp: has brackets around what is no IPv6 address") from error
    if address.scope_id is not None:
        raise Malformed("hint", "tcp: names an interface, which means something on one machine only")
    if address.ipv4_mapped is not None:
        raise Malformed("hint", "tcp: has an IPv4 address in the form of IPv6")
    return str(address)


def _name(name: str) -> str:
    labels = name.split(".")
    if len(name) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise Malformed("hint", f"tcp: has no host name of up to {MAX_HOST} letters, digits, hyphens and dots")
    if _NUMBER.fullmatch(labels[-1]):
        raise Malformed("hint", "tcp: has a number that is no IPv4 address of four")
    if labels[-1] in _ELSEWHERE:
        raise Malformed("hint", f"tcp: has a name of {labels[-1]}; that is written {_ELSEWHERE[labels[-1]]}:")
    return name


def _onion(name: str) -> str:
    """The name of an onion service: key, checksum and version, in base32."""
    digits = name.removesuffix(".onion")
    if digits == name or "." in digits:
        raise Malformed("hint", "tor: has no name of an onion service")
    if not _ONION.fullmatch(digits):
        if len(digits) == 16:
            raise Unsupported("hint", "tor: has an onion service of version 2, which Tor knows no more")
        raise Malformed("hint", "tor: has an onion name that is not 56 digits of base32")
    raw = base64.b32decode(digits.upper())
    key, checksum, version = raw[:32], raw[32:34], raw[34:]
    if version != _ONION_VERSION:
        raise Unsupported("hint", f"tor: has an onion service of version {version[0]}")
    if _onion_checksum(key, version) != checksum:
        raise Malformed("hint", "tor: has an onion name whose checksum is wrong")
    return name


def _onion_checksum(key: bytes, version: bytes) -> bytes:
    return hashlib.sha3_256(b".onion checksum" + key + version).digest()[:2]


def _destination(name: str) -> str:
    digits = name.removesuffix(".b32.i2p")
    if digits == name:
        raise Malformed("hint", "i2p: has no name that ends in .b32.i2p; others are another's on every router")
    if not _B32.fullmatch(digits):
        if len(digits) >= 56:
            raise Unsupported("hint", "i2p: has the name of an encrypted lease set")
        raise Malformed("hint", "i2p: has a name that is not 52 digits of base32")
    return name


def _path(path: str) -> str:
    if not path.startswith("/") or path == "/":
        raise Malformed("hint", "unix: is not followed by an absolute path")
    if any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise Malformed("hint", "unix: has a path with an empty part, . or ..")
    return path
