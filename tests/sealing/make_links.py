"""`python -m tests.sealing.make_links > vectors/links.json`: links and receiving keys, by docs/spec/link.md alone.

HPKE is that of `tests/crypto/hpke_by_hand`; nothing here is of the product.
"""

import base64
import hashlib
import hmac
import json
import sys
from typing import Any

from tests.crypto import hpke_by_hand

GRID, DIGEST, READ_KEY, SECRET = (hashlib.sha256(word.encode()).digest() for word in ("grid", "root", "key", "bob"))
ROWS = 5
DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
CAPABILITY = ROWS.to_bytes(4, "little") + DIGEST + READ_KEY
RECEIVER = hmac.digest(SECRET, b"commonhold receiving key v1\0" + GRID, "sha256")
INFO = b"commonhold sealed link v1\0" + GRID
EPHEMERAL = hashlib.sha256(b"one use").digest()


def word(prefix: str, body: bytes, check: bytes | None = None) -> str:
    """A prefix, and base32 of the bytes and their checksum."""
    last = hashlib.sha256(prefix.encode() + body).digest()[:4] if check is None else check
    return prefix + base64.b32encode(body + last).decode().rstrip("=").lower()


def sealed(text: bytes = CAPABILITY, info: bytes = INFO, to: bytes = RECEIVER) -> bytes:
    """For an account's private key."""
    return hpke_by_hand.seal(hpke_by_hand.AES_256, EPHEMERAL, hpke_by_hand.public(to), text, info)


LINK, SEALED = word("holdl1", GRID + CAPABILITY), word("holds1", GRID + sealed())
OTHER = hashlib.sha256(b"another grid").digest()
SOUND: dict[str, Any] = {
    "grid": GRID.hex(), "rows": ROWS, "digest": DIGEST.hex(), "key": READ_KEY.hex(), "secret": SECRET.hex(),
    "private": RECEIVER.hex(), "public": hpke_by_hand.public(RECEIVER).hex(), "ephemeral": EPHEMERAL.hex(),
    "capability": word("holdr1", CAPABILITY), "link": LINK, "sealed": SEALED,
    "receiving": word("holdk1", GRID + hpke_by_hand.public(RECEIVER)),
}  # fmt: skip
BAD = [
    {"name": "one byte less", "text": word("holdl1", (GRID + CAPABILITY)[:-1])},
    {"name": "one byte more", "text": word("holdl1", GRID + CAPABILITY + b"\0")},
    {"name": "capitals", "text": LINK.upper()},
    {"name": "checksum", "text": word("holdl1", GRID + CAPABILITY, bytes(4))},
    {"name": "checksum of a capability", "text": "holdl1" + word("holdr1", GRID + CAPABILITY)[6:]},
    {"name": "unused bits", "text": LINK[:-1] + DIGITS[DIGITS.index(LINK[-1]) + 1]},
    {"name": "rows", "text": word("holdl1", GRID + (65537).to_bytes(4, "little") + DIGEST + READ_KEY)},
    {"name": "version", "text": "holdl2" + LINK[6:], "unsupported": True},
    {"name": "version, sealed", "text": "holds2" + SEALED[6:], "unsupported": True},
    {"name": "nothing", "text": "holdl1"},
    {"name": "a blank", "text": LINK[:40] + " " + LINK[40:]},
    {"name": "sealed, too short", "text": word("holds1", GRID + sealed()[:-1])},
]
SHUT = [
    {"name": "for another", "text": word("holds1", GRID + sealed(to=OTHER))},
    {"name": "of another grid", "text": word("holds1", OTHER + sealed())},
    {"name": "about something else", "text": word("holds1", GRID + sealed(info=b"commonhold sealed link v2\0" + GRID))},
    {"name": "changed", "text": word("holds1", GRID + sealed()[:-1] + bytes([sealed()[-1] ^ 1]))},
    {"name": "rows", "text": word("holds1", GRID + sealed((65537).to_bytes(4, "little") + DIGEST + READ_KEY))},
]

if __name__ == "__main__":
    json.dump({"sound": SOUND, "bad": BAD, "shut": SHUT}, sys.stdout, indent=1)
    sys.stdout.write("\n")
