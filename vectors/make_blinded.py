"""`python make_blinded.py > blinded.json`: blind signatures, mints and tokens; nothing here is of this project.

RFC 9474 by Python's whole numbers, the rest by cbor2, PyNaCl and the standard library.

The key is made of two primes that anybody can find again: it is no secret, and signs nothing else.
"""

import hashlib
import hmac
import json
import sys
from typing import Any

import cbor2
from nacl.signing import SigningKey

E = 65537


def stream(name: str, length: int) -> bytes:
    """Bytes that are the same every time."""
    return b"".join(hashlib.sha256(f"{name} {i}".encode()).digest() for i in range(length // 32 + 1))[:length]


def is_prime(number: int) -> bool:
    """Miller and Rabin's test, forty times."""
    if any(number % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23)):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for i in range(40):
        x = pow(int.from_bytes(stream(f"witness {i}", 32), "big") + 2, odd, number)
        if x in (1, number - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % number
            if x == number - 1:
                break
        else:
            return False
    return True


def prime(name: str) -> int:
    """The first prime of 1536 bits from a place on, of which E is no factor of what comes before it."""
    found = int.from_bytes(stream(name, 192), "big") | 3 << 1534 | 1
    while not is_prime(found) or found % E == 1:
        found += 2
    return found


def mask(seed: bytes, length: int) -> bytes:
    """MGF1."""
    return b"".join(hashlib.sha384(seed + i.to_bytes(4, "big")).digest() for i in range(length // 48 + 1))[:length]


def encoded(message: bytes, salt: bytes, bits: int) -> int:
    """EMSA-PSS-ENCODE."""
    length = (bits + 7) // 8
    digest = hashlib.sha384(bytes(8) + hashlib.sha384(message).digest() + salt).digest()
    plain = bytes(length - 48 - len(salt) - 2) + b"\1" + salt
    hidden = bytearray(a ^ b for a, b in zip(plain, mask(digest, len(plain)), strict=True))
    hidden[0] &= 0xFF >> (8 * length - bits)
    return int.from_bytes(bytes(hidden) + digest + b"\xbc", "big")


def case(name: str, message: bytes, p: int, q: int) -> dict[str, Any]:
    """All that passes between who asks and who signs."""
    n, d = p * q, pow(E, -1, (p - 1) * (q - 1))
    prefix, salt = stream(f"{name} prefix", 32), stream(f"{name} salt", 48)
    drawn = stream(f"{name} blinding", 384 + 16)
    r = int.from_bytes(drawn, "big") % n
    hidden = encoded(prefix + message, salt, n.bit_length() - 1)
    blank = hidden * pow(r, E, n) % n
    answer = pow(blank, d, n)
    signature = answer * pow(r, -1, n) % n
    if pow(signature, E, n) != hidden:
        raise SystemExit("the arithmetic is wrong")
    raw = {"blank": blank, "answer": answer, "signature": signature}
    return {
        "name": name, "message": message.hex(), "prefix": prefix.hex(), "salt": salt.hex(), "drawn": drawn.hex(),
    } | {what: number.to_bytes(384, "big").hex() for what, number in raw.items()}  # fmt: skip


P, Q = prime("first"), prime("second")
KEY = {"p": f"{P:x}", "q": f"{Q:x}", "modulus": f"{P * Q:x}"}
CASES = [case("empty", b"", P, Q), case("short", b"attic", P, Q), case("long", stream("long", 1000), P, Q)]


def derived(secret: bytes, message: bytes) -> bytes:
    """What is made of a secret."""
    return hmac.digest(secret, message, "sha256")


def drawn(secret: bytes, message: bytes, lengths: list[int]) -> list[bytes]:
    """So many bytes each, each from a new number on."""
    found, number = [], 0
    for length in lengths:
        count = -(-length // 32)
        parts = [derived(secret, message + (number + i).to_bytes(4, "big")) for i in range(count)]
        number += count
        found.append(b"".join(parts)[:length])
    return found


def token(secret: bytes, server: bytes, p: int, q: int) -> dict[str, Any]:
    """A mint, and a token by it, from the account's secret to what is shown at a door."""
    n, d = p * q, pow(E, -1, (p - 1) * (q - 1))
    blesser = bytes(SigningKey(hashlib.sha256(b"blesser").digest()).verify_key)
    grid, begins = blesser, 1_799_712_000
    said = {
        "modulus": n.to_bytes(384, "big"), "quota": 1 << 30, "not_before": begins, "not_after": begins + 30 * 86_400,
        "serial": 77,
    }  # fmt: skip
    mint = cbor2.dumps(said, canonical=True)
    name = hashlib.sha256(b"commonhold mint v1\0" + blesser + grid + mint).digest()
    client = bytes(SigningKey(derived(secret, b"commonhold blinded client v1\0" + server)).verify_key)
    prefix, salt, factor = drawn(secret, b"commonhold blinding v1\0" + name + server, [32, 48, 400])
    prepared = prefix + b"commonhold blinded v1\0" + grid + server + client + name
    r = int.from_bytes(factor, "big") % n
    blank = encoded(prepared, salt, n.bit_length() - 1) * pow(r, E, n) % n
    answer = pow(blank, d, n)
    signature = (answer * pow(r, -1, n) % n).to_bytes(384, "big")
    shown = {
        "kind": "blinded", "v": 1, "grid": grid, "server": server, "client": client, "blesser": blesser, "mint": name,
        "prefix": prefix, "signature": signature,
    }  # fmt: skip
    account = hashlib.sha256(b"commonhold blinded account v1\0" + grid + client).digest()[:16]
    raw = {
        "secret": secret, "server": server, "blesser": blesser, "mint": mint, "name": name,
        "blank": blank.to_bytes(384, "big"), "answer": answer.to_bytes(384, "big"),
        "token": cbor2.dumps(shown, canonical=True), "account": account,
    }  # fmt: skip
    return {what: value.hex() for what, value in raw.items()}


TOKENS = [token(stream("secret", 32), stream(where, 32), P, Q) for where in ("attic", "cellar")]

if __name__ == "__main__":
    json.dump({"key": KEY, "cases": CASES, "tokens": TOKENS}, sys.stdout, indent=1)
    sys.stdout.write("\n")
