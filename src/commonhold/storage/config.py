"""What a storage server is told, once, when it starts. TOML; what is wrong with a field is an error that names it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commonhold.authority.trust import MAX_BLESSERS
from commonhold.errors import HoldError, Kind
from commonhold.formats import address, announcement, hint, pin
from commonhold.formats.address import Address
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.host import configs
from commonhold.transport import torconfig
from commonhold.transport.torconfig import NO_TOR, Tor

RESERVE: Final = 1 << 30
MAX_LISTEN: Final = 16
MAX_INTRODUCERS: Final = 16
MAX_RELAYS: Final = 4
_FIELDS: Final = torconfig.FIELDS | {
    "state", "grid", "blessers", "needed", "listen", "announce", "introducers", "relay", "name", "reserve",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """One server of one grid. `blessers` are those whose credentials count, of whom `needed` must agree; `announce` are
    the addresses by which others reach it, as hints; `introducers` those that are told of it; `relays` those by
    which it is reached where nobody can dial it; `reserve` bytes of each disk stay free; `tor` is how it dials, and is
    reached, by Tor."""

    state: Path
    grid: GridId
    blessers: frozenset[PublicKey]
    listen: tuple[TcpHint | UnixHint, ...]
    needed: int = 1
    announce: tuple[str, ...] = ()
    introducers: tuple[Address, ...] = ()
    relays: tuple[Address, ...] = ()
    name: str = ""
    reserve: int = RESERVE
    tor: Tor = NO_TOR


def read(path: Path) -> Config:
    """Read a config file."""
    return configs.read(path, parse)


def parse(values: Mapping[str, Any]) -> Config:
    """Return the config of a table; USAGE names the field that is wrong."""
    configs.only(values, _FIELDS)
    grid = configs.one("grid", values.get("grid"), pin.parse_grid)
    blessers = configs.several(values, "blessers", pin.parse_grid, MAX_BLESSERS) or (grid,)
    listen = configs.several(values, "listen", configs.listening, MAX_LISTEN)
    room = announcement.MAX_ADDRESSES - ("onion" in values)
    announced = configs.several(values, "announce", hint.parse, room)
    tor = torconfig.parse(values, listen, announced)
    return Config(
        state=configs.directory(values, "state"),
        grid=grid,
        blessers=frozenset(one.blesser for one in blessers),
        listen=listen,
        needed=configs.number(values, "needed", 1),
        announce=tuple(map(str, announced)),
        introducers=configs.several(values, "introducers", address.parse, MAX_INTRODUCERS),
        relays=_relays(values, tor, room - len(announced)),
        name=configs.label(values, "name", announcement.MAX_NAME),
        reserve=configs.number(values, "reserve", RESERVE),
        tor=tor,
    )


def _relays(values: Mapping[str, Any], tor: Tor, room: int) -> tuple[Address, ...]:
    """The relays, of whose addresses so many can be announced. ANONYMITY: a relay knows where its servers are."""
    found = configs.several(values, "relay", _relay, MAX_RELAYS)
    if found and tor.rules.anonymous:
        why = "relay: it is to be anonymous, and a relay knows where it is"
        change = "have an onion address, which needs no relay; or anonymous = false"
        raise HoldError("read", Kind.ANONYMITY, "config", why, hint=change)
    if sum(len(one.hints) for one in found) > room:
        raise configs.wrong("relay", f"with announce more than {announcement.MAX_ADDRESSES} addresses")
    return found


def _relay(text: str) -> Address:
    found = address.parse(text)
    if not all(isinstance(one, TcpHint) for one in found.hints):
        raise Malformed("address", "a relay is reached at tcp: addresses")
    return found
