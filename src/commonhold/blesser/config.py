"""What a blesser is told, once, when it starts: TOML, written when its grid was made and never again by a program."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from commonhold.errors import HoldError
from commonhold.formats import chartertext, hint
from commonhold.formats.charter import Blesser, Charter
from commonhold.formats.chartertext import TABLES, value
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.keys import PublicKey
from commonhold.formats.malformed import Malformed
from commonhold.host import configs
from commonhold.transport import torconfig
from commonhold.transport.torconfig import NO_TOR, Tor

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_FIELDS = TABLES | torconfig.FIELDS | {"listen", "life_days", "list_hours", "list_minutes"}


@dataclass(frozen=True, slots=True)
class Config:
    """One blesser of one grid. Seconds: for how long it signs, for how long a revocation list is fresh, and after how
    long it is signed anew. `tor` is how it dials, and is reached, by Tor."""

    charter: Charter
    own: Blesser
    listen: tuple[TcpHint | UnixHint, ...] = ()
    life: int = 30 * _DAY
    list_life: int = _DAY
    list_every: int = _HOUR
    tor: Tor = NO_TOR

    def reached(self, addresses: tuple[str, ...]) -> "Config":
        """The same, where others are told that this blesser has these addresses. USAGE for too many."""
        own = replace(self.own, addresses=addresses)
        blessers = tuple(own if one.key == own.key else one for one in self.charter.blessers)
        try:
            return replace(self, own=own, charter=replace(self.charter, blessers=blessers))
        except Malformed as error:
            raise configs.wrong("blessers.addresses", f"with its onion address: {error.why}") from error


def first(charter: Charter, listen: tuple[str, ...]) -> str:
    """Return the text of a new config."""
    return f"""\
# Written once, when this blesser was made; change what you like. `hold grid serve` reads it when it starts.
# docs/spec/enrolment.md says what each field means. Who passes announcements on goes to the end of it, before anybody
# is invited: PIN@ADDRESS, as hold introducer init prints it, becomes
#   [[introducers]]
#   pin = "PIN"
#   addresses = ["ADDRESS"]
listen = {value(list(listen))}
life_days = 30      # of blessings and credentials
list_hours = 24     # for which a revocation list is fresh: after that, who hears nothing puts nothing more
list_minutes = 60   # from one list to the next

{chartertext.text(charter)}"""


def read(path: Path, name: str, key: PublicKey) -> Config:
    """Read the config of a blesser that has this key, in a directory of this name."""
    return configs.read(path, lambda table: parse(table, name, key))


def parse(table: Mapping[str, Any], name: str, key: PublicKey) -> Config:
    """Return the config of a table; USAGE names the field that is wrong."""
    try:
        chartertext.only("", table, _FIELDS)
        charter = chartertext.parse(name, table)
        own = charter.blesser(key)
    except Malformed as error:
        raise configs.wrong(error.what, error.why) from error
    listen = _listen(table.get("listen", []))
    found = Config(
        charter,
        own,
        listen,
        _number(table, "life_days", 30, 3650) * _DAY,
        _number(table, "list_hours", 24, 24 * 90) * _HOUR,
        _number(table, "list_minutes", 60, 60 * 24 * 30) * 60,
        torconfig.parse(table, listen, map(hint.parse, own.addresses)),
    )
    if found.list_every * 2 > found.list_life:
        raise configs.wrong("list_minutes", "more than half of list_hours: lists would be stale before the next is out")
    return found


def _number(table: Mapping[str, Any], name: str, default: int, most: int) -> int:
    found = table.get(name, default)
    if type(found) is not int or not 1 <= found <= most:
        raise configs.wrong(name, f"not a whole number from 1 to {most}")
    return found


def _listen(found: Any) -> tuple[TcpHint | UnixHint, ...]:
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise configs.wrong("listen", "no list of texts")
    try:
        return tuple(map(listening, found))
    except (Malformed, HoldError) as error:
        raise configs.wrong("listen", str(error)) from error


def listening(text: str) -> TcpHint | UnixHint:
    """Where a blesser can listen: tcp: with a number, or unix:."""
    found = hint.parse(text)
    if not isinstance(found, TcpHint | UnixHint) or (isinstance(found, TcpHint) and found.address is None):
        raise Malformed("address", "a blesser listens at tcp:NUMBER:PORT or unix:PATH")
    return found
