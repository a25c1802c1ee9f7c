"""The rules of dialling: by which way a hint of a server may be reached, or why it may not. Pure.

REQUIREMENTS D9 to D13, notes 8 and 10. docs/spec/transport.md has them as a table.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from commonhold.errors import HoldError, Kind
from commonhold.formats.hint import Hint, I2pHint, TcpHint, TorHint, UnixHint, UnknownHint
from commonhold.formats.pin import SpkiPin

Proxy: TypeAlias = TcpHint | UnixHint  # where a SOCKS proxy listens


class Way(Enum):
    """How `tcp:` hints are reached."""

    DIRECT = "direct"
    TOR = "tor"  # through an exit of Tor, which also looks the name up
    OFF = "off"


class Exemption(NamedTuple):
    """An address of a server that the user, in an override, lets be dialled directly, whatever the other rules say."""

    server: SpkiPin
    hint: Hint


@dataclass(frozen=True, slots=True)
class Rules:
    """What a client may dial, and by what. Seconds are for one hint, until both ends have shaken hands."""

    anonymous: bool = False
    tcp: Way = Way.DIRECT
    tor: Proxy | None = None
    i2p: Proxy | None = None
    exemptions: frozenset[Exemption] = frozenset()
    direct_seconds: float = 10.0
    proxied_seconds: float = 90.0  # a circuit to an onion service has to be built first

    def __post_init__(self) -> None:
        for name, proxy in (("tor", self.tor), ("i2p", self.i2p)):
            if isinstance(proxy, TcpHint) and proxy.address is None:  # its name would have to be looked up
                raise HoldError(
                    "read rules", Kind.USAGE, name, f"{proxy} has a name", hint="write the proxy's address as a number"
                )


@dataclass(frozen=True, slots=True)
class Direct:
    """Dial this host; a name is looked up."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Local:
    """Dial this socket."""

    path: str


@dataclass(frozen=True, slots=True)
class Proxied:
    """Ask a SOCKS proxy for this host, by name. `isolated`: with credentials that nobody else has."""

    proxy: Proxy
    host: str
    port: int
    isolated: bool


Route: TypeAlias = Direct | Local | Proxied


def route(rules: Rules, server: SpkiPin, hint: Hint) -> Route:
    """Return the way to a server by one of its hints. HoldError where the rules have none: it says what to change."""
    own = Exemption(server, hint) in rules.exemptions
    if isinstance(hint, UnknownHint):
        raise _refused(Kind.UNSUPPORTED, hint, "its kind is not known", "use a newer hold")
    if isinstance(hint, UnixHint):
        if not own:
            raise _refused(Kind.DENIED, hint, "it is a socket of this machine", _NAME_IT)
        return Local(hint.path)
    if isinstance(hint, TcpHint):
        return _tcp(rules, hint, own)
    if isinstance(hint, TorHint):
        return Proxied(_proxy(rules.tor, hint, "Tor"), hint.host, hint.port, isolated=True)
    return _i2p(rules, hint, own)


def in_force(rules: Rules, server: SpkiPin, hint: Hint) -> str:
    """Say how a hint would be dialled, or why not: what stands beside a cached announcement."""
    try:
        found = route(rules, server, hint)
    except HoldError as error:
        return f"refused: {error.why}"
    if isinstance(found, Proxied):
        return f"by the proxy {found.proxy}"
    return "direct"


_NAME_IT = "hold override SERVER ADDRESS --direct, if you mean it"


def _tcp(rules: Rules, hint: TcpHint, own: bool) -> Route:
    if own:
        return Direct(hint.host, hint.port)
    if rules.tcp is Way.TOR:
        return Proxied(_proxy(rules.tor, hint, "Tor"), hint.host, hint.port, isolated=True)
    if rules.anonymous:
        raise _refused(Kind.ANONYMITY, hint, "anonymous mode dials nothing directly", _NAME_IT)
    if rules.tcp is Way.OFF:
        raise _refused(Kind.DENIED, hint, "the rules have no way for tcp", _NAME_IT)
    return Direct(hint.host, hint.port)


def _i2p(rules: Rules, hint: I2pHint, own: bool) -> Route:
    proxy = _proxy(rules.i2p, hint, "I2P")
    if rules.anonymous and not own:
        why = "by I2P's proxy all servers see one destination, and can tell that they have the same client"
        raise _refused(Kind.ANONYMITY, hint, why, _NAME_IT)
    return Proxied(proxy, hint.host, hint.port, isolated=False)


def _proxy(proxy: Proxy | None, hint: Hint, name: str) -> Proxy:
    if proxy is None:
        raise _refused(Kind.USAGE, hint, f"no proxy for {name} is set", f"set the address of {name}'s SOCKS port")
    return proxy


def _refused(kind: Kind, hint: Hint, why: str, change: str) -> HoldError:
    return HoldError("dial", kind, str(hint), why, hint=change)
