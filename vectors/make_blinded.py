"""`python make_blinded.py > blinded.json`: RFC 9474's blind signatures, by whole numbers; nothing is of this project.

The key is made of two primes that anybody can find again: it is no secret, and signs nothing else.
"""

import hashlib
import json
import sys
from typing import Any

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

if __name__ == "__main__":
    json.dump({"key": KEY, "cases": CASES}, sys.stdout, indent=1)
    sys.stdout.write("\n")
