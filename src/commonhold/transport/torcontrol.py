"""Tor's control protocol, as much of it as publishing an onion service needs. Pure: bytes and lines in and out.

Source: Tor's control-spec §2.3 (replies), §3.24 (AUTHCHALLENGE), §3.27 (ADD_ONION). The cookie is never sent: each end
proves that it has it. Who listens at Tor's port in its place would otherwise be given the key of the onion address.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, NamedTuple

from commonhold.crypto import sign
from commonhold.formats import hint
from commonhold.formats.hint import TcpHint, TorHint, UnixHint
from commonhold.formats.keys import Seed
from commonhold.formats.malformed import Malformed

COOKIE: Final = 32  # bytes
NONCE: Final = 32
MAX_LINE: Final = 1024
MAX_LINES: Final = 16  # of one reply

_OURS = b"Tor safe cookie authentication controller-to-server hash"
_THEIRS = b"Tor safe cookie authentication server-to-controller hash"
_CHALLENGE = re.compile("AUTHCHALLENGE SERVERHASH=([0-9A-F]{64}) SERVERNONCE=([0-9A-F]{64})")
_PLAIN_PATH = re.compile("[A-Za-z0-9/._@+-]+")
_OK = 250
_SAID = 200  # characters of a reason


class Refused(Exception):
    """Tor has said no, and why."""


class Reply(NamedTuple):
    """What comes of one command."""

    code: int
    lines: tuple[str, ...]


class Replies:
    """Bytes as they come in, whole replies out. Malformed for what is none, is too long or was not asked for."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are whole with this."""
        found = []
        *whole, self._rest = (self._rest + data).split(b"\r\n")
        if len(self._rest) > MAX_LINE:
            raise Malformed("reply of Tor", f"a line of more than {MAX_LINE} bytes")
        for raw in whole:
            code, last, text = _line(raw)
            self._lines.append(text)
            if len(self._lines) > MAX_LINES:
                raise Malformed("reply of Tor", f"more than {MAX_LINES} lines")
            if last:
                found.append(Reply(code, tuple(self._lines)))
                self._lines.clear()
        return found


def _line(raw: bytes) -> tuple[int, bool, str]:
    """One line: its code, whether it is the reply's last, its text."""
    if len(raw) > MAX_LINE:
        raise Malformed("reply of Tor", f"a line of more than {MAX_LINE} bytes")
    if not (re.match(rb"[245][0-9][0-9][ -]", raw) and raw.isascii() and (text := raw.decode()).isprintable()):
        raise Malformed("reply of Tor", "not a number, a blank or hyphen, and text")
    return int(text[:3]), text[3] == " ", text[4:]


@dataclass(frozen=True, slots=True)
class Service:
    """An onion service: its key, the port of its address, and where connections to it go on this machine."""

    seed: Seed
    port: int
    target: TcpHint | UnixHint

    def __post_init__(self) -> None:
        check_target(self.target)

    @property
    def hint(self) -> TorHint:
        """Its address, which is its key's: known before Tor knows of it."""
        return hint.onion(sign.public_key(self.seed), self.port)


def check_target(target: TcpHint | UnixHint) -> None:
    """Malformed for what Tor would read otherwise, or look up."""
    if isinstance(target, UnixHint) and not _PLAIN_PATH.fullmatch(target.path):
        raise Malformed("onion service", "its socket's path has other than letters, digits and / . _ @ + -")
    if isinstance(target, TcpHint) and target.address is None:
        raise Malformed("onion service", "it leads to a name, not to an address in numbers")


def publish(cookie: bytes, nonce: bytes, service: Service) -> Generator[bytes, Reply, None]:
    """Yield what to send, which is answered with the reply to it; at the end the service is published, for as long as
    the control connection lasts. Refused, or Malformed."""
    said = yield f"AUTHCHALLENGE SAFECOOKIE {nonce.hex()}\r\n".encode()
    found = _CHALLENGE.fullmatch(_only("AUTHCHALLENGE", said))
    if found is None:
        raise Malformed("reply of Tor", "no challenge")
    proof, whole = bytes.fromhex(found[1]), cookie + nonce + bytes.fromhex(found[2])
    if not hmac.compare_digest(proof, _mac(_THEIRS, whole)):
        raise Malformed("reply of Tor", "it does not know the cookie")
    _only("AUTHENTICATE", (yield f"AUTHENTICATE {_mac(_OURS, whole).hex()}\r\n".encode()))
    said = yield f"ADD_ONION ED25519-V3:{_expanded(service.seed)} Port={service.port},{_target(service)}\r\n".encode()
    if f"ServiceID={service.hint.host.removesuffix('.onion')}" not in _granted("ADD_ONION", said):
        raise Malformed("reply of Tor", "it has published another service")


def _granted(command: str, said: Reply) -> tuple[str, ...]:
    if said.code != _OK:
        raise Refused(f"{command}: {said.lines[-1][:_SAID]}")
    return said.lines


def _only(command: str, said: Reply) -> str:
    """The one line of a reply."""
    lines = _granted(command, said)
    if len(lines) != 1:
        raise Malformed("reply of Tor", f"{len(lines)} lines to {command}")
    return lines[0]


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _expanded(seed: Seed) -> str:
    """A key as Tor wants it: what RFC 8032 §5.1.5 makes of the seed."""
    raw = bytearray(hashlib.sha512(seed.raw).digest())
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    return base64.b64encode(raw).decode()


def _target(service: Service) -> str:
    return str(service.target).removeprefix("tcp:")
