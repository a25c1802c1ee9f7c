"""`python make_invitations.py > invitations.json`: codes by cbor2 alone; nothing here is of this project.

A case has a name, the text, and what it says (`says`), or `why` it is refused.
"""

import base64
import hashlib
import json
import sys
from typing import Any

import cbor2

KEYS = [bytes([number]) * 32 for number in (1, 2)]
PINS = [bytes([number]) * 32 for number in (101, 102)]
TICKET = bytes(range(32))


def cbor(**fields: Any) -> bytes:
    """Canonical CBOR of a map, which for these values is dag-cbor."""
    return cbor2.dumps(fields, canonical=True)


def line(data: bytes, prefix: str = "hold-join1", checksum: bytes | None = None) -> str:
    """A code as it is pasted."""
    begin = hashlib.sha256(b"commonhold code v1\0" + data).digest()[:4] if checksum is None else checksum
    return prefix + base64.b32encode(begin + data).decode().rstrip("=").lower()


def blesser(number: int) -> bytes:
    """Who blesses, and where."""
    return cbor(key=KEYS[number], pin=PINS[number], addresses=[f"tcp:192.0.2.{number + 1}:4653"])


def charter(**other: Any) -> bytes:
    """A grid of two blessers, of whom both are needed for storage."""
    fields = {
        "grid": KEYS[0], "name": "family", "blessers": [blesser(0), blesser(1)],
        "rules": [
            cbor(purposes=["storage"], blessers=[0, 1], needed=2, fresh=0),
            cbor(purposes=["introducer"], blessers=[1]),
        ],
        "accounts": cbor(blessers=[0]),
    }  # fmt: skip
    return cbor(**{name: value for name, value in (fields | other).items() if value is not None})


def invitation(**other: Any) -> bytes:
    """An account's, unless it says otherwise."""
    fields = {"charter": charter(), "ticket": TICKET, "not_after": 1_800_000_000, "account": "alice"}
    return cbor(**{name: value for name, value in (fields | other).items() if value is not None})


def says(**other: Any) -> dict[str, Any]:
    """What that is."""
    return {
        "account": "alice", "not_after": 1_800_000_000, "purposes": [], "grid": KEYS[0].hex(), "by": KEYS[0].hex(),
        "ticket": TICKET.hex(), "pins": [pin.hex() for pin in PINS],
        "rules": {"storage": [2, 2, False], "introducer": [1, 1, True]},
    } | other  # fmt: skip


PLAIN = line(invitation())
LONG = [
    {"name": "account", "text": PLAIN, "says": says()},
    {"name": "folded", "text": " " + PLAIN[:70].upper() + "\n " + PLAIN[70:] + "\n", "says": says()},
    {"name": "server", "text": line(invitation(account=None, purposes=["storage", "introducer"])),
     "says": says(account="", purposes=["storage", "introducer"])},
    {"name": "second blesser's", "text": line(invitation(by=1)), "says": says(by=KEYS[1].hex())},
    {"name": "checksum", "text": line(invitation(), checksum=b"\0\0\0\0"), "why": "checksum"},
    {"name": "version", "text": line(invitation(), "hold-join2"), "why": "version"},
    {"name": "neither", "text": line(invitation(account=None)), "why": "neither"},
    {"name": "both", "text": line(invitation(purposes=["storage"])), "why": "both"},
    {"name": "ticket", "text": line(invitation(ticket=TICKET[:31])), "why": "ticket"},
    {"name": "no ticket", "text": line(invitation(ticket=None)), "why": "ticket"},
    {"name": "by nobody", "text": line(invitation(by=2)), "why": "by"},
    {"name": "rule by nobody", "text": line(invitation(charter=charter(accounts=cbor(blessers=[2])))), "why": "place"},
    {"name": "rule by none", "text": line(invitation(charter=charter(accounts=cbor(blessers=[])))), "why": "none"},
    {"name": "three of one", "text": line(invitation(charter=charter(accounts=cbor(blessers=[0], needed=3)))),
     "why": "needed"},
    {"name": "no rules", "text": line(invitation(charter=charter(rules=[]))), "why": "rules"},
    {"name": "name", "text": line(invitation(charter=charter(name="../x"))), "why": "name"},
    {"name": "address", "text": line(invitation(charter=charter(
        blessers=[cbor(key=KEYS[0], pin=PINS[0], addresses=["attic"]), blesser(1)]))), "why": "address"},
    {"name": "nonsense", "text": line(b"nonsense"), "why": "no map"},
    {"name": "empty", "text": "hold-join1", "why": "empty"},
]  # fmt: skip
WORDS = ["quiet", "harbour", "lantern"]
ONION = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion"
SHORT: list[dict[str, Any]] = [
    {"text": "7-quiet-harbour-lantern@attic.example", "plate": 7, "words": WORDS, "where": "tcp:attic.example:4653"},
    {"text": "999-quiet-harbour-lantern@192.0.2.1:99", "plate": 999, "words": WORDS, "where": "tcp:192.0.2.1:99"},
    {"text": "7-quiet-harbour-lantern@[2001:db8::1]", "plate": 7, "words": WORDS, "where": "tcp:[2001:db8::1]:4653"},
    {"text": "7-quiet-harbour-lantern@[2001:db8::1]:5", "plate": 7, "words": WORDS, "where": "tcp:[2001:db8::1]:5"},
    {"text": f"7-quiet-harbour-lantern@{ONION}", "plate": 7, "words": WORDS, "where": f"tor:{ONION}:4653"},
    {"text": f"7-quiet-harbour-lantern@tor:{ONION}:443", "plate": 7, "words": WORDS, "where": f"tor:{ONION}:443",
     "canonical": f"7-quiet-harbour-lantern@{ONION}:443"},
    {"text": " 7 Quiet  Harbour lantern@Attic.example ", "plate": 7, "words": WORDS, "where": "tcp:attic.example:4653",
     "canonical": "7-quiet-harbour-lantern@attic.example"},
    *({"text": text, "why": "form"} for text in (
        "7-quiet-harbour-lantern", "quiet-harbour-lantern@attic.example", "7-quiet-harbour@attic.example",
        "7-quiet-harbour-lantern-zebra@attic.example", "0-quiet-harbour-lantern@attic.example",
        "1000-quiet-harbour-lantern@attic.example", "7-quiet-harbour-latern@attic.example",
        "7-quiet-harbour-lantern@", "7-quiet-harbour-lantern@attic.example:", "7-quiet-harbour-lantern@attic.example:0",
        "7-quiet-harbour-lantern@attic.example:99999", "7-quiet-harbour-lantern@unix:/run/x",
        "7-quiet-harbour-lantern@a b",
        "7-quiet-harbour-lantern@attic.onion", "7-quiet-harbour-lantern@\u00e4.example", "", "@",
    )),
]  # fmt: skip

if __name__ == "__main__":
    json.dump({"long": LONG, "short": SHORT}, sys.stdout, indent=1)
    sys.stdout.write("\n")
