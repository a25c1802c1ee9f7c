"""Who takes part in a grid, and how: `REPO/grids/NAME/`, written once and never again by a program.

docs/spec/membership.md. What would tell servers who somebody is, though they asked to be anonymous, is refused when it
is read: REQUIREMENTS B16, B30, D19; DESIGN 6.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from commonhold.authority.trust import Grid, Rule, Trust
from commonhold.errors import HoldError, Kind
from commonhold.formats import chartertext, hint
from commonhold.formats.blessing import MAX_WORD, Purpose, word
from commonhold.formats.charter import Charter, Quorum
from commonhold.formats.chartertext import TABLES, value
from commonhold.formats.hint import TcpHint, UnixHint
from commonhold.formats.malformed import Malformed
from commonhold.formats.pin import GridId
from commonhold.formats.request import MAX_ACCOUNT, MAX_PURPOSES
from commonhold.host import configs
from commonhold.transport.rules import Proxy, Rules, Way

DIRECTORY: Final = "grids"
FILE: Final = "grid.toml"
MAX_SHARES: Final = 256
_FIELDS = TABLES | {"mode", "account", "serves", "rules", "keep"}


class Mode(Enum):
    """As whom servers know a member: as an account of the grid, as a key of which nobody knows whose it is, or as
    nobody, who can only read."""

    ACCOUNT = "account"
    BLINDED = "blinded"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Keep:
    """How packs are kept: any `k` of `n` shares are enough. `alone`: only the user's own agent looks after them."""

    k: int = 3
    n: int = 5
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    """See the module. `account` is empty in mode NONE; `serves` are the purposes of a server whose membership it is."""

    directory: Path
    charter: Charter
    mode: Mode
    account: str = ""
    rules: Rules = field(default_factory=Rules)
    keep: Keep = Keep()
    serves: tuple[Purpose, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.account) != (self.mode is not Mode.NONE):
            raise Malformed("account", 'there is one in the modes "account" and "blinded", and in no other')
        if self.rules.anonymous and self.mode is Mode.ACCOUNT:
            raise refused(self.name)

    @property
    def name(self) -> str:
        """What the grid is called here: its directory's name."""
        return self.charter.name

    @property
    def grid(self) -> GridId:
        """Which grid it is."""
        return self.charter.grid

    @property
    def trust(self) -> Trust:
        """Whom to believe about servers."""
        return Trust((Grid(self.grid, {purpose: _rule(quorum) for purpose, quorum in self.charter.purposes}),))

    @property
    def door(self) -> Rule:
        """Whom a server believes about accounts."""
        return _rule(self.charter.accounts)


def refused(name: str) -> HoldError:
    """What to raise where an account would undo anonymity."""
    why = (
        "by an account's numbers its blesser and a server can tell together who it is, and anonymous mode forbids that"
    )
    change = "join with --blinded, or with --no-account, which only reads; or set anonymous = false in [rules]"
    return HoldError("join", Kind.ANONYMITY, name, why, hint=change)


def no_account(op: str, name: str) -> HoldError:
    """What to raise where an account of that mode is needed."""
    why = "it was joined without an account: what is there can be read, and nothing stored"
    return HoldError(op, Kind.USAGE, name, why, hint="ask for an invitation, and join again")


def _rule(quorum: Quorum) -> Rule:
    return Rule(frozenset(quorum.blessers), quorum.needed, frozenset(quorum.classes), quorum.fresh)


# ── the file ──


def load(directory: Path) -> Membership:
    """Read a membership. NOT_FOUND where there is none; USAGE names what is wrong; ANONYMITY as in DESIGN 6.7."""
    if not (directory / FILE).exists():
        why = "no such grid was joined"
        raise HoldError("open grid", Kind.NOT_FOUND, str(directory), why, hint="hold join CODE")
    return configs.read(directory / FILE, lambda table: parse(directory, table))


def parse(directory: Path, table: Mapping[str, Any]) -> Membership:
    """Return the membership that a table says."""
    try:
        chartertext.only("", table, _FIELDS)
        return Membership(
            directory,
            chartertext.parse(directory.name, table),
            _mode(table.get("mode")),
            _account(table.get("account", "")),
            _rules(_map(table, "rules")),
            _keep(_map(table, "keep")),
            _serves(table.get("serves", [])),
        )
    except Malformed as error:
        raise configs.wrong(error.what, error.why) from error


def text(of: Membership) -> str:
    """Return the file of a new membership."""
    rules = of.rules
    return f"""\
# Written once, by `hold join`; change what you like. docs/spec/membership.md says what each field means.
mode = {value(of.mode.value)}
account = {value(of.account)}
serves = {value([str(one) for one in of.serves])}
{chartertext.text(of.charter)}
[rules]
anonymous = {value(rules.anonymous)}
tcp = {value(rules.tcp.value)}
tor = {value(str(rules.tor or ""))}
i2p = {value(str(rules.i2p or ""))}

[keep]
k = {of.keep.k}
n = {of.keep.n}
alone = {value(of.keep.alone)}
"""


def proxy(address: str) -> Proxy | None:
    """Return where a SOCKS proxy listens; None for an empty text. Malformed."""
    if not address:
        return None
    found = hint.parse(address)
    if not isinstance(found, TcpHint | UnixHint):
        raise Malformed("proxy", f"{address} is no tcp: or unix: address")
    return found


def _mode(found: Any) -> Mode:
    if found not in {one.value for one in Mode}:
        raise Malformed("mode", "neither account, blinded nor none")
    return Mode(found)


def _account(found: Any) -> str:
    if not isinstance(found, str) or len(found) > MAX_ACCOUNT or not found.isprintable():
        raise Malformed("account", f"no text of up to {MAX_ACCOUNT} characters that can be printed")
    return found


def _rules(table: Mapping[str, Any]) -> Rules:
    chartertext.only("rules", table, ("anonymous", "tcp", "tor", "i2p"))
    anonymous, tcp = table.get("anonymous", False), table.get("tcp", Way.DIRECT.value)
    if type(anonymous) is not bool:
        raise Malformed("rules.anonymous", "neither true nor false")
    if tcp not in {way.value for way in Way}:
        raise Malformed("rules.tcp", "neither direct, tor nor off")
    proxies = {name: table.get(name, "") for name in ("tor", "i2p")}
    for name, found in proxies.items():
        if not isinstance(found, str):
            raise Malformed(f"rules.{name}", "no text")
    return Rules(anonymous, Way(tcp), proxy(proxies["tor"]), proxy(proxies["i2p"]))


def _keep(table: Mapping[str, Any]) -> Keep:
    chartertext.only("keep", table, ("k", "n", "alone"))
    k, n, alone = table.get("k", Keep().k), table.get("n", Keep().n), table.get("alone", False)
    if type(k) is not int or type(n) is not int or not 1 <= k <= n <= MAX_SHARES:
        raise Malformed("keep", f"k and n are whole numbers, 1 to {MAX_SHARES}, and k is not the greater")
    if type(alone) is not bool:
        raise Malformed("keep.alone", "neither true nor false")
    return Keep(k, n, alone)


def _serves(found: Any) -> tuple[Purpose, ...]:
    if not isinstance(found, list) or len(found) > MAX_PURPOSES or not all(isinstance(one, str) for one in found):
        raise Malformed("serves", f"no list of up to {MAX_PURPOSES} words of up to {MAX_WORD} letters")
    return tuple(Purpose(word("serves", one)) for one in found)


def _map(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise Malformed(name, "no table")
    return found
