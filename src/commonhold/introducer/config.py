"""What an introducer is told, once, when it starts. TOML; what is wrong with a field is an error that names it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commonhold.authority.trust import MAX_BLESSERS
from commonhold.formats import address, announcement, hint, pin
from commonhold.formats.address import Address
from commonhold.formats.gossip import MAX_GRIDS
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.keys import PublicKey
from commonhold.formats.pin import GridId
from commonhold.host import configs
from commonhold.transport import torconfig
from commonhold.transport.torconfig import NO_TOR, Tor

MAX_LISTEN: Final = 16
MAX_INTRODUCERS: Final = 64
_FIELDS: Final = torconfig.FIELDS | {
    "state", "grid", "grids", "blessers", "listen", "announce", "introducers", "name",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """An introducer. It serves these grids and no others; more than one takes the field `grids`. `announce` are the
    addresses by which others reach it, as hints; `introducers` those that it begins with; `blessers` those whose
    servers go before others where room is short, beside the grids' own; `tor` is how it dials and is reached by Tor."""

    state: Path
    grids: tuple[GridId, ...]
    listen: tuple[TcpHint | UnixHint, ...]
    announce: tuple[str, ...] = ()
    introducers: tuple[Address, ...] = ()
    blessers: frozenset[PublicKey] = frozenset()
    name: str = ""
    tor: Tor = NO_TOR


def read(path: Path) -> Config:
    """Read a config file."""
    return configs.read(path, parse)


def parse(values: Mapping[str, Any]) -> Config:
    """Return the config of a table; USAGE names the field that is wrong."""
    configs.only(values, _FIELDS)
    announced = configs.several(values, "announce", hint.parse, announcement.MAX_ADDRESSES - ("onion" in values))
    listen = configs.several(values, "listen", configs.listening, MAX_LISTEN)
    if not listen:
        raise configs.wrong("listen", "an introducer has to listen somewhere")
    return Config(
        state=configs.directory(values, "state"),
        grids=_grids(values),
        listen=listen,
        announce=tuple(map(str, announced)),
        introducers=configs.several(values, "introducers", address.parse, MAX_INTRODUCERS),
        blessers=frozenset(one.blesser for one in configs.several(values, "blessers", pin.parse_grid, MAX_BLESSERS)),
        name=configs.label(values, "name", announcement.MAX_NAME),
        tor=torconfig.parse(values, listen, announced),
    )


def _grids(values: Mapping[str, Any]) -> tuple[GridId, ...]:
    if ("grid" in values) == ("grids" in values):
        raise configs.wrong("grid", "either grid, or grids where several are meant")
    if "grid" in values:
        return (configs.one("grid", values["grid"], pin.parse_grid),)
    found = configs.several(values, "grids", pin.parse_grid, MAX_GRIDS)
    if not found or len(set(found)) != len(found):
        raise configs.wrong("grids", "names none, or one twice")
    return found
