"""Servers, what they announce, and files about them. Those who take part are those of `authority.parties`."""

import base64
from typing import Any

from commonhold.authority.lists import Lists
from commonhold.authority.trust import Trust, of_its_blesser
from commonhold.crypto.statements import signed
from commonhold.formats import hint
from commonhold.formats.announcement import Announcement
from commonhold.formats.blessing import STORAGE
from commonhold.formats.statement import Kind
from commonhold.grids import broker, reading, writing
from commonhold.grids.broker import Ground
from commonhold.grids.clauses import File
from commonhold.grids.known import Known, KnownServer
from commonhold.grids.writing import Entry
from commonhold.transport.rules import Rules
from tests.authority.parties import DAY, NOW, blessing, grid, lists, pin, seed

TCP = hint.parse("tcp:attic.example:4444")
LAN = hint.parse("tcp:192.168.1.5:4444")
TOR = hint.parse("tor:pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:80")
I2P = hint.parse(f"i2p:{'a' * 52}.b32.i2p:80")
UNIX = hint.parse("unix:/run/attic.sock")
LOOP = hint.parse("tcp:127.0.0.1:4444")
SOCKS = hint.TcpHint("127.0.0.1", 9050)
EVERY = (TCP, LAN, TOR, I2P, UNIX, LOOP)

PLAIN = Rules(tor=SOCKS)
ANONYMOUS = Rules(anonymous=True, tor=SOCKS, i2p=SOCKS)
TRUST = Trust((of_its_blesser(grid()),))

NONE = File(reading.OVERRIDE)


def announced(server: str = "attic", *addresses: str, blessed: bool = True, **other: Any) -> bytes:
    """An announcement by a server, for storage, blessed and at one address unless it says otherwise."""
    purpose = other.get("purpose", STORAGE)
    blessings = (blessing(server=pin(server), purpose=purpose),) if blessed else ()
    sound = {
        "grid": grid(), "purpose": purpose, "server": pin(server), "addresses": addresses or (str(TCP),),
        "sequence": 1, "not_after": NOW + DAY, "blessings": blessings, "name": server,
    }  # fmt: skip
    return signed(Kind.ANNOUNCEMENT, Announcement(**sound | other).body, seed(server)).encoded


def cache(introducer: str, *shown: bytes, seen: int = NOW, rules: Rules = PLAIN) -> File:
    """What an introducer has shown, written and read again."""
    found = reading.cache(pin(introducer), cache_bytes(introducer, *shown, seen=seen, rules=rules))
    assert not found.problems
    return found


def cache_bytes(introducer: str, *shown: bytes, seen: int = NOW, rules: Rules = PLAIN) -> bytes:
    """The same, as a file."""
    return writing.cache(pin(introducer), [Entry(data, reading.announced(data), seen) for data in shown], rules).data


def override(text: str) -> File:
    """An override; `{attic}` in it is the attic's pin."""
    return reading.override(filled(text))


def filled(text: str) -> bytes:
    """The same, as a file."""
    names = ("attic", "cellar", "barn")
    for name in names:
        text = text.replace("{" + name + "}", str(pin(name)))
    return text.encode()


def ground(rules: Rules = PLAIN, known: Lists | None = None, **other: Any) -> Ground:
    """By what servers are judged: the blesser's word, a fresh list, now."""
    return Ground(TRUST, rules, known or lists(), **{"now": NOW} | other)


def known(*caches: File, by: File = NONE, rules: Rules = PLAIN, **other: Any) -> Known:
    """What these come to."""
    return broker.known(caches, by, ground(rules, **other))


def one(*caches: File, by: File = NONE, server: str = "attic", rules: Rules = PLAIN, **other: Any) -> KnownServer:
    """What these come to for one server."""
    found = [each for each in known(*caches, by=by, rules=rules, **other).servers if each.pin == pin(server)]
    assert len(found) == 1
    return found[0]


def text64(data: bytes) -> str:
    """Bytes as files have them."""
    return base64.b64encode(data).decode()
