"""What a relay is told, once, when it starts. TOML; what is wrong with a field is an error that names it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commonhold.formats import announcement, hint, pin
from commonhold.formats.hint import MAX_PORT, TcpHint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import SpkiPin
from commonhold.host import configs

MAX_LISTEN: Final = 4
MAX_SERVERS: Final = 256
_FIELDS: Final = frozenset(("state", "listen", "announce", "ports", "servers"))
_PORTS: Final = re.compile("([1-9][0-9]{0,4})-([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Config:
    """A relay. It takes calls where it listens, and at the same addresses it has the ports of `ports`: the first, where
    servers answer, and those of the `servers` that it admits. `announce` are the addresses by which servers reach it.
    """

    state: Path
    listen: tuple[TcpHint, ...]
    ports: range
    servers: tuple[SpkiPin, ...] = ()
    announce: tuple[str, ...] = ()

    @property
    def answers(self) -> int:
        """The port where servers answer."""
        return self.ports[0]

    @property
    def granted(self) -> range:
        """The ports that servers get."""
        return self.ports[1:]


def read(path: Path) -> Config:
    """Read a config file."""
    return configs.read(path, parse)


def parse(values: Mapping[str, Any]) -> Config:
    """Return the config of a table; USAGE names the field that is wrong."""
    configs.only(values, _FIELDS)
    found = Config(
        state=configs.directory(values, "state"),
        listen=configs.several(values, "listen", _tcp, MAX_LISTEN),
        ports=configs.one("ports", values.get("ports"), _ports),
        servers=configs.several(values, "servers", pin.parse_pin, MAX_SERVERS),
        announce=tuple(map(str, configs.several(values, "announce", _tcp, announcement.MAX_ADDRESSES))),
    )
    if not found.listen or len({one.host for one in found.listen}) != len(found.listen):
        raise configs.wrong("listen", "a relay listens at one address or more, at each once")
    if any(one.port in found.ports for one in found.listen):
        raise configs.wrong("ports", "calls come to one of them")
    if len(set(found.servers)) != len(found.servers):
        raise configs.wrong("servers", "names one twice")
    if len(found.servers) > len(found.granted):
        raise configs.wrong("ports", f"{len(found.granted)} for servers, and there are {len(found.servers)}")
    return found


def _tcp(text: str) -> TcpHint:
    found = hint.parse(text)
    if not isinstance(found, TcpHint):
        raise Malformed("address", "a relay is reached at tcp: addresses")
    return found


def _ports(text: str) -> range:
    found = _PORTS.fullmatch(text)
    if found is None or not int(found[1]) < int(found[2]) <= MAX_PORT:
        raise Malformed("ports", f"not two numbers up to {MAX_PORT} with a hyphen between them, the greater one last")
    return range(int(found[1]), int(found[2]) + 1)
