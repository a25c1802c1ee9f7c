"""`python make_statements.py > statements.json`: statements by cbor2 and PyNaCl alone; nothing here is of this project.

Each case says which kind a reader expects, the bytes, and what is wrong with them (`why`), or what they say (`says`).
"""

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import cbor2
from nacl.signing import SigningKey

BLESSER, SERVER, CLIENT, HOLDER = (
    hashlib.sha256(name).digest() for name in (b"blesser", b"server", b"client", b"node")
)
SPKI = bytes.fromhex("302a300506032b6570032100")
PLAIN = bytes.fromhex("0155001c") + bytes(28)  # a CID of 32 bytes
WEAK = [bytes(32), b"\1" + bytes(31), bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]

Fields = dict[str, Any]


def public(seed: bytes) -> bytes:
    """A seed's public key."""
    return bytes(SigningKey(seed).verify_key)


def pin(key: bytes) -> bytes:
    """A key's pin."""
    return hashlib.sha256(SPKI + key).digest()


def text(letter: str, raw: bytes) -> str:
    """A pin's text, or a grid id's."""
    return letter + base64.b32encode(raw + hashlib.sha256(letter.encode() + raw).digest()[:3]).decode().lower()


def cbor(value: Any) -> bytes:
    """Canonical CBOR (RFC 7049 §3.9), which for these values is dag-cbor."""
    return cbor2.dumps(value, canonical=True)


def pairs(fields: list[tuple[str, Any]]) -> bytes:
    """A map of up to 23 fields, in the order given."""
    return bytes([0xA0 + len(fields)]) + b"".join(cbor(name) + cbor(value) for name, value in fields)


def signature(kind: str, body: bytes, seed: bytes) -> bytes:
    """A signature as the page has it."""
    return SigningKey(seed).sign(b"commonhold " + kind.encode() + b"\n" + body).signature


def envelope(kind: str, body: bytes, seed: bytes, **other: Any) -> bytes:
    """A statement; `other` fields take the place of its own."""
    return cbor({"kind": kind, "body": body, "key": public(seed), "signature": signature(kind, body, seed)} | other)


GRID, AT = public(BLESSER), pin(public(SERVER))
ACCOUNT = b"0123456789abcdef"
BLESSING: Fields = {
    "v": 1, "grid": GRID, "purpose": "storage", "server": AT, "classes": ["reliable", "eu-west.1"],
    "not_before": 1_700_000_000, "not_after": 1_800_000_000, "serial": (1 << 63) - 1,
}  # fmt: skip
KINDS: dict[str, tuple[bytes, Fields]] = {
    "blessing": (BLESSER, BLESSING),
    "announcement": (SERVER, {
        "v": 1, "grid": GRID, "purpose": "storage", "server": AT, "sequence": 7, "not_after": 1_800_000_000,
        "addresses": ["tcp:attic.example:7070", "smoke:signals over the hill"], "name": "Dachboden im Süden",
        "blessings": [envelope("blessing", cbor(BLESSING), BLESSER)], "leaving": True,
    }),
    "credential": (BLESSER, {
        "v": 1, "grid": GRID, "server": AT, "account": ACCOUNT, "client": public(CLIENT), "quota": 1 << 60,
        "not_before": 1_700_000_000, "not_after": 1_800_000_000, "serial": 0,
    }),
    "warrant": (CLIENT, {
        "v": 1, "grid": GRID, "server": AT, "holder": public(HOLDER),
        "not_before": 1_700_000_000, "not_after": 1_700_086_400,
    }),
    "entry": (CLIENT, {
        "v": 1, "nonce": bytes(range(32)), "server": AT, "connection": pin(public(HOLDER)), "grid": GRID,
        "time": 1_700_000_001,
    }),
    "revocations": (BLESSER, {
        "v": 1, "grid": GRID, "sequence": 3, "issued": 1_700_000_000, "fresh_until": 1_700_600_000,
        "serials": [0, 1, 4_294_967_296, (1 << 63) - 1],
    }),
    "call": (SERVER, {"v": 1, "relay": pin(public(HOLDER)), "connection": pin(public(CLIENT)), "time": 1_700_000_002}),
    "request": (SERVER, {
        "v": 1, "grid": GRID, "blesser": GRID, "time": 1_700_000_000, "server": AT,
        "purposes": ["storage", "introducer"], "addresses": ["tcp:attic.example:7070"], "ticket": bytes(32),
    }),
    "request of an account": (CLIENT, {
        "v": 1, "grid": GRID, "blesser": GRID, "time": 1_700_000_000, "account": "Frau Müller", "ticket": bytes(32),
        "seats": sorted([AT + public(CLIENT), bytes(32) + public(HOLDER)]),
    }),
}  # fmt: skip
OPTIONAL = {"name", "ticket", "leaving"}
WORDS = ["", "Storage", "-a", "a-", "a_b", "a" * 33, "a b", "ä"]
BEYOND: dict[str, list[Any]] = {
    "grid": [bytes(31), bytes(33), PLAIN[:31]],
    "server": [bytes(32), bytes(31)],
    "account": [bytes(15), bytes(17), b""],
    "client": [bytes(31), bytes(33)],
    "holder": [bytes(31), bytes(33)],
    "blesser": [bytes(31), bytes(33)],
    "nonce": [bytes(31), bytes(33), b""],
    "connection": [bytes(31)],
    "relay": [bytes(31), bytes(33)],
    "ticket": [bytes(31), bytes(33), None],
    "purpose": WORDS,
    "purposes": [[], ["a", "a"], [str(n) for n in range(9)], *([word] for word in WORDS)],
    "classes": [["a", "a"], [str(n) for n in range(9)], *([word] for word in WORDS)],
    "addresses": [["a", "a"], [str(n) for n in range(17)], ["a" * 301], [""], ["a\nb"], ["\u202ea"], [b"a"], "a"],
    "blessings": [[bytes(4097)], [bytes([n]) for n in range(9)], ["a"]],
    "name": ["", "a" * 65, "a\0b", "\x1b[2J", None],
    "leaving": [False, 1, b"\xf5"],
    "quota": [(1 << 60) + 1, -1, True],
    "not_before": [-1, 1 << 63],
    "not_after": [-1, 1 << 63, 1.1],
    "serial": [-1, 1 << 63, False],
    "sequence": [-1, 1 << 63],
    "time": [-1, 1 << 63],
    "issued": [1_700_600_000, -1],
    "fresh_until": [1_700_000_000, 1 << 63],
    "serials": [[1, 1], [2, 1], [-1], [1 << 63], [True], ["1"], [1.1]],
    "seats": [[], [bytes(63)], [bytes(65)], [bytes(64)] * 2, [b"\1" * 64, bytes(64)], ["a"]],
    "v": [0, 2, -1, "1", b"\1", True, None, [1]],
}  # fmt: skip


