"""What a server's config says of Tor: by which way it dials others, and the onion address by which others reach it.

A server that is to be anonymous, and would tell where it is, is refused before it has said a word: DESIGN 6.7.
docs/spec/transport.md.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from commonhold.errors import HoldError, Kind
from commonhold.formats import hint
from commonhold.formats.hint import MAX_PORT, Hint, I2pHint, TcpHint, TorHint, UnixHint
from commonhold.formats.malformed import Malformed
from commonhold.host import configs
from commonhold.host.private import PrivateDirectory
from commonhold.transport import onion, torcontrol
from commonhold.transport.onion import Control, Onion
from commonhold.transport.rules import Proxy, Rules, Way
from commonhold.transport.torcontrol import Service

FIELDS: Final = frozenset(("anonymous", "tor", "onion"))
_ONION: Final = frozenset(("control", "cookie", "port"))
_OP: Final = "open server"

Listening: TypeAlias = TcpHint | UnixHint


@dataclass(frozen=True, slots=True)
class Publication:
    """An onion service to be had: whom to tell of it, the port of its address, and which socket of ours it leads to."""

    control: Control
    port: int
    target: Listening


@dataclass(frozen=True, slots=True)
class Tor:
    """See the module. A server that says nothing of Tor dials directly, and has no onion address."""

    rules: Rules
    publication: Publication | None = None

    def onion(self, directory: Path) -> Onion | None:
        """The onion service of the server in a directory, if it is to have one: its key is made where there is none."""
        if (wanted := self.publication) is None:
            return None
        seed = onion.key(PrivateDirectory(_OP, directory, os.geteuid()), os.urandom)
        return Onion(wanted.control, Service(seed, wanted.port, wanted.target), os.urandom)


NO_TOR: Final = Tor(Rules())


def addresses(announce: Iterable[str], service: Onion | None) -> tuple[str, ...]:
    """All by which others reach a server: what its config announces, and its onion address."""
    return tuple(dict.fromkeys((*announce, *([str(service.service.hint)] if service else []))))


def parse(values: Mapping[str, Any], listen: Iterable[Listening], announce: Iterable[Hint]) -> Tor:
    """Return what a config says in its fields `anonymous`, `tor` and `onion`. USAGE names what is wrong; ANONYMITY is
    for what it listens at, or announces, that would tell where it is."""
    here = tuple(listen)
    proxy = configs.one("tor", values["tor"], _proxy) if "tor" in values else None
    anonymous = configs.flag(values, "anonymous")
    if anonymous and proxy is None:
        raise configs.wrong("anonymous", 'by which Tor? tor = "tcp:127.0.0.1:9050" is where its SOCKS port is')
    if anonymous:
        _refuse_what_tells(here, announce)
    wanted = _publication(values["onion"], here) if "onion" in values else None
    return Tor(Rules(anonymous, Way.TOR if anonymous else Way.DIRECT, proxy), wanted)


def _refuse_what_tells(listen: Iterable[Listening], announce: Iterable[Hint]) -> None:
    for one in listen:
        if not _of_this_machine(one):
            why = f"listen: it is to be anonymous, and whoever calls {one} knows where it is"
            change = "listen at tcp:127.0.0.1:PORT or unix:PATH, and have an onion address; or anonymous = false"
            raise HoldError("read", Kind.ANONYMITY, "config", why, hint=change)
    for other in announce:
        if not isinstance(other, TorHint | I2pHint):
            why = f"announce: it is to be anonymous, and {other} tells everybody where it is"
            change = "announce nothing, as its onion address goes with it by itself; or anonymous = false"
            raise HoldError("read", Kind.ANONYMITY, "config", why, hint=change)


def _of_this_machine(where: Listening) -> bool:
    """Whether nobody else can call there. 0.0.0.0 is everybody's."""
    return isinstance(where, UnixHint) or bool(where.address and where.address.is_loopback)


def _publication(table: Any, listen: Iterable[Listening]) -> Publication:
    if not isinstance(table, dict):
        raise configs.wrong("onion", "not a table with control, cookie and port")
    for name in table.keys() ^ _ONION:
        raise configs.wrong(f"onion.{name}", "missing" if name in _ONION else "no such field")
    cookie, port = table["cookie"], table["port"]
    if not isinstance(cookie, str) or not cookie.startswith("/"):
        raise configs.wrong("onion.cookie", "not an absolute path")
    if type(port) is not int or not 1 <= port <= MAX_PORT:
        raise configs.wrong("onion.port", f"not a number from 1 to {MAX_PORT}")
    control = configs.one("onion.control", table["control"], lambda text: Control(_place(text), Path(cookie)))
    target = next(filter(_of_this_machine, listen), None)
    if target is None:
        raise configs.wrong(
            "onion", "it would lead nowhere: add an address of this machine, tcp:127.0.0.1:PORT, to listen"
        )
    try:
        torcontrol.check_target(target)
    except Malformed as error:
        raise configs.wrong("listen", error.why) from error
    return Publication(control, port, target)


def _place(text: str) -> Proxy:
    """Where a Tor of this machine, or its proxy, listens."""
    found = hint.parse(text)
    if not isinstance(found, TcpHint | UnixHint):
        raise Malformed("address", "a Tor listens at tcp: or unix: addresses")
    return found


def _proxy(text: str) -> Proxy:
    found = _place(text)
    if isinstance(found, TcpHint) and found.address is None:
        raise Malformed("address", f"{found} has a name, which would have to be looked up: write it as a number")
    return found
