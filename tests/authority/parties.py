"""Those who take part in a grid, and what they sign. Everything is sound until a test says otherwise."""

import hashlib
from typing import Any

from commonhold.authority.blessed import Candidate
from commonhold.authority.lists import Lists
from commonhold.authority.trust import Rule
from commonhold.crypto import sign
from commonhold.crypto.statements import signed
from commonhold.formats.blessing import STORAGE, Blessing
from commonhold.formats.credential import AccountId, Credential, Warrant
from commonhold.formats.entry import Entry, Nonce
from commonhold.formats.keys import PublicKey, Seed
from commonhold.formats.pin import GridId, SpkiPin, pin_of
from commonhold.formats.revocations import Revocations
from commonhold.formats.statement import Kind

NOW = 1_800_000_000
HOUR, DAY = 3600, 86_400


def seed(name: str) -> Seed:
    return Seed(hashlib.sha256(name.encode()).digest())


def public(name: str) -> PublicKey:
    return sign.public_key(seed(name))


def pin(name: str) -> SpkiPin:
    return pin_of(public(name))


def grid(name: str = "blesser") -> GridId:
    return GridId(public(name))


def rule(*names: str, **other: Any) -> Rule:
    return Rule(frozenset(public(name) for name in names or ("blesser",)), **other)


def _sound(**fields: Any) -> dict[str, Any]:
    return {"grid": grid(), "server": pin("attic"), "not_before": NOW - DAY, "not_after": NOW + DAY} | fields


def blessing(by: str = "blesser", **other: Any) -> bytes:
    """Of the attic, for storage, by the blesser."""
    said = Blessing(**_sound(purpose=STORAGE, classes=(), serial=7) | other)
    return signed(Kind.BLESSING, said.body, seed(by)).encoded


def credential(by: str = "blesser", **other: Any) -> bytes:
    """Alice's, at the attic."""
    said = Credential(
        **_sound(account=AccountId(b"alice's number.."), client=public("alice"), quota=1 << 30, serial=9) | other
    )
    return signed(Kind.CREDENTIAL, said.body, seed(by)).encoded


def warrant(by: str = "alice", **other: Any) -> bytes:
    """Alice's, for her node."""
    return signed(Kind.WARRANT, Warrant(**_sound(holder=public("node")) | other).body, seed(by)).encoded


def entry(by: str = "alice", **other: Any) -> bytes:
    """Alice's, at the attic, over her connection."""
    sound: dict[str, Any] = {
        "nonce": Nonce(b"n" * 32),
        "server": pin("attic"),
        "connection": pin("line"),
        "grid": grid(),
        "time": NOW,
    }
    return signed(Kind.ENTRY, Entry(**sound | other).body, seed(by)).encoded


def revocations(*serials: int, by: str = "blesser", **other: Any) -> bytes:
    """The blesser's list."""
    sound: dict[str, Any] = {"grid": grid(), "sequence": 1, "issued": NOW - HOUR, "fresh_until": NOW + HOUR}
    said = Revocations(**sound | other, serials=tuple(sorted(serials)))
    return signed(Kind.REVOCATIONS, said.body, seed(by)).encoded


def lists(*known: bytes, of: tuple[str, ...] = ("blesser", "second", "third")) -> Lists:
    """What is known of these blessers; of nothing said, the blesser's fresh and empty list."""
    found = Lists((public(name), grid()) for name in of)
    for data in known or (revocations(),):
        found.take(data)
    return found


def candidate(*blessings: bytes, **other: Any) -> Candidate:
    """The attic."""
    sound = {"server": pin("attic"), "grid": grid(), "purpose": STORAGE, "blessings": blessings}
    return Candidate(**sound | other)