def other_types(value: Any) -> list[Any]:
    """Values of types that a field has not, of which some look much like it."""
    if isinstance(value, bytes):
        return ["a" * len(value), 1, [value], cbor2.CBORTag(42, b"\0" + PLAIN)]
    if isinstance(value, str):
        return [value.encode(), 1, [value], None]
    if isinstance(value, list):
        return [value[0], {"0": value[0]}, None]
    return [str(value), bytes([1]), [value], None, cbor2.CBORTag(42, b"\0" + PLAIN)]


def bodies(name: str, fields: Fields) -> Iterator[tuple[str, bytes]]:
    """Bodies that are refused, though well signed."""
    kind = name.partition(" ")[0]
    for field in fields:
        without = {key: value for key, value in fields.items() if key != field}
        if field not in OPTIONAL:
            yield f"{field} is missing", cbor(without)
        wrong = [] if field == "v" else other_types(fields[field])
        beyond = BEYOND[field]
        if field == "account" and name != "credential":
            beyond = ["", "a" * 65, "a\tb"]
        if field == "server" and kind not in ("announcement", "request"):
            beyond = beyond[1:]  # another server's pin is a fault only of what the server signs
        if field == "not_before":
            beyond = [fields["not_after"], fields["not_after"] + 1, *beyond]
        for number, value in enumerate(wrong):
            yield f"{field} is of another type ({number})", cbor(fields | {field: value})
        for number, value in enumerate(beyond):
            yield f"{field} is beyond its limits ({number})", cbor(fields | {field: value})
    ordered = sorted(fields.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
    yield "v is a float", _float_version(ordered)
    yield "a field twice", pairs([ordered[0], *ordered])
    yield "fields not in their order", pairs(ordered[::-1])
    yield "a longer length than needed", b"\xb8" + bytes([len(fields)]) + pairs(ordered)[1:]
    yield "of indefinite length", b"\xbf" + pairs(ordered)[1:] + b"\xff"
    yield "a number longer than needed", pairs(ordered).replace(b"\x61v\x01", b"\x61v\x18\x01")
    yield "a byte after it", cbor(fields) + b"\0"
    yield "cut short", cbor(fields)[:-1]
    yield "empty", b""
    yield "no map", cbor(list(fields.values()))
    yield "a name that is no text", b"\xa1\x01\x01"
    yield "another tag", pairs([*ordered, ("zzzzzzzzzzzzzzzz", cbor2.CBORTag(1, 5))])
    yield "more fields than 64", cbor(fields | {f"x{n:03}": n for n in range(65 - len(fields))})


def _float_version(ordered: list[tuple[str, Any]]) -> bytes:
    return pairs(ordered).replace(b"\x61v\x01", b"\x61v\xfb" + bytes.fromhex("3ff0000000000000"))


def around(kind: str, seed: bytes, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Envelopes that are refused, around a body that is not."""
    other = "blessing" if kind != "blessing" else "credential"
    signed = {"kind": kind, "body": body, "key": public(seed), "signature": signature(kind, body, seed)}
    for field in signed:
        yield f"no {field}", cbor({name: value for name, value in signed.items() if name != field})
        for number, value in enumerate((1, None, [])):
            yield f"{field} of another type ({number})", cbor(signed | {field: value})
    ordered = [(name, signed[name]) for name in ("key", "body", "kind", "signature")]
    yield "a field more", cbor(signed | {"x": 1})
    yield "a field twice, around", pairs([ordered[0], *ordered])
    yield "not in order, around", pairs(ordered[::-1])
    yield "of indefinite length, around", b"\xbf" + pairs(ordered)[1:] + b"\xff"
    yield "a byte after it all", cbor(signed) + b"\0"
    yield "cut short, around", cbor(signed)[:-1]
    yield "of another kind", envelope(other, body, seed)
    yield "with another kind's signature", envelope(kind, body, seed, signature=signature(other, body, seed))
    yield (
        "with a signature of the body alone",
        envelope(kind, body, seed, signature=SigningKey(seed).sign(body).signature),
    )
    yield "with another's signature", envelope(kind, body, seed, signature=signature(kind, body, HOLDER))
    yield "with another's key", envelope(kind, body, seed, key=public(HOLDER))
    yield "a bit of its body changed", cbor(signed | {"body": body[:-1] + bytes([body[-1] ^ 1])})
    yield "a key of 31 bytes", cbor(signed | {"key": public(seed)[:31]})
    yield "a signature of 63 bytes", cbor(signed | {"signature": signed["signature"][:63]})
    yield "its key as a link", cbor(signed | {"key": cbor2.CBORTag(42, b"\0" + PLAIN)})
    link = {"body": cbor2.CBORTag(42, b"\0" + PLAIN), "signature": signature(kind, PLAIN, seed)}
    yield "its body as a link", cbor(signed | link)
    for number, weak in enumerate(WEAK):
        yield f"a weak key ({number})", cbor(signed | {"key": weak, "signature": b"\1" + bytes(63)})
    low, high = signed["signature"][:32], int.from_bytes(signed["signature"][32:], "little")
    order = (1 << 252) + 27742317777372353535851937790883648493
    yield "the signature's other form", cbor(signed | {"signature": low + (high + order).to_bytes(32, "little")})


def shown(value: Any) -> Any:
    """A value for JSON: bytes in hex."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return [shown(item) for item in value] if isinstance(value, list) else value


def cases() -> Iterator[Fields]:
    """All of them."""
    for name, (seed, fields) in KINDS.items():
        kind = name.partition(" ")[0]
        says = {field: shown(value) for field, value in fields.items()}
        small = {field: value for field, value in fields.items() if field not in OPTIONAL}
        good = {
            "whole": fields,
            "without what may be left out": small,
            "with fields that nobody knows": fields
            | {"zebra": {"stripes": [1, None, 1.1]}, "a": cbor2.CBORTag(42, b"\0" + PLAIN)},
        }
        for what, chosen in good.items():
            yield {
                "name": f"{name}: {what}", "kind": kind, "key": public(seed).hex(),
                "data": envelope(kind, cbor(chosen), seed),
                "says": {field: value for field, value in says.items() if field in chosen},
            }  # fmt: skip
        if name == "announcement":
            fields = fields | {"blessings": [b"unread"]}  # which is shorter
        for why, body in bodies(name, fields):
            yield {"name": f"{name}: {why}", "kind": kind, "data": envelope(kind, body, seed), "why": "body"}
        for why, data in around(kind, seed, cbor(fields)):
            yield {"name": f"{name}: {why}", "kind": kind, "data": data, "why": "statement"}
    yield {
        "name": "announcement: of another server", "kind": "announcement", "why": "body",
        "data": envelope("announcement", cbor(KINDS["announcement"][1]), HOLDER),
    }  # fmt: skip
    yield {
        "name": "request: of another server", "kind": "request", "why": "body",
        "data": envelope("request", cbor(KINDS["request"][1]), HOLDER),
    }  # fmt: skip
    both = KINDS["request"][1] | {"account": "a", "seats": [bytes(64)]}
    yield {
        "name": "request: of both",
        "kind": "request",
        "why": "body",
        "data": envelope("request", cbor(both), SERVER),
    }


def texts() -> Fields:
    """Keys, with their pins and texts; and texts with slips."""
    keys = []
    for number in range(4):
        seed = hashlib.sha256(b"key %d" % number).digest()
        key = public(seed)
        keys.append({"seed": seed.hex(), "public": key.hex(), "pin": text("p", pin(key)), "grid": text("g", key)})
    sound = keys[0]["pin"]
    grid = keys[0]["grid"]
    bad = [
        "", "p", sound[:-1], sound + "a", sound[1:], sound * 2,
        sound.upper(), "P" + sound[1:], "p" + sound[1:].upper(), "g" + sound[1:],
        sound + "=", sound[:-1] + "=", " " + sound, sound + "\n", sound[:20] + sound[21] + sound[20] + sound[22:],
        *(sound[:30] + letter + sound[31:] for letter in "18\u00e9\0"),
        text("p", bytes(31)), text("p", bytes(33)), grid, "p" + grid[1:], "p" + "a" * 56, sound[:-7] + "=" * 7,
    ]  # fmt: skip
    return {"keys": keys, "bad": bad}


def main() -> None:
    """Print them."""
    found = [case | {"data": base64.b64encode(case["data"]).decode()} for case in cases()]
    json.dump(texts() | {"cases": found}, sys.stdout, indent=0, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
